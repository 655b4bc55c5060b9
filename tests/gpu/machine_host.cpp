#include <sys/mman.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "machine_with.hpp"

namespace varlen::gpu_check {
namespace {

/// A team of one thread, which is a warp of one lane.
struct OneThread {
  int thread() const { return 0; }
  int threads() const { return 1; }
  int warp() const { return 0; }
  int warps() const { return 1; }
  int lane() const { return 0; }
  int lanes() const { return 1; }
  double warp_sum(double value) const { return value; }
  double sum(double value) const { return value; }
  double max(double value) const { return value; }
  void wait() const {}
};

oracle::Verdict verdict_of(const oracle::Problem& problem, std::int64_t row) {
  OneThread team;
  oracle::Scratch scratch;
  return oracle::RowJudge<OneThread>(problem, row, team, scratch).judge();
}

class HostLoops {
 public:
  template <class Function>
  void loop(std::int64_t count, const Function& function, void* /*stream*/) {
    for (std::int64_t i = 0; i < count; ++i) function(i);
  }
  void set(int word, unsigned long long value) { words_[word] = value; }
  unsigned long long get(int word) const { return words_[word]; }
  unsigned long long* word(int word) { return &words_[word]; }

 private:
  unsigned long long words_[2] = {kNone, kNone};
};

/// Mapped pages between pages that are not.
class GuardedHostMemory : public Memory {
 public:
  explicit GuardedHostMemory(Side side) : side_(side) {}
  ~GuardedHostMemory() override { GuardedHostMemory::clear(); }

  Piece place(std::int64_t bytes, std::int64_t alignment) override {
    constexpr std::int64_t kPage = 4096;
    const std::int64_t usable = bytes / kPage * kPage + kPage;
    const Mapping mapping{nullptr, static_cast<std::size_t>(usable + 2 * kPage)};
    void* const reserved = mmap(nullptr, mapping.bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (reserved == MAP_FAILED) throw std::runtime_error("no address space");
    mappings_.push_back({reserved, mapping.bytes});
    std::byte* const begin = static_cast<std::byte*>(reserved) + kPage;
    if (mprotect(begin, static_cast<std::size_t>(usable), PROT_READ | PROT_WRITE) != 0) {
      throw std::runtime_error("no memory");
    }
    return piece_at(side_, begin, begin + usable, bytes, alignment);
  }
  void clear() override {
    for (const Mapping& mapping : mappings_) munmap(mapping.begin, mapping.bytes);
    mappings_.clear();
  }

 private:
  struct Mapping {
    void* begin;
    std::size_t bytes;
  };
  const Side side_;
  std::vector<Mapping> mappings_;
};

class HostMachine : public MachineWith<HostLoops> {
 public:
  explicit HostMachine(bool cpu) : cpu_(cpu) {}

  Backend backend() const override { return cpu_ ? Backend::kCpu : Backend::kEmulator; }
  std::vector<GpuKernel> gpu_kernels() const override { return {GpuKernel::kWgmma, GpuKernel::kMma}; }
  /// As an H100 would have it: one block of forward_wgmma a multiprocessor, two of forward_mma.
  PlanTarget target(const Batch& /*batch*/, GpuKernel gpu_kernel) const override {
    PlanTarget target = PlanTarget::h100();
    if (gpu_kernel == GpuKernel::kMma) {
      target.key_block = 64;
      target.workers *= 2;
    }
    return target;
  }
  Plan prepared(const Plan& plan) const override { return plan; }
  TensorView here(TensorView view) const override { return view; }

  std::byte* allocate(std::int64_t bytes) override {
    constexpr std::size_t kAlignment = 256;
    const std::size_t rounded = (static_cast<std::size_t>(bytes) + kAlignment) / kAlignment * kAlignment;
    return static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded));
  }
  void release(std::byte* memory) noexcept override { std::free(memory); }
  std::unique_ptr<Memory> guarded_memory(Side side) override { return std::make_unique<GuardedHostMemory>(side); }
  void upload(void* to, const void* from, std::int64_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, static_cast<std::size_t>(bytes));
  }

  void download(void* to, const void* from, std::int64_t bytes) override { upload(to, from, bytes); }
  std::int32_t device() const override { return 0; }

  void* new_stream() override { return nullptr; }
  std::string captured(const std::function<void(void* stream)>& launch, int times,
                       const std::function<void(int replay)>& before) override {
    for (int i = 0; i < times; ++i) {
      if (before) before(i);
      launch(nullptr);
    }
    return {};
  }
  Duration microseconds(const std::function<void(void* stream)>& launch) override {
    const auto start = std::chrono::steady_clock::now();
    launch(nullptr);
    const auto end = std::chrono::steady_clock::now();
    const double time = std::chrono::duration<double, std::micro>(end - start).count();
    return {time, time};
  }
  void wait() override {}

  Judgement judge(const oracle::Problem& problem, const std::vector<std::int64_t>* rows) override {
    Judgement result;
    const std::int64_t count =
        rows != nullptr ? static_cast<std::int64_t>(rows->size()) : problem.query_tokens * problem.query.heads;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t row = rows != nullptr ? (*rows)[static_cast<std::size_t>(i)] : i;
      const oracle::Verdict verdict = verdict_of(problem, row);
      if (verdict.spoiled) {
        ++result.spoiled;
        continue;
      }
      ++result.rows;
      result.worst_out = oracle::larger(result.worst_out, verdict.out);
      result.worst_lse = oracle::larger(result.worst_lse, verdict.lse);
      if (verdict.out <= 1 && verdict.lse <= 1) continue;
      ++result.failed;
      if (result.first_failed < 0 || row < result.first_failed) result.first_failed = row;
    }
    return result;
  }
  oracle::Verdict verdict(const oracle::Problem& problem, std::int64_t row) override {
    return verdict_of(problem, row);
  }

 private:
  const bool cpu_;
};

}  // namespace

std::unique_ptr<Machine> host_machine(bool cpu) { return std::make_unique<HostMachine>(cpu); }

}  // namespace varlen::gpu_check
