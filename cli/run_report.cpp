#include "cli/run_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/format.hpp"

namespace varlen::cli {
namespace {

struct RequestWork {
  std::int64_t tiles = 0;
  std::int64_t items = 0;
};

// Counted by walking the items that were run.
std::vector<RequestWork> work_per_request(const RunInput& input, const RunResult& result) {
  std::vector<RequestWork> work(input.workload.query_lengths.size());
  if (!result.plan) return work;
  for (std::int64_t i = 0; i < result.plan->item_count(); ++i) {
    const WorkItem item = result.plan->item(i);
    RequestWork& request = work[static_cast<std::size_t>(item.request)];
    request.items += 1;
    if (item.part == 0) request.tiles += 1;
  }
  return work;
}

std::string request_table(const RunInput& input, const RunResult& result, bool all_requests) {
  constexpr std::size_t kFirst = 6;
  constexpr std::size_t kLast = 3;
  const Workload& workload = input.workload;
  const std::vector<RequestWork> work = work_per_request(input, result);
  const std::size_t requests = work.size();
  const bool shortened = !all_requests && requests > kFirst + kLast + 1;

  Table table({"request", "query tokens", "key tokens", "tiles", "items", "FLOP"});
  for (std::size_t r = 0; r < requests; ++r) {
    if (shortened && r == kFirst) {
      table.add({"...", "", "", "", "", ""});
      r = requests - kLast;
    }
    const std::int64_t queries = workload.query_lengths[r];
    const std::int64_t keys = workload.key_lengths[r];
    const auto count = [&](std::int64_t value) { return result.plan ? fmt::to_string(value) : "-"; };
    table.add({fmt::to_string(r), fmt::to_string(queries), fmt::to_string(keys), count(work[r].tiles),
               count(work[r].items), show_scaled(flop(workload, queries, keys), "")});
  }
  std::string text = table.text();
  if (shortened) text += fmt::format("({} requests more: --all-requests)\n", requests - kFirst - kLast);
  return text;
}

std::string describe(const RowPosition& row) {
  return row.request < 0 ? "" : fmt::format(" (request {}, token {}, head {})", row.request, row.token, row.head);
}

void print_backend(const RunResult& result) {
  fmt::print("backend    {}: {}{} on {}\n", backend_name(result.backend), result.kernel,
             result.kernel.empty() ? "nothing to compute" : "", result.machine);
  fmt::print("kernel     {}\n", result.kernel_reason);
  if (!result.reason.empty()) fmt::print("           not the GPU: {}\n", result.reason);
}

std::string describe(const Timing& timing) {
  const std::vector<double>& run = timing.run;
  if (run.size() == 1) return show_seconds(run.front());
  return fmt::format("{} median of {}, minimum {}, standard deviation {}", show_seconds(median(run)), run.size(),
                     show_seconds(*std::min_element(run.begin(), run.end())), show_seconds(standard_deviation(run)));
}

void print_comparison(const Comparison& check) {
  fmt::print("check      {} of {} rows within bounds; worst output error {:.3g} of the bound{}, worst LSE {:.3g}{}\n",
             check.rows - check.failed_rows, check.rows, check.worst_out, describe(check.worst_out_row),
             check.worst_lse, describe(check.worst_lse_row));
  if (check.spoiled_rows > 0) fmt::print("           {} rows have NaN in their own inputs\n", check.spoiled_rows);
  if (!check.passed()) fmt::print("           first failure: {}\n", check.first_failure);
  fmt::print("           {}\n", check.passed() ? "passed" : "FAILED");
}

nlohmann::ordered_json row_json(const RowPosition& row) {
  return {{"request", row.request}, {"token", row.token}, {"head", row.head}};
}

nlohmann::ordered_json comparison_json(const Comparison& check) {
  return {{"passed", check.passed()},
          {"rows", check.rows},
          {"failed_rows", check.failed_rows},
          {"spoiled_rows", check.spoiled_rows},
          {"worst_out", check.worst_out},
          {"worst_out_row", row_json(check.worst_out_row)},
          {"worst_lse", check.worst_lse},
          {"worst_lse_row", row_json(check.worst_lse_row)},
          {"first_failure", check.first_failure}};
}

}  // namespace

void print_run_table(const RunInput& input, const RunResult& result, bool all_requests) {
  const Workload& workload = input.workload;
  const Batch& batch = input.batch;
  fmt::print("{}: {} requests, {} query and {} key tokens, {}/{} heads of {}/{}, {} to {}, {}\n\n", workload.name,
             workload.query_lengths.size(), workload.query_tokens(), workload.key_tokens(), batch.query_heads,
             batch.kv_heads, batch.head_dim_qk, batch.head_dim_vo, dtype_name(batch.query_dtype),
             dtype_name(batch.output_dtype), describe(workload.mask));
  fmt::print("{}\n", request_table(input, result, all_requests));

  const double real = flop(workload);
  print_backend(result);
  if (result.plan) {
    const PlanReport report = result.plan->report();
    fmt::print("plan       {} items in {} tiles, {} of them split; makespan / mean {:.3f}; made in {}\n", report.items,
               report.tiles, report.splits, report.makespan_over_mean, show_seconds(report.plan_us * 1e-6));
  }
  fmt::print("time       {}, {:.3g} GFLOP/s\n", describe(result.timing), real / median(result.timing.run) * 1e-9);
  fmt::print("work       {}", show_scaled(real, "FLOP"));
  if (real > 0) {
    fmt::print("; padded to the longest request {}, {:.1f} x as much", show_scaled(padded_flop(workload), "FLOP"),
               padded_flop(workload) / real);
  }
  fmt::print("\n");
  if (result.comparison) print_comparison(*result.comparison);
}

void print_run_json(const RunInput& input, const RunResult& result, bool all_requests) {
  const Workload& workload = input.workload;
  const Batch& batch = input.batch;
  const double real = flop(workload);
  const std::vector<double>& run = result.timing.run;
  const double seconds = median(run);
  nlohmann::ordered_json json = {{"input", workload.name},
                                 {"backend", backend_name(result.backend)},
                                 {"kernel", result.kernel},
                                 {"kernel_reason", result.kernel_reason},
                                 {"machine", result.machine},
                                 {"requests", workload.query_lengths.size()},
                                 {"query_tokens", workload.query_tokens()},
                                 {"key_tokens", workload.key_tokens()},
                                 {"query_heads", batch.query_heads},
                                 {"kv_heads", batch.kv_heads},
                                 {"head_dim_qk", batch.head_dim_qk},
                                 {"head_dim_vo", batch.head_dim_vo},
                                 {"input_dtype", dtype_name(batch.query_dtype)},
                                 {"output_dtype", dtype_name(batch.output_dtype)},
                                 {"mask", {{"left", batch.mask.left}, {"right", batch.mask.right}}},
                                 {"repeat", result.timing.run.size()},
                                 {"run_ms", seconds * 1e3},
                                 {"run_min_ms", *std::min_element(run.begin(), run.end()) * 1e3},
                                 {"run_deviation_ms", standard_deviation(run) * 1e3},
                                 {"plan_run_ms", median(result.timing.plan_and_run) * 1e3},
                                 {"flop", real},
                                 {"padded_flop", padded_flop(workload)},
                                 {"flop_per_s", real / seconds}};
  if (!result.reason.empty()) json["not_the_gpu"] = result.reason;
  if (result.backend == Backend::kCpu) json["simd_target"] = build_info().simd_target;
  if (result.plan) {
    json["plan"] = nlohmann::ordered_json::parse(report_json(result.plan->report()));
  }
  if (all_requests) {
    const std::vector<RequestWork> work = work_per_request(input, result);
    json["per_request"] = nlohmann::ordered_json::array();
    for (std::size_t r = 0; r < work.size(); ++r) {
      const std::int64_t queries = workload.query_lengths[r];
      const std::int64_t keys = workload.key_lengths[r];
      json["per_request"].push_back({{"query_tokens", queries},
                                     {"key_tokens", keys},
                                     {"tiles", work[r].tiles},
                                     {"items", work[r].items},
                                     {"flop", flop(workload, queries, keys)}});
    }
  }
  if (result.comparison) json["check"] = comparison_json(*result.comparison);
  fmt::print("{}\n", json.dump(2));
}

}  // namespace varlen::cli
