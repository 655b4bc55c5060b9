// The products of a warpgroup, for every number of columns that kernels ask for and every field of a descriptor.
#include <algorithm>

#include "fidelity/comparison.hpp"
#include "fidelity/experiment_data.hpp"
#include "fidelity/float_comparison.hpp"
#include "fidelity/product_case.hpp"

namespace varlen::fidelity {
namespace {

constexpr int kShared = 96 * 1024;
constexpr int kSwizzleBytes = 1024;  // eight rows of 128 bytes
constexpr int kFragmentBytes = kProductSteps * 16;

enum class Kind { kMemory, kRegisters, kGroups };

struct Instance {
  MicroKernel kernel;
  const char* name;
  Dtype dtype;
  int tiles;
  Kind kind;
};
constexpr Instance kInstances[] = {
    {MicroKernel::kProductsFp16x8, "warpgroup_multiply (fp16, 64 columns)", Dtype::kFloat16, 8, Kind::kMemory},
    {MicroKernel::kProductsFp16x16, "warpgroup_multiply (fp16, 128 columns)", Dtype::kFloat16, 16, Kind::kMemory},
    {MicroKernel::kProductsFp16x32, "warpgroup_multiply (fp16, 256 columns)", Dtype::kFloat16, 32, Kind::kMemory},
    {MicroKernel::kProductsBf16x8, "warpgroup_multiply (bf16, 64 columns)", Dtype::kBFloat16, 8, Kind::kMemory},
    {MicroKernel::kProductsBf16x16, "warpgroup_multiply (bf16, 128 columns)", Dtype::kBFloat16, 16, Kind::kMemory},
    {MicroKernel::kProductsBf16x32, "warpgroup_multiply (bf16, 256 columns)", Dtype::kBFloat16, 32, Kind::kMemory},
    {MicroKernel::kRegisterProductsFp16x8, "warpgroup_multiply_add (fp16, 64 columns)", Dtype::kFloat16, 8,
     Kind::kRegisters},
    {MicroKernel::kRegisterProductsFp16x16, "warpgroup_multiply_add (fp16, 128 columns)", Dtype::kFloat16, 16,
     Kind::kRegisters},
    {MicroKernel::kRegisterProductsFp16x32, "warpgroup_multiply_add (fp16, 256 columns)", Dtype::kFloat16, 32,
     Kind::kRegisters},
    {MicroKernel::kRegisterProductsBf16x8, "warpgroup_multiply_add (bf16, 64 columns)", Dtype::kBFloat16, 8,
     Kind::kRegisters},
    {MicroKernel::kRegisterProductsBf16x16, "warpgroup_multiply_add (bf16, 128 columns)", Dtype::kBFloat16, 16,
     Kind::kRegisters},
    {MicroKernel::kRegisterProductsBf16x32, "warpgroup_multiply_add (bf16, 256 columns)", Dtype::kBFloat16, 32,
     Kind::kRegisters},
    {MicroKernel::kProductGroups, "two groups of products in flight", Dtype::kBFloat16, 16, Kind::kGroups},
};

/// The last byte that products read, when the depth runs along rows of 128 bytes.
int end_along_rows(const MatrixPlace& place, int rows) {
  return place.start % kSwizzleBytes + place.start / kSwizzleBytes * kSwizzleBytes +
         (rows / 8 - 1) * place.group_bytes + (kProductSteps - 1) * place.step_bytes + kSwizzleBytes;
}
int end_across_rows(const MatrixPlace& place, int columns) {
  return place.start + (columns / 64 - 1) * place.panel_bytes + place.group_bytes +
         (kProductSteps - 1) * place.step_bytes + kSwizzleBytes;
}

/// Anywhere along the depth within the swizzled rows; steps along them or from panel to panel. The hardware ignores
/// panel_bytes.
MatrixPlace random_along_rows(RandomBits& random, int rows) {
  for (;;) {
    MatrixPlace place{};
    const bool within = random.one_in(2);
    place.start = static_cast<std::int32_t>(random.below(kShared / kSwizzleBytes) * kSwizzleBytes +
                                            (within ? 0 : 32 * random.below(4)));
    place.panel_bytes = static_cast<std::int32_t>(kSwizzleBytes * random.between(1, 16));
    place.group_bytes = static_cast<std::int32_t>(kSwizzleBytes * random.between(1, 4));
    place.step_bytes = static_cast<std::int32_t>(within ? 32 : kSwizzleBytes * random.below(17));
    if (end_along_rows(place, rows) <= kShared) return place;
  }
}
MatrixPlace random_across_rows(RandomBits& random, int columns) {
  for (;;) {
    MatrixPlace place{};
    place.start = static_cast<std::int32_t>(random.below(kShared / kSwizzleBytes) * kSwizzleBytes);
    place.panel_bytes = static_cast<std::int32_t>(kSwizzleBytes * random.between(1, 16));
    place.group_bytes = static_cast<std::int32_t>(kSwizzleBytes * random.between(1, 4));
    place.step_bytes = static_cast<std::int32_t>(kSwizzleBytes * random.below(5));
    if (end_across_rows(place, columns) <= kShared) return place;
  }
}

/// As kernels place them (kernel/panel_memory.hpp): panels of 64 columns of so many rows.
ProductCase as_in_kernels(const Instance& instance, int block) {
  const int columns = 8 * instance.tiles;
  ProductCase test{};
  test.a = {block % 2 * 64 * 128, 128 * 128, kSwizzleBytes, 32};
  if (instance.kind == Kind::kRegisters) {
    test.b = {32 * 1024, 64 * 128, kSwizzleBytes, 2 * kSwizzleBytes};
  } else {
    test.b = {32 * 1024, columns * 128, kSwizzleBytes, 32};
  }
  test.add = block / 2 % 2;
  return test;
}

ProductCase random_case(const Instance& instance, RandomBits& random) {
  const int columns = 8 * instance.tiles;
  ProductCase test{};
  test.a = random_along_rows(random, 64);
  switch (instance.kind) {
    case Kind::kMemory:
      test.b = random_along_rows(random, columns);
      break;
    case Kind::kRegisters:
      test.b = random_across_rows(random, columns);
      break;
    case Kind::kGroups:  // the same memory for both products, of which one has 128 columns and the other 64
      test.b = random_along_rows(random, columns);
      test.b.start = test.b.start / kSwizzleBytes * kSwizzleBytes;
      break;
  }
  test.add = random.one_in(2) ? 1 : 0;
  return test;
}

template <class Number>
Experiment experiment(const Instance& instance, int blocks, RandomBits& random, const Number& number) {
  Experiment test;
  test.kernel = instance.kernel;
  test.blocks = blocks;
  test.threads = kProductThreads;
  test.shared_bytes = kShared;
  const std::int64_t fragments = kShared + std::int64_t{blocks} * static_cast<int>(sizeof(ProductCase));
  test.in.resize(static_cast<std::size_t>(fragments + std::int64_t{blocks} * kProductThreads * kFragmentBytes));
  put_elements(test.in, instance.dtype, 0, kShared / 2, number);
  for (int block = 0; block < blocks; ++block) {
    put(test.in, kShared + std::int64_t{block} * static_cast<int>(sizeof(ProductCase)),
        block < 4 ? as_in_kernels(instance, block) : random_case(instance, random));
  }
  put_elements(test.in, instance.dtype, fragments / 2, std::int64_t{blocks} * kProductThreads * kFragmentBytes / 2,
               number);
  const int floats = instance.kind == Kind::kGroups ? 16 + 8 : instance.tiles;
  test.out.resize(static_cast<std::size_t>(blocks) * kProductThreads * static_cast<std::size_t>(floats) * 16);
  return test;
}

/// Without signs; what the sums were is the same, 11 at most.
Experiment magnitudes_of(Experiment test) {
  const std::int64_t cases = kShared;
  const std::int64_t fragments = cases + test.blocks * std::int64_t{sizeof(ProductCase)};
  for (std::int64_t byte = 1; byte < static_cast<std::int64_t>(test.in.size()); byte += 2) {
    if (byte >= cases && byte < fragments) continue;
    test.in[static_cast<std::size_t>(byte)] &= std::byte{0x7F};
  }
  return test;
}

}  // namespace

void compare_products(Comparison& comparison, const Extent& extent) {
  for (const Instance& instance : kInstances) {
    RandomBits random(3);
    const auto blocks = static_cast<int>(extent.of(64));
    const std::string name = instance.name;
    const auto integer = [&](std::int64_t) { return static_cast<double>(random.between(-8, 8)); };
    comparison.expect_same(name + ", integers", experiment(instance, blocks, random, integer), blocks);

    constexpr double kBound = 0x1p-16;  // four times that of one product of depth sixteen
    const auto normal = [&](std::int64_t) { return random.normal(); };
    const Experiment test = experiment(instance, static_cast<int>(extent.of(16)), random, normal);
    const Comparison::Results results = comparison.run(test);
    double worst = 0;
    const std::string finding =
        beyond(results.real, results.emulated, comparison.emulated().run(magnitudes_of(test)), 22, kBound, worst);
    comparison.add(name + ", random", fmt::format("2^-16 of |c| + Σ|ab|; worst 2^{:.1f}", std::log2(worst)),
                   test.blocks, finding);
  }
}

}  // namespace varlen::fidelity
