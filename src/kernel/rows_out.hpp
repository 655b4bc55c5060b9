// Finished numbers on their way to global memory.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/parameters.hpp"

namespace varlen::kernel {

struct alignas(8) FloatPair {
  float first;
  float second;
};
/// 8-byte aligned.
VARLEN_DEVICE void store_pair(float* to, float first, float second) {
  gpu::store_global(reinterpret_cast<FloatPair*>(to), FloatPair{first, second});
}

VARLEN_DEVICE std::uint32_t pack_out(const ForwardParameters& parameters, float first, float second) {
  return parameters.output_dtype == Dtype::kBFloat16 ? gpu::pack<gpu::BFloat16>(first, second)
                                                     : gpu::pack<gpu::Float16>(first, second);
}

/// Two elements of a row of `out` beside each other, at an even column.
VARLEN_DEVICE void store_out_pair(const ForwardParameters& parameters, std::int64_t offset, float first, float second) {
  if (parameters.output_dtype == Dtype::kFloat32) {
    auto* const to = static_cast<float*>(parameters.out.data) + offset;
    if (parameters.out.in_chunks) return store_pair(to, first, second);
    gpu::store_global(to, first);
    gpu::store_global(to + 1, second);
    return;
  }
  const std::uint32_t pair = pack_out(parameters, first, second);
  auto* const to = static_cast<std::uint16_t*>(parameters.out.data) + offset;
  gpu::store_global(to, static_cast<std::uint16_t>(pair));
  gpu::store_global(to + 1, static_cast<std::uint16_t>(pair >> 16));
}

/// In lanes whose bit `distance` is 0 `high` and in the others `low` becomes the other one's counterpart.
VARLEN_DEVICE void exchange(float& low, float& high, int lane, int distance) {
  const bool upper = (lane & distance) != 0;
  const float got = gpu::shuffle_xor(upper ? low : high, distance);
  low = upper ? got : low;
  high = upper ? high : got;
}
VARLEN_DEVICE void exchange(std::uint32_t& low, std::uint32_t& high, int lane, int distance) {
  float bits[2] = {gpu::word_as_float(low), gpu::word_as_float(high)};
  exchange(bits[0], bits[1], lane, distance);
  low = gpu::float_as_word(bits[0]);
  high = gpu::float_as_word(bits[1]);
}

/// Lane i of four, by `lane` % 4, gives words[j] to lane j, which has it as words[i]. By the whole warp.
VARLEN_DEVICE void exchange_among_four_lanes(int lane, std::uint32_t (&words)[4]) {
  exchange(words[0], words[1], lane, 1);
  exchange(words[2], words[3], lane, 1);
  exchange(words[0], words[2], lane, 2);
  exchange(words[1], words[3], lane, 2);
}

/// `token` and `head` of the tensor.
VARLEN_DEVICE void store_lse(const ForwardParameters& parameters, std::int64_t token, std::int32_t head, float lse) {
  if (parameters.lse.data == nullptr) return;
  gpu::store_global(static_cast<float*>(parameters.lse.data) + token * parameters.lse.token_stride +
                        head * parameters.lse.head_stride,
                    lse);
}

VARLEN_DEVICE constexpr float not_a_number() { return __builtin_nanf(""); }

/// NaN all over a row of numbers of 16 bits, or of 32 if they are `wide`. By the whole warp. Nothing is found out
/// before the loop: who calls this is short of registers elsewhere, where the compiler would keep it.
VARLEN_DEVICE void write_nan(void* to, std::int32_t count, bool wide) {
  constexpr std::uint16_t kNan = 0x7FFF;  // fp16 and bf16
  VARLEN_UNROLL_BY(1)
  for (int i = gpu::fresh_thread_index() % gpu::kWarpThreads; i < count; i += gpu::kWarpThreads) {
    if (wide) {
      gpu::store_global(static_cast<float*>(to) + i, not_a_number());
    } else {
      gpu::store_global(static_cast<std::uint16_t*>(to) + i, kNan);
    }
  }
}

/// `token` and `head` of the tensor. By the whole warp.
VARLEN_DEVICE void write_nan_out(const ForwardParameters& parameters, std::int64_t token, std::int32_t head) {
  const bool wide = parameters.output_dtype == Dtype::kFloat32;
  const std::int64_t offset = token * parameters.out.token_stride + head * parameters.out.head_stride;
  write_nan(static_cast<char*>(parameters.out.data) + offset * (wide ? 4 : 2), parameters.head_dim_vo, wide);
}
VARLEN_DEVICE void write_nan_row(const ForwardParameters& parameters, std::int64_t token, std::int32_t head) {
  write_nan_out(parameters, token, head);
  if (gpu::fresh_thread_index() % gpu::kWarpThreads == 0) store_lse(parameters, token, head, not_a_number());
}

}  // namespace varlen::kernel
