// Workload: the lengths, shape and mask of one call, and what it costs by counting.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "varlen/batch.hpp"

namespace varlen::cli {

struct Workload {
  std::string name;
  std::vector<std::int64_t> query_lengths;  ///< [requests]
  std::vector<std::int64_t> key_lengths;    ///< [requests]
  std::int32_t query_heads = 0;
  std::int32_t kv_heads = 0;
  std::int32_t head_dim_qk = 0;
  std::int32_t head_dim_vo = 0;
  std::int64_t page_size = 0;  ///< 0: ragged keys
  Mask mask;
  float soft_cap = 0.0F;

  std::int64_t query_tokens() const;
  std::int64_t key_tokens() const;
  /// Views this workload's lengths, which must outlive it.
  Batch batch(Dtype input_dtype, Dtype output_dtype) const;
};

/// The mask of `--causal` and `--window` or of a trace. Throws Error if they contradict each other.
Mask make_mask(bool causal, const std::optional<std::pair<std::int64_t, std::int64_t>>& window);
/// "full", "causal", "causal, 128 keys before", "window -64 … +64".
std::string describe(const Mask& mask);

/// (query row, key) pairs of one head that the mask shows; for a row of zeros 0.
double visible_pairs(std::int64_t query_length, std::int64_t key_length, const Mask& mask);

/// Multiplications and additions of QKᵀ and PV over visible pairs.
double flop(const Workload& workload);
double flop(const Workload& workload, std::int64_t query_length, std::int64_t key_length);
/// The same with every request padded to the longest.
double padded_flop(const Workload& workload);
/// Bytes that must move at least once: queries, keys and values that some row sees, output, LSE.
double bytes_moved(const Workload& workload, Dtype input_dtype, Dtype output_dtype);

/// The output type that the program chooses for an input type: the same, or bf16 for fp8.
Dtype default_output(Dtype input_dtype);

}  // namespace varlen::cli
