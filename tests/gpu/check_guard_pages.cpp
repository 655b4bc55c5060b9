#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "checks.hpp"
#include "computation.hpp"
#include "score.hpp"

namespace varlen::gpu_check {
namespace {

/// Ragged, paged and packed batches whose tensors have no gaps at all: nothing is between a row and the next page.
std::vector<check::Case> tight_cases() {
  std::vector<check::Case> cases;
  for (const std::int64_t page_size : {0, 16, 64}) {
    for (const std::int32_t group : {1, 4}) {
      for (const bool decode : {false, true}) {
        check::Case test;
        test.name =
            fmt::format("{} keys, group {}, {}", page_size == 0 ? "ragged" : fmt::format("pages of {}", page_size),
                        group, decode ? "decode" : "prefill");
        test.key_lengths = {1, 63, 64, 65, 127, 128, 129, 300, 2};
        test.query_lengths = decode ? std::vector<std::int64_t>(test.key_lengths.size(), 1) : test.key_lengths;
        test.page_size = page_size;
        test.kv_heads = 2;
        test.query_heads = 2 * group;
        test.head_dim_qk = test.head_dim_vo = 128;
        test.input_dtype = test.output_dtype = Dtype::kBFloat16;
        test.mask = Mask::causal();
        test.layout.spare_pages = 0;
        test.seed = cases.size() + 1;
        cases.push_back(test);
      }
    }
  }
  check::Case packed = cases.front();
  packed.name = "packed query, key and value";
  packed.layout.packed_qkv = true;
  cases.push_back(packed);
  check::Case fp8 = cases.front();
  fp8.name = "fp8 rows that end within sixteen bytes";
  fp8.input_dtype = Dtype::kFloat8E4M3;
  fp8.fp8_scales = true;
  fp8.head_dim_qk = fp8.head_dim_vo = 72;
  cases.push_back(fp8);
  check::Case last_is_short = cases.front();  // its boxes reach far beyond its end, and the tensor's
  last_is_short.name = "a long request, then a short one";
  last_is_short.key_lengths = last_is_short.query_lengths = {2000, 1};
  cases.push_back(last_is_short);
  return cases;
}

std::string check_case(Machine& machine, Memory& memory, const Options& options, const check::Case& test) {
  memory.clear();
  PlacedCase placed(test, machine, memory, static_cast<int>(options.gpu_kernels.size()));
  placed.write_inputs(oracle::Pattern::kPoison);
  for (std::size_t i = 0; i < options.gpu_kernels.size(); ++i) {
    placed.clear_output(static_cast<int>(i));
    const Computation computation(machine, memory, placed, options.gpu_kernels[i]);
    computation.run(static_cast<int>(i));
    machine.wait();  // an access to unmapped memory shows here, and tells which kernel's it was
  }
  return first_wrong_row(machine, placed, machine.judge(placed.problem(), nullptr), options.gpu_kernels);
}

}  // namespace

Outcome check_guard_pages(Machine& machine, const Options& options) {
  Score score(options);
  for (const Side side : {Side::kBack, Side::kFront}) {
    const char* const end = side == Side::kBack ? "their ends" : "their beginnings";
    const std::unique_ptr<Memory> memory = machine.guarded_memory(side);
    bool usable = true;
    for (const check::Case& test : tight_cases()) {
      usable = usable && score.attempt(fmt::format("guard-pages at {}: {}", end, test.name),
                                       [&] { return check_case(machine, *memory, options, test); });
    }
    if (!usable) break;
    fmt::print("unmapped memory at {}:\n", end);
    const std::int64_t done = score.attempt_seeds(options, "guard-pages", [&](std::uint64_t seed) {
      return check_case(machine, *memory, options, random_case(seed, options.effort));
    });
    fmt::print("{} random batches\n", done);
  }
  return score.finish();
}

}  // namespace varlen::gpu_check
