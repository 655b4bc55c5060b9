#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "check/random_bits.hpp"
#include "checks.hpp"
#include "output_image.hpp"
#include "placed_case.hpp"
#include "score.hpp"
#include "varlen/device.hpp"

namespace varlen::gpu_check {
namespace {

constexpr std::int64_t kArenaBytes = std::int64_t{1} << 26;
constexpr std::int64_t kRequests = 6;
constexpr std::int64_t kQueryTokens = 200;
constexpr std::int64_t kKeyTokens = 1200;
constexpr std::int64_t kKeyLength = 700;
constexpr std::int64_t kPageSize = 16;
constexpr std::int64_t kEntries = kKeyLength / kPageSize + 1;  // of a row of the table
constexpr std::int64_t kSpareRows = 2;                         // of the table, where requests choose theirs

/// Page numbers as a call is told of them.
struct PageNumbers {
  check::PageForm form = check::PageForm::kTable;
  std::int64_t columns = kEntries;    // of the table that the call is told of; its rows are kEntries apart
  std::vector<std::int32_t> numbers;  // block_table or page_indices
  std::vector<std::int32_t> where;    // block_table_rows or page_indptr

  bool is_indexed() const { return form == check::PageForm::kIndices; }
  std::int64_t rows() const { return std::ssize(numbers) / kEntries; }
  bool exists(std::size_t r) const {
    if (form == check::PageForm::kTable) return true;
    if (!is_indexed()) return where[r] >= 0 && where[r] < rows();
    return where[r] >= 0 && where[r] <= where[r + 1] && where[r + 1] <= std::ssize(numbers);
  }
  /// Of a request that has any.
  std::int64_t count(std::size_t r) const { return is_indexed() ? where[r + 1] - where[r] : columns; }
  std::size_t row(std::size_t r) const {
    return form == check::PageForm::kRows ? static_cast<std::size_t>(where[r]) : r;
  }
  std::size_t place(std::size_t r, std::int64_t page) const {
    const std::size_t first = is_indexed() ? static_cast<std::size_t>(where[r]) : row(r) * kEntries;
    return first + static_cast<std::size_t>(page);
  }
  /// As an Error names it, with the value.
  std::string missing(std::size_t r) const {
    if (!is_indexed()) return fmt::format("block_table_rows[{}] = {}", r, where[r]);
    const std::size_t index = where[r] < 0 ? r : r + 1;
    return fmt::format("page_indptr[{}] = {}", index, where[index]);
  }
  std::string wrong(std::size_t r, std::int64_t page) const {
    const std::int64_t index = is_indexed() ? where[r] + page : static_cast<std::int64_t>(row(r)) * columns + page;
    return fmt::format("{}[{}] = {}", is_indexed() ? "page_indices" : "block_table", index, numbers[place(r, page)]);
  }
};

check::Case tensors_case(check::RandomBits& random) {
  check::Case test;
  test.name = "bad pages";
  test.query_lengths = {kQueryTokens};
  test.key_lengths = {kKeyTokens};
  test.page_size = kPageSize;
  test.query_heads = 4;
  test.kv_heads = 2;
  test.head_dim_qk = test.head_dim_vo = 64;
  const Dtype inputs[] = {Dtype::kBFloat16, Dtype::kFloat16, Dtype::kFloat8E4M3};
  const Dtype outputs[] = {Dtype::kBFloat16, Dtype::kFloat16, Dtype::kFloat32};
  const Mask masks[] = {Mask::causal(), Mask::full(), Mask::window(50, 0), Mask::window(200, 3)};
  test.input_dtype = inputs[random.below(3)];
  test.output_dtype = outputs[random.below(3)];
  test.mask = masks[random.below(4)];
  test.batch_invariant = random.one_in(4);
  test.sinks = random.one_in(3);
  test.layout.token_gap = random.one_in(3) ? 3 : 0;
  test.layout.spare_pages = 3;
  test.seed = random.next();
  return test;
}

/// A batch whose page numbers name pages that there are not, are too few, or are looked for where there are none.
class BadPagesCheck {
 public:
  BadPagesCheck(Machine& machine, Memory& memory, GpuKernel gpu_kernel, std::uint64_t seed)
      : machine_(machine),
        memory_(memory),
        gpu_kernel_(gpu_kernel),
        random_(seed),
        placed_(tensors_case(random_), machine, memory, 2),
        spec_(placed_.batch()) {
    target_ = machine.target(placed_.batch(), gpu_kernel);
    if (random_.one_in(2)) target_.workers = 3;  // items after items
    placed_.write_inputs(oracle::Pattern::kPoison);
    draw_lengths();
    draw_numbers();
    bad_ = good_;
    if (!bad_.is_indexed() && random_.one_in(5)) bad_.columns = random_.below(longest() / kPageSize + 1);
    spoil_numbers();
    if (random_.one_in(3)) spoil_where();
  }

  /// With a plan made on the device. `replayed`: by a graph.
  std::string check_device_plan(bool replayed) {
    const Limits limits{kRequests, kQueryTokens, kKeyTokens, 0, kKeyLength};
    const DevicePlan plan(spec_, limits, target_, {.backend = machine_.backend(), .device = machine_.device()});
    const Workspace workspace = place_workspace(workspace_bytes(plan));
    DeviceRequests lengths;
    lengths.query_indptr = upload(query_indptr_);
    lengths.key_lengths = upload(key_lengths_);
    const auto run_with = [&](int output, bool bad, void* stream) {
      varlen::run(plan, tensors(output, bad), workspace, options(stream));
    };
    make_all_old();
    plan.update(lengths);
    run_with(1, false, nullptr);
    std::string finding;
    if (replayed) {
      finding = machine_.captured(
          [&](void* stream) {
            plan.update(lengths, stream);
            run_with(0, true, stream);
          },
          1, {});
    } else {
      run_with(0, true, nullptr);
    }
    machine_.wait();
    if (finding.empty()) finding = check_outputs();
    return finding.empty() ? check_report([&] { run_with(1, false, nullptr); }) : finding;
  }

  /// With a plan of the host; its validation cannot read a block table on a device.
  std::string check_host_plan() {
    Batch batch{spec_, {}};
    batch.query_indptr = std::span<const std::int32_t>(query_indptr_);
    batch.key_lengths = std::span<const std::int32_t>(key_lengths_);
    const Plan plan = machine_.prepared(make_plan(batch, target_));
    const Workspace workspace = place_workspace(workspace_bytes(plan, machine_.backend()));
    make_all_old();
    if (!bad_.is_indexed() && bad_.columns * kPageSize < longest())
      return check_narrow_table_is_refused(plan, workspace);
    varlen::run(plan, tensors(1, false), workspace, options(nullptr));
    varlen::run(plan, tensors(0, true), workspace, options(nullptr));
    machine_.wait();
    const std::string finding = check_outputs();
    if (!finding.empty()) return finding;
    return check_report([&] { varlen::run(plan, tensors(1, false), workspace, options(nullptr)); });
  }

 private:
  template <class T>
  const T* upload(const std::vector<T>& values) {
    auto* const there = memory_.place(std::ssize(values) * static_cast<std::int64_t>(sizeof(T)), sizeof(T)).data;
    machine_.upload(there, values.data(), std::ssize(values) * static_cast<std::int64_t>(sizeof(T)));
    return reinterpret_cast<const T*>(there);
  }
  Workspace place_workspace(std::int64_t bytes) {
    constexpr std::int64_t kAlignment = 64;
    return {memory_.place(bytes, kAlignment).data, bytes};
  }
  RunOptions options(void* stream) const {
    return {.backend = machine_.backend(), .kernel = gpu_kernel_, .stream = stream};
  }
  void make_all_old() {
    for (const int output : {0, 1}) make_old(machine_, placed_, output);
  }

  /// Keys of the longest request that has queries: the table must be wide enough for it.
  std::int64_t longest() const {
    std::int64_t longest = 0;
    for (std::size_t r = 0; r < kRequests; ++r) {
      if (query_length(r) > 0) longest = std::max<std::int64_t>(longest, key_lengths_[r]);
    }
    return longest;
  }
  std::int64_t query_length(std::size_t r) const { return query_indptr_[r + 1] - query_indptr_[r]; }

  void draw_lengths() {
    query_indptr_ = {0};
    for (std::int64_t r = 0; r < kRequests; ++r) {
      const std::int64_t keys = random_.one_in(6) ? 0 : random_.log_between(1, kKeyLength);
      const std::int64_t queries = random_.one_in(3) ? 1 : random_.between(0, kQueryTokens / kRequests);
      query_indptr_.push_back(query_indptr_.back() + static_cast<std::int32_t>(queries));
      key_lengths_.push_back(static_cast<std::int32_t>(std::min(keys, kKeyTokens / kRequests * (r + 1) - key_sum_)));
      key_sum_ += key_lengths_.back();
    }
  }
  std::int64_t pool_pages() const { return placed_.tensors(0).key.shape[0]; }
  std::int32_t random_page() { return static_cast<std::int32_t>(random_.below(pool_pages())); }
  std::int64_t pages_of(std::size_t r) const { return (key_lengths_[r] + kPageSize - 1) / kPageSize; }

  void draw_numbers() {
    using check::PageForm;
    good_.form = random_.pick({PageForm::kTable, PageForm::kRows, PageForm::kIndices});
    if (good_.is_indexed()) {
      good_.where = {static_cast<std::int32_t>(random_.below(4))};
      for (std::size_t r = 0; r < kRequests; ++r) {
        good_.where.push_back(good_.where.back() + static_cast<std::int32_t>(pages_of(r) + random_.below(3)));
      }
      good_.numbers.resize(static_cast<std::size_t>(good_.where.back() + random_.below(3)));
    } else {
      const bool chosen = good_.form == PageForm::kRows;
      const std::int64_t rows = chosen ? kRequests + kSpareRows : kRequests;
      for (std::int64_t r = 0; chosen && r < kRequests; ++r) {
        good_.where.push_back(static_cast<std::int32_t>(random_.below(rows)));  // requests may share a row
      }
      good_.numbers.resize(static_cast<std::size_t>(rows * kEntries));
    }
    for (std::int32_t& page : good_.numbers) page = random_page();
  }

  /// Keys that a row of a request sees.
  struct Seen {
    std::int64_t begin;
    std::int64_t end;
  };
  Seen seen(std::size_t r, std::int64_t token) const {
    const Mask& mask = placed_.test().mask;
    const std::int64_t keys = key_lengths_[r];
    const std::int64_t stand = keys - query_length(r) + token;
    const std::int64_t begin = mask.left == Mask::kUnlimited ? 0 : std::max<std::int64_t>(0, stand - mask.left);
    const std::int64_t end =
        mask.right == Mask::kUnlimited ? keys : std::clamp<std::int64_t>(stand + mask.right + 1, 0, keys);
    return {std::min(begin, end), end};
  }
  /// Whether a wrong row or range leads the request to pages of the pool that are not its own.
  bool is_misled(std::size_t r) const {
    for (std::int64_t page = first_seen_page(r); page < pages_of(r); ++page) {
      if (!is_wrong(r, page) && bad_.numbers[bad_.place(r, page)] != good_.numbers[good_.place(r, page)]) return true;
    }
    return false;
  }
  /// No row of the request sees a key of a page before this one.
  std::int64_t first_seen_page(std::size_t r) const { return seen(r, 0).begin / kPageSize; }

  /// Some entries of what the requests use, and all that none of them sees.
  void spoil_numbers() {
    const std::int32_t values[] = {-1,        INT32_MIN, static_cast<std::int32_t>(pool_pages()),
                                   INT32_MAX, 1'000'000, static_cast<std::int32_t>(pool_pages()) + 1};
    std::vector<bool> seen(bad_.numbers.size(), false);
    for (std::size_t r = 0; r < kRequests; ++r) {
      if (query_length(r) == 0) continue;
      for (std::int64_t page = first_seen_page(r); page < pages_of(r); ++page) seen[bad_.place(r, page)] = true;
    }
    for (std::size_t i = 0; i < seen.size(); ++i) {
      if (!seen[i] || random_.one_in(40)) bad_.numbers[i] = values[random_.below(std::ssize(values))];
    }
  }
  /// Rows or ranges that there are not.
  void spoil_where() {
    if (bad_.where.empty()) return;
    const auto end = static_cast<std::int32_t>(bad_.is_indexed() ? std::ssize(bad_.numbers) : bad_.rows());
    const std::int32_t values[] = {-1, INT32_MIN, end, end + 1, INT32_MAX, 0};
    for (std::int64_t i = random_.between(1, 2); i > 0; --i) {
      bad_.where[static_cast<std::size_t>(random_.below(std::ssize(bad_.where)))] =
          values[random_.below(std::ssize(values))];
    }
  }
  bool is_wrong(std::size_t r, std::int64_t page) const {
    if (!bad_.exists(r) || page >= bad_.count(r)) return true;
    const std::int32_t value = bad_.numbers[bad_.place(r, page)];
    return value < 0 || value >= pool_pages();
  }
  bool must_be_nan(std::size_t r, std::int64_t token) const {
    const Seen keys = seen(r, token);
    if (keys.begin >= keys.end) return false;
    for (std::int64_t page = keys.begin / kPageSize; page <= (keys.end - 1) / kPageSize; ++page) {
      if (is_wrong(r, page)) return true;
    }
    return false;
  }
  bool is_spoiled(std::size_t r) const {
    for (std::int64_t token = 0; token < query_length(r); ++token) {
      if (must_be_nan(r, token)) return true;
    }
    return false;
  }

  TensorView uploaded_view(const std::vector<std::int32_t>& values) {
    return machine_.here(
        TensorView::dense(const_cast<std::int32_t*>(upload(values)), Dtype::kInt32, {std::ssize(values)}));
  }
  Tensors tensors(int output, bool bad) {
    const PageNumbers& pages = bad ? bad_ : good_;
    std::optional<Tensors>& placed = bad ? bad_tensors_ : good_tensors_;
    if (!placed) {
      placed.emplace();
      const TensorView numbers = uploaded_view(pages.numbers);
      if (pages.is_indexed()) {
        placed->page_indices = numbers;
        placed->page_indptr = uploaded_view(pages.where);
      } else {
        placed->block_table = numbers;
        placed->block_table.rank = 2;
        placed->block_table.shape = {pages.rows(), pages.columns};
        placed->block_table.strides = {kEntries, 1};
        if (!pages.where.empty()) placed->block_table_rows = uploaded_view(pages.where);
      }
    }
    Tensors tensors = placed_.tensors(output);
    tensors.block_table = placed->block_table;
    tensors.block_table_rows = placed->block_table_rows;
    tensors.page_indptr = placed->page_indptr;
    tensors.page_indices = placed->page_indices;
    return tensors;
  }

  /// Rows that see a key of a wrong page are NaN, others of the same request that or right, and all else is as it is
  /// with a good table.
  std::string check_outputs() {
    for (const bool lse : {false, true}) {
      const OutputImage image(machine_, placed_, 0, lse);
      const OutputImage good(machine_, placed_, 1, lse);
      const char* const name = lse ? "lse" : "out";
      if (!image.gaps_are_old()) return fmt::format("memory between the rows of {} was written", name);
      for (std::int64_t token = query_indptr_.back(); token < image.tokens(); ++token) {
        if (!image.is_old(token)) return fmt::format("{}[token {}], which is nobody's, was written", name, token);
      }
      for (std::size_t r = 0; r < kRequests; ++r) {
        for (std::int64_t t = 0; t < query_length(r); ++t) {
          const std::int64_t token = query_indptr_[r] + t;
          const bool is_right = is_misled(r) ? !image.is_old(token) : image.equals(good, token);
          if (must_be_nan(r, t) ? image.all_nan(token) : is_right || (is_spoiled(r) && image.all_nan(token))) continue;
          return fmt::format("{}[token {}], {} of request {}, is {}", name, token, t, r,
                             must_be_nan(r, t) ? "not NaN" : "not what a good table gives");
        }
      }
    }
    return {};
  }

  /// Errors that name a wrong page which somebody needs.
  std::set<std::string> possible_errors() const {
    std::set<std::string> errors;
    for (std::size_t r = 0; r < kRequests; ++r) {
      for (std::int64_t t = 0; t < query_length(r); ++t) {
        const Seen keys = seen(r, t);
        for (std::int64_t page = keys.begin / kPageSize; page * kPageSize < keys.end; ++page) {
          if (!is_wrong(r, page)) continue;
          if (!bad_.exists(r)) {
            errors.insert(bad_.missing(r));
          } else if (page >= bad_.count(r)) {
            errors.insert(fmt::format("key_lengths[{}] = {}", r, key_lengths_[r]));
          } else {
            errors.insert(bad_.wrong(r, page));
          }
        }
      }
    }
    return errors;
  }
  /// The next call raises an error, if there was one, and the one after it none.
  std::string check_report(const std::function<void()>& call) {
    const std::set<std::string> possible = possible_errors();
    std::vector<std::string> raised;
    for (int i = 0; i < 2; ++i) {
      try {
        call();
      } catch (const Error& error) {
        raised.push_back(fmt::format("{}[{}] = {}", error.field(), error.index(), error.value()));
      }
      machine_.wait();
    }
    if (raised.size() != (possible.empty() ? 0U : 1U)) {
      return fmt::format("raised {} times; {} pages are wrong", raised.size(), possible.size());
    }
    if (!raised.empty() && possible.count(raised.front()) == 0)
      return "raised " + raised.front() + ", which is not wrong";
    return {};
  }
  std::string check_narrow_table_is_refused(const Plan& plan, const Workspace& workspace) {
    try {
      varlen::run(plan, tensors(0, true), workspace, options(nullptr));
    } catch (const Error& error) {
      return error.field() == "key_lengths" ? "" : std::string("refused with ") + error.what();
    }
    return "a block table that is too narrow is not refused";
  }

  Machine& machine_;
  Memory& memory_;
  const GpuKernel gpu_kernel_;
  check::RandomBits random_;
  PlacedCase placed_;
  AttentionSpec spec_;
  PlanTarget target_;
  std::vector<std::int32_t> query_indptr_;
  std::vector<std::int32_t> key_lengths_;
  std::int64_t key_sum_ = 0;
  PageNumbers good_;
  PageNumbers bad_;
  std::optional<Tensors> good_tensors_;  // page numbers alone
  std::optional<Tensors> bad_tensors_;
};

}  // namespace

Outcome check_bad_pages(Machine& machine, const Options& options) {
  Score score(options);
  Arena arena(machine, kArenaBytes);
  const bool reads_tables_unseen = machine.backend() == Backend::kCuda;
  score.attempt_seeds(options, "bad-pages", [&](std::uint64_t seed) {
    std::string finding;
    for (const GpuKernel gpu_kernel : options.gpu_kernels) {
      arena.clear();
      BadPagesCheck check(machine, arena, gpu_kernel, seed);
      finding = check.check_device_plan(seed % 2 == 0);
      if (finding.empty() && reads_tables_unseen) finding = check.check_host_plan();
      if (!finding.empty()) return fmt::format("on {}: {}", name_of(gpu_kernel), finding);
    }
    return finding;
  });
  return score.finish();
}

}  // namespace varlen::gpu_check
