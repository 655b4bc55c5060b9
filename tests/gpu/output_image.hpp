// A result as it lies in memory, with what is around its rows: copied to the host to look at every element.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "machine.hpp"
#include "placed_case.hpp"

namespace varlen::gpu_check {

/// What outputs hold before: numbers, so that memory that nobody wrote is told from NaN.
inline constexpr oracle::Pattern kOldMemory = oracle::Pattern::kOnes;

class OutputImage {
 public:
  /// Waits. `lse`: of the LSE.
  OutputImage(Machine& machine, const PlacedCase& placed, int output, bool lse);

  std::int64_t tokens() const { return view_.shape[0]; }
  /// Whether all numbers of a token are NaN; how many are.
  bool all_nan(std::int64_t token) const { return nan_count(token) == row_elements(); }
  bool any_nan(std::int64_t token) const { return nan_count(token) > 0; }
  /// Whether all numbers of a token have the same bits there.
  bool equals(const OutputImage& other, std::int64_t token) const;
  bool is_old(std::int64_t token) const;
  /// Whether nothing but the tensor's elements was written.
  bool gaps_are_old() const;

 private:
  std::int64_t row_elements() const;
  std::int64_t nan_count(std::int64_t token) const;
  /// Calls function(element of the region) for all numbers of a token.
  void visit(std::int64_t token, const std::function<void(std::int64_t element)>& function) const;
  std::uint32_t bits(std::int64_t element) const;

  TensorView view_;
  oracle::Region region_;
  std::int64_t first_;  // of the view, in the region
  std::vector<std::byte> bytes_;
};

/// Both results as they were before.
void make_old(Machine& machine, const PlacedCase& placed, int output);

/// Empty if all rows of out and LSE are NaN and nothing else was written.
std::string find_number(Machine& machine, const PlacedCase& placed, int output);

}  // namespace varlen::gpu_check
