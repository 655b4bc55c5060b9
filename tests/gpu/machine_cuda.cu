#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "guarded_memory.hpp"
#include "machine_with.hpp"
#include "varlen/device.hpp"

namespace varlen::gpu_check {
namespace {

void check(cudaError_t status, const char* action) {
  if (status == cudaSuccess) return;
  throw std::runtime_error(std::string(action) + " failed: " + cudaGetErrorName(status) + ", " +
                           cudaGetErrorString(status));
}

constexpr int kLanes = 32;
constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kLanes;
constexpr int kMaxBlocks = 4096;  // more than any GPU holds at once

/// A block. `shared` is one number for each warp.
class BlockTeam {
 public:
  __device__ explicit BlockTeam(double* shared) : shared_(shared) {}

  __device__ int thread() const { return static_cast<int>(threadIdx.x); }
  __device__ int threads() const { return kThreads; }
  __device__ int warp() const { return thread() / kLanes; }
  __device__ int warps() const { return kWarps; }
  __device__ int lane() const { return thread() % kLanes; }
  __device__ int lanes() const { return kLanes; }
  __device__ void wait() const { __syncthreads(); }

  __device__ double warp_sum(double value) const {
    for (int distance = kLanes / 2; distance > 0; distance /= 2) {
      value += __shfl_xor_sync(0xFFFFFFFFU, value, distance);
    }
    return value;
  }
  __device__ double sum(double value) const {
    exchange(warp_sum(value));
    double total = 0;
    for (int w = 0; w < kWarps; ++w) total += shared_[w];
    wait();
    return total;
  }
  __device__ double max(double value) const {
    for (int distance = kLanes / 2; distance > 0; distance /= 2) {
      value = oracle::larger(value, __shfl_xor_sync(0xFFFFFFFFU, value, distance));
    }
    exchange(value);
    double largest = shared_[0];
    for (int w = 1; w < kWarps; ++w) largest = oracle::larger(largest, shared_[w]);
    wait();
    return largest;
  }

 private:
  __device__ void exchange(double of_warp) const {
    if (lane() == 0) shared_[warp()] = of_warp;
    wait();
  }
  double* shared_;
};

template <class Function>
__global__ void __launch_bounds__(256) loop_kernel(std::int64_t count, const __grid_constant__ Function function) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    function(i);
  }
}

__device__ void add(Tally* tally, std::int64_t row, const oracle::Verdict& verdict) {
  if (verdict.spoiled) {
    atomicAdd(&tally->spoiled, 1ULL);
    return;
  }
  atomicAdd(&tally->rows, 1ULL);
  atomicMax(&tally->worst_out_bits, static_cast<unsigned long long>(__double_as_longlong(verdict.out)));
  atomicMax(&tally->worst_lse_bits, static_cast<unsigned long long>(__double_as_longlong(verdict.lse)));
  if (verdict.out <= 1 && verdict.lse <= 1) return;
  atomicAdd(&tally->failed, 1ULL);
  oracle::lower(&tally->first_failed, row);
}

/// `rows`: [count], or null for the rows 0 … count − 1. A block judges one row after another.
__global__ void __launch_bounds__(kThreads)
    judge_kernel(const __grid_constant__ oracle::Problem problem, const std::int64_t* rows, std::int64_t count,
                 Tally* tally, oracle::Verdict* last) {
  __shared__ oracle::Scratch scratch;
  __shared__ double shared[kWarps];
  BlockTeam team(shared);
  for (std::int64_t i = blockIdx.x; i < count; i += gridDim.x) {
    const std::int64_t row = rows != nullptr ? rows[i] : i;
    const oracle::Verdict verdict = oracle::RowJudge<BlockTeam>(problem, row, team, scratch).judge();
    if (team.thread() == 0) {
      add(tally, row, verdict);
      if (last != nullptr) *last = verdict;
    }
    team.wait();  // before the next row takes the scratch
  }
}

/// Keeps a stream busy, while more is put on it.
__global__ void wait_kernel(long long nanoseconds) {
  long long begin = 0;
  long long now = 0;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(begin));
  do {
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
  } while (now - begin < nanoseconds);
}

/// Device memory of the type's size.
template <class T>
class OnDevice {
 public:
  OnDevice() { check(cudaMalloc(&data_, sizeof(T)), "allocating memory"); }
  ~OnDevice() { cudaFree(data_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

  T* data() const { return data_; }
  void set(const T& value) { check(cudaMemcpy(data_, &value, sizeof(T), cudaMemcpyHostToDevice), "copying"); }
  T get() const {
    T value{};
    check(cudaMemcpy(&value, data_, sizeof(T), cudaMemcpyDeviceToHost), "the kernels before, or copying");
    return value;
  }

 private:
  T* data_ = nullptr;
};

class CudaLoops {
 public:
  CudaLoops() {
    for (int word = 0; word < 2; ++word) set(word, kNone);
  }
  template <class Function>
  void loop(std::int64_t count, const Function& function, void* stream) {
    if (count == 0) return;
    constexpr int kLoopThreads = 256;
    const auto blocks = static_cast<int>(std::min<std::int64_t>(kMaxBlocks, (count + kLoopThreads - 1) / kLoopThreads));
    loop_kernel<<<blocks, kLoopThreads, 0, static_cast<cudaStream_t>(stream)>>>(count, function);
    check(cudaGetLastError(), "launching a loop");
  }
  void set(int word, unsigned long long value) { words_[word].set(value); }
  unsigned long long get(int word) const { return words_[word].get(); }
  unsigned long long* word(int word) const { return words_[word].data(); }

 private:
  OnDevice<unsigned long long> words_[2];
};

class CudaMachine : public MachineWith<CudaLoops> {
 public:
  explicit CudaMachine(std::int32_t device) : device_(device) {}
  ~CudaMachine() override {
    for (cudaStream_t stream : streams_) cudaStreamDestroy(stream);
  }

  Backend backend() const override { return Backend::kCuda; }
  std::vector<GpuKernel> gpu_kernels() const override {
    if (device_info(device_).compute_major == 9) return {GpuKernel::kWgmma, GpuKernel::kMma};
    return {GpuKernel::kMma};
  }
  PlanTarget target(const Batch& batch, GpuKernel gpu_kernel) const override {
    return device_target(batch, device_, gpu_kernel);
  }
  Plan prepared(const Plan& plan) const override { return to_device(plan, device_); }
  TensorView here(TensorView view) const override {
    view.device = DeviceKind::kCuda;
    view.device_index = device_;
    return view;
  }

  std::byte* allocate(std::int64_t bytes) override {
    void* memory = nullptr;
    const cudaError_t status = cudaMalloc(&memory, static_cast<std::size_t>(bytes));
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // or the next launch would report it
      return nullptr;
    }
    check(status, "allocating memory");
    return static_cast<std::byte*>(memory);
  }
  void release(std::byte* memory) noexcept override { cudaFree(memory); }
  std::unique_ptr<Memory> guarded_memory(Side side) override { return guarded_device_memory(device_, side); }
  void upload(void* to, const void* from, std::int64_t bytes) override {
    if (bytes > 0) check(cudaMemcpy(to, from, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice), "copying");
  }

  void download(void* to, const void* from, std::int64_t bytes) override {
    wait();
    if (bytes > 0) check(cudaMemcpy(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost), "copying");
  }
  std::int32_t device() const override { return device_; }

  void* new_stream() override {
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
    streams_.push_back(stream);
    return stream;
  }
  std::string captured(const std::function<void(void* stream)>& launch, int times,
                       const std::function<void(int replay)>& before) override;
  Duration microseconds(const std::function<void(void* stream)>& launch) override;
  void wait() override { check(cudaDeviceSynchronize(), "the kernels before"); }

  Judgement judge(const oracle::Problem& problem, const std::vector<std::int64_t>* rows) override {
    std::int64_t count = problem.query_tokens * problem.query.heads;
    std::byte* chosen = nullptr;
    if (rows != nullptr) {
      count = static_cast<std::int64_t>(rows->size());
      chosen = allocate(std::max<std::int64_t>(1, count) * 8);
      if (chosen == nullptr) throw std::runtime_error("there is no memory for the list of rows");
      upload(chosen, rows->data(), count * 8);
    }
    judge_rows(problem, reinterpret_cast<const std::int64_t*>(chosen), count, nullptr);
    const Judgement result = judgement_of(tally_.get());
    release(chosen);
    return result;
  }
  oracle::Verdict verdict(const oracle::Problem& problem, std::int64_t row) override {
    OnDevice<std::int64_t> chosen;
    chosen.set(row);
    OnDevice<oracle::Verdict> last;
    judge_rows(problem, chosen.data(), 1, last.data());
    return last.get();
  }

 private:
  void judge_rows(const oracle::Problem& problem, const std::int64_t* rows, std::int64_t count, oracle::Verdict* last) {
    tally_.set(Tally{0, 0, 0, 0, 0, kNone});
    if (count == 0) return;
    const auto blocks = static_cast<int>(std::min<std::int64_t>(kMaxBlocks, count));
    judge_kernel<<<blocks, kThreads>>>(problem, rows, count, tally_.data(), last);
    check(cudaGetLastError(), "launching the oracle");
  }

  const std::int32_t device_;
  OnDevice<Tally> tally_;
  std::vector<cudaStream_t> streams_;
};

std::string CudaMachine::captured(const std::function<void(void* stream)>& launch, int times,
                                  const std::function<void(int replay)>& before) {
  auto* const stream = static_cast<cudaStream_t>(new_stream());
  // Global: no thread may do what could disturb a capture.
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), "beginning a capture");
  std::string failure;
  try {
    launch(stream);
  } catch (const std::exception& error) {
    failure = error.what();
  }
  cudaGraph_t graph = nullptr;
  const cudaError_t ended = cudaStreamEndCapture(stream, &graph);
  if (ended != cudaSuccess) {
    cudaGetLastError();
    return std::string("the capture was broken: ") + cudaGetErrorString(ended);
  }
  cudaGraphExec_t executable = nullptr;
  check(cudaGraphInstantiate(&executable, graph, 0), "instantiating a graph");
  for (int i = 0; i < times; ++i) {
    if (before) {
      check(cudaStreamSynchronize(stream), "running a graph");
      before(i);
      wait();  // the stream does not wait for the default one, which `before` may have used
    }
    check(cudaGraphLaunch(executable, stream), "launching a graph");
  }
  check(cudaStreamSynchronize(stream), "running a graph");
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
  return failure;
}

/// From what `launch` puts on the stream to its end, in microseconds: the median of many times.
double between_events(cudaStream_t stream, const std::function<void()>& launch) {
  constexpr int kTimes = 201;
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  check(cudaEventCreate(&begin), "making an event");
  check(cudaEventCreate(&end), "making an event");
  std::vector<float> milliseconds(kTimes);
  for (float& time : milliseconds) {
    wait_kernel<<<1, 1, 0, stream>>>(100'000);  // or the time would be that of the calls
    check(cudaEventRecord(begin, stream), "recording an event");
    launch();
    check(cudaEventRecord(end, stream), "recording an event");
    check(cudaEventSynchronize(end), "waiting for an event");
    check(cudaEventElapsedTime(&time, begin, end), "asking for a time");
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  std::nth_element(milliseconds.begin(), milliseconds.begin() + kTimes / 2, milliseconds.end());
  return 1000.0 * milliseconds[kTimes / 2];
}

/// A graph of as many launches, each after the one before.
double of_graph(cudaStream_t stream, const std::function<void(void* stream)>& launch, int launches) {
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), "beginning a capture");
  for (int i = 0; i < launches; ++i) launch(stream);
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(stream, &graph), "ending a capture");
  cudaGraphExec_t executable = nullptr;
  check(cudaGraphInstantiate(&executable, graph, 0), "instantiating a graph");
  const double time = between_events(stream, [&] { check(cudaGraphLaunch(executable, stream), "launching a graph"); });
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
  return time;
}

Duration CudaMachine::microseconds(const std::function<void(void* stream)>& launch) {
  constexpr int kFew = 8;
  constexpr int kMore = 64;
  auto* const stream = static_cast<cudaStream_t>(new_stream());
  const double alone = between_events(stream, [&] { launch(stream); });
  // What the graph itself takes is in both.
  const double more = of_graph(stream, launch, kFew + kMore) - of_graph(stream, launch, kFew);
  return {alone, more / kMore};
}

}  // namespace

std::unique_ptr<Machine> cuda_machine(std::int32_t device) {
  device_info(device);  // throws if there is no such device
  check(cudaSetDevice(device), "choosing a device");
  return std::make_unique<CudaMachine>(device);
}

}  // namespace varlen::gpu_check
