// Reads the traces of bench/traces: one call's lengths and shape as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "varlen/batch.hpp"

namespace varlen::bench {

/// Owns the lengths that batch() points at.
struct Trace {
  std::string name;
  std::vector<std::int64_t> query_lengths;
  std::vector<std::int64_t> key_lengths;
  std::int32_t query_heads = 0;
  std::int32_t kv_heads = 0;
  std::int32_t head_dim_qk = 0;
  std::int32_t head_dim_vo = 0;
  bool causal = false;

  Batch batch() const;
};

/// Throws what the JSON library throws when a key is missing or of the wrong type.
Trace read_trace(const std::string& path);
/// Every .json file of the folder, in the order of their names.
std::vector<std::string> trace_files(const std::string& folder);

}  // namespace varlen::bench
