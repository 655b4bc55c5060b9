// Checking results: every (query row, head) against the float64 reference, and the cases that ragged batches get wrong.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "varlen/attention.hpp"
#include "varlen/batch.hpp"
#include "varlen/emulator.hpp"
#include "varlen/export.hpp"

namespace varlen {

/// One (query row, head): `token` counts within the request.
struct RowPosition {
  std::int64_t request = -1;
  std::int64_t token = -1;
  std::int32_t head = -1;
};

/// How far computed rows are from the reference, as fractions of what the numerics contract allows: above 1 a row is
/// wrong.
struct Comparison {
  std::int64_t rows = 0;          ///< compared
  std::int64_t spoiled_rows = 0;  ///< rows whose own inputs make the reference NaN: nothing is asked of them
  std::int64_t failed_rows = 0;
  double worst_out = 0;  ///< max over rows of ‖out − reference‖ / allowed
  double worst_lse = 0;  ///< max over rows of |lse − reference| / allowed; 0 without Tensors::lse
  RowPosition worst_out_row;
  RowPosition worst_lse_row;
  std::string first_failure;  ///< one line; empty if every row is within bounds

  bool passed() const noexcept { return failed_rows == 0; }
};

struct CompareOptions {
  /// Which backend computed the rows: GPU kernels round softmax weights to 16 bits, and their bound has a term for it.
  Backend computed_by = Backend::kCpu;
  /// Called after every query token of a KV head's group, with the rows whose reference is known and all of them.
  std::function<void(std::int64_t done, std::int64_t total)> progress = {};
};

/// Compares what `tensors.out` (and `tensors.lse`, if present) hold with the reference, computed here in float64. Slow.
/// Tensors are in memory of the host.
VARLEN_API Comparison compare_with_reference(const AttentionSpec& spec, const Requests& requests,
                                             const Tensors& tensors, const CompareOptions& options = {});
inline Comparison compare_with_reference(const Batch& batch, const Tensors& tensors,
                                         const CompareOptions& options = {}) {
  return compare_with_reference(batch, batch, tensors, options);
}

/// kAll: edge cases, then random ones. kLong: the batches of FlashInfer's issue 1103, and all pairs of some lengths;
/// minutes each in the emulator.
enum class CheckCases : std::int32_t { kEdge = 0, kRandom = 1, kAll = 2, kLong = 3 };
/// "edge", "random", "all" or "long".
VARLEN_API CheckCases check_cases_named(const std::string& name);
/// `name/target` of the named cases that run_checks() runs with CheckOptions::only, in its order.
VARLEN_API std::vector<std::string> check_case_names(CheckCases cases, Backend backend = Backend::kAuto,
                                                     const std::string& only = "");

/// Called before every case and once after the last.
struct CheckProgress {
  std::int64_t done = 0;
  std::int64_t total = 0;
  std::int64_t failed = 0;
  std::string name;        ///< of the case about to run; empty after the last
  std::uint64_t seed = 0;  ///< of that case, if it is a random one
  Schedule schedule;       ///< of that run
};

/// "all" in the order of their numbers, or one by its name.
VARLEN_API std::vector<SchedulePolicy> schedule_policies_named(const std::string& name);

struct CheckOptions {
  Backend backend = Backend::kAuto;
  GpuKernel kernel = GpuKernel::kAuto;
  CheckCases cases = CheckCases::kAll;
  std::string only;           ///< the named case whose `name/target` is this, or else those whose contains it
  std::int64_t count = 1000;  ///< random cases
  std::uint64_t seed = 1;     ///< of the first random case, which is run with exactly this seed
  std::function<void(const CheckProgress&)> progress;

  // The emulator only; others refuse what differs from the defaults.
  /// Run i of each case is under policy i modulo their number, with schedule_seed + i.
  std::vector<SchedulePolicy> policies = {SchedulePolicy::kFixed};
  std::uint64_t schedule_seed = 1;
  std::int64_t schedules = 0;  ///< runs of each case; 0: one under each policy
  bool timeline = false;       ///< CheckSummary::timeline is wanted
};

struct CheckFailure {
  std::string name;     ///< of the named case, or "random"
  std::string message;  ///< one line
  bool random = false;
  std::uint64_t seed = 0;           ///< random cases: `count = 1` with this seed runs just this case again
  Schedule schedule;                ///< emulator: so does this one with `schedules = 1`
  std::vector<std::string> events;  ///< emulator: the last ones of the parties to the fault, one line each
};

/// Runs of cases: with several schedules each of them counts.
struct CheckSummary {
  std::int64_t passed = 0;
  std::int64_t failed = 0;
  double worst_out = 0;  ///< over all cases, as in Comparison
  double worst_lse = 0;
  std::vector<CheckFailure> failures;
  /// A page of HTML: what happened when in the first case that failed, or in the only one. Empty if there is no such
  /// case, or it was not asked for.
  std::string timeline;
};

/// Runs named cases, then random batches. Each is computed twice, once among clean neighbours and once among NaN,
/// Inf and huge values: every row is compared with the reference, the bits of both runs with each other, and every byte
/// that belongs to no row with what it was. Memory around every tensor is inaccessible: an access beyond it ends the
/// process.
VARLEN_API CheckSummary run_checks(const CheckOptions& options);

}  // namespace varlen
