// Attention on the CPU beside what the machine can do at most. Each line's peak is measured just before and just after
// it, and the higher of the two counts, so that a machine whose clock or load changes is not flattered.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "machine_rates.hpp"
#include "varlen/attention.hpp"

namespace {

struct Case {
  const char* name;
  std::vector<std::int64_t> query_lengths;
  std::vector<std::int64_t> key_lengths;
  std::int32_t query_heads;
  std::int32_t kv_heads;
  std::int32_t head_dim;
  varlen::Dtype dtype;
  bool causal;
};

std::vector<Case> cases() {
  using varlen::Dtype;
  const std::vector<std::int64_t> equal(4, 2048);
  std::vector<std::int64_t> contexts;
  for (std::int64_t r = 0; r < 32; ++r) contexts.push_back(128 + 61 * r);
  const std::vector<std::int64_t> single(contexts.size(), 1);
  return {
      {"full_4096_d128_fp32", {4096}, {4096}, 8, 8, 128, Dtype::kFloat32, false},
      {"full_4096_d128_bf16", {4096}, {4096}, 8, 8, 128, Dtype::kBFloat16, false},
      {"full_4096_d128_fp16", {4096}, {4096}, 8, 8, 128, Dtype::kFloat16, false},
      {"causal_4096_d128_fp32", {4096}, {4096}, 8, 8, 128, Dtype::kFloat32, true},
      {"full_4x2048_d64_fp32", equal, equal, 12, 12, 64, Dtype::kFloat32, false},
      {"causal_4x2048_d64_fp32", equal, equal, 12, 12, 64, Dtype::kFloat32, true},
      {"decode_32_d128_fp32", single, contexts, 32, 8, 128, Dtype::kFloat32, true},
      {"decode_32_d128_bf16", single, contexts, 32, 8, 128, Dtype::kBFloat16, true},
  };
}

std::int64_t sum(const std::vector<std::int64_t>& values) {
  std::int64_t total = 0;
  for (const std::int64_t value : values) total += value;
  return total;
}

/// Two operations for each of two products, per visible (query, key) pair, head and element.
double flop(const Case& c) {
  double pairs = 0;
  for (std::size_t r = 0; r < c.query_lengths.size(); ++r) {
    const std::int64_t queries = c.query_lengths[r], keys = c.key_lengths[r];
    for (std::int64_t row = 0; row < queries; ++row) {
      pairs += static_cast<double>(c.causal ? std::clamp<std::int64_t>(keys - queries + row + 1, 0, keys) : keys);
    }
  }
  return 4.0 * pairs * c.query_heads * c.head_dim;
}

/// Random values of ordinary size as elements of `dtype`.
std::vector<std::byte> random_elements(std::int64_t count, varlen::Dtype dtype, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  const auto size = static_cast<std::size_t>(varlen::dtype_size(dtype));
  std::vector<std::byte> bytes(static_cast<std::size_t>(count) * size);
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const float value = normal(generator);
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    if (dtype == varlen::Dtype::kBFloat16) bits >>= 16U;
    if (dtype == varlen::Dtype::kFloat16) {
      // Truncated, exponent rebiased; values too small for a normal fp16 number become 0.
      const std::uint32_t magnitude = bits & 0x7fffffffU;
      const std::uint32_t half = magnitude < 0x38800000U ? 0 : (magnitude - 0x38000000U) >> 13U;
      bits = half | ((bits >> 16U) & 0x8000U);
    }
    std::memcpy(bytes.data() + i * size, &bits, size);
  }
  return bytes;
}

void bench_attention(benchmark::State& state, const Case& c) {
  const int threads = varlen::PlanTarget::cpu(0).workers;
  varlen::Batch batch;
  batch.query_lengths = std::span<const std::int64_t>(c.query_lengths);
  batch.key_lengths = std::span<const std::int64_t>(c.key_lengths);
  batch.query_heads = c.query_heads;
  batch.kv_heads = c.kv_heads;
  batch.head_dim_qk = c.head_dim;
  batch.query_dtype = c.dtype;
  batch.output_dtype = c.dtype;
  if (c.causal) batch.mask = varlen::Mask::causal();

  const std::int64_t query_tokens = sum(c.query_lengths), key_tokens = sum(c.key_lengths);
  auto query = random_elements(query_tokens * c.query_heads * c.head_dim, c.dtype, 1);
  auto key = random_elements(key_tokens * c.kv_heads * c.head_dim, c.dtype, 2);
  auto value = random_elements(key_tokens * c.kv_heads * c.head_dim, c.dtype, 3);
  std::vector<std::byte> out(query.size());
  varlen::Tensors tensors;
  tensors.query = varlen::TensorView::dense(query.data(), c.dtype, {query_tokens, c.query_heads, c.head_dim});
  tensors.key = varlen::TensorView::dense(key.data(), c.dtype, {key_tokens, c.kv_heads, c.head_dim});
  tensors.value = varlen::TensorView::dense(value.data(), c.dtype, {key_tokens, c.kv_heads, c.head_dim});
  tensors.out = varlen::TensorView::dense(out.data(), c.dtype, {query_tokens, c.query_heads, c.head_dim});

  const varlen::Plan plan = varlen::make_plan(batch, varlen::PlanTarget::cpu(threads));
  const std::int64_t workspace_bytes = varlen::workspace_bytes(plan);
  std::vector<std::byte> memory(static_cast<std::size_t>(workspace_bytes) + 63);
  void* aligned = memory.data();
  std::size_t space = memory.size();
  std::align(64, static_cast<std::size_t>(workspace_bytes), aligned, space);
  const varlen::Workspace workspace{aligned, workspace_bytes};

  const varlen::bench::MachineRates before = varlen::bench::measure_machine_rates(threads);
  varlen::run(plan, tensors, workspace);  // the first call meets cold caches and sleeping threads
  double seconds = 0;
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    varlen::run(plan, tensors, workspace);
    const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    state.SetIterationTime(elapsed);
    seconds += elapsed;
  }
  seconds /= static_cast<double>(state.iterations());
  const varlen::bench::MachineRates after = varlen::bench::measure_machine_rates(threads);

  const double flops = flop(c) / seconds;
  const double bytes = static_cast<double>(query.size() + key.size() + value.size() + out.size()) / seconds;
  state.counters["GFLOP/s"] = flops / 1e9;
  state.counters["of_fma_peak"] = flops / std::max(before.fma_flops, after.fma_flops);
  state.counters["GB/s"] = bytes / 1e9;
  state.counters["of_copy_rate"] = bytes / std::max(before.copy_bytes, after.copy_bytes);
  state.counters["peak_GFLOP/s"] = std::max(before.fma_flops, after.fma_flops) / 1e9;
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const std::vector<Case> all = cases();
  for (const Case& c : all) {
    benchmark::RegisterBenchmark(c.name, [&c](benchmark::State& state) { bench_attention(state, c); })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
