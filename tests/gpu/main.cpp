// gpu_check: what only a GPU can show, each kind of check a subcommand. tests/gpu/checks.hpp says what they are.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>

#include "checks.hpp"
#include "fidelity/fidelity_checks.hpp"
#include "machine.hpp"

namespace {

using namespace varlen;
using namespace varlen::gpu_check;

struct Arguments {
  std::string arch = "all";
  std::int32_t device = 0;
  Options options;
};

using Check = Outcome (*)(Machine& machine, const Options& options);

void add_check(CLI::App& app, Arguments& arguments, Check& chosen, const char* name, const char* description,
               std::int64_t count, Check check) {
  CLI::App* const command = app.add_subcommand(name, description);
  if (count > 0) {
    command->add_option("--count", arguments.options.count, fmt::format("How many [{}]", count));
    command->add_option("--seed", arguments.options.seed, "Of the first random batch, which has exactly this one")
        ->capture_default_str();
  }
  command->add_option("--seconds", arguments.options.seconds, "Stop after these")->capture_default_str();
  command->add_option("--arch", arguments.arch, "Which forward kernel, or the architecture that it is for")
      ->check(CLI::IsMember({"all", "sm_80", "sm_90a"}))
      ->capture_default_str();
  command->add_option("--device", arguments.device, "CUDA device")->capture_default_str();
  command->callback([&arguments, &chosen, count, check] {
    if (arguments.options.count == 0) arguments.options.count = count;
    chosen = check;
  });
}

int run(const Arguments& arguments, Check check) {
  const std::unique_ptr<Machine> machine = cuda_machine(arguments.device);
  Options options = arguments.options;
  options.gpu_kernels = machine->gpu_kernels();
  if (arguments.arch != "all") options.gpu_kernels = {gpu_kernel_named(arguments.arch)};
  return check(*machine, options).failed == 0 ? 0 : 1;
}

Outcome check_operations(Machine& machine, const Options& options) {
  const std::unique_ptr<fidelity::Runner> runner = fidelity::cuda_runner(machine.device());
  return fidelity::check_operations(*runner, {options.count});
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Checks of varlen on a CUDA device against a float64 oracle that runs there as well");
  app.require_subcommand(1);
  Arguments arguments;
  Check chosen = nullptr;
  const auto add = [&](const char* name, const char* description, std::int64_t count, Check check) {
    add_check(app, arguments, chosen, name, description, count, check);
  };
  add("random", "Random ragged batches", 10'000, check_random);
  add("isolation", "Poison in every byte that is not a request's own", 1'000, check_isolation);
  add("guard-pages", "Tensors that touch unmapped memory", 200, check_guard_pages);
  add("large", "More than 2^31 elements, very many requests", 0, check_large);
  add("repeat", "The same bits every time", 1'000, check_repeat);
  add("bad-input", "Calls that must be refused", 0, check_bad_input);
  add("refused", "Lengths that are refused on the device leave NaN, and the next call says why", 0, check_refused);
  add("bad-pages", "Pages that do not exist give NaN, and the next call says so", 1'000, check_bad_pages);
  add("plan", "Plans made on the device are the host's; errors, too", 10'000, check_plan);
  add("graph", "One graph plans and computes many batches", 500, check_graph);
  add("plan-time", "How long the planner takes on the device", 0, time_plan);
  add("fidelity-operations", "Each operation as the emulator has it; one in COUNT of the cases", 1, check_operations);
  add("fidelity-kernels", "Whole kernels as the emulator runs them", 500, fidelity::check_kernels);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(arguments, chosen);
  } catch (const std::exception& error) {
    fmt::print("FAILED {}\n0 passed, 1 failed\n", error.what());
    return 1;
  }
}
