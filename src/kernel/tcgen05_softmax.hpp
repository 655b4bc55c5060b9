// The softmax warps of forward_tcgen05: scores of tensor memory become weights there. Each thread has one row.
#pragma once

#include <cstdint>

#include "gpu/tensor_operations.hpp"
#include "kernel/exp2.hpp"
#include "kernel/operands.hpp"
#include "kernel/score_factors.hpp"
#include "kernel/softmax.hpp"
#include "kernel/tcgen05_memory.hpp"

namespace varlen::kernel {

template <class Shape>
class Tcgen05Softmax {
  using Memory = Tcgen05Memory<Shape>;
  using Element = typename Shape::Element;
  using Weight = typename Multiplied<Element>::Type;
  static constexpr int kKeys = Shape::kKeys;
  // Scores are in registers in two parts, keys 0 to 63 and the others: all at once, the compiler spills them. The first
  // part is loaded twice, for the largest score and for the weights. The weights of the second part are stored first:
  // they lie over scores of the second part, and so do those of the first.
  static constexpr int kPart = kKeys / 2;
  // Sums and maxima of a row are found as so many: one chain of 128 additions would take as long as all exponentials.
  static constexpr int kChains = 4;

 public:
  VARLEN_DEVICE Tcgen05Softmax(const ForwardParameters& parameters, gpu::TensorAddress tensor)
      : parameters_(parameters), tensor_(gpu::at_lane(tensor, warp_row())) {}

  VARLEN_DEVICE void run() {
    for_each_work<Memory>([&](const TileWork& work, gpu::SharedAddress) {
      if (work.keys > 0 && half() * Shape::kHalfRows < work.rows) weigh(work);
    });
  }

 private:
  VARLEN_DEVICE static int half() { return gpu::warp_index() / 4; }
  VARLEN_DEVICE static int warp_row() { return gpu::warp_index() % 4 * gpu::kWarpThreads; }  // of the half
  VARLEN_DEVICE static int row() { return warp_row() + gpu::lane_index(); }

  /// All steps of an item.
  VARLEN_DEVICE void weigh(const TileWork& work) {
    const std::int32_t first_row = half() * Shape::kHalfRows;
    const SeenKeys seen = work.seen_keys(first_row + row());
    const SeenKeys seen_by_all = work.seen_by_all(first_row + warp_row(), gpu::kWarpThreads);
    const FactorsOf<Element> factors = factors_of<Element>(parameters_, work.request, work.kv_head);
    const std::int32_t keys = work.keys;
    RowState state = {minus_infinity(), 0.0F};
    for (std::int32_t begin = 0; begin < keys; begin += kKeys) {
      wait_together(Memory::score_full(half()), scores_.parity());
      scores_.advance();
      gpu::fence_tensor_after_sync();
      float score[kPart];
      float max = minus_infinity();
      for (int part = 0; part < 2; ++part) {
        load_scores(factors, part, begin, seen, seen_by_all, score);
        max = __builtin_fmaxf(max, largest(score));
      }
      const float factor = raise_reference(state, max, factors.log2_per_one);
      // The scores say that the sums of the steps before are done; those of this one wait for its weights.
      if (begin > 0 && gpu::count_votes(factor != 1.0F) > 0) rescale_out(factor);
      store_weights(factors, 1, state, score);
      load_scores(factors, 0, begin, seen, seen_by_all, score);
      store_weights(factors, 0, state, score);
      gpu::wait_tensor_stores();
      gpu::fence_tensor_before_sync();
      arrive_together(Memory::weight_full(half()));
    }
    hand_over(state);
  }

  /// Of one part of a step, as numbers that rise with the logits; −∞ where the row does not see the key.
  VARLEN_DEVICE void load_scores(const ScoreFactors& factors, int part, std::int32_t begin, const SeenKeys& seen,
                                 const SeenKeys& seen_by_all, float (&score)[kPart]) const {
    gpu::TensorWords<kPart> words;
    gpu::load_tensor(words, tensor_ + (Shape::scores(half()) + static_cast<std::uint32_t>(part * kPart)));
    gpu::wait_tensor_loads(words);
    VARLEN_UNROLL
    for (int key = 0; key < kPart; ++key) score[key] = gpu::word_as_float(words[key]);
    turn(factors, score);
    const std::int32_t first = begin + part * kPart;
    if (first < seen_by_all.begin || first + kPart > seen_by_all.end) {
      mask(seen, first, score);
    }
  }

  /// Signs turned for a negative scale, capped if the batch asks for it.
  VARLEN_DEVICE static void turn(const ScoreFactors& factors, float (&score)[kPart]) {
    if (factors.score_sign != 1.0F) {
      VARLEN_UNROLL
      for (int key = 0; key < kPart; ++key) score[key] *= factors.score_sign;
    }
    if (factors.soft_cap > 0.0F) {
      VARLEN_UNROLL
      for (int key = 0; key < kPart; ++key) score[key] = capped(factors, score[key]);
    }
  }

  /// Seven bits at a time become predicates (R2P), so that a score costs one choice instead of two comparisons and two
  /// choices.
  VARLEN_DEVICE static void mask(const SeenKeys& seen, std::int32_t first, float (&score)[kPart]) {
    VARLEN_UNROLL
    for (int word = 0; word < kPart; word += 32) {
      const std::uint32_t bits = seen.bits(first + word);
      VARLEN_UNROLL
      for (int bit = 0; bit < 32; ++bit) {
        if ((bits & 1U << bit) == 0) score[word + bit] = minus_infinity();
      }
    }
  }

  VARLEN_DEVICE static float largest(const float (&score)[kPart]) {
    float max[kChains];
    VARLEN_UNROLL
    for (int key = 0; key < kPart; ++key) {
      max[key % kChains] = key < kChains ? score[key] : __builtin_fmaxf(max[key % kChains], score[key]);
    }
    return __builtin_fmaxf(__builtin_fmaxf(max[0], max[1]), __builtin_fmaxf(max[2], max[3]));
  }

  /// Multiplies what was summed for this row.
  VARLEN_DEVICE void rescale_out(float factor) const {
    constexpr int kColumns = 32;
    VARLEN_UNROLL
    for (int column = 0; column < Shape::kDimVo; column += kColumns) {
      const gpu::TensorAddress out = tensor_ + (Shape::out(half()) + static_cast<std::uint32_t>(column));
      gpu::TensorWords<kColumns> words;
      gpu::load_tensor(words, out);
      gpu::wait_tensor_loads(words);
      VARLEN_UNROLL
      for (int i = 0; i < kColumns; ++i) words[i] = gpu::float_as_word(gpu::word_as_float(words[i]) * factor);
      gpu::store_tensor(out, words);
    }
  }

  /// One part's scores to weights relative to the row's reference, which are summed and stored.
  VARLEN_DEVICE void store_weights(const ScoreFactors& factors, int part, RowState& state,
                                   const float (&score)[kPart]) const {
    constexpr int kColumns = 16;  // of two weights each
    // A row that has seen nothing has only −inf here; any finite reference turns them into zeros.
    const float reference = state.reference == minus_infinity() ? 0.0F : state.reference;
    float sum[kChains] = {};
    VARLEN_UNROLL
    for (int first = 0; first < kPart; first += 2 * kColumns) {
      gpu::TensorWords<kColumns> words;
      VARLEN_UNROLL
      for (int i = 0; i < kColumns; ++i) {
        const int key = first + 2 * i;
        const float low = weight(factors, score, key, reference);
        const float high = weight(factors, score, key + 1, reference);
        sum[key % kChains] += low;
        sum[(key + 1) % kChains] += high;
        words[i] = gpu::pack<Weight>(low, high);
      }
      gpu::store_tensor(tensor_ + (Shape::weights(half()) + static_cast<std::uint32_t>((part * kPart + first) / 2)),
                        words);
    }
    state.sum += (sum[0] + sum[1]) + (sum[2] + sum[3]);
  }
  VARLEN_DEVICE static float weight(const ScoreFactors& factors, const float (&score)[kPart], int key,
                                    float reference) {
    // Three of sixteen go to the units that multiply and add: then a warp issues instructions for as long as the unit
    // for exponentials is busy (docs/model.md).
    const bool by_polynomial = key % 16 % 5 == 4;
    const float exponent = weight_exponent<Weight>(score[key], reference, factors.log2_per_one);
    return by_polynomial ? exp2_polynomial(exponent) : gpu::exp2_fast(exponent);
  }

  /// What is known of the row in the end, for the finishers. Two lanes write sixteen bytes.
  VARLEN_DEVICE void hand_over(const RowState& state) {
    wait_together(Memory::state_empty(half()), states_.parity() ^ 1U);
    states_.advance();
    const std::uint32_t other_reference = gpu::float_as_word(gpu::shuffle_xor(state.reference, 1));
    const std::uint32_t other_sum = gpu::float_as_word(gpu::shuffle_xor(state.sum, 1));
    if (gpu::lane_index() % 2 == 0) {
      gpu::store_shared(Memory::states(half(), row()), {{gpu::float_as_word(state.reference),
                                                         gpu::float_as_word(state.sum), other_reference, other_sum}});
    }
    arrive_together(Memory::state_full(half()));
  }

  const ForwardParameters& parameters_;
  const gpu::TensorAddress tensor_;  // of the warp's first row
  Ring<1> scores_;
  Ring<1> states_;
};

}  // namespace varlen::kernel
