// varlen model: how long a GPU would take, predicted and not measured.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/failure.hpp"
#include "cli/format.hpp"
#include "cli/measured.hpp"
#include "cli/model/prediction.hpp"
#include "cli/options.hpp"
#include "cli/suggest.hpp"
#include "cli/trace.hpp"

namespace varlen::cli {
namespace {

constexpr const char* kWords = "predicted, not measured";

struct ModelOptions {
  std::string target = "h100";
  std::vector<std::string> traces;
  std::string measured;
  std::int32_t multiprocessors = 0;
  double clock_ghz = 0;
  double matmul_tflops = 0;
  double copy_tbps = 0;
  double launch_us = -1;
  double polynomial_share = -1;
  bool as_json = false;
  bool as_markdown = false;
};

struct Row {
  Workload workload;
  Prediction prediction;
  std::string skipped;             ///< why; empty if there is a prediction
  std::optional<double> measured;  ///< seconds

  double flop_per_second() const { return prediction.seconds > 0 ? flop(workload) / prediction.seconds : 0; }
  double error() const { return prediction.seconds / *measured - 1; }
};

GpuRates rates_of(const ModelOptions& options, const Measured& measured) {
  GpuRates rates = GpuRates::named(options.target);
  if (measured.matmul_flops) rates.matmul_flops = *measured.matmul_flops;
  if (measured.copy_bytes) rates.copy_bytes = *measured.copy_bytes;
  if (measured.clock) rates.clock = *measured.clock;
  if (options.multiprocessors > 0) rates.multiprocessors = options.multiprocessors;
  if (options.clock_ghz > 0) rates.clock = options.clock_ghz * 1e9;
  if (options.matmul_tflops > 0) rates.matmul_flops = options.matmul_tflops * 1e12;
  if (options.copy_tbps > 0) rates.copy_bytes = options.copy_tbps * 1e12;
  if (options.launch_us >= 0) rates.launch = options.launch_us * 1e-6;
  if (options.polynomial_share >= 0) {
    if (rates.order == KernelOrder::kHopper) {
      throw Error(ErrorCode::kInvalidArgument, "polynomial-share", Error::kNoIndex,
                  fmt::to_string(options.polynomial_share),
                  fmt::format("--polynomial-share {}: forward_wgmma has no polynomials; only --target b200 has",
                              options.polynomial_share));
    }
    rates.polynomial_share = options.polynomial_share;
  }
  return rates;
}

std::vector<Row> predict_all(const ModelOptions& options, const GpuRates& rates, const Measured& measured) {
  std::vector<Row> rows;
  for (const std::string& place : options.traces) {
    for (const std::string& path : trace_paths(place)) {
      Row row;
      row.workload = read_trace(path);
      try {
        row.prediction = predict(row.workload, rates);
        const auto found = measured.seconds.find(row.workload.name);
        if (found != measured.seconds.end()) row.measured = found->second;
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kUnsupported) throw;
        row.skipped = error.what();
      }
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

/// Sizes of the errors of all rows that have been measured.
std::vector<double> errors_of(const std::vector<Row>& rows) {
  std::vector<double> errors;
  for (const Row& row : rows) {
    if (row.measured) errors.push_back(std::abs(row.error()));
  }
  return errors;
}

std::string bounds_of(const Prediction& prediction) {
  std::string text = prediction.bound();
  // What is nearly as much is named, too.
  for (std::size_t i = 1; i < prediction.gains.size(); ++i) {
    if (prediction.gains[i].share < 0.8 * prediction.gains.front().share) break;
    text += ", " + prediction.gains[i].of;
  }
  return text;
}

std::string rates_line(const GpuRates& rates) {
  return fmt::format("{}: {} multiprocessors, {:.3g} GHz, matrix products {}, copy {}, launch {}", rates.name,
                     rates.multiprocessors, rates.clock * 1e-9, show_scaled(rates.matmul_flops, "FLOP/s"),
                     show_scaled(rates.copy_bytes, "B/s"), show_seconds(rates.launch));
}

std::string about(KernelOrder order) {
  return order == KernelOrder::kHopper ? "forward_wgmma, bf16" : "forward_tcgen05, bf16, which no GPU has run";
}

std::vector<std::string> cells_of(const Row& row, bool with_measured) {
  const Prediction& prediction = row.prediction;
  std::vector<std::string> cells = {row.workload.name, fmt::to_string(prediction.item_count),
                                    fmt::format("{:.3f}", prediction.seconds * 1e3)};
  if (with_measured) {
    cells.push_back(row.measured ? fmt::format("{:.3f}", *row.measured * 1e3) : "-");
    cells.push_back(row.measured ? fmt::format("{:+.1f} %", row.error() * 100) : "-");
  }
  cells.push_back(fmt::format("{:.0f}", row.flop_per_second() * 1e-12));
  cells.push_back(fmt::format("{:.2f}", prediction.seconds > 0 ? prediction.bytes / prediction.seconds * 1e-12 : 0));
  cells.push_back(bounds_of(prediction));
  return cells;
}

void print_text(const std::vector<Row>& rows, const GpuRates& rates, bool with_measured, bool as_markdown) {
  std::vector<std::string> header = {"trace", "items", "predicted ms"};
  if (with_measured) header.insert(header.end(), {"measured ms", "error"});
  header.insert(header.end(), {"TFLOP/s", "TB/s", "bound by"});
  fmt::print("{} ({})\n{}\n\n", kWords, about(rates.order), rates_line(rates));
  if (as_markdown) {
    std::string rule = "|---|";
    for (std::size_t i = 2; i < header.size(); ++i) rule += "--:|";
    fmt::print("| {} |\n{}---|\n", fmt::join(header, " | "), rule);
    for (const Row& row : rows) {
      if (row.skipped.empty()) fmt::print("| {} |\n", fmt::join(cells_of(row, with_measured), " | "));
    }
  } else {
    Table table(header);
    for (const Row& row : rows) {
      if (row.skipped.empty()) table.add(cells_of(row, with_measured));
    }
    fmt::print("{}", table.text());
  }
  for (const Row& row : rows) {
    if (!row.skipped.empty()) fmt::print("skipped {}: {}\n", row.workload.name, row.skipped);
  }
  const std::vector<double> errors = errors_of(rows);
  if (!errors.empty()) {
    fmt::print("\nerror of {} traces: median {:.1f} %, worst {:.1f} %\n", errors.size(), median(errors) * 100,
               *std::max_element(errors.begin(), errors.end()) * 100);
  }
  fmt::print(
      "\nbound by: what saves most of the time if it is made twice as fast, and what saves at least 0.8 of that\n");
}

nlohmann::ordered_json entry_of(const Row& row) {
  if (!row.skipped.empty()) return {{"name", row.workload.name}, {"skipped", row.skipped}};
  const Prediction& prediction = row.prediction;
  nlohmann::ordered_json entry = {{"name", row.workload.name},
                                  {"predicted_ms", prediction.seconds * 1e3},
                                  {"bound", prediction.bound()},
                                  {"gains", nlohmann::ordered_json::object()},
                                  {"flop", flop(row.workload)},
                                  {"flop_per_s", row.flop_per_second()},
                                  {"bytes", prediction.bytes},
                                  {"items", prediction.item_count},
                                  {"workers", prediction.workers},
                                  {"launches", prediction.launches},
                                  {"launch_ms", prediction.launch * 1e3},
                                  {"start_ms", prediction.start * 1e3},
                                  {"items_ms", prediction.items * 1e3},
                                  {"merge_ms", prediction.merge * 1e3},
                                  {"mean_busy_ms", prediction.mean_busy * 1e3},
                                  {"memory_bound_ms", prediction.memory_bound * 1e3}};
  for (const Gain& gain : prediction.gains) entry["gains"][gain.of] = gain.share;
  if (row.measured) {
    entry["measured_ms"] = *row.measured * 1e3;
    entry["error"] = row.error();
  }
  return entry;
}

void print_json(const std::vector<Row>& rows, const GpuRates& rates) {
  nlohmann::ordered_json json = {{"about", kWords},
                                 {"kernel", about(rates.order)},
                                 {"target", rates.name},
                                 {"multiprocessors", rates.multiprocessors},
                                 {"clock_hz", rates.clock},
                                 {"matmul_flop_per_s", rates.matmul_flops},
                                 {"copy_bytes_per_s", rates.copy_bytes},
                                 {"launch_us", rates.launch * 1e6},
                                 {"traces", nlohmann::ordered_json::array()}};
  for (const Row& row : rows) json["traces"].push_back(entry_of(row));
  const std::vector<double> errors = errors_of(rows);
  if (!errors.empty()) {
    json["median_error"] = median(errors);
    json["worst_error"] = *std::max_element(errors.begin(), errors.end());
  }
  fmt::print("{}\n", json.dump(2));
}

int model(const ModelOptions& options) {
  const Measured measured = options.measured.empty() ? Measured{} : read_measured(options.measured);
  const GpuRates rates = rates_of(options, measured);
  const std::vector<Row> rows = predict_all(options, rates, measured);
  if (options.as_json) {
    print_json(rows, rates);
  } else {
    print_text(rows, rates, !options.measured.empty(), options.as_markdown);
  }
  return kExitDone;
}

}  // namespace

void add_model(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("model", "Predict the time of traces on a GPU, and what bounds it: predicted, not measured");
  const auto options = std::make_shared<ModelOptions>();
  command->add_option("--trace", options->traces, "A trace, or a folder of them; may be repeated")
      ->required()
      ->type_name("FILE_OR_DIR");
  command->add_option("--target", options->target, "The GPU to predict")
      ->check(one_of({"h100", "b200"}))
      ->capture_default_str();
  command
      ->add_option("--measured", options->measured,
                   "Times to compare with, and the machine's rates: what bench/peers/gpu.py --json writes")
      ->type_name("FILE");
  command->add_option("--multiprocessors", options->multiprocessors, "Default: the target's")
      ->check(CLI::Range(1, 1 << 16));
  const auto rate = [&](const char* name, double& value, const char* help) {
    command->add_option(name, value, help)->check(positive());
  };
  rate("--clock-ghz", options->clock_ghz, "Of everything but tensor cores; default: the data sheet's");
  rate("--matmul-tflops", options->matmul_tflops, "What a large matrix product reaches; default: docs/model.md");
  rate("--copy-tbps", options->copy_tbps, "What a large copy reaches, read and written; default: docs/model.md");
  command->add_option("--launch-us", options->launch_us, "What each launch adds; default: docs/model.md")
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--polynomial-share", options->polynomial_share,
                   "b200: of all exponentials, those that are polynomials; default: the kernel's, 3/16")
      ->check(CLI::Range(0.0, 1.0));
  CLI::Option* json = command->add_flag("--json", options->as_json, "Print one JSON object");
  command->add_flag("--markdown", options->as_markdown, "Print the table as Markdown")->excludes(json);
  command->callback([options, &action] { action = [options] { return model(*options); }; });
}

}  // namespace varlen::cli
