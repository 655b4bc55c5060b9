#include "cpu/simd_functions.hpp"

#include "backend/cpu/simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/simd_functions.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep; includes this file once per target
#include <hwy/highway.h>

#include "backend/cpu/element-inl.h"
#include "backend/cpu/math-inl.h"
#include "backend/cpu/micro_kernels-inl.h"
#include "backend/cpu/pack-inl.h"
#include "backend/cpu/rows_out-inl.h"
#include "backend/cpu/softmax-inl.h"

HWY_BEFORE_NAMESPACE();
namespace varlen::cpu::HWY_NAMESPACE {

simd::Shape simd_shape() { return {kLanes, kPanel, kBlockRows, kBlockVectors}; }

void simd_exp2(const float* from, std::int64_t count, float* to) {
  for_each_vector(
      count, [=](auto df, std::int64_t i) HWY_ATTR { hn::StoreU(exp2_of(df, hn::LoadU(df, from + i)), df, to + i); });
}

void simd_tanh(const float* from, std::int64_t count, float* to) {
  for_each_vector(
      count, [=](auto df, std::int64_t i) HWY_ATTR { hn::StoreU(tanh_of(df, hn::LoadU(df, from + i)), df, to + i); });
}

void simd_load(Dtype dtype, const std::byte* from, std::int64_t count, float* to) {
  with_input_dtype(dtype, [=](auto input) HWY_ATTR { convert_row<input>(from, count, to); });
}

void simd_store(Dtype dtype, const float* from, std::int64_t count, std::byte* to) {
  store_row(dtype, from, 1.0F, 1.0F, count, to);
}

void simd_pack_keys(const std::byte* const* rows, KeyRange keys, std::int64_t depth, float* stage, float* panels) {
  pack_keys<Dtype::kFloat32>(rows, keys, depth, stage, panels);
}

void simd_pack_values(const std::byte* const* rows, KeyRange keys, std::int64_t head_dim, float* panels) {
  pack_values<Dtype::kFloat32>(rows, keys, head_dim, panels);
}

void simd_score_block(std::int64_t rows, std::int64_t vectors, const float* query, std::int64_t depth,
                      const float* panel, bool add, float* scores) {
  block_shape(rows, vectors).score(query, depth, panel, depth, add, scores);
}

void simd_value_block(std::int64_t rows, std::int64_t vectors, const float* probabilities, std::int64_t depth,
                      const float* panel, const float* rescale, float* out, std::int64_t out_stride) {
  block_shape(rows, vectors).value(probabilities, depth, panel, rescale, out, out_stride);
}

void simd_mask_scores(float* scores, KeyRange computed, KeyRange visible) { mask_scores(scores, computed, visible); }

void simd_softmax_rows(std::int64_t rows, float* scores, KeyRange keys, float log2_per_one, float* row_max,
                       float* row_sum, float* rescale) {
  softmax_rows(rows, scores, keys, log2_per_one, row_max, row_sum, rescale);
}

void simd_merge_row(const float* parts, std::int64_t part_count, std::int64_t part_stride, std::int64_t head_dim,
                    float log2_per_one, float* sums, float& max, double& sum) {
  merge_row(parts, part_count, part_stride, head_dim, log2_per_one, sums, max, sum);
}

}  // namespace varlen::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace varlen::cpu {

HWY_EXPORT(simd_shape);
HWY_EXPORT(simd_exp2);
HWY_EXPORT(simd_tanh);
HWY_EXPORT(simd_load);
HWY_EXPORT(simd_store);
HWY_EXPORT(simd_pack_keys);
HWY_EXPORT(simd_pack_values);
HWY_EXPORT(simd_score_block);
HWY_EXPORT(simd_value_block);
HWY_EXPORT(simd_mask_scores);
HWY_EXPORT(simd_softmax_rows);
HWY_EXPORT(simd_merge_row);

namespace simd {

std::vector<std::int64_t> targets() {
  std::vector<std::int64_t> bits;
  for (std::int64_t rest = HWY_TARGETS & (hwy::SupportedTargets() | HWY_STATIC_TARGET); rest != 0; rest &= rest - 1) {
    bits.push_back(rest & -rest);
  }
  return bits;
}

void select(std::int64_t target) { hwy::SetSupportedTargetsForTest(target); }
std::string name(std::int64_t target) { return hwy::TargetName(target); }

Shape shape() { return HWY_DYNAMIC_DISPATCH(simd_shape)(); }

void exp2(const float* from, std::int64_t count, float* to) { HWY_DYNAMIC_DISPATCH(simd_exp2)(from, count, to); }
void tanh(const float* from, std::int64_t count, float* to) { HWY_DYNAMIC_DISPATCH(simd_tanh)(from, count, to); }

void load(Dtype dtype, const std::byte* from, std::int64_t count, float* to) {
  HWY_DYNAMIC_DISPATCH(simd_load)(dtype, from, count, to);
}

void store(Dtype dtype, const float* from, std::int64_t count, std::byte* to) {
  HWY_DYNAMIC_DISPATCH(simd_store)(dtype, from, count, to);
}

void pack_keys(const std::byte* const* rows, KeyRange keys, std::int64_t depth, float* stage, float* panels) {
  HWY_DYNAMIC_DISPATCH(simd_pack_keys)(rows, keys, depth, stage, panels);
}

void pack_values(const std::byte* const* rows, KeyRange keys, std::int64_t head_dim, float* panels) {
  HWY_DYNAMIC_DISPATCH(simd_pack_values)(rows, keys, head_dim, panels);
}

void score_block(std::int64_t rows, std::int64_t vectors, const float* query, std::int64_t depth, const float* panel,
                 bool add, float* scores) {
  HWY_DYNAMIC_DISPATCH(simd_score_block)(rows, vectors, query, depth, panel, add, scores);
}

void value_block(std::int64_t rows, std::int64_t vectors, const float* probabilities, std::int64_t depth,
                 const float* panel, const float* rescale, float* out, std::int64_t out_stride) {
  HWY_DYNAMIC_DISPATCH(simd_value_block)(rows, vectors, probabilities, depth, panel, rescale, out, out_stride);
}

void mask_scores(float* scores, KeyRange computed, KeyRange visible) {
  HWY_DYNAMIC_DISPATCH(simd_mask_scores)(scores, computed, visible);
}

void softmax_rows(std::int64_t rows, float* scores, KeyRange keys, float log2_per_one, float* row_max, float* row_sum,
                  float* rescale) {
  HWY_DYNAMIC_DISPATCH(simd_softmax_rows)(rows, scores, keys, log2_per_one, row_max, row_sum, rescale);
}

void merge_row(const float* parts, std::int64_t part_count, std::int64_t part_stride, std::int64_t head_dim,
               float log2_per_one, float* sums, float& max, double& sum) {
  HWY_DYNAMIC_DISPATCH(simd_merge_row)(parts, part_count, part_stride, head_dim, log2_per_one, sums, max, sum);
}

}  // namespace simd
}  // namespace varlen::cpu
#endif
