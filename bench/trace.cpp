#include "trace.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>

namespace varlen::bench {

Batch Trace::batch() const {
  Batch batch;
  batch.query_lengths = std::span<const std::int64_t>(query_lengths);
  batch.key_lengths = std::span<const std::int64_t>(key_lengths);
  batch.query_heads = query_heads;
  batch.kv_heads = kv_heads;
  batch.head_dim_qk = head_dim_qk;
  batch.head_dim_vo = head_dim_vo;
  if (causal) batch.mask = Mask::causal();
  return batch;
}

Trace read_trace(const std::string& path) {
  std::ifstream file(path);
  const nlohmann::json json = nlohmann::json::parse(file);
  Trace trace;
  json.at("name").get_to(trace.name);
  json.at("query_lengths").get_to(trace.query_lengths);
  json.at("kv_lengths").get_to(trace.key_lengths);
  json.at("query_heads").get_to(trace.query_heads);
  json.at("kv_heads").get_to(trace.kv_heads);
  json.at("head_dim_qk").get_to(trace.head_dim_qk);
  json.at("head_dim_vo").get_to(trace.head_dim_vo);
  json.at("causal").get_to(trace.causal);
  return trace;
}

std::vector<std::string> trace_files(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace varlen::bench
