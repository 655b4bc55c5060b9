// Who runs micro-kernels and arithmetic: the emulator, and a GPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fidelity/micro_list.hpp"
#include "fidelity/micro_parameters.hpp"

namespace varlen::fidelity {

/// A tensor of boxes within `in` or `out`.
struct BoxTensor {
  bool of_out = false;
  std::int64_t offset = 0;  // bytes to element (0, 0, 0, 0, 0), which may lie before the array
  gpu::TensorBox box = {};  // its base is not used
};

/// One launch of a micro-kernel.
struct Experiment {
  MicroKernel kernel = {};
  int blocks = 1;
  int threads = 32;
  int shared_bytes = 0;
  std::vector<std::byte> in;   // a multiple of sixteen bytes
  std::vector<std::byte> out;  // what is there before
  BoxTensor tensor;            // of kLoadBoxes and kStoreBoxes
  std::int64_t draws = 0;
  std::int32_t value[kValues] = {};
};

/// Functions of one fp32 number, by its bits (number_functions.hpp).
enum class NumberFunction : std::uint8_t {
  kPackFp16,
  kPackBf16,
  kWidenE4M3Low,
  kWidenE4M3High,
  kExp2,
  kReciprocal,
  kLog
};
inline constexpr int kNumberFunctions = 7;

class Runner {
 public:
  Runner() = default;
  virtual ~Runner() = default;
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  virtual std::string name() const = 0;
  /// `out` after the launch. Throws Error for what goes wrong. One call at a time.
  virtual std::vector<std::byte> run(const Experiment& experiment) = 0;
  /// results[i] is the function of the number with the bits first + i · step. From several threads at once.
  virtual void evaluate(NumberFunction function, std::uint32_t first, std::uint32_t step,
                        std::vector<std::uint32_t>& results) = 0;
};

std::unique_ptr<Runner> emulated_runner();
/// Throws Error(kUnsupported) if there is no such device or it is none of compute capability 9.0.
std::unique_ptr<Runner> cuda_runner(std::int32_t device);

}  // namespace varlen::fidelity
