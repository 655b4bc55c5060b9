// Balance and cache footprint of varlen's plan beside two other policies, for every trace and target: a Markdown table,
// or JSON with --json. With --limit, exits 1 if a plan's makespan / mean exceeds it.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "policies.hpp"
#include "trace.hpp"

namespace varlen::bench {
namespace {

struct Row {
  std::string trace;
  PlanReport report;
  struct Policy {
    double balance;
    double makespan;  // key blocks
    Footprint footprint;
  } plan, padded, list;
};

Row measure(const Trace& trace, const PlanTarget& target) {
  const Batch batch = trace.batch();
  const RaggedBatch ragged = canonical(batch);
  const Plan plan = make_plan(batch, target);
  const auto policy = [&](const Schedule& schedule) {
    return Row::Policy{balance(schedule, target.workers),
                       static_cast<double>(schedule.makespan) / static_cast<double>(kCostPerBlock),
                       footprint(schedule, ragged)};
  };
  return {trace.name, plan.report(), policy(schedule_plan(plan)), policy(schedule_padded(ragged, target)),
          policy(schedule_list(ragged, target))};
}

void print_tables(const PlanTarget& target, const std::vector<Row>& rows) {
  fmt::print("### {}: {} workers, {} MB of L2\n\n", target.name, target.workers, target.l2_bytes >> 20);
  fmt::print("| trace | items | split tiles | makespan / mean: varlen | list order | padded grid ");
  fmt::print("| time of list order | of padded grid |\n|---|--:|--:|--:|--:|--:|--:|--:|\n");
  for (const Row& row : rows) {
    const auto times = [&](const Row::Policy& other) {
      return row.plan.makespan > 0 ? other.makespan / row.plan.makespan : 1;
    };
    fmt::print("| {} | {} | {} | **{:.3f}** | {:.3f} | {:.3f} | {:.2f} × | {:.2f} × |\n", row.trace, row.report.items,
               row.report.splits, row.plan.balance, row.list.balance, row.padded.balance, times(row.list),
               times(row.padded));
  }
  fmt::print("\n| trace | keys and values in flight, mean (max) MB: varlen | list order | padded grid |\n");
  fmt::print("|---|--:|--:|--:|\n");
  const auto megabytes = [](const Footprint& bytes) {
    return fmt::format("{:.0f} ({:.0f})", bytes.mean / 1e6, bytes.max / 1e6);
  };
  for (const Row& row : rows) {
    fmt::print("| {} | {} | {} | {} |\n", row.trace, megabytes(row.plan.footprint), megabytes(row.list.footprint),
               megabytes(row.padded.footprint));
  }
  fmt::print("\n");
}

nlohmann::ordered_json to_json(const PlanTarget& target, const Row& row) {
  const auto policy = [](const Row::Policy& values) {
    return nlohmann::ordered_json{{"makespan_over_mean", values.balance},
                                  {"makespan_blocks", values.makespan},
                                  {"footprint_mean_bytes", values.footprint.mean},
                                  {"footprint_max_bytes", values.footprint.max}};
  };
  return {{"trace", row.trace},
          {"target", target.name},
          {"workers", target.workers},
          {"items", row.report.items},
          {"splits", row.report.splits},
          {"varlen", policy(row.plan)},
          {"list_order", policy(row.list)},
          {"padded_grid", policy(row.padded)}};
}

int run(int argc, char** argv) {
  CLI::App app("Balance of varlen's plan beside list order and the padded grid");
  std::string folder;
  bool json = false;
  double limit = 0;
  app.add_option("traces", folder, "folder of traces")->required()->check(CLI::ExistingDirectory);
  app.add_flag("--json", json, "print a JSON array instead of tables");
  app.add_option("--limit", limit, "exit 1 if a plan's makespan / mean exceeds this");
  CLI11_PARSE(app, argc, argv);

  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  int exceeded = 0;
  for (const PlanTarget& target : {PlanTarget::h100(), PlanTarget::b200()}) {
    std::vector<Row> rows;
    for (const std::string& file : trace_files(folder)) {
      rows.push_back(measure(read_trace(file), target));
      const Row& row = rows.back();
      if (limit > 0 && row.plan.balance > limit) {
        fmt::print(stderr, "{} on {}: makespan / mean = {:.4f} exceeds {}\n", row.trace, target.name, row.plan.balance,
                   limit);
        ++exceeded;
      }
      all.push_back(to_json(target, row));
    }
    if (!json) print_tables(target, rows);
  }
  if (json) fmt::print("{}\n", all.dump(1));
  return exceeded > 0 ? 1 : 0;
}

}  // namespace
}  // namespace varlen::bench

int main(int argc, char** argv) {
  try {
    return varlen::bench::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_policies: {}\n", error.what());
    return 2;
  }
}
