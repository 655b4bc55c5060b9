// Arithmetic, for all 2^32 numbers of fp32; of e4m3, for all pairs of two.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <exception>
#include <mutex>
#include <thread>

#include "fidelity/comparison.hpp"

namespace varlen::fidelity {
namespace {

constexpr std::uint32_t kSign = 0x80000000U;
constexpr float kLeastNormal = 0x1p-126F;

float number(std::uint32_t bits) { return std::bit_cast<float>(bits); }
bool is_nan(std::uint32_t bits) { return (bits & ~kSign) > 0x7F800000U; }
bool is_subnormal(std::uint32_t bits) { return (bits & ~kSign) < 0x00800000U && (bits & ~kSign) != 0; }
/// Of two numbers of the same sign.
std::int64_t units_between(std::uint32_t a, std::uint32_t b) {
  return std::abs(std::int64_t{a & ~kSign} - std::int64_t{b & ~kSign});
}
bool same(std::uint32_t a, std::uint32_t b) { return a == b || (is_nan(a) && is_nan(b)); }

/// What is found of one function.
struct Finding {
  std::int64_t cases = 0;
  std::int64_t wrong = 0;
  std::uint32_t first = 0;  // wrong
  double worst = 0;

  void judge(std::uint32_t bits, bool right, double error = 0) {
    ++cases;
    worst = std::max(worst, error);
    if (right) return;
    if (wrong++ == 0 || bits < first) first = bits;
  }
  void add(const Finding& other) {
    cases += other.cases;
    worst = std::max(worst, other.worst);
    if (other.wrong > 0 && (wrong == 0 || other.first < first)) first = other.first;
    wrong += other.wrong;
  }
  std::string text() const {
    return wrong == 0 ? "" : fmt::format("{} numbers are wrong, the first of them {:#010x}", wrong, first);
  }
};
/// Within the domain that a contract tells of, and outside of it.
struct Findings {
  Finding main;
  Finding edge;
};

using Judge = void (*)(std::uint32_t bits, std::uint32_t real, std::uint32_t emulated, Findings& findings);

void judge_bits(std::uint32_t bits, std::uint32_t real, std::uint32_t emulated, Findings& findings) {
  findings.main.judge(bits, real == emulated);
}

/// Two numbers of fp16.
void judge_halves(std::uint32_t bits, std::uint32_t real, std::uint32_t emulated, Findings& findings) {
  bool right = true;
  for (const int shift : {0, 16}) {
    const std::uint32_t a = real >> shift & 0xFFFFU;
    const std::uint32_t b = emulated >> shift & 0xFFFFU;
    right = right && (a == b || ((a & 0x7FFFU) > 0x7C00U && (b & 0x7FFFU) > 0x7C00U));
  }
  findings.main.judge(bits, right);
}

/// Results that are zero, infinite or NaN are exact; others have a relative error of 2^-22 at most.
void judge_exp2(std::uint32_t bits, std::uint32_t real, std::uint32_t emulated, Findings& findings) {
  const float x = number(bits);
  if (!(x >= -126.0F && x < 128.0F)) return findings.edge.judge(bits, same(real, emulated));
  const double exact = std::exp2(static_cast<double>(x));
  const double error = std::max(std::abs(number(real) / exact - 1), std::abs(number(emulated) / exact - 1)) / 0x1p-22;
  findings.main.judge(bits, error <= 1, error);
  if (x == std::floor(x)) findings.edge.judge(bits, real == emulated);
}

/// Subnormal numbers are zeros, before and after.
void judge_reciprocal(std::uint32_t bits, std::uint32_t real, std::uint32_t emulated, Findings& findings) {
  const float x = number(bits);
  if (!std::isnormal(x) || std::abs(1.0F / x) < kLeastNormal) {
    return findings.edge.judge(bits, same(real, emulated));
  }
  const std::int64_t units = ((real ^ emulated) & kSign) != 0 ? 1000 : units_between(real, emulated);
  findings.main.judge(bits, units <= 1, static_cast<double>(units));
}

void judge_log(std::uint32_t bits, std::uint32_t real, std::uint32_t emulated, Findings& findings) {
  const float x = number(bits);
  if (!(x > 0) || std::isinf(x) || is_subnormal(bits)) {
    if (!is_subnormal(bits)) findings.edge.judge(bits, same(real, emulated));
    return;
  }
  const std::int64_t units = ((real ^ emulated) & kSign) != 0 ? 1000 : units_between(real, emulated);
  findings.main.judge(bits, units <= 2, static_cast<double>(units));
}

struct Function {
  NumberFunction function;
  Judge judge;
  const char* main;
  const char* how;
  const char* edge;
  const char* edge_how;
  std::uint32_t every = 1;  // one number in so many
};
constexpr Function kFunctions[] = {
    {NumberFunction::kPackFp16, judge_bits, "pack (fp16), all numbers", "bits", nullptr, nullptr},
    {NumberFunction::kPackBf16, judge_bits, "pack (bf16), all numbers", "bits", nullptr, nullptr},
    {NumberFunction::kWidenE4M3Low, judge_halves, "widen_e4m3, the first two of four", "bits, NaNs alike", nullptr,
     nullptr, 65537},
    {NumberFunction::kWidenE4M3High, judge_halves, "widen_e4m3, the others", "bits, NaNs alike", nullptr, nullptr,
     65537},
    {NumberFunction::kExp2, judge_exp2, "exp2_fast, −126 ≤ x < 128", "both 2^-22 of exact; worst {:.2f} of it",
     "exp2_fast, all other numbers and all integers", "bits, NaNs alike"},
    {NumberFunction::kReciprocal, judge_reciprocal, "reciprocal_fast, normal numbers and results",
     "1 unit in the last place; worst {:.0f}", "reciprocal_fast, all other numbers", "bits, NaNs alike"},
    {NumberFunction::kLog, judge_log, "natural_log, positive normal numbers", "2 units in the last place; worst {:.0f}",
     "natural_log, negative numbers, zeros, infinities, NaN", "bits, NaNs alike"},
};

/// Numbers first, first + step, … of all, by all of the CPU's threads.
Findings compare_function(Comparison& comparison, const Function& function, std::uint32_t step) {
  constexpr std::uint64_t kAll = std::uint64_t{1} << 32;
  constexpr std::uint64_t kChunk = std::uint64_t{1} << 22;
  const std::uint64_t count = (kAll + step - 1) / step;
  Findings findings;
  std::atomic<std::uint64_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&]() {
    try {
      std::vector<std::uint32_t> real;
      std::vector<std::uint32_t> emulated;
      for (std::uint64_t begin; (begin = next.fetch_add(kChunk)) < count;) {
        const std::uint64_t size = std::min(kChunk, count - begin);
        real.resize(size);
        emulated.resize(size);
        const auto first = static_cast<std::uint32_t>(begin * step);
        comparison.real().evaluate(function.function, first, step, real);
        comparison.emulated().evaluate(function.function, first, step, emulated);
        Findings own;
        for (std::uint64_t i = 0; i < size; ++i) {
          function.judge(first + static_cast<std::uint32_t>(i) * step, real[i], emulated[i], own);
        }
        const std::lock_guard lock(mutex);
        findings.main.add(own.main);
        findings.edge.add(own.edge);
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      error = std::current_exception();
    }
  };
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) threads.emplace_back(work);
  threads.clear();
  if (error != nullptr) std::rethrow_exception(error);
  return findings;
}

}  // namespace

void compare_numbers(Comparison& comparison, const Extent& extent) {
  const auto step = static_cast<std::uint32_t>(extent.one_in == 1 ? 1 : extent.one_in * 1021);
  for (const Function& function : kFunctions) {
    const Findings findings = compare_function(comparison, function, step * function.every);
    comparison.add(function.main, fmt::format(fmt::runtime(function.how), findings.main.worst), findings.main.cases,
                   findings.main.text());
    if (function.edge == nullptr) continue;
    comparison.add(function.edge, function.edge_how, findings.edge.cases, findings.edge.text());
  }
}

}  // namespace varlen::fidelity
