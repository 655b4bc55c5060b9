// varlen plan: who would compute what, without computing it.

#include "varlen/plan.hpp"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/failure.hpp"
#include "cli/format.hpp"
#include "cli/options.hpp"
#include "cli/output_file.hpp"
#include "cli/suggest.hpp"
#include "cli/trace.hpp"
#include "cli/trace_keys.hpp"
#include "cli/workload.hpp"

namespace varlen::cli {
namespace {

struct PlanOptions {
  std::string trace;
  std::string lengths;
  std::string key_lengths;
  std::int32_t query_heads = 0;
  std::int32_t kv_heads = 0;
  std::int32_t head_dim = 0;
  std::int32_t head_dim_vo = 0;
  MaskOptions mask;
  std::string target = "cpu";
  std::int32_t workers = 0;
  bool batch_invariant = false;
  std::string dtype = "bf16";
  bool as_json = false;
  std::string svg;
  std::string html;
};

Workload workload_of(const PlanOptions& options) {
  if (!options.trace.empty()) return read_trace(options.trace);
  Workload workload;
  workload.name = "lengths";
  workload.query_lengths = parse_lengths("--lengths", options.lengths);
  workload.key_lengths =
      options.key_lengths.empty() ? workload.query_lengths : parse_lengths("--kv-lengths", options.key_lengths);
  if (workload.query_lengths.size() != workload.key_lengths.size()) {
    fail("--lengths has {} requests and --kv-lengths {}", workload.query_lengths.size(), workload.key_lengths.size());
  }
  workload.query_heads = options.query_heads;
  workload.kv_heads = options.kv_heads;
  workload.head_dim_qk = options.head_dim;
  workload.head_dim_vo = options.head_dim_vo == 0 ? options.head_dim : options.head_dim_vo;
  workload.mask = options.mask.mask();
  return workload;
}

void print_json(const Plan& plan, const Workload& workload, const PlanReport& report) {
  auto json = nlohmann::ordered_json::parse(report_json(report));
  json["name"] = workload.name;
  json["target"] = plan.target().name;
  json["flop"] = flop(workload);
  json["padded_flop"] = padded_flop(workload);
  fmt::print("{}\n", json.dump(2));
}

std::string shapes_of(const PlanTarget& target) {
  std::vector<std::string> rows;
  for (const TileShape& shape : target.tile_shapes) rows.push_back(fmt::to_string(shape.rows));
  return fmt::format("{} rows x {} keys", fmt::join(rows, " or "), target.key_block);
}

void print_table(const Plan& plan, const Workload& workload, const PlanReport& report) {
  const double real = flop(workload);
  fmt::print("{}: {} requests, {} query and {} key tokens, {}/{} heads of {}/{}, {}\n", workload.name, report.requests,
             workload.query_tokens(), workload.key_tokens(), workload.query_heads, workload.kv_heads,
             workload.head_dim_qk, workload.head_dim_vo, describe(workload.mask));
  fmt::print("{}: {} workers, tiles of {}\n\n", plan.target().name, report.workers, shapes_of(plan.target()));
  const auto line = [](const char* name, const std::string& value) { fmt::print("{:<16}{}\n", name, value); };
  line("tiles", fmt::format("{} ({} empty; the grid padded to the longest request has {})", report.tiles,
                            report.empty_tiles, report.padded_tiles));
  if (report.blind_tiles > 0) line("", fmt::format("{} of them see no key: zeros, nothing loaded", report.blind_tiles));
  line("items", fmt::format("{} ({} tiles split into {} parts)", report.items, report.splits, report.partial_slots));
  line("live rows", fmt::format("{} of {}", report.live_rows, report.tile_rows));
  line("work", show_scaled(real, "FLOP") +
                   (real > 0 ? fmt::format("; padding would cost {:.2f} x", padded_flop(workload) / real) : ""));
  line("makespan / mean",
       fmt::format("{:.4f} ({:.1f} / {:.1f} key blocks)", report.makespan_over_mean, report.makespan, report.mean));
  if (report.simulated_items < report.items) {
    line("", fmt::format("the last {} items simulated, those before them spread evenly", report.simulated_items));
  }
  line("L2 in flight", fmt::format("{} on average, {} at most", show_scaled(report.l2_footprint_mean, "B"),
                                   show_scaled(static_cast<double>(report.l2_footprint_max), "B")));
  line("planned in", show_seconds(report.plan_us * 1e-6));
  line("plan's size", show_scaled(static_cast<double>(report.plan_bytes), "B"));
}

int make(const PlanOptions& options) {
  check_outputs({{"--svg", options.svg}, {"--html", options.html}}, {options.trace}, options.as_json);
  const Workload workload = workload_of(options);
  const Dtype dtype = parse_dtype(options.dtype);
  Batch batch = workload.batch(dtype, default_output(dtype));
  batch.batch_invariant = options.batch_invariant;
  PlanTarget target = PlanTarget::named(options.target);
  if (options.workers > 0) target.workers = options.workers;

  const Plan plan = make_plan(batch, target);
  const PlanReport report = plan.report();
  TimelineOptions timeline;
  if (!options.trace.empty()) timeline.title = workload.name;
  if (!options.svg.empty()) write_text_file(options.svg, timeline_svg(plan, timeline));
  if (!options.html.empty()) write_text_file(options.html, timeline_html(plan, timeline));
  if (options.as_json) {
    print_json(plan, workload, report);
    return kExitDone;
  }
  print_table(plan, workload, report);
  for (const std::string& path : {options.svg, options.html}) {
    if (!path.empty()) fmt::print("{:<16}{}\n", "picture", output_name(path));
  }
  return kExitDone;
}

}  // namespace

void add_plan(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("plan", "Plan a batch for a machine and report tiles, splits and balance");
  const auto options = std::make_shared<PlanOptions>();
  CLI::Option* trace = command->add_option("--trace", options->trace, "Lengths and shape as JSON")->type_name("FILE");
  CLI::Option* lengths =
      command->add_option("--lengths", options->lengths, "Query lengths of the requests")->type_name("N,N,...");
  CLI::Option* key_lengths =
      command->add_option("--kv-lengths", options->key_lengths, "Key lengths; default: the query lengths")
          ->type_name("N,N,...");
  CLI::Option* query_heads = command->add_option("--query-heads", options->query_heads, "Query heads");
  CLI::Option* kv_heads = command->add_option("--kv-heads", options->kv_heads, "Key/value heads");
  CLI::Option* head_dim = command->add_option("--head-dim", options->head_dim, "Head dim of query and key");
  CLI::Option* head_dim_vo =
      command->add_option("--head-dim-vo", options->head_dim_vo, "Head dim of value and output; default: the same")
          ->check(positive());
  add_mask_options(*command, options->mask);
  trace->excludes(lengths);
  for (CLI::Option* needed : {query_heads, kv_heads, head_dim}) lengths->needs(needed);
  for (CLI::Option* shape : {key_lengths, query_heads, kv_heads, head_dim, head_dim_vo, command->get_option("--causal"),
                             command->get_option("--window")}) {
    shape->needs(lengths);
  }
  command->add_option("--target", options->target, "The machine to plan for")
      ->check(one_of({"cpu", "h100", "b200"}))
      ->capture_default_str();
  command
      ->add_option("--workers", options->workers, "Thread blocks resident at once, or threads; default: the target's")
      ->check(thread_count());
  command->add_option("--dtype", options->dtype, "Of query, key and value")
      ->check(one_of({"fp32", "fp16", "bf16", "fp8_e4m3", "fp8_e5m2"}))
      ->capture_default_str();
  command->add_flag("--batch-invariant", options->batch_invariant, "Split each request by its own lengths alone");
  command->add_flag("--json", options->as_json, "Print one JSON object");
  command->add_option("--svg", options->svg, "Write the timeline as a picture")->type_name("FILE");
  command->add_option("--html", options->html, "Write the timeline as a page")->type_name("FILE");
  command->footer("Keys of a trace, a JSON object (docs/formats.md):\n" + trace_key_table());
  command->callback([trace, lengths, options, &action] {
    if (trace->count() + lengths->count() == 0) throw CLI::RequiredError("--trace or --lengths");
    action = [options] { return make(*options); };
  });
}

}  // namespace varlen::cli
