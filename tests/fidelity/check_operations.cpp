#include <fmt/format.h>

#include "fidelity/fidelity_checks.hpp"
#include "score.hpp"

namespace varlen::fidelity {

gpu_check::Outcome check_operations(Runner& real, const Extent& extent) {
  using Compare = void (*)(Comparison&, const Extent&);
  constexpr std::pair<const char*, Compare> kParts[] = {{"matrices", compare_matrices},
                                                        {"products", compare_products},
                                                        {"boxes", compare_boxes},
                                                        {"threads", compare_threads},
                                                        {"numbers", compare_numbers}};
  gpu_check::Score score((gpu_check::Options()));
  const std::unique_ptr<Runner> emulated = emulated_runner();
  Comparison comparison(real, *emulated);
  for (const auto& [name, compare] : kParts) {
    const double begin = gpu_check::seconds_now();
    const bool usable = score.attempt(name, [&, run = compare] {
      run(comparison, extent);
      return std::string();
    });
    fmt::print("{}: {:.1f} s\n", name, gpu_check::seconds_now() - begin);
    if (!usable) break;
  }
  fmt::print("the emulator and {}\n\n| operation | compared by | cases | result |\n|---|---|--:|---|\n", real.name());
  for (const Comparison::Row& row : comparison.rows()) {
    fmt::print("| {} | {} | {} | {} |\n", row.operation, row.how, row.cases,
               row.finding.empty() ? "same" : row.finding);
    score.add(row.operation, row.finding);
  }
  return score.finish();
}

}  // namespace varlen::fidelity
