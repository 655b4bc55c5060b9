// A case laid out in a machine's memory, with everything around its rows filled on purpose.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "check/case.hpp"
#include "check/random_bits.hpp"
#include "machine.hpp"
#include "memory.hpp"
#include "oracle/fill.hpp"

namespace varlen::gpu_check {

class PlacedCase {
 public:
  /// Takes memory from `memory`, which must not be cleared while this lives. `outputs`: results to have room for.
  PlacedCase(const check::Case& test, Machine& machine, Memory& memory, int outputs);

  const check::Case& test() const noexcept { return test_; }
  const Batch& batch() const noexcept { return batch_; }
  const oracle::Problem& problem() const noexcept { return problem_; }
  Tensors tensors(int output) const;

  /// Fills inputs: rows with the case's random numbers, or with poison in the requests that `spoiled` marks
  /// ([requests]; empty: none), and all around them with `surroundings`. What entries of the block table name that no
  /// request uses depends on `surroundings` as well.
  void write_inputs(oracle::Pattern surroundings, const std::vector<std::uint8_t>& spoiled = {});
  void clear_output(int output);

  /// After computing: which inputs are not what write_inputs() made them; empty if none.
  std::string changed_inputs();
  /// What changed besides the rows of a result; empty if nothing did. Erases those rows.
  std::string stray_writes(int output);

  /// Rows of an output, spoiled requests chosen, and what stands beside them, for Machine's comparisons. `lse`: of LSE,
  /// which the case must have.
  oracle::RowSet output_rows(int output, bool lse) const;
  const oracle::Region& output_region(int output, bool lse) const;
  /// Request, token and head of a row, as text.
  std::string describe_row(std::int64_t row) const;
  /// Of an element that a search of Machine found in output_rows(…, lse).
  std::string describe_element(bool lse, std::int64_t element) const;

 private:
  /// A tensor of rows. `seed`: of its values.
  struct Part {
    std::string name;
    oracle::Rows rows;
    bool of_keys;
    std::uint64_t seed;
  };
  /// One tensor; or query, key and value if they are packed.
  struct Input {
    oracle::Region region;
    std::vector<Part> parts;
  };

  void place_requests();
  std::vector<std::int64_t> starts_of(check::IndexForm form, const std::vector<std::int64_t>& lengths,
                                      std::vector<std::int64_t>& offsets);
  void place_packed();
  void place_keys();
  void place_block_table();
  void place_page_numbers();
  void write_page_numbers();
  void place_scales();
  void write_scales(oracle::Pattern surroundings, const std::vector<std::uint8_t>& spoiled);
  void place_sinks();
  void place_outputs(int outputs);

  std::int64_t tail() { return random_.below(test_.layout.tail_tokens + 1); }
  /// A region of `elements` and margins; `data`: the first element.
  oracle::Region place_region(Dtype dtype, std::int64_t elements, void*& data);
  oracle::Rows place_tokens(Dtype dtype, std::int64_t tokens, std::int32_t heads, std::int32_t width,
                            oracle::Region& region);
  oracle::Rows place_pool(std::int32_t width, oracle::Region& region);
  void add_input(const char* name, const oracle::Region& region, const oracle::Rows& rows, bool of_keys);
  TensorView token_view(const oracle::Rows& rows, std::int64_t tokens) const;
  TensorView pool_view(const oracle::Rows& rows) const;
  oracle::RowSet set_of(const Part& part, const oracle::Region& region) const;

  const check::Case test_;
  Machine& machine_;
  Memory& memory_;
  check::RandomBits random_;       // of the layout
  std::int64_t unaligned_by_ = 0;  // elements before the first of each tensor

  // The batch's arrays, in both widths; `batch_` views those of the case's width.
  struct Indices {
    std::vector<std::int64_t> wide;
    std::vector<std::int32_t> narrow;
    IndexView view(bool is_wide) const;
    void set(const std::vector<std::int64_t>& values);
  };
  Indices query_indptr_;
  Indices query_lengths_;
  Indices key_indptr_;
  Indices key_lengths_;
  Batch batch_;
  Tensors tensors_;  // without outputs
  oracle::Problem problem_{};

  std::vector<oracle::Extent> extents_;
  std::int64_t query_tokens_ = 0;  // in the tensors
  std::int64_t key_tokens_ = 0;
  std::int64_t query_end_ = 0;  // the last offset
  std::int64_t key_end_ = 0;
  std::int64_t pool_pages_ = 0;
  std::vector<std::int32_t> table_;  // [requests, max_pages]; −1: names no page
  void* oracle_table_ = nullptr;
  // Page numbers as the call is told of them: so many in all, and of each request the first one and how many.
  void* numbers_memory_ = nullptr;
  std::int64_t number_count_ = 0;
  std::vector<std::int64_t> first_numbers_;
  std::vector<std::int64_t> counts_;
  /// Scales of fp8 inputs: rows with gaps.
  struct Spaced {
    oracle::Region region;
    void* data;
    std::int64_t stride;  // from request to request
    std::vector<float> values;
  };
  std::vector<Spaced> scales_;  // of queries, keys and values, or some of them
  std::vector<float> sinks_;
  oracle::Region sinks_region_{};
  std::vector<Input> inputs_;
  std::vector<oracle::Region> outs_;
  std::vector<oracle::Region> lses_;
  std::uint8_t* spoiled_ = nullptr;  // [requests], in the machine's memory
  bool any_spoiled_ = false;
  oracle::Pattern surroundings_ = oracle::Pattern::kOnes;
};

}  // namespace varlen::gpu_check
