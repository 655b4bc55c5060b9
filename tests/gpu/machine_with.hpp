// What machines have in common: each operation is one loop over a function of oracle/.
#pragma once

#include <cstring>

#include "machine.hpp"

namespace varlen::gpu_check {

/// All rows so far; plain numbers that threads add to. Errors are not negative, so their bits are in order as well.
struct Tally {
  unsigned long long rows;
  unsigned long long spoiled;
  unsigned long long failed;
  unsigned long long worst_out_bits;
  unsigned long long worst_lse_bits;
  unsigned long long first_failed;
};
inline constexpr unsigned long long kNone = ~0ULL;

inline Judgement judgement_of(const Tally& tally) {
  Judgement result;
  result.rows = static_cast<std::int64_t>(tally.rows);
  result.spoiled = static_cast<std::int64_t>(tally.spoiled);
  result.failed = static_cast<std::int64_t>(tally.failed);
  std::memcpy(&result.worst_out, &tally.worst_out_bits, sizeof(double));
  std::memcpy(&result.worst_lse, &tally.worst_lse_bits, sizeof(double));
  result.first_failed = tally.first_failed == kNone ? -1 : static_cast<std::int64_t>(tally.first_failed);
  return result;
}

/// `Loops` has loop(count, function of an index, stream) and two words of the machine's memory: set(word, value),
/// get(word) and word(word), their address. get() waits for the default stream and set() is in order with it.
template <class Loops>
class MachineWith : public Machine {
 public:
  void fill(const oracle::Region& region, oracle::Pattern pattern, void* stream) override {
    loops_.loop(region.elements, oracle::FillRegion{region, pattern}, stream);
  }
  std::int64_t first_change(const oracle::Region& region, oracle::Pattern pattern) override {
    loops_.set(kSearch, kNone);
    loops_.loop(region.elements, oracle::FindChange{region, pattern, loops_.word(kSearch)}, nullptr);
    return found(kSearch);
  }
  void write_rows(const oracle::RowSet& set) override {
    loops_.loop(oracle::elements_of(set), oracle::WriteRows{set}, nullptr);
  }
  std::int64_t first_overwritten(const oracle::RowSet& set) override {
    loops_.set(kSearch, kNone);
    loops_.loop(oracle::elements_of(set), oracle::FindOverwritten{set, loops_.word(kSearch)}, nullptr);
    return found(kSearch);
  }
  void erase_rows(const oracle::RowSet& set, oracle::Pattern pattern) override {
    loops_.loop(oracle::elements_of(set), oracle::EraseRows{set, pattern}, nullptr);
  }
  std::int64_t first_difference(const oracle::RowSet& set, const oracle::Region& other) override {
    loops_.set(kSearch, kNone);
    loops_.loop(oracle::elements_of(set), oracle::FindDifference{set, other, loops_.word(kSearch)}, nullptr);
    return found(kSearch);
  }
  void note_difference(const oracle::RowSet& set, const oracle::Region& other, void* stream) override {
    loops_.loop(oracle::elements_of(set), oracle::FindDifference{set, other, loops_.word(kNoted)}, stream);
  }
  std::int64_t difference_found() override {
    wait();
    const std::int64_t first = found(kNoted);
    loops_.set(kNoted, kNone);
    return first;
  }

 protected:
  static constexpr int kSearch = 0;
  static constexpr int kNoted = 1;

  std::int64_t found(int word) {
    const unsigned long long value = loops_.get(word);
    return value == kNone ? -1 : static_cast<std::int64_t>(value);
  }

  Loops loops_;
};

}  // namespace varlen::gpu_check
