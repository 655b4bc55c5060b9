#include <cuda_runtime_api.h>

#include <algorithm>
#include <mutex>

#include "backend/cuda/runtime.hpp"
#include "backend/cuda/tensor_map.hpp"
#include "fidelity/cuda_kernels.hpp"
#include "fidelity/runner.hpp"
#include "varlen/device.hpp"

namespace varlen::fidelity {
namespace {

using cuda::check;

/// Memory of the device that grows as it is needed.
class DeviceMemory {
 public:
  ~DeviceMemory() { cudaFree(data_); }
  std::byte* of(std::size_t bytes) {
    if (bytes > bytes_) {
      check(cudaFree(data_), "freeing memory");
      check(cudaMalloc(&data_, bytes), "allocating memory");
      bytes_ = bytes;
    }
    return static_cast<std::byte*>(data_);
  }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

class CudaRunner : public Runner {
 public:
  explicit CudaRunner(std::int32_t device) : device_(device), info_(device_info(device)) {
    if (info_.compute_major != 9) {
      throw Error(ErrorCode::kUnsupported, "device", Error::kNoIndex, std::to_string(device),
                  "device = " + std::to_string(device) + " is a " + info_.name + ": micro-kernels are for Hopper");
    }
    check(cudaSetDevice(device), "choosing a device");
  }

  std::string name() const override { return info_.name; }

  std::vector<std::byte> run(const Experiment& experiment) override {
    std::byte* const in = in_.of(experiment.in.size());
    std::byte* const out = out_.of(experiment.out.size() + sizeof(std::int64_t) + 16);
    const std::size_t counter = (experiment.out.size() + 15) / 16 * 16;
    check(cudaMemcpy(in, experiment.in.data(), experiment.in.size(), cudaMemcpyHostToDevice), "copying");
    check(cudaMemcpy(out, experiment.out.data(), experiment.out.size(), cudaMemcpyHostToDevice), "copying");
    check(cudaMemset(out + counter, 0, sizeof(std::int64_t)), "clearing the counter");

    MicroParameters parameters{};
    parameters.in = in;
    parameters.out = out;
    parameters.counter = reinterpret_cast<std::int64_t*>(out + counter);
    parameters.shared_bytes = experiment.shared_bytes;
    std::copy_n(experiment.value, kValues, parameters.value);
    if (experiment.tensor.box.box[0] > 0) {
      gpu::TensorBox box = experiment.tensor.box;
      box.base = reinterpret_cast<std::uint64_t>(experiment.tensor.of_out ? out : in) +
                 static_cast<std::uint64_t>(experiment.tensor.offset);
      if (!cuda::encode_tensor_map(box, parameters.map)) {
        throw Error(ErrorCode::kInternal, "box", Error::kNoIndex, "", "box: the driver makes no tensor map of it");
      }
    }
    check(launch(experiment, parameters), name_of(experiment.kernel));
    check(cudaDeviceSynchronize(), name_of(experiment.kernel));
    std::vector<std::byte> result(experiment.out.size());
    check(cudaMemcpy(result.data(), out, result.size(), cudaMemcpyDeviceToHost), "copying");
    return result;
  }

  void evaluate(NumberFunction function, std::uint32_t first, std::uint32_t step,
                std::vector<std::uint32_t>& results) override {
    const std::lock_guard lock(mutex_);
    check(cudaSetDevice(device_), "choosing a device");
    const std::size_t bytes = results.size() * sizeof(std::uint32_t);
    auto* const memory = reinterpret_cast<std::uint32_t*>(out_.of(bytes));
    check(launch(function, first, step, static_cast<std::uint32_t>(results.size()), memory), "evaluating a function");
    check(cudaMemcpy(results.data(), memory, bytes, cudaMemcpyDeviceToHost), "copying");
  }

 private:
  const std::int32_t device_;
  const DeviceInfo info_;
  DeviceMemory in_;
  DeviceMemory out_;
  std::mutex mutex_;
};

}  // namespace

std::unique_ptr<Runner> cuda_runner(std::int32_t device) { return std::make_unique<CudaRunner>(device); }

}  // namespace varlen::fidelity
