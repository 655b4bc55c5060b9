#include "cli/bench_tensors.hpp"

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

namespace varlen::cli {
namespace {

std::int64_t pages_of(std::int64_t length, std::int64_t page_size) { return (length + page_size - 1) / page_size; }

std::int64_t total_pages(const Workload& workload) {
  std::int64_t pages = 0;
  for (const std::int64_t length : workload.key_lengths) pages += pages_of(length, workload.page_size);
  return pages;
}

std::int64_t stored_keys(const Workload& workload) {
  return workload.page_size == 0 ? workload.key_tokens() : total_pages(workload) * workload.page_size;
}

Buffer input_buffer(std::int64_t elements, Dtype dtype, BenchTensors::Fill fill, std::uint64_t seed) {
  Buffer buffer(elements * dtype_size(dtype));
  if (fill == BenchTensors::Fill::kRandom) fill_random(buffer, dtype, seed);
  return buffer;
}

}  // namespace

double BenchTensors::bytes_needed(const Workload& workload, Dtype dtype) {
  const auto input = static_cast<double>(dtype_size(dtype));
  const auto output = static_cast<double>(dtype_size(default_output(dtype)));
  const double per_query = workload.query_heads * (workload.head_dim_qk * input + workload.head_dim_vo * output + 4);
  const double per_key = workload.kv_heads * (workload.head_dim_qk + workload.head_dim_vo) * input;
  return static_cast<double>(workload.query_tokens()) * per_query +
         static_cast<double>(stored_keys(workload)) * per_key;
}

BenchTensors::BenchTensors(const Workload& workload, Dtype dtype, Fill fill) {
  const std::int64_t queries = workload.query_tokens();
  const std::int64_t keys = stored_keys(workload);
  const std::int64_t query_heads = workload.query_heads;
  const std::int64_t kv_heads = workload.kv_heads;
  const std::int64_t qk = workload.head_dim_qk;
  const std::int64_t vo = workload.head_dim_vo;
  const Dtype output = default_output(dtype);

  query_ = input_buffer(queries * query_heads * qk, dtype, fill, 1);
  key_ = input_buffer(keys * kv_heads * qk, dtype, fill, 2);
  value_ = input_buffer(keys * kv_heads * vo, dtype, fill, 3);
  out_ = Buffer(queries * query_heads * vo * dtype_size(output));
  lse_ = Buffer(queries * query_heads * dtype_size(Dtype::kFloat32));

  tensors_.query = TensorView::dense(query_.data(), dtype, {queries, query_heads, qk});
  tensors_.out = TensorView::dense(out_.data(), output, {queries, query_heads, vo});
  tensors_.lse = TensorView::dense(lse_.data(), Dtype::kFloat32, {queries, query_heads});
  if (workload.page_size == 0) {
    tensors_.key = TensorView::dense(key_.data(), dtype, {keys, kv_heads, qk});
    tensors_.value = TensorView::dense(value_.data(), dtype, {keys, kv_heads, vo});
  } else {
    const std::int64_t pages = total_pages(workload);
    tensors_.key = TensorView::dense(key_.data(), dtype, {pages, workload.page_size, kv_heads, qk});
    tensors_.value = TensorView::dense(value_.data(), dtype, {pages, workload.page_size, kv_heads, vo});
    make_pages(workload);
  }
}

void BenchTensors::make_pages(const Workload& workload) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(total_pages(workload)));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937_64(4));

  std::int64_t columns = 0;
  for (const std::int64_t length : workload.key_lengths) {
    columns = std::max(columns, pages_of(length, workload.page_size));
  }
  const auto requests = static_cast<std::int64_t>(workload.key_lengths.size());
  block_table_ = Buffer(requests * columns * dtype_size(Dtype::kInt32));
  block_table_.clear();
  auto* table = reinterpret_cast<std::int32_t*>(block_table_.data());
  std::size_t next = 0;
  for (std::int64_t r = 0; r < requests; ++r) {
    const std::int64_t pages = pages_of(workload.key_lengths[static_cast<std::size_t>(r)], workload.page_size);
    for (std::int64_t p = 0; p < pages; ++p) table[r * columns + p] = order[next++];
  }
  tensors_.block_table = TensorView::dense(block_table_.data(), Dtype::kInt32, {requests, columns});
}

}  // namespace varlen::cli
