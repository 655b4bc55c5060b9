#include "score.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <exception>

#include "check/random_bits.hpp"

namespace varlen::gpu_check {

double seconds_now() {
  static const auto kStart = std::chrono::steady_clock::now();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - kStart).count();
}

void Score::fail(const std::string& what) {
  ++outcome_.failed;
  fmt::print("FAILED {}\n", what);
  std::fflush(stdout);  // a crash must not take it along
}

void Score::add(const std::string& name, const std::string& finding) {
  if (finding.empty()) {
    pass();
  } else {
    fail(fmt::format("{}: {}", name, finding));
  }
}

bool Score::attempt(const std::string& name, const std::function<std::string()>& check) {
  try {
    add(name, check());
    return true;
  } catch (const Error& error) {
    fail(fmt::format("{}: {}", name, error.what()));
    if (error.code() != ErrorCode::kInternal && error.code() != ErrorCode::kDeviceFailure)
      return true;  // a refusal leaves everything as it was
  } catch (const std::exception& error) {
    fail(fmt::format("{}: {}", name, error.what()));
  }
  fmt::print("the machine is of no use after that: the rest was not run\n");
  return false;
}

std::int64_t Score::attempt_seeds(const Options& options, const char* command,
                                  const std::function<std::string(std::uint64_t seed)>& check) {
  std::uint64_t seed = options.seed;
  std::int64_t done = 0;
  while (done < options.count && !out_of_time()) {
    const bool usable = attempt(fmt::format("{} --count 1 --seed {}", command, seed), [&] { return check(seed); });
    ++done;
    if (!usable) break;
    seed = check::RandomBits(seed).next();
  }
  if (done < options.count) fmt::print("stopped after {} of {} cases\n", done, options.count);
  return done;
}

Outcome Score::finish() const {
  fmt::print("{} passed, {} failed\n", outcome_.passed, outcome_.failed);
  std::fflush(stdout);
  return outcome_;
}

const char* name_of(GpuKernel gpu_kernel) { return gpu_kernel == GpuKernel::kWgmma ? "sm_90a" : "sm_80"; }

}  // namespace varlen::gpu_check
