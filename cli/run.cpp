// varlen run: computes a batch from a file, and checks it if asked to.

#include <fmt/format.h>

#include <memory>

#include "cli/backend_choice.hpp"
#include "cli/format.hpp"
#include "cli/options.hpp"
#include "cli/output_file.hpp"
#include "cli/run_compute.hpp"
#include "cli/run_input.hpp"
#include "cli/run_report.hpp"
#include "cli/run_tensors.hpp"
#include "cli/suggest.hpp"
#include "varlen/check.hpp"

namespace varlen::cli {
namespace {

struct Options {
  std::string input;
  std::string output;
  std::string output_dtype;
  MaskOptions mask;
  float soft_cap = 0.0F;
  float scale = 0.0F;
  bool scale_given = false;
  bool batch_invariant = false;
  std::string backend = "auto";
  std::string arch = "newest";
  EmulatorSettings emulator;
  std::int32_t threads = 0;
  std::int32_t repeat = 1;
  bool check = false;
  bool all_requests = false;
  bool as_json = false;
};

RunSettings settings_of(const Options& options) {
  RunSettings settings;
  settings.mask = options.mask.mask();
  settings.soft_cap = options.soft_cap;
  if (options.scale_given) settings.scale = options.scale;
  settings.batch_invariant = options.batch_invariant;
  settings.output_dtype = options.output_dtype;
  return settings;
}

RunResult compute(const RunInput& input, const Options& options) {
  std::string timeline;
  ComputeOptions request;
  request.backend = backend_named(options.backend);
  request.kernel = gpu_kernel_named(options.arch);
  request.threads = options.threads;
  request.repeat = options.repeat;
  request.schedule = {schedule_policy_named(options.emulator.schedule), options.emulator.schedule_seed};
  if (!options.emulator.trace_out.empty()) request.timeline = &timeline;
  const auto write_timeline = [&] {
    if (!timeline.empty()) write_text_file(options.emulator.trace_out, timeline);
  };
  try {
    RunResult result = compute(input, request);
    write_timeline();
    return result;
  } catch (const EmulatorFault&) {  // the page shows what led to it
    write_timeline();
    throw;
  }
}

Comparison compare(const RunInput& input, Backend computed_by) {
  ProgressLine line;
  const auto progress = [&](std::int64_t done, std::int64_t total) {
    line.show_at_times([&] { return fmt::format("checking {}", progress_bar(done, total)); });
  };
  return compare_with_reference(input.batch, input.tensors, {.computed_by = computed_by, .progress = progress});
}

int run_file(const Options& options) {
  check_outputs({{"--output", options.output}, {"--trace-out", options.emulator.trace_out}}, {options.input},
                options.as_json);
  require_device(backend_named(options.backend));
  const RunInput input = read_run_input(options.input, settings_of(options));
  RunResult result = compute(input, options);
  if (options.check) result.comparison = compare(input, result.backend);
  if (!options.output.empty()) write_run_output(options.output, input);

  options.as_json ? print_run_json(input, result, options.all_requests)
                  : print_run_table(input, result, options.all_requests);
  if (!options.as_json) {
    if (!options.output.empty()) fmt::print("output     {}\n", output_name(options.output));
    if (!options.emulator.trace_out.empty()) {
      fmt::print("trace      {}\n", output_name(options.emulator.trace_out));
    }
  }
  return !result.comparison || result.comparison->passed() ? kExitDone : kExitCheckFailed;
}

void add_computing_options(CLI::App& command, Options& options) {
  command
      .add_option(
          "--backend", options.backend,
          "What computes. auto: the GPU where there is one that can, else the CPU; emulator: the GPU kernels on "
          "a CPU, every access checked; reference: float64")
      ->check(one_of({"auto", "cpu", "cuda", "emulator", "reference"}))
      ->capture_default_str();
  add_kernel_option(command, options.arch);
  command.add_option("--threads", options.threads, "Of the CPU, which this chooses; default: all")
      ->check(thread_count());
  command.add_option("--repeat", options.repeat, "Times to compute; shows minimum, median and standard deviation")
      ->check(positive())
      ->capture_default_str();
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("run", "Compute the attention of a batch in a safetensors file");
  const auto options = std::make_shared<Options>();
  command
      ->add_option(
          "INPUT.safetensors", options->input,
          "safetensors file with q, k, v [tokens, heads, head dim], query_indptr and key_indptr [requests + 1]")
      ->required()
      ->type_name("INPUT.safetensors");
  command->add_option("--output", options->output, "Write out and lse there; tokens of no request are zeros")
      ->type_name("OUT.safetensors");
  command->add_option("--output-dtype", options->output_dtype, "Of out; default: as the input, bf16 for fp8")
      ->check(one_of({"fp32", "fp16", "bf16"}));
  add_mask_options(*command, options->mask);
  command->add_option("--soft-cap", options->soft_cap, "Scores become c tanh(score / c); 0: none");
  CLI::Option* scale = command->add_option("--scale", options->scale, "Of scores; default: 1 / sqrt(head dim)");
  command->add_flag("--batch-invariant", options->batch_invariant, "A request's bits never depend on the others");
  add_computing_options(*command, *options);
  command->add_flag("--check", options->check, "Compare every row with the float64 reference; exit 1 if one is wrong");
  command->add_flag("--all-requests", options->all_requests, "Show every request, however many");
  command->add_flag("--json", options->as_json, "Print one JSON object");
  command->footer("Tensors of the file (docs/formats.md):\n" + tensor_table());
  const std::vector<CLI::Option*> emulators = add_emulator_options(*command, options->emulator, EmulatorRuns::kOne);
  command->callback([scale, emulators, options, &action] {
    require_emulator(emulators, options->backend);
    options->scale_given = scale->count() > 0;
    action = [options] { return run_file(*options); };
  });
}

}  // namespace varlen::cli
