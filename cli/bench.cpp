// varlen bench: traces on random data, timed beside what the machine can do at most.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cli/backend_choice.hpp"
#include "cli/bench_tensors.hpp"
#include "cli/failure.hpp"
#include "cli/format.hpp"
#include "cli/measure.hpp"
#include "cli/options.hpp"
#include "cli/suggest.hpp"
#include "cli/trace.hpp"
#include "machine_rates.hpp"
#include "varlen/attention.hpp"
#include "varlen/device.hpp"

namespace varlen::cli {
namespace {

using bench::MachineRates;
using bench::measure_machine_rates;

struct BenchOptions {
  std::string backend = "auto";
  std::string archs = "newest";
  std::string trace;
  std::string dtypes = "bf16";
  std::int32_t repeat = 5;
  std::int32_t threads = 0;
  double max_gflop = 300;
  double scale_lengths = 1;
  bool batch_invariant = false;
  bool as_json = false;
};

struct Row {
  std::string name;
  Dtype dtype = Dtype::kBFloat16;
  std::string arch;     ///< --backend cuda: the kernel that was asked for, as it was given
  std::string kernel;   ///< that was launched
  std::string skipped;  ///< why; empty if it ran
  std::size_t requests = 0;
  double flop = 0;
  double bytes = 0;
  double run = 0;           ///< seconds, median
  double plan_and_run = 0;  ///< seconds, median
  double floor = 0;         ///< seconds; 0: not known
  double simulated_balance = 1;
  double measured_balance = 1;
};

constexpr double kMostLength = 1e18;  // fits 64 bits; what a batch may have at most is for its validation to say

void scale(Workload& workload, double factor) {
  for (auto* lengths : {&workload.query_lengths, &workload.key_lengths}) {
    for (std::int64_t& length : *lengths) {
      if (length == 0) continue;
      const double scaled = static_cast<double>(length) * factor;
      if (!(scaled < kMostLength)) fail("--scale-lengths {}: a length of {} becomes {:.3g}", factor, length, scaled);
      length = std::max<std::int64_t>(1, std::llround(scaled));
    }
  }
}

// Bytes of memory that can be had without swapping; nothing if the system does not tell.
std::optional<double> available_memory() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  double kib = 0;
  std::string unit;
  while (file >> key >> kib) {
    if (key == "MemAvailable:") return kib * 1024;
    std::getline(file, unit);
  }
  return std::nullopt;
}

std::string reason_to_skip(const Workload& workload, Dtype dtype, double work, double max_gflop) {
  if (work > max_gflop * 1e9) return fmt::format("{} > --max-gflop {:g}", show_scaled(work, "FLOP"), max_gflop);
  const double needed = BenchTensors::bytes_needed(workload, dtype);
  const std::optional<double> available = available_memory();
  if (available && needed > *available * 0.8) {
    return fmt::format("{} of tensors, {} of memory", show_scaled(needed, "B"), show_scaled(*available, "B"));
  }
  return "";
}

/// What is known of a row before anything runs.
Row describe(const Workload& workload, Dtype dtype, const BenchOptions& options, const MachineRates& machine) {
  Row row;
  row.name = workload.name;
  row.dtype = dtype;
  row.requests = workload.query_lengths.size();
  row.flop = flop(workload);
  row.bytes = bytes_moved(workload, dtype, default_output(dtype));
  if (options.backend != "cuda") row.floor = std::max(row.flop / machine.fma_flops, row.bytes / machine.copy_bytes);
  row.skipped = reason_to_skip(workload, dtype, row.flop, options.max_gflop);
  return row;
}

/// One row for each kernel, on the same tensors.
std::vector<Row> measure_on_cuda(Row row, const Workload& workload, const Batch& batch, const BenchOptions& options) {
  std::vector<Row> rows;
  const BenchTensors shapes(workload, row.dtype, BenchTensors::Fill::kNothing);
  const CudaTensors data(shapes.tensors());
  for (const std::string& arch : split(options.archs)) {
    const GpuKernel kernel = gpu_kernel_named(arch);
    const PlanTarget target = device_target(batch, 0, kernel);
    const Timing timing = measure_cuda(batch, data, target, kernel, options.repeat);
    row.arch = arch;
    row.kernel = timing.kernel;
    row.run = median(timing.run);
    row.plan_and_run = median(timing.plan_and_run);
    row.simulated_balance = make_plan(batch, target).report().makespan_over_mean;
    rows.push_back(row);
  }
  return rows;
}

Row measure_on_cpu(Row row, const Workload& workload, const Batch& batch, const BenchOptions& options,
                   ProgressLine& line, const std::string& position) {
  const BenchTensors data(workload, row.dtype);
  const PlanTarget target = PlanTarget::cpu(options.threads);
  const double begin = seconds_now();
  measure_on_host(batch, data.tensors(), target, {}, 1);  // touches every page once
  line.show(fmt::format("{} {}: {}, about {} more", position, workload.name, show_scaled(row.flop, "FLOP"),
                        show_seconds((seconds_now() - begin) * (options.repeat + 1))));
  const Timing timing = measure_on_host(batch, data.tensors(), target, {}, options.repeat);
  row.kernel = timing.kernel;
  row.run = median(timing.run);
  row.plan_and_run = median(timing.plan_and_run);
  const Plan plan = make_plan(batch, target);
  row.simulated_balance = plan.report().makespan_over_mean;
  row.measured_balance = measured_balance(trace_cpu(plan, data.tensors()), target.workers);
  return row;
}

std::vector<Row> measure(const Workload& workload, Dtype dtype, const BenchOptions& options,
                         const MachineRates& machine, ProgressLine& line, const std::string& position) {
  Batch batch = workload.batch(dtype, default_output(dtype));
  batch.batch_invariant = options.batch_invariant;
  validate(batch);
  const Row row = describe(workload, dtype, options, machine);
  if (!row.skipped.empty()) return {row};
  line.show(fmt::format("{} {}: making {}", position, workload.name, show_scaled(row.bytes, "B")));
  if (options.backend == "cuda") return measure_on_cuda(row, workload, batch, options);
  return {measure_on_cpu(row, workload, batch, options, line, position)};
}

void print_text(const std::vector<Row>& rows, const MachineRates& machine, std::int32_t threads, bool on_cuda) {
  if (on_cuda) {
    const DeviceInfo device = device_info(0);
    fmt::print("{}, {} multiprocessors\n\n", device.name, device.multiprocessors);
  } else {
    fmt::print("{} threads, {}; measured: {} fp32 multiply-add peak, {} copy\n\n", threads, build_info().simd_target,
               show_scaled(machine.fma_flops, "FLOP/s"), show_scaled(machine.copy_bytes, "B/s"));
  }
  Table table({"trace", "dtype", "requests", "work", "run", "plan + run", "GFLOP/s", "GB/s", "of floor", "simulated",
               "measured", "kernel"});
  for (const Row& row : rows) {
    if (!row.skipped.empty()) continue;
    const std::string name = row.arch.empty() ? row.name : fmt::format("{} ({})", row.name, row.arch);
    table.add({name, dtype_name(row.dtype), fmt::to_string(row.requests), show_scaled(row.flop, "FLOP"),
               show_seconds(row.run), show_seconds(row.plan_and_run), fmt::format("{:.1f}", row.flop / row.run * 1e-9),
               fmt::format("{:.2f}", row.bytes / row.run * 1e-9),
               on_cuda ? "-" : fmt::format("{:.0f} %", row.floor / row.run * 100),
               fmt::format("{:.3f}", row.simulated_balance),
               on_cuda ? "-" : fmt::format("{:.3f}", row.measured_balance), row.kernel});
  }
  fmt::print("{}", table.text());
  for (const Row& row : rows) {
    if (!row.skipped.empty()) fmt::print("skipped {} {}: {}\n", row.name, dtype_name(row.dtype), row.skipped);
  }
  fmt::print(
      "\nof floor: max(work / peak, bytes / copy rate) over the time of run; simulated and measured: makespan / "
      "mean over workers\n");
}

void print_json(const std::vector<Row>& rows, const MachineRates& machine, std::int32_t threads,
                const BenchOptions& options) {
  const bool on_cuda = options.backend == "cuda";
  nlohmann::ordered_json json = {{"backend", on_cuda ? "cuda" : "cpu"},
                                 {"threads", threads},
                                 {"repeat", options.repeat},
                                 {"simd_target", build_info().simd_target},
                                 {"peak_flop_per_s", machine.fma_flops},
                                 {"copy_bytes_per_s", machine.copy_bytes},
                                 {"traces", nlohmann::ordered_json::array()}};
  for (const Row& row : rows) {
    nlohmann::ordered_json entry = {{"name", row.name},         {"dtype", dtype_name(row.dtype)},
                                    {"requests", row.requests}, {"flop", row.flop},
                                    {"bytes", row.bytes},       {"floor_ms", row.floor * 1e3}};
    if (!row.arch.empty()) entry["arch"] = row.arch;
    if (!row.skipped.empty()) {
      entry["skipped"] = row.skipped;
    } else {
      entry.update({{"kernel", row.kernel},
                    {"run_ms", row.run * 1e3},
                    {"plan_run_ms", row.plan_and_run * 1e3},
                    {"flop_per_s", row.flop / row.run},
                    {"bytes_per_s", row.bytes / row.run},
                    {"floor_fraction", row.floor / row.run},
                    {"simulated_makespan_over_mean", row.simulated_balance},
                    {"measured_makespan_over_mean", row.measured_balance}});
    }
    json["traces"].push_back(entry);
  }
  fmt::print("{}\n", json.dump(2));
}

MachineRates rates_of_machine(std::int32_t threads) {
  try {
    return measure_machine_rates(threads);
  } catch (const std::runtime_error& error) {
    fail("the machine's rates: {}", error.what());
  }
}

int time_traces(const BenchOptions& options) {
  std::vector<Workload> workloads;
  for (const std::string& path : trace_paths(options.trace)) {
    workloads.push_back(read_trace(path));
    scale(workloads.back(), options.scale_lengths);
  }
  for (const std::string& arch : split(options.archs)) gpu_kernel_named(arch);  // throws before anything runs
  require_device(backend_named(options.backend));
  std::vector<Dtype> dtypes;
  for (const std::string& name : split(options.dtypes)) dtypes.push_back(parse_dtype(name));

  const bool on_cuda = options.backend == "cuda";
  const std::int32_t threads = PlanTarget::cpu(options.threads).workers;
  ProgressLine line;
  line.show("measuring the machine");
  const MachineRates machine = on_cuda ? MachineRates{} : rates_of_machine(threads);
  std::vector<Row> rows;
  const std::size_t total = workloads.size() * dtypes.size();
  std::size_t begun = 0;
  for (const Workload& workload : workloads) {
    for (const Dtype dtype : dtypes) {
      const std::string position = fmt::format("[{}/{}]", ++begun, total);
      for (Row& row : measure(workload, dtype, options, machine, line, position)) rows.push_back(std::move(row));
    }
  }
  line.clear();
  options.as_json ? print_json(rows, machine, threads, options) : print_text(rows, machine, threads, on_cuda);
  return kExitDone;
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("bench", "Time traces on random data beside what the machine can do at most");
  const auto options = std::make_shared<BenchOptions>();
  command->add_option("--trace", options->trace, "A trace, or a folder of them")->required()->type_name("FILE_OR_DIR");
  command->add_option("--dtype", options->dtypes, "Of query, key and value: fp32, fp16, bf16, fp8_e4m3, fp8_e5m2")
      ->type_name("NAME,...")
      ->capture_default_str();
  command->add_option("--repeat", options->repeat, "Times to run; medians are shown")
      ->check(positive())
      ->capture_default_str();
  CLI::Option* threads = command->add_option("--threads", options->threads, "Default: all")->check(thread_count());
  command->add_option("--max-gflop", options->max_gflop, "Skip traces with more work than this")
      ->check(positive())
      ->capture_default_str();
  command->add_option("--scale-lengths", options->scale_lengths, "Multiply every length by this")
      ->check(positive())
      ->capture_default_str();
  command->add_option("--backend", options->backend, "What computes; auto means the CPU")
      ->check(one_of({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  CLI::Option* arch = command
                          ->add_option("--kernel,--arch", options->archs,
                                       "Kernels that a CUDA device prefers, one after another: " +
                                           fmt::format("{}", fmt::join(gpu_kernel_names(), ", ")))
                          ->type_name("NAME,...")
                          ->capture_default_str();
  command->add_flag("--batch-invariant", options->batch_invariant, "A request's bits never depend on the others");
  command->add_flag("--json", options->as_json, "Print one JSON object");
  command->callback([options, arch, threads, &action] {
    const bool on_cuda = options->backend == "cuda";
    if (arch->count() > 0 && !on_cuda) throw CLI::ValidationError("--kernel or --arch", "needs --backend cuda");
    if (threads->count() > 0 && on_cuda) throw CLI::ValidationError("--threads", "is for --backend cpu");
    action = [options] { return time_traces(*options); };
  });
}

}  // namespace varlen::cli
