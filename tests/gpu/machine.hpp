// Where checks run: memory, loops over it, and varlen's backend there. A CUDA device, or the host, where the same
// checks run on the emulated kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "memory.hpp"
#include "oracle/fill.hpp"
#include "oracle/row.hpp"
#include "varlen/attention.hpp"
#include "varlen/batch.hpp"
#include "varlen/plan.hpp"

namespace varlen::gpu_check {

/// All rows of a batch against the oracle. A worst error is a fraction of what is allowed: above 1, a row is wrong.
struct Judgement {
  std::int64_t rows = 0;     // compared
  std::int64_t spoiled = 0;  // rows whose own inputs make them NaN: nothing is asked of them
  std::int64_t failed = 0;
  double worst_out = 0;
  double worst_lse = 0;
  std::int64_t first_failed = -1;  // row
};

/// How long something takes on a stream, in microseconds.
struct Duration {
  double alone;         // between two events around one launch: what the launch takes is in it
  double back_to_back;  // from the end of one launch's work to the end of the next one's, many of them waiting in a row
};

class Machine {
 public:
  Machine() = default;
  virtual ~Machine() = default;
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  virtual Backend backend() const = 0;
  /// Architectures whose kernels run here, newest first.
  virtual std::vector<GpuKernel> gpu_kernels() const = 0;
  virtual PlanTarget target(const Batch& batch, GpuKernel gpu_kernel) const = 0;
  /// The plan in the machine's memory.
  virtual Plan prepared(const Plan& plan) const = 0;
  virtual TensorView here(TensorView view) const = 0;

  /// Null if there is not as much.
  virtual std::byte* allocate(std::int64_t bytes) = 0;
  virtual void release(std::byte* memory) noexcept = 0;
  /// Memory whose pieces touch addresses that nobody may access.
  virtual std::unique_ptr<Memory> guarded_memory(Side side) = 0;
  virtual void upload(void* to, const void* from, std::int64_t bytes) = 0;
  /// Waits for everything before.
  virtual void download(void* to, const void* from, std::int64_t bytes) = 0;
  virtual std::int32_t device() const = 0;

  /// A stream beside the default one; lives as long as the machine.
  virtual void* new_stream() = 0;
  /// Records what `launch` launches on a stream as a graph, and replays it `times`. `before(i)`, if there is one, is
  /// called before replay i, when all replays before are done. Returns what failed, or nothing.
  virtual std::string captured(const std::function<void(void* stream)>& launch, int times,
                               const std::function<void(int replay)>& before = {}) = 0;
  /// Of what `launch` launches on a stream. Medians of many times.
  virtual Duration microseconds(const std::function<void(void* stream)>& launch) = 0;
  /// Until everything is done. Throws std::runtime_error if something went wrong; the machine is of no use then.
  virtual void wait() = 0;

  // Searches return the lowest index at which they found something, or −1.
  virtual void fill(const oracle::Region& region, oracle::Pattern pattern, void* stream = nullptr) = 0;
  virtual std::int64_t first_change(const oracle::Region& region, oracle::Pattern pattern) = 0;
  virtual void write_rows(const oracle::RowSet& set) = 0;
  virtual std::int64_t first_overwritten(const oracle::RowSet& set) = 0;
  virtual void erase_rows(const oracle::RowSet& set, oracle::Pattern pattern) = 0;
  virtual std::int64_t first_difference(const oracle::RowSet& set, const oracle::Region& other) = 0;
  /// Adds to what earlier calls found; difference_found() tells and forgets. So many results are compared without
  /// waiting for each. Null stream: the default one.
  virtual void note_difference(const oracle::RowSet& set, const oracle::Region& other, void* stream) = 0;
  virtual std::int64_t difference_found() = 0;

  /// `rows`: those to be judged, or null for all of the batch.
  virtual Judgement judge(const oracle::Problem& problem, const std::vector<std::int64_t>* rows) = 0;
  virtual oracle::Verdict verdict(const oracle::Problem& problem, std::int64_t row) = 0;
};

/// The host: kernels run in the emulator. `cpu`: on the CPU backend instead, which is fast.
std::unique_ptr<Machine> host_machine(bool cpu = false);
/// Throws Error(kUnsupported) if there is no such device.
std::unique_ptr<Machine> cuda_machine(std::int32_t device);

}  // namespace varlen::gpu_check
