// A small ragged batch in host memory that two machines compute, and what they make of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "plan/plan_data.hpp"
#include "varlen/attention.hpp"

namespace varlen::fidelity {

/// kIntegers: sums are exact in whichever order they are taken, because scores are integers whose difference to each
/// other is at most 12, the base is 2, and values are small.
enum class Inputs : std::uint8_t { kIntegers, kNormal };

struct KernelCase {
  Inputs inputs = Inputs::kIntegers;
  std::vector<std::pair<std::int64_t, std::int64_t>> lengths;  // (query, key) of each request
  std::int32_t query_heads = 1;
  std::int32_t kv_heads = 1;
  std::int32_t head_dim_qk = 64;
  std::int32_t head_dim_vo = 64;
  Dtype input_dtype = Dtype::kFloat16;
  Dtype output_dtype = Dtype::kFloat16;
  Mask mask;
  bool negative_scale = false;
  float soft_cap = 0;
  bool sinks = false;
  std::int64_t page_size = 0;
  PlanTarget target;
  GpuKernel gpu_kernel = GpuKernel::kWgmma;
  std::uint64_t seed = 0;

  std::string description() const;
};

/// The batch that a seed stands for: what a CPU emulates in a fraction of a second.
KernelCase random_kernel_case(std::uint64_t seed);

/// An array of a case: where it lies in one piece of memory.
struct Placed {
  std::size_t offset = 0;
  std::size_t bytes = 0;
};

class KernelData {
 public:
  explicit KernelData(const KernelCase& test);

  const KernelCase& test() const { return test_; }
  /// As the planner makes it.
  const Plan& plan() const { return plan_; }
  /// The same with every whole tile that sees keys as the only part of a split one: the unnormalised sums of all rows
  /// come to lie in the workspace.
  Plan exposing_plan() const;

  /// Inputs, then outputs: everything but the workspace. Outputs are all ones.
  const std::vector<std::byte>& memory() const { return memory_; }
  /// With `base` in place of memory()'s first byte.
  Tensors tensors(std::byte* base) const;
  Placed out() const { return out_; }
  Placed lse() const { return lse_; }

 private:
  Placed place(std::int64_t bytes);
  void fill();

  KernelCase test_;
  Plan plan_;
  std::vector<std::byte> memory_;
  Placed query_, key_, value_, out_, lse_, sinks_, table_;
  std::vector<std::int64_t> query_shape_, key_shape_, value_shape_, table_shape_;
};

}  // namespace varlen::fidelity
