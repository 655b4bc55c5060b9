#include "trace.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace varlen::plan_test {

std::vector<Trace> load_traces() {
  std::vector<Trace> traces;
  for (const auto& file : std::filesystem::directory_iterator(VARLEN_TRACES)) {
    if (file.path().extension() != ".json") continue;
    const nlohmann::json json = nlohmann::json::parse(std::ifstream(file.path()));
    Trace trace;
    trace.name = json.at("name");
    trace.batch.query_lengths = json.at("query_lengths").get<std::vector<std::int64_t>>();
    trace.batch.key_lengths = json.at("kv_lengths").get<std::vector<std::int64_t>>();
    trace.batch.kv_heads = json.at("kv_heads");
    trace.batch.group = json.at("query_heads").get<std::int32_t>() / trace.batch.kv_heads;
    trace.batch.head_dim_qk = json.at("head_dim_qk");
    trace.batch.head_dim_vo = json.at("head_dim_vo");
    trace.batch.mask = json.at("causal").get<bool>() ? Mask::causal() : Mask::full();
    traces.push_back(std::move(trace));
  }
  if (traces.empty()) throw std::runtime_error("no traces in " VARLEN_TRACES);
  std::sort(traces.begin(), traces.end(), [](const Trace& a, const Trace& b) { return a.name < b.name; });
  return traces;
}

}  // namespace varlen::plan_test
