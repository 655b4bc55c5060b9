// attention(): compute one ragged batch. make_plan() / run() for repeated use of one plan.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "varlen/batch.hpp"
#include "varlen/export.hpp"
#include "varlen/plan.hpp"

namespace varlen {

/// Scratch memory of one running call; two calls at once need two. 64-byte aligned.
struct Workspace {
  void* data = nullptr;
  std::int64_t bytes = 0;
};

enum class Backend : std::int32_t { kAuto = 0, kCpu = 1, kReference = 2 };
VARLEN_API const char* backend_name(Backend backend) noexcept;
/// "auto", "cpu" or "reference".
VARLEN_API Backend backend_named(const std::string& name);

/// What ran when, if asked for: worker and seconds since the call's start for every item, ordered by item.
struct RunTrace {
  std::vector<TimelineOptions::MeasuredItem> items;
};

/// Bytes that run() needs for this plan; exact. Split tiles and per-worker scratch live there.
VARLEN_API std::int64_t workspace_bytes(const Plan& plan);

/// Computes the plan's batch over `tensors` on the CPU with as many threads as the plan has workers and the machine
/// offers. Validates the tensors first and throws Error before anything is written. Allocates nothing proportional to
/// the data. The plan may have been made for any target: a GPU's plan runs here as well, splits and merges included.
VARLEN_API void run(const Plan& plan, const Tensors& tensors, Workspace workspace, RunTrace* trace = nullptr);

/// Everything at once: validate, plan, allocate the workspace, run. Backend::kReference computes in float64 by
/// definition, slowly.
VARLEN_API void attention(const Batch& batch, const Tensors& tensors, Backend backend = Backend::kAuto);

/// What this build can do on this machine.
struct BuildInfo {
  std::string version;
  std::string build_type;
  std::string compiler;
  std::string simd_target;                ///< the one that runs here, e.g. "AVX3_ICL"
  std::vector<std::string> simd_targets;  ///< compiled in
  std::int32_t threads = 0;
};
VARLEN_API BuildInfo build_info();

/// One row of the support table that `varlen info` prints.
struct Support {
  std::string backend;
  std::string inputs;
  std::string outputs;
  std::string head_dims;
  std::string masks;
  std::string keys;
};
VARLEN_API std::vector<Support> support_table();

}  // namespace varlen
