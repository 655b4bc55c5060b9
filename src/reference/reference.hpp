// Attention straight from its definition, in float64. The oracle of every test: no blocking, no online softmax, no
// SIMD.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "batch/ragged_batch.hpp"

namespace varlen::reference {

/// What the numerics contract (docs/numerics.md) compares with. Rows of all requests lie end to end, without the gaps
/// that the tensors may have: row (request r, query token i, head h) is number first_row[r] + i · query_heads + h.
struct Result {
  std::vector<std::int64_t> first_row;  ///< [requests]
  std::vector<double> out;              ///< [rows, head_dim_vo]
  std::vector<double> lse;              ///< [rows], natural log, sink included
  std::vector<double> magnitude;        ///< [rows]: ‖Σ pⱼ |vⱼ|‖₂, the scale of the error bound
  std::vector<double> max_score;        ///< [rows]: max |score| over visible keys and the sink; 0 if none
  std::vector<double> score_magnitude;  ///< [rows]: max over visible keys of |scale| · Σ_d |q_d k_d|
  std::vector<double> value_magnitude;  ///< [rows]: max pⱼ · ‖Σ |vⱼ|‖₂, both over visible keys
  std::vector<std::int64_t> visible;    ///< [rows]: keys that the row sees
};

/// Called with the rows that are done and all of them.
using Progress = std::function<void(std::int64_t done, std::int64_t total)>;

/// Inputs as in Tensors; outputs are returned, `tensors.out` and `tensors.lse` are ignored. `progress` may be empty.
Result attention(const RaggedBatch& batch, const Tensors& tensors, const Progress& progress = {});

/// The same, rounded to `tensors.out`'s dtype and written there and to `tensors.lse`: Backend::kReference.
void attention_into(const RaggedBatch& batch, const Tensors& tensors);

}  // namespace varlen::reference
