// The kernel's parts as plain functions over arrays, run on whichever SIMD target is selected, so that tests can try
// all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "backend/cpu/scratch.hpp"
#include "varlen/tensor.hpp"

namespace varlen::cpu::simd {

/// Runs `body(target name)` once for every compiled target that this machine can run.
template <class Body>
void for_each_target(const Body& body);

/// Targets by Highway's bits; select(0) returns to the best one.
std::vector<std::int64_t> targets();
void select(std::int64_t target);
std::string name(std::int64_t target);

template <class Body>
void for_each_target(const Body& body) {
  for (const std::int64_t target : targets()) {
    select(target);
    body(name(target));
  }
  select(0);
}

struct Shape {
  std::int64_t lanes;
  std::int64_t panel;
  std::int64_t block_rows;
  std::int64_t block_vectors;
};
Shape shape();

/// Counts are multiples of 8.
void exp2(const float* from, std::int64_t count, float* to);
void tanh(const float* from, std::int64_t count, float* to);
void load(Dtype dtype, const std::byte* from, std::int64_t count, float* to);
void store(Dtype dtype, const float* from, std::int64_t count, std::byte* to);

void pack_keys(const std::byte* const* rows, KeyRange keys, std::int64_t depth, float* stage, float* panels);
void pack_values(const std::byte* const* rows, KeyRange keys, std::int64_t head_dim, float* panels);
void score_block(std::int64_t rows, std::int64_t vectors, const float* query, std::int64_t depth, const float* panel,
                 bool add, float* scores);
void value_block(std::int64_t rows, std::int64_t vectors, const float* probabilities, std::int64_t depth,
                 const float* panel, const float* rescale, float* out, std::int64_t out_stride);
void mask_scores(float* scores, KeyRange computed, KeyRange visible);
void softmax_rows(std::int64_t rows, float* scores, KeyRange keys, float log2_per_one, float* row_max, float* row_sum,
                  float* rescale);
void merge_row(const float* parts, std::int64_t part_count, std::int64_t part_stride, std::int64_t head_dim,
               float log2_per_one, float* sums, float& max, double& sum);

}  // namespace varlen::cpu::simd
