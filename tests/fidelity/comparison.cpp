#include "fidelity/comparison.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace varlen::fidelity {

Comparison::Results Comparison::run(const Experiment& experiment) {
  return {real_.run(experiment), emulated_.run(experiment)};
}

void Comparison::expect_same(const std::string& operation, const Experiment& experiment, std::int64_t cases) {
  const Results results = run(experiment);
  add(operation, "bits", cases, first_difference(results.real, results.emulated));
}

void Comparison::add(const std::string& operation, const std::string& how, std::int64_t cases,
                     const std::string& finding) {
  auto row = std::find_if(rows_.begin(), rows_.end(),
                          [&](const Row& each) { return each.operation == operation && each.how == how; });
  if (row == rows_.end()) row = rows_.insert(row, {operation, how, 0, ""});
  row->cases += cases;
  if (row->finding.empty()) row->finding = finding;
}

std::string first_difference(const std::vector<std::byte>& real, const std::vector<std::byte>& emulated) {
  const auto [r, e] = std::mismatch(real.begin(), real.end(), emulated.begin(), emulated.end());
  if (r == real.end() && e == emulated.end()) return "";
  std::int64_t different = 0;
  for (std::size_t i = 0; i < std::min(real.size(), emulated.size()); ++i) different += real[i] != emulated[i] ? 1 : 0;
  return fmt::format("byte {} is {:#04x} and in the emulator {:#04x}; {} of {} bytes differ", r - real.begin(),
                     static_cast<int>(*r), static_cast<int>(*e), different, real.size());
}

}  // namespace varlen::fidelity
