// A ragged batch with random data in vectors, for execute() and the float64 reference.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "plan/plan_data.hpp"
#include "varlen/attention.hpp"

namespace varlen::emulator::test {

struct AttentionCase {
  std::vector<std::pair<std::int64_t, std::int64_t>> lengths;  // (query, key) of each request
  std::int32_t query_heads = 2;
  std::int32_t kv_heads = 2;
  std::int32_t head_dim_qk = 64;
  std::int32_t head_dim_vo = 64;
  Dtype input_dtype = Dtype::kFloat16;
  Dtype output_dtype = Dtype::kFloat32;
  Mask mask = Mask::causal();
  float scale = 0.0F;  // 0: the default
  float soft_cap = 0.0F;
  std::int64_t page_size = 0;
  bool wrong_pages = false;  // the last page of each request is none of the pool's
  bool sinks = false;
  bool fp8_scales = false;
  bool lse = true;
  std::int64_t extra_stride = 0;       // elements between tokens besides their heads
  std::int64_t extra_head_stride = 0;  // elements between the rows of heads
  PlanTarget target = PlanTarget::h100();
  GpuKernel gpu_kernel = GpuKernel::kMma;
};

/// The data of a case, and the plan.
class AttentionData {
 public:
  explicit AttentionData(const AttentionCase& test);

  const Plan& plan() const { return plan_; }
  const Tensors& tensors() const { return tensors_; }

  /// Runs the emulator with a workspace of exactly the bytes that it asks for.
  void execute();
  /// Empty if out and LSE are as close to the reference as the contract says.
  std::string compare() const;

 private:
  TensorView allocate(Dtype dtype, std::vector<std::int64_t> shape, std::int64_t extra_stride);
  TensorView random_rows(Dtype dtype, std::vector<std::int64_t> shape, std::int64_t extra_stride);
  static Plan make_plan_of(const AttentionCase& test);

  AttentionCase test_;
  Plan plan_;
  std::uint64_t state_ = 88172645463325252U;
  std::vector<std::vector<std::byte>> memory_;
  Tensors tensors_;
};

/// "sm_80", "sm_90a" or "sm_100a".
std::string architecture_name(GpuKernel gpu_kernel);

/// execute() and compare().
std::string run_case(const AttentionCase& test);

}  // namespace varlen::emulator::test
