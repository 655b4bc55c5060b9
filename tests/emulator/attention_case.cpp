#include "emulator/attention_case.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "backend/emulator/emulator_backend.hpp"
#include "reference/element.hpp"
#include "reference/reference.hpp"

namespace varlen::emulator::test {

Plan AttentionData::make_plan_of(const AttentionCase& test) {
  std::vector<std::int64_t> queries;
  std::vector<std::int64_t> keys;
  for (const auto& [query, key] : test.lengths) {
    queries.push_back(query);
    keys.push_back(key);
  }
  Batch batch;
  batch.query_lengths = std::span<const std::int64_t>(queries);
  batch.key_lengths = std::span<const std::int64_t>(keys);
  batch.page_size = test.page_size;
  batch.query_heads = test.query_heads;
  batch.kv_heads = test.kv_heads;
  batch.head_dim_qk = test.head_dim_qk;
  batch.head_dim_vo = test.head_dim_vo;
  batch.query_dtype = test.input_dtype;
  batch.output_dtype = test.output_dtype;
  if (test.scale != 0.0F) batch.scale = test.scale;
  batch.mask = test.mask;
  batch.soft_cap = test.soft_cap;
  return make_plan(batch, test.target);
}

TensorView AttentionData::allocate(Dtype dtype, std::vector<std::int64_t> shape, std::int64_t extra_stride) {
  TensorView view;
  view.dtype = dtype;
  view.rank = static_cast<std::int32_t>(shape.size());
  std::int64_t elements = 1;
  for (std::size_t d = shape.size(); d-- > 0;) {
    view.shape[d] = shape[d];
    view.strides[d] = elements;
    elements *= shape[d];
    if (d > 1 && d + 1 == shape.size()) elements += test_.extra_head_stride;
    if (d == 1) elements += extra_stride;
  }
  const auto bytes = static_cast<std::size_t>(std::max<std::int64_t>(1, elements) * dtype_size(dtype));
  memory_.emplace_back(bytes + 16, std::byte{0xFF});
  void* data = memory_.back().data();
  std::size_t room = memory_.back().size();
  view.data = std::align(16, bytes, data, room);
  return view;
}

TensorView AttentionData::random_rows(Dtype dtype, std::vector<std::int64_t> shape, std::int64_t extra_stride) {
  const TensorView view = allocate(dtype, shape, extra_stride);
  const std::int64_t elements = shape[0] * view.strides[0];
  for (std::int64_t i = 0; i < elements; ++i) {
    // Irwin-Hall: close enough to a normal distribution of deviation 1.
    double sum = -6.0;
    for (int j = 0; j < 12; ++j) {
      state_ ^= state_ << 13;
      state_ ^= state_ >> 7;
      state_ ^= state_ << 17;
      sum += static_cast<double>(state_ >> 11) * 0x1p-53;
    }
    reference::store(dtype, view.data, i, sum);
  }
  return view;
}

AttentionData::AttentionData(const AttentionCase& test) : test_(test), plan_(make_plan_of(test)) {
  const RaggedBatch& batch = plan_.data().batch;
  const std::int64_t extra = test.extra_stride;
  tensors_.query = random_rows(test.input_dtype, {batch.query_tokens, test.query_heads, batch.head_dim_qk}, extra);
  tensors_.out = allocate(test.output_dtype, {batch.query_tokens, test.query_heads, batch.head_dim_vo}, extra);
  if (test.lse) tensors_.lse = allocate(Dtype::kFloat32, {batch.query_tokens, test.query_heads}, 0);
  if (test.fp8_scales) {
    const auto requests = static_cast<std::int64_t>(batch.requests.size());
    for (TensorView* scales : {&tensors_.query_scale, &tensors_.key_scale, &tensors_.value_scale}) {
      *scales = random_rows(Dtype::kFloat32, {requests, test.kv_heads}, 0);
    }
  }
  if (test.sinks) tensors_.sinks = random_rows(Dtype::kFloat32, {test.query_heads}, 0);
  if (test.page_size == 0) {
    tensors_.key = random_rows(test.input_dtype, {batch.key_tokens, test.kv_heads, batch.head_dim_qk}, extra);
    tensors_.value = random_rows(test.input_dtype, {batch.key_tokens, test.kv_heads, batch.head_dim_vo}, extra);
    validate_tensors(batch, tensors_);
    return;
  }
  std::int64_t most = 1;
  std::int64_t pages = 1;
  for (const RequestExtent& extent : batch.requests) {
    const std::int64_t own = ceil_div(extent.key_length, test.page_size);
    most = std::max(most, own);
    pages += own;
  }
  tensors_.key = random_rows(test.input_dtype, {pages, test.page_size, test.kv_heads, batch.head_dim_qk}, 0);
  tensors_.value = random_rows(test.input_dtype, {pages, test.page_size, test.kv_heads, batch.head_dim_vo}, 0);
  tensors_.block_table = allocate(Dtype::kInt32, {static_cast<std::int64_t>(batch.requests.size()), most}, 0);
  auto* const table = static_cast<std::int32_t*>(tensors_.block_table.data);
  auto next = static_cast<std::int32_t>(pages);  // backwards, so that pages are not in order
  for (std::size_t r = 0; r < batch.requests.size(); ++r) {
    const std::int64_t own = ceil_div(batch.requests[r].key_length, test.page_size);
    for (std::int64_t place = 0; place < own; ++place) {
      table[static_cast<std::int64_t>(r) * tensors_.block_table.strides[0] + place] = --next;
    }
  }
  validate_tensors(batch, tensors_);
  for (std::size_t r = 0; test.wrong_pages && r < batch.requests.size(); ++r) {
    const std::int64_t own = ceil_div(batch.requests[r].key_length, test.page_size);
    table[static_cast<std::int64_t>(r) * tensors_.block_table.strides[0] + own - 1] = static_cast<std::int32_t>(pages);
  }
}

void AttentionData::execute() {
  const std::int64_t bytes = emulator::workspace_bytes(plan_);
  std::vector<std::byte> memory(static_cast<std::size_t>(bytes) + 64, std::byte{0xFF});
  void* data = memory.data();
  std::size_t room = memory.size();
  emulator::execute(plan_, tensors_, {std::align(64, static_cast<std::size_t>(bytes), data, room), bytes},
                    test_.gpu_kernel);
}

std::string AttentionData::compare() const {
  const RaggedBatch& batch = plan_.data().batch;
  const reference::Result expected = reference::attention(batch, tensors_);
  const double tolerance = test_.input_dtype == Dtype::kBFloat16 ? 4e-3 : 6e-4;
  for (std::size_t r = 0; r < batch.requests.size(); ++r) {
    const RequestExtent& extent = batch.requests[r];
    for (std::int64_t i = 0; i < extent.query_length * batch.query_heads; ++i) {
      const std::int64_t token = extent.query_start + i / batch.query_heads;
      const std::int64_t head = i % batch.query_heads;
      const auto row = static_cast<std::size_t>(expected.first_row[r] + i);
      const auto dim = static_cast<std::size_t>(batch.head_dim_vo);
      double square = 0;
      for (std::size_t d = 0; d < dim; ++d) {
        const std::int64_t place = token * tensors_.out.strides[0] + head * tensors_.out.strides[1];
        const double got = reference::load(tensors_.out.dtype, tensors_.out.data, place + static_cast<std::int64_t>(d));
        square += std::pow(got - expected.out[row * dim + d], 2);
      }
      const auto where = fmt::format("request {}, token {}, head {}", r, i / batch.query_heads, head);
      if (!(std::sqrt(square) <= tolerance * expected.magnitude[row])) {
        return fmt::format("{}: out is {} away, magnitude {}", where, std::sqrt(square), expected.magnitude[row]);
      }
      if (!tensors_.lse.present()) continue;
      const double lse = static_cast<const float*>(
          tensors_.lse.data)[token * tensors_.lse.strides[0] + head * tensors_.lse.strides[1]];
      if (lse == static_cast<float>(expected.lse[row])) continue;  // infinities
      if (!(std::abs(lse - expected.lse[row]) <= 1e-5 * (1 + std::abs(expected.max_score[row])))) {
        return fmt::format("{}: LSE is {}, expected {}", where, lse, expected.lse[row]);
      }
    }
  }
  return "";
}

std::string architecture_name(GpuKernel gpu_kernel) {
  switch (gpu_kernel) {
    case GpuKernel::kMma:
      return "sm_80";
    case GpuKernel::kWgmma:
      return "sm_90a";
    case GpuKernel::kTcgen05:
      return "sm_100a";
    case GpuKernel::kAuto:
      break;
  }
  return "newest";
}

std::string run_case(const AttentionCase& test) {
  AttentionData data(test);
  try {
    data.execute();
  } catch (const Error& error) {
    return error.what();
  }
  return data.compare();
}

}  // namespace varlen::emulator::test
