// Whole kernels on two machines: a GPU, and the emulator.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <mutex>
#include <thread>

#include "check/tolerance.hpp"
#include "fidelity/fidelity_checks.hpp"
#include "fidelity/kernel_case.hpp"
#include "kernel/launch_parameters.hpp"
#include "kernel/select.hpp"
#include "reference/element.hpp"
#include "reference/reference.hpp"
#include "score.hpp"

namespace varlen::fidelity {
namespace {

using gpu_check::Machine;

/// What a machine made of a case.
struct Results {
  std::vector<std::byte> out;
  std::vector<std::byte> lse;
  std::vector<std::byte> partials;
};

/// One machine, for one thread at a time.
class Computer {
 public:
  explicit Computer(Machine& machine) : machine_(machine) {}

  Results run(const KernelData& data, const Plan& plan) {
    const std::vector<std::byte>& memory = data.memory();
    const Plan own = machine_.prepared(plan);
    const std::int64_t bytes = workspace_bytes(own, machine_.backend());
    const Allocation tensors(machine_, static_cast<std::int64_t>(memory.size()));
    const Allocation workspace(machine_, bytes);
    machine_.upload(tensors.data, memory.data(), static_cast<std::int64_t>(memory.size()));
    Tensors here = data.tensors(tensors.data);
    for (TensorView* view :
         {&here.query, &here.key, &here.value, &here.out, &here.lse, &here.sinks, &here.block_table}) {
      if (view->present()) *view = machine_.here(*view);
    }
    varlen::run(own, here, {workspace.data, bytes}, {.backend = machine_.backend(), .kernel = data.test().gpu_kernel});
    Results results;
    results.out = download(tensors.data + data.out().offset, static_cast<std::int64_t>(data.out().bytes));
    results.lse = download(tensors.data + data.lse().offset, static_cast<std::int64_t>(data.lse().bytes));
    const std::int64_t partials = plan.partial_rows() *
                                  kernel::partial_row_floats(static_cast<std::int32_t>(here.out.shape[2])) *
                                  static_cast<std::int64_t>(sizeof(float));
    if (partials > 0) results.partials = download(workspace.data + kernel::kWorkspaceHead, partials);
    return results;
  }

 private:
  struct Allocation {
    Allocation(Machine& on, std::int64_t bytes) : machine(on), data(on.allocate(std::max<std::int64_t>(bytes, 1))) {}
    ~Allocation() { machine.release(data); }
    Allocation(const Allocation&) = delete;
    Allocation& operator=(const Allocation&) = delete;
    Machine& machine;
    std::byte* data;
  };
  std::vector<std::byte> download(const std::byte* from, std::int64_t bytes) {
    std::vector<std::byte> result(static_cast<std::size_t>(bytes));
    if (bytes > 0) machine_.download(result.data(), from, bytes);
    return result;
  }

  Machine& machine_;
};

/// How many numbers of the dtype lie between two of the same sign; many if one of them is no number.
std::int64_t units_between(Dtype dtype, const std::byte* a, const std::byte* b) {
  std::uint32_t bits[2] = {0, 0};
  const auto size = static_cast<std::size_t>(dtype_size(dtype));
  std::memcpy(&bits[0], a, size);
  std::memcpy(&bits[1], b, size);
  if (bits[0] == bits[1]) return 0;
  const std::uint32_t magnitude = size == 2 ? 0x7FFFU : 0x7FFFFFFFU;
  const auto ordered = [&](std::uint32_t each) {
    const auto value = static_cast<std::int64_t>(each & magnitude);
    return (each & ~magnitude) != 0 ? -value : value;
  };
  return std::abs(ordered(bits[0]) - ordered(bits[1]));
}

struct Figures {
  std::int64_t integers = 0;
  std::int64_t normal = 0;
  std::int64_t wgmma = 0;
  std::int64_t paged = 0;
  std::int64_t split = 0;
  std::int64_t partial_rows = 0;
  std::int64_t rows = 0;
  std::int64_t equal_out = 0;            // batches of integers with equal bits of out
  std::int64_t worst_units[2] = {0, 0};  // of out of integers, in 16 and 32 bits
  double worst_out = 0;                  // of what is allowed
  double worst_lse = 0;

  void add(const Figures& other) {
    integers += other.integers;
    normal += other.normal;
    wgmma += other.wgmma;
    paged += other.paged;
    split += other.split;
    partial_rows += other.partial_rows;
    rows += other.rows;
    equal_out += other.equal_out;
    for (int i = 0; i < 2; ++i) worst_units[i] = std::max(worst_units[i], other.worst_units[i]);
    worst_out = std::max(worst_out, other.worst_out);
    worst_lse = std::max(worst_lse, other.worst_lse);
  }
  void print() const {
    fmt::print(
        "{} batches of integers, {} of normal numbers; {} on forward_wgmma, {} paged, {} with cut tiles; {} rows\n",
        integers, normal, wgmma, paged, split, rows);
    fmt::print(
        "integers: {} rows of unnormalised sums, references and weights, bit for bit; out has the same bits in {} of "
        "{} batches and is at most {} (16 bits) and {} (fp32) units apart\n",
        partial_rows, equal_out, integers, worst_units[0], worst_units[1]);
    fmt::print("normal numbers: out at most {:.3f} of the contract's bound apart; LSE of all {:.3f}\n", worst_out,
               worst_lse);
  }
};

/// fp32 has one reciprocal and one product on the way, each rounded; 16 bits are rounded from those.
constexpr std::int64_t most_units(Dtype dtype) { return dtype == Dtype::kFloat32 ? 2 : 1; }

std::string compare_out_of_integers(const KernelData& data, const Results& real, const Results& emulated,
                                    Figures& figures) {
  const Dtype dtype = data.test().output_dtype;
  const auto size = static_cast<std::size_t>(dtype_size(dtype));
  std::int64_t worst = 0;
  for (std::size_t at = 0; at < real.out.size(); at += size) {
    worst = std::max(worst, units_between(dtype, real.out.data() + at, emulated.out.data() + at));
  }
  std::int64_t& worst_units = figures.worst_units[dtype == Dtype::kFloat32 ? 1 : 0];
  worst_units = std::max(worst_units, worst);
  figures.equal_out += real.out == emulated.out ? 1 : 0;
  return worst <= most_units(dtype) ? "" : fmt::format("out is {} units in the last place apart", worst);
}

/// By the numerics contract.
std::string compare_rows(const KernelData& data, const Results& real, const Results& emulated, Figures& figures) {
  const RaggedBatch& batch = data.plan().data().batch;
  std::vector<std::byte> memory = data.memory();
  const reference::Result exact = reference::attention(batch, data.tensors(memory.data()));
  const std::int64_t dim = batch.head_dim_vo;
  for (std::size_t r = 0; r < batch.requests.size(); ++r) {
    const RequestExtent& extent = batch.requests[r];
    for (std::int64_t i = 0; i < extent.query_length * batch.query_heads; ++i) {
      const auto row = static_cast<std::size_t>(exact.first_row[r] + i);
      const std::int64_t place = extent.query_start * batch.query_heads + i;
      double square = 0;
      for (std::int64_t d = 0; d < dim; ++d) {
        square += std::pow(reference::load(batch.output_dtype, real.out.data(), place * dim + d) -
                               reference::load(batch.output_dtype, emulated.out.data(), place * dim + d),
                           2);
      }
      const double allowed =
          check::out_tolerance(batch.output_dtype, check::weights_dtype(batch.input_dtype), exact.visible[row]) *
          exact.magnitude[row];
      const double out = square == 0 ? 0 : std::sqrt(square) / allowed;
      float lse[2];
      std::memcpy(&lse[0], real.lse.data() + 4 * place, 4);
      std::memcpy(&lse[1], emulated.lse.data() + 4 * place, 4);
      const double apart =
          lse[0] == lse[1] ? 0 : std::abs(double{lse[0]} - lse[1]) / (1e-5 * (1 + exact.max_score[row]));
      if (data.test().inputs == Inputs::kNormal) figures.worst_out = std::max(figures.worst_out, out);
      figures.worst_lse = std::max(figures.worst_lse, apart);
      ++figures.rows;
      if (!(out <= 1) || !(apart <= 1)) {
        return fmt::format("request {}, token {}, head {}: out is {:.3g} and LSE {:.3g} of what is allowed apart", r,
                           i / batch.query_heads, i % batch.query_heads, out, apart);
      }
    }
  }
  return "";
}

class Pair {
 public:
  explicit Pair(Machine& real) : real_(real), emulator_(gpu_check::host_machine()), emulated_(*emulator_) {}

  std::string compare(std::uint64_t seed, Figures& figures) {
    const KernelData data(random_kernel_case(seed));
    const KernelCase& test = data.test();
    const bool integers = test.inputs == Inputs::kIntegers;
    ++(integers ? figures.integers : figures.normal);
    const RaggedBatch& batch = data.plan().data().batch;
    figures.wgmma += test.gpu_kernel == GpuKernel::kWgmma &&
                     kernel::select(batch, kernel::longest_request(batch), {kernel::Forward::kWgmma}).forward ==
                         kernel::Forward::kWgmma;
    figures.paged += test.page_size > 0;
    figures.split += !data.plan().merges().empty();
    const auto named = [&](const std::string& finding) {
      return finding.empty() ? "" : test.description() + ": " + finding;
    };
    if (integers) {
      const Plan plan = data.exposing_plan();
      const auto [real, emulated] = run(data, plan);
      figures.partial_rows += plan.partial_rows();
      const std::string finding = first_difference(real.partials, emulated.partials);
      if (!finding.empty()) return named("partial rows: " + finding);
    }
    const auto [real, emulated] = run(data, data.plan());
    if (integers) {
      const std::string finding = compare_out_of_integers(data, real, emulated, figures);
      if (!finding.empty()) return named(finding);
    }
    return named(compare_rows(data, real, emulated, figures));
  }

 private:
  std::pair<Results, Results> run(const KernelData& data, const Plan& plan) {
    Results emulated = emulated_.run(data, plan);
    const std::lock_guard lock(mutex_);
    return {real_.run(data, plan), std::move(emulated)};
  }

  std::mutex mutex_;
  Computer real_;
  std::unique_ptr<Machine> emulator_;
  Computer emulated_;
};

}  // namespace

gpu_check::Outcome check_kernels(Machine& real, const gpu_check::Options& options) {
  gpu_check::Score score(options);
  Pair pair(real);
  Figures figures;
  std::mutex mutex;
  std::atomic<std::int64_t> next{0};
  std::atomic<bool> usable{true};
  const auto work = [&] {
    for (std::int64_t i; (i = next.fetch_add(1)) < options.count && usable && !score.out_of_time();) {
      const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(i);
      Figures own;
      std::string finding;
      try {
        finding = pair.compare(seed, own);
      } catch (const std::exception& error) {
        finding = error.what();
        usable = false;
      }
      const std::lock_guard lock(mutex);
      figures.add(own);
      score.add(fmt::format("fidelity-kernels --count 1 --seed {}", seed), finding);
    }
  };
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) threads.emplace_back(work);
  threads.clear();
  figures.print();
  return score.finish();
}

}  // namespace varlen::fidelity
