// A case laid out in guarded memory, ready to be computed, with everything around its data filled on purpose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "check/case.hpp"
#include "check/guarded_memory.hpp"
#include "check/random_bits.hpp"

namespace varlen::check {

/// What lies in gaps, tails, unused pages and unused parts of pages, in the spoiled request, and in the keys that the
/// mask hides. Outputs are filled with one of two byte patterns, so that a row that stays unwritten differs between two
/// runs.
enum class Surroundings { kClean, kPoisoned };

class Problem {
 public:
  /// `test` must outlive the problem. `shown` keys of each request have the case's data. If surroundings are poison,
  /// all others are, too, and pages that no query of their request sees have no number in the block table.
  Problem(const Case& test, const CaseData& data, Surroundings surroundings, std::vector<ShownKeys> shown);
  Problem(const Case& test, const CaseData& data, Surroundings surroundings)
      : Problem(test, data, surroundings, shown_keys(test)) {}

  const Batch& batch() const noexcept { return batch_; }
  const Tensors& tensors() const noexcept { return tensors_; }

  /// Rows of out and lse: query tokens of one request × query heads.
  struct RowBlock {
    std::int64_t request;
    std::int64_t token_begin;
    std::int64_t token_count;
    std::int64_t head_begin;
    std::int64_t head_count;
  };
  std::vector<std::byte> output_bytes(const RowBlock& rows) const;
  /// Of all rows of a request.
  std::vector<std::byte> output_bytes(std::int64_t request) const;
  /// After computing, and last of all: what changed besides the requests' rows of out and lse. Empty if nothing did.
  std::string stray_writes();

 private:
  /// Memory of one or more tensors.
  struct Memory {
    Memory(std::string its_name, std::size_t size, std::size_t alignment, GuardedMemory::Side side, bool is_sparse)
        : name(std::move(its_name)), bytes(size, alignment, side), sparse(is_sparse) {}

    std::string name;
    WatchedMemory bytes;
    bool sparse;  // too large to be filled and watched
  };
  /// Where the tokens of one side's requests begin, and the last offset.
  struct Extents {
    std::vector<std::int64_t> starts;
    std::int64_t tokens = 0;
  };

  Memory& allocate(const std::string& name, std::int64_t bytes, std::int64_t alignment);
  void fill(Memory& memory, Dtype dtype);

  Extents place_requests(IndexForm form, const std::string& side, const std::vector<std::int64_t>& lengths, bool wide,
                         IndexView& indptr, IndexView& lengths_view);
  IndexView place_indices(const std::string& name, const std::vector<std::int64_t>& values, bool wide);
  /// [tokens, heads, dim] in the case's layout. Null if it has no elements and the seed is odd.
  TensorView place_tensor(const std::string& name, Dtype dtype, std::int64_t tokens, std::int64_t heads,
                          std::int64_t dim);
  TensorView place_pool(const std::string& name, std::int64_t pages, std::int64_t dim);
  void place_packed();
  TensorView place_lse(std::int64_t tokens);
  void place_pages();
  void choose_pages();
  std::int64_t pages_of(std::int64_t keys) const { return (keys + test_.page_size - 1) / test_.page_size; }
  std::int32_t no_page() const;
  std::vector<std::int32_t> page_numbers(std::size_t request) const;
  void place_block_table(std::int64_t max_pages);
  void place_page_indices();
  TensorView place_numbers(const std::string& name, const std::vector<std::int32_t>& numbers, bool wide);
  TensorView place_floats(const std::string& name, const std::vector<double>& values, std::int64_t rows,
                          std::int64_t columns);
  TensorView place_scales(const std::string& name, const std::vector<double>& values);
  void write_inputs(const CaseData& data);
  void write_row(const TensorView& view, bool is_surroundings, std::int64_t offset, const double* values);
  /// Whether a request's data are to be poison.
  bool is_spoiled(std::size_t request) const {
    return poisoned_ && static_cast<std::int64_t>(request) == test_.spoiled_request;
  }
  bool is_hidden(std::size_t request, std::int64_t key) const {
    return key < shown_[request].begin || key >= shown_[request].end;
  }
  void forbid_surroundings();

  /// Calls visit(request, token, offset, row) for the rows of all requests in order: `token` of the request, `offset`
  /// in elements, `row` counted from 0.
  template <typename Visit>
  void visit_query_rows(const TensorView& view, Visit visit) const;  // query, out or lse
  template <typename Visit>
  void visit_key_rows(const TensorView& view, Visit visit) const;  // key or value
  std::int64_t tail();

  const Case& test_;
  const bool poisoned_;
  const std::vector<ShownKeys> shown_;  // of each request
  RandomBits random_;                   // of the layout
  std::vector<std::unique_ptr<Memory>> memories_;
  Extents queries_;
  Extents keys_;
  std::vector<std::vector<std::int64_t>> pages_;  // of each request
  std::int64_t pool_pages_ = 0;
  Batch batch_;
  Tensors tensors_;
};

}  // namespace varlen::check
