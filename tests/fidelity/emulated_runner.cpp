// clang-format off
#include "gpu/emulator/block_operations.hpp"  // before the kernels that call what it defines
// clang-format on
#include <algorithm>
#include <cstring>

#include "fidelity/micro_kernels.hpp"
#include "fidelity/number_functions.hpp"
#include "fidelity/runner.hpp"
#include "gpu/emulator/machine.hpp"
#include "gpu/emulator/operations.hpp"
#include "gpu/emulator/tensor_map.hpp"

namespace varlen::fidelity {
namespace {

using gpu::emulator::Buffer;
using gpu::emulator::GlobalMemory;
using gpu::emulator::Machine;
using gpu::emulator::Role;

using Run = void (*)(const MicroParameters&);
#define VARLEN_RUN(name) name::run,
constexpr Run kRuns[] = {VARLEN_MICRO_KERNELS(VARLEN_RUN)};
#undef VARLEN_RUN

void add(GlobalMemory& memory, Role role, const void* data, std::int64_t bytes, std::int64_t element_bytes) {
  Buffer buffer;
  buffer.role = role;
  buffer.data = data;
  buffer.element_bytes = element_bytes;
  buffer.row_elements = bytes / element_bytes;
  memory.add(buffer);
}

template <NumberFunction kFunction>
void evaluate_all(std::uint32_t first, std::uint32_t step, std::vector<std::uint32_t>& results) {
  for (std::uint32_t& result : results) {
    result = result_of<kFunction>(first);
    first += step;
  }
}

class EmulatedRunner : public Runner {
 public:
  std::string name() const override { return "the emulator"; }

  std::vector<std::byte> run(const Experiment& experiment) override {
    // Aligned as a GPU's memory is.
    std::vector<Line> in(experiment.in.size() / sizeof(Line) + 1);
    std::vector<Line> out(experiment.out.size() / sizeof(Line) + 1);
    std::memcpy(in.data(), experiment.in.data(), experiment.in.size());
    std::memcpy(out.data(), experiment.out.data(), experiment.out.size());
    std::int64_t counter = 0;

    MicroParameters parameters{};
    parameters.in = in.front().bytes;
    parameters.out = out.front().bytes;
    parameters.counter = &counter;
    parameters.shared_bytes = experiment.shared_bytes;
    std::copy_n(experiment.value, kValues, parameters.value);
    if (experiment.tensor.box.box[0] > 0) {
      gpu::TensorBox box = experiment.tensor.box;
      const std::byte* const array = experiment.tensor.of_out ? parameters.out : parameters.in;
      box.base = reinterpret_cast<std::uint64_t>(array) + static_cast<std::uint64_t>(experiment.tensor.offset);
      parameters.map = gpu::emulator::encode_tensor_map(box);
    }

    GlobalMemory memory({{0, 1, 0, 1}});
    add(memory, Role::kKey, parameters.in, static_cast<std::int64_t>(experiment.in.size()), 2);
    add(memory, Role::kOut, parameters.out, static_cast<std::int64_t>(experiment.out.size()), 2);
    add(memory, Role::kCounter, &counter, sizeof(counter), sizeof(counter));
    Machine machine(memory);
    const Run kernel = kRuns[static_cast<int>(experiment.kernel)];
    machine.launch({experiment.blocks, experiment.threads, experiment.shared_bytes, experiment.draws}, [&] {
      gpu::enter_item(0, 0);
      kernel(parameters);
    });
    return {parameters.out, parameters.out + experiment.out.size()};
  }

  void evaluate(NumberFunction function, std::uint32_t first, std::uint32_t step,
                std::vector<std::uint32_t>& results) override {
    switch (function) {
      case NumberFunction::kPackFp16:
        return evaluate_all<NumberFunction::kPackFp16>(first, step, results);
      case NumberFunction::kPackBf16:
        return evaluate_all<NumberFunction::kPackBf16>(first, step, results);
      case NumberFunction::kWidenE4M3Low:
        return evaluate_all<NumberFunction::kWidenE4M3Low>(first, step, results);
      case NumberFunction::kWidenE4M3High:
        return evaluate_all<NumberFunction::kWidenE4M3High>(first, step, results);
      case NumberFunction::kExp2:
        return evaluate_all<NumberFunction::kExp2>(first, step, results);
      case NumberFunction::kReciprocal:
        return evaluate_all<NumberFunction::kReciprocal>(first, step, results);
      default:
        return evaluate_all<NumberFunction::kLog>(first, step, results);
    }
  }

 private:
  struct alignas(256) Line {
    std::byte bytes[256];
  };
};

}  // namespace

std::unique_ptr<Runner> emulated_runner() { return std::make_unique<EmulatedRunner>(); }

}  // namespace varlen::fidelity
