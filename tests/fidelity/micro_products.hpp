// Micro-kernels of one warpgroup: its products.
#pragma once

#include "fidelity/micro_memory.hpp"
#include "fidelity/product_case.hpp"

namespace varlen::fidelity {

template <int kTiles>
VARLEN_DEVICE void set_first_sums(gpu::Sums<kTiles>& sum) {
  VARLEN_UNROLL
  for (int tile = 0; tile < kTiles; ++tile) {
    VARLEN_UNROLL
    for (int i = 0; i < 4; ++i) sum[tile][i] = static_cast<float>(first_sum(gpu::thread_index(), tile, i));
  }
}
template <int kTiles>
VARLEN_DEVICE void store_sums(const Parameters& p, std::int64_t place, const gpu::Sums<kTiles>& sum) {
  const std::int64_t thread = place * kProductThreads + gpu::thread_index();
  VARLEN_UNROLL
  for (int tile = 0; tile < kTiles; ++tile) {
    VARLEN_UNROLL
    for (int i = 0; i < 4; ++i) store_out(p, ((thread * kTiles + tile) * 4 + i) * 4, sum[tile][i]);
  }
}

VARLEN_DEVICE ProductCase load_case(const Parameters& p) {
  const std::int64_t at = p.shared_bytes + std::int64_t{gpu::block_index()} * static_cast<int>(sizeof(ProductCase));
  const auto a = load_in<gpu::Words4>(p, at);
  const auto b = load_in<gpu::Words4>(p, at + 16);
  const auto place = [](const gpu::Words4& words) {
    return MatrixPlace{static_cast<std::int32_t>(words.word[0]), static_cast<std::int32_t>(words.word[1]),
                       static_cast<std::int32_t>(words.word[2]), static_cast<std::int32_t>(words.word[3])};
  };
  return {place(a), place(b), load_in<std::int32_t>(p, at + 32), {}};
}
VARLEN_DEVICE gpu::MatrixDescriptor descriptor(const MatrixPlace& place, int step) {
  return gpu::matrix_descriptor(shared_at(place.start), static_cast<std::uint32_t>(place.panel_bytes),
                                static_cast<std::uint32_t>(place.group_bytes)) +
         static_cast<std::uint32_t>(step * place.step_bytes);
}
VARLEN_DEVICE void load_fragments(const Parameters& p, gpu::Fragment (&a)[kProductSteps]) {
  const std::int64_t at = p.shared_bytes + std::int64_t{gpu::block_count()} * static_cast<int>(sizeof(ProductCase));
  const std::int64_t thread = std::int64_t{gpu::block_index()} * kProductThreads + gpu::thread_index();
  VARLEN_UNROLL
  for (int step = 0; step < kProductSteps; ++step) {
    const auto words = load_in<gpu::Words4>(p, at + (thread * kProductSteps + step) * 16);
    VARLEN_UNROLL
    for (int i = 0; i < 4; ++i) a[step][i] = words.word[i];
  }
}

/// Both matrices in shared memory.
template <class Element, int kTiles>
struct Products {
  VARLEN_DEVICE static void run(const Parameters& p) {
    fill_shared(p, 0, p.shared_bytes);
    const ProductCase test = load_case(p);
    gpu::Sums<kTiles> sum;
    set_first_sums<kTiles>(sum);
    gpu::keep_in_place<kTiles>(sum);
    gpu::warpgroup_fence();
    VARLEN_UNROLL
    for (int step = 0; step < kProductSteps; ++step) {
      gpu::warpgroup_multiply<Element, kTiles>(sum, descriptor(test.a, step), descriptor(test.b, step),
                                               step > 0 || test.add != 0);
    }
    gpu::warpgroup_commit();
    gpu::warpgroup_wait<0>();
    gpu::keep_in_place<kTiles>(sum);
    store_sums<kTiles>(p, gpu::block_index(), sum);
  }
};
using ProductsFp16x8 = Products<gpu::Float16, 8>;
using ProductsFp16x16 = Products<gpu::Float16, 16>;
using ProductsFp16x32 = Products<gpu::Float16, 32>;
using ProductsBf16x8 = Products<gpu::BFloat16, 8>;
using ProductsBf16x16 = Products<gpu::BFloat16, 16>;
using ProductsBf16x32 = Products<gpu::BFloat16, 32>;

/// The left one in registers, the right one by columns.
template <class Element, int kTiles>
struct RegisterProducts {
  VARLEN_DEVICE static void run(const Parameters& p) {
    fill_shared(p, 0, p.shared_bytes);
    const ProductCase test = load_case(p);
    gpu::Fragment a[kProductSteps];
    load_fragments(p, a);
    gpu::Sums<kTiles> sum;
    set_first_sums<kTiles>(sum);
    gpu::keep_in_place<kTiles>(sum);
    gpu::warpgroup_fence();
    VARLEN_UNROLL
    for (int step = 0; step < kProductSteps; ++step) {
      gpu::warpgroup_multiply_add<Element, kTiles>(sum, a[step], descriptor(test.b, step));
    }
    gpu::warpgroup_commit();
    gpu::warpgroup_wait<0>();
    gpu::keep_in_place<kTiles>(sum);
    store_sums<kTiles>(p, gpu::block_index(), sum);
  }
};
using RegisterProductsFp16x8 = RegisterProducts<gpu::Float16, 8>;
using RegisterProductsFp16x16 = RegisterProducts<gpu::Float16, 16>;
using RegisterProductsFp16x32 = RegisterProducts<gpu::Float16, 32>;
using RegisterProductsBf16x8 = RegisterProducts<gpu::BFloat16, 8>;
using RegisterProductsBf16x16 = RegisterProducts<gpu::BFloat16, 16>;
using RegisterProductsBf16x32 = RegisterProducts<gpu::BFloat16, 32>;

/// Two groups in flight: the second is still under way while the first one's sums are read.
struct ProductGroups {
  VARLEN_DEVICE static void run(const Parameters& p) {
    fill_shared(p, 0, p.shared_bytes);
    const ProductCase test = load_case(p);
    gpu::Fragment a[kProductSteps];
    load_fragments(p, a);
    gpu::Sums<16> scores;
    gpu::Sums<8> out;
    set_first_sums<16>(scores);
    set_first_sums<8>(out);
    gpu::keep_in_place<16>(scores);
    gpu::keep_in_place<8>(out);
    gpu::warpgroup_fence();
    VARLEN_UNROLL
    for (int step = 0; step < kProductSteps; ++step) {
      gpu::warpgroup_multiply<gpu::BFloat16, 16>(scores, descriptor(test.a, step), descriptor(test.b, step), step > 0);
    }
    gpu::warpgroup_commit();
    VARLEN_UNROLL
    for (int step = 0; step < kProductSteps; ++step) {
      gpu::warpgroup_multiply_add<gpu::BFloat16, 8>(out, a[step], descriptor(test.b, 0));
    }
    gpu::warpgroup_commit();
    gpu::warpgroup_wait<1>();
    gpu::keep_in_place<16>(scores);
    store_sums<16>(p, gpu::block_index(), scores);
    gpu::warpgroup_wait<0>();
    gpu::keep_in_place<8>(out);
    store_sums<8>(p, 2 * std::int64_t{gpu::block_count()} + gpu::block_index(), out);
  }
};

}  // namespace varlen::fidelity
