// varlen run: computes a batch from a file, and checks it if asked to.

#include <fmt/format.h>

#include <memory>

#include "cli/failure.hpp"
#include "cli/measure.hpp"
#include "cli/options.hpp"
#include "cli/output_file.hpp"
#include "cli/run_input.hpp"
#include "cli/run_report.hpp"
#include "varlen/attention.hpp"
#include "varlen/check.hpp"

namespace varlen::cli {
namespace {

struct RunOptions {
  std::string input;
  std::string output;
  std::string output_dtype;
  MaskOptions mask;
  float soft_cap = 0.0F;
  float scale = 0.0F;
  bool batch_invariant = false;
  std::string backend = "auto";
  std::int32_t threads = 0;
  std::int32_t repeat = 5;
  bool check = false;
  bool all_requests = false;
  bool as_json = false;
};

int compute(const RunOptions& options, bool scale_given) {
  check_outputs({{"--output", options.output}}, {options.input}, options.as_json);
  RunSettings settings;
  settings.mask = options.mask.mask();
  settings.soft_cap = options.soft_cap;
  if (scale_given) settings.scale = options.scale;
  settings.batch_invariant = options.batch_invariant;
  settings.output_dtype = options.output_dtype;
  RunInput input = read_run_input(options.input, settings);

  RunResult result;
  result.backend = backend_named(options.backend) == Backend::kReference ? Backend::kReference : Backend::kCpu;
  if (result.backend == Backend::kReference) {
    if (options.threads > 0) fail("--threads has no meaning for the reference, which uses one");
    result.timing = measure_reference(input.batch, input.tensors, options.repeat);
  } else {
    const PlanTarget target = PlanTarget::cpu(options.threads);
    result.plan = make_plan(input.batch, target);
    result.timing = measure_cpu(input.batch, input.tensors, target, options.repeat);
  }
  if (options.check) result.comparison = compare_with_reference(input.batch, input.tensors);
  if (!options.output.empty()) write_run_output(options.output, input);

  options.as_json ? print_run_json(input, result, options.all_requests)
                  : print_run_table(input, result, options.all_requests);
  if (!options.output.empty() && !options.as_json) fmt::print("output     {}\n", output_name(options.output));
  return !result.comparison || result.comparison->passed() ? kExitDone : kExitCheckFailed;
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("run", "Compute the attention of a batch in a safetensors file");
  const auto options = std::make_shared<RunOptions>();
  command
      ->add_option(
          "input", options->input,
          "safetensors file with q, k, v [tokens, heads, head dim], query_indptr and key_indptr [requests + 1]")
      ->required()
      ->type_name("INPUT.safetensors");
  command->add_option("--output", options->output, "Write out and lse there; tokens of no request are zeros")
      ->type_name("OUT.safetensors");
  command->add_option("--output-dtype", options->output_dtype,
                      "fp32, fp16 or bf16; default: as the input, bf16 for fp8");
  add_mask_options(*command, options->mask);
  command->add_option("--soft-cap", options->soft_cap, "Scores become c tanh(score / c); 0: none");
  CLI::Option* scale = command->add_option("--scale", options->scale, "Of scores; default: 1 / sqrt(head dim)");
  command->add_flag("--batch-invariant", options->batch_invariant, "A request's bits never depend on the others");
  command->add_option("--backend", options->backend, "auto, cpu or reference")
      ->check(CLI::IsMember({"auto", "cpu", "reference"}))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "Default: all")->check(thread_count());
  command->add_option("--repeat", options->repeat, "Times to compute; the median is shown")
      ->check(positive())
      ->capture_default_str();
  command->add_flag("--check", options->check, "Compare every row with the float64 reference; exit 1 if one is wrong");
  command->add_flag("--all-requests", options->all_requests, "Show every request, however many");
  command->add_flag("--json", options->as_json, "Print one JSON object");
  command->callback([scale, options, &action] {
    action = [options, scale_given = scale->count() > 0] { return compute(*options, scale_given); };
  });
}

}  // namespace varlen::cli
