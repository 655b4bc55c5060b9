// Two runners side by side: what each operation does there, and how often that differs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fidelity/runner.hpp"

namespace varlen::fidelity {

class Comparison {
 public:
  Comparison(Runner& real, Runner& emulated) : real_(real), emulated_(emulated) {}

  struct Results {
    std::vector<std::byte> real;
    std::vector<std::byte> emulated;
  };
  Results run(const Experiment& experiment);
  /// Runs it on both, in `cases` cases of the operation: the bytes must be the same.
  void expect_same(const std::string& operation, const Experiment& experiment, std::int64_t cases);
  /// What was compared in another way. `how`: equality, or its bound. An empty finding: no difference.
  void add(const std::string& operation, const std::string& how, std::int64_t cases, const std::string& finding);

  Runner& real() { return real_; }
  Runner& emulated() { return emulated_; }

  struct Row {
    std::string operation;
    std::string how;
    std::int64_t cases = 0;
    std::string finding;  // the first
  };
  const std::vector<Row>& rows() const { return rows_; }

 private:
  Runner& real_;
  Runner& emulated_;
  std::vector<Row> rows_;
};

/// "byte 17 is 0x3C and not 0x3D", the emulator's last; empty if they are the same.
std::string first_difference(const std::vector<std::byte>& real, const std::vector<std::byte>& emulated);

/// How much of everything: the whole, or one in so many.
struct Extent {
  std::int64_t one_in = 1;
  std::int64_t of(std::int64_t count) const { return (count + one_in - 1) / one_in; }
};
void compare_matrices(Comparison& comparison, const Extent& extent);
void compare_products(Comparison& comparison, const Extent& extent);
void compare_boxes(Comparison& comparison, const Extent& extent);
void compare_threads(Comparison& comparison, const Extent& extent);  // barriers, copies, lanes, words, draws
void compare_numbers(Comparison& comparison, const Extent& extent);

}  // namespace varlen::fidelity
