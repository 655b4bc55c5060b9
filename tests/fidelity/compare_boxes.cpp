// Boxes: every side clipped, several at once, and described as kernels describe ragged and paged tensors. A box wholly
// outside is not among them: it is an error, and the hardware gets some of them wrong.
#include <algorithm>
#include <functional>

#include "fidelity/comparison.hpp"
#include "fidelity/experiment_data.hpp"

namespace varlen::fidelity {
namespace {

constexpr int kRecords = 256;  // kMostBoxes places of 32 bytes (micro_copies.hpp)
constexpr int kMostBoxes = 8;
constexpr int kOrders = 3;  // BoxOrder

struct Place {
  std::int32_t at[gpu::kBoxRank];
};

/// A tensor, boxes of it, and where such a box may be.
struct Layout {
  const char* name;
  gpu::TensorBox box;
  std::int64_t offset;  // bytes from the array's begin to element (0, …)
  std::int64_t bytes;   // of the array
  std::function<Place(RandomBits&, const Layout&)> place;
};

std::int32_t between(RandomBits& random, std::int64_t low, std::int64_t high) {
  return static_cast<std::int32_t>(random.between(low, high));
}

/// Anywhere, as long as one element is inside; columns by chunks of eight. Each dimension inside as often as clipped.
Place anywhere(RandomBits& random, const Layout& layout) {
  Place place{};
  for (int d = 0; d < gpu::kBoxRank; ++d) {
    const std::int64_t unit = d == 0 ? 8 : 1;
    const std::int64_t size = layout.box.sizes[d] / unit;
    const std::int64_t extent = layout.box.box[d] / unit;
    const bool may_be_inside = size >= extent;
    const bool inside = may_be_inside && random.one_in(2);
    place.at[d] = static_cast<std::int32_t>(
        unit * (inside ? random.between(0, size - extent) : random.between(1 - extent, size - 1)));
  }
  return place;
}

Layout nested(const char* name, std::vector<std::int64_t> sizes, std::vector<std::int32_t> box) {
  Layout layout{name, {}, 0, 0, anywhere};
  std::int64_t stride = (sizes[0] + 8) * 2;  // gaps of sixteen bytes
  for (std::size_t d = 0; d < gpu::kBoxRank; ++d) {
    layout.box.sizes[d] = sizes[d];
    layout.box.box[d] = box[d];
    if (d + 1 == gpu::kBoxRank) break;
    layout.box.strides[d] = stride;
    stride *= sizes[d + 1];
    if (d % 2 == 0) stride += 32;
  }
  layout.bytes = (stride + 15) / 16 * 16;
  return layout;
}

constexpr std::int32_t kBound = 16;
constexpr std::int64_t kTokens = 40;

/// As kernel::KeyBoxes and QueryBoxes describe ragged tensors: dimensions 2 and 3 are both tokens.
Layout ragged(const char* name, std::int64_t heads, std::int64_t columns, std::int32_t box_heads,
              std::int32_t box_tokens) {
  const std::int64_t token = heads * columns * 2 + 48;
  Layout layout{name,
                {0,
                 {columns, heads, kBound, kTokens + 1, 1},
                 {columns * 2, token, token, token},
                 {64, box_heads, box_tokens, 1, 1}},
                -kBound * token,
                kTokens * token,
                {}};
  layout.place = [](RandomBits& random, const Layout& own) {
    const std::int32_t length = between(random, 1, kBound);
    const std::int32_t start = between(random, 0, kTokens - length);
    const std::int32_t first = between(random, 0, length - 1);
    const std::int64_t panels = (own.box.sizes[0] + 63) / 64;
    return Place{{between(random, 0, panels - 1) * 64, between(random, 0, own.box.sizes[1] - 1),
                  kBound - length + first, start + length, 0}};
  };
  return layout;
}

/// As kernel::KeyBoxes describes pages.
Layout paged(const char* name, std::int64_t heads, std::int64_t columns, std::int32_t box_tokens) {
  constexpr std::int64_t kPages = 6;
  const std::int64_t slot = heads * columns * 2;
  const std::int64_t page = kBound * slot + 64;
  Layout layout{
      name,
      {0, {columns, heads, kBound, kBound + 1, kPages}, {columns * 2, slot, slot, page}, {64, 1, box_tokens, 1, 1}},
      -kBound * slot,
      kPages * page,
      {}};
  layout.place = [](RandomBits& random, const Layout& own) {
    const std::int32_t slots = between(random, 1, kBound);
    const std::int32_t first = between(random, 0, (slots - 1) / own.box.box[2]) * own.box.box[2];
    const std::int64_t panels = (own.box.sizes[0] + 63) / 64;
    return Place{{between(random, 0, panels - 1) * 64, between(random, 0, own.box.sizes[1] - 1), kBound - slots + first,
                  slots, between(random, 0, own.box.sizes[4] - 1)}};
  };
  return layout;
}

std::vector<Layout> layouts() {
  return {nested("clipped anywhere, 64 × 2 × 2 × 2 × 1", {80, 5, 7, 4, 3}, {64, 2, 2, 2, 1}),
          nested("clipped anywhere, 64 × 1 × 2 × 2 × 2", {64, 3, 3, 3, 3}, {64, 1, 2, 2, 2}),
          nested("clipped anywhere, 64 × 4 × 3 × 1 × 2", {200, 9, 6, 2, 2}, {64, 4, 3, 1, 2}),
          nested("clipped anywhere, 64 × 8 × 1 × 1 × 1", {128, 11, 2, 1, 1}, {64, 8, 1, 1, 1}),
          nested("clipped anywhere, 64 × 1 × 16 × 1 × 1", {72, 2, 21, 2, 1}, {64, 1, 16, 1, 1}),
          nested("clipped anywhere, 64 × 1 × 1 × 8 × 1", {40, 2, 2, 9, 2}, {64, 1, 1, 8, 1}),
          nested("clipped anywhere, 64 × 1 × 1 × 1 × 8", {64, 2, 2, 2, 6}, {64, 1, 1, 1, 8}),
          ragged("queries: 3 heads of 72 columns, boxes of 2 × 8", 3, 72, 2, 8),
          ragged("keys: 2 heads of 128 columns, boxes of 16", 2, 128, 1, 16),
          ragged("keys: 1 head of 200 columns, boxes of 8", 1, 200, 1, 8),
          paged("pages: 2 heads of 64 columns, boxes of 8", 2, 64, 8),
          paged("pages: 3 heads of 136 columns, boxes of 16", 3, 136, 16)};
}

int box_bytes(const Layout& layout) {
  int bytes = 2;
  for (const std::int32_t extent : layout.box.box) bytes *= extent;
  return bytes;
}

void compare_loads(Comparison& comparison, const Layout& layout, RandomBits& random, int boxes, int order) {
  Experiment test;
  test.kernel = MicroKernel::kLoadBoxes;
  test.threads = 64;
  test.shared_bytes = boxes * box_bytes(layout) + 1024;
  test.in = random_bytes(random, test.shared_bytes + kRecords + layout.bytes);
  for (int box = 0; box < boxes; ++box) {
    put(test.in, test.shared_bytes + 32 * box, layout.place(random, layout));
  }
  test.tensor = {false, test.shared_bytes + kRecords + layout.offset, layout.box};
  test.value[0] = box_bytes(layout);
  test.value[1] = boxes;
  test.value[2] = order;
  test.out.resize(static_cast<std::size_t>(test.shared_bytes - 1024));
  comparison.expect_same(std::string("load_box, ") + layout.name, test, boxes);
}

/// The hardware stores no box that begins before the tensor: that is an illegal instruction. Those begin at 0 here.
Place storable(Place place) {
  for (std::int32_t& at : place.at) at = std::max(at, 0);
  return place;
}

void compare_store(Comparison& comparison, const Layout& layout, RandomBits& random) {
  Experiment test;
  test.kernel = MicroKernel::kStoreBoxes;
  test.threads = 64;
  test.shared_bytes = box_bytes(layout);
  test.in = random_bytes(random, test.shared_bytes + kRecords);
  put(test.in, test.shared_bytes, storable(layout.place(random, layout)));
  test.out = random_bytes(random, layout.bytes);
  test.tensor = {true, layout.offset, layout.box};
  test.value[0] = box_bytes(layout);
  test.value[1] = 1;
  comparison.expect_same(std::string("store_box, ") + layout.name, test, 1);
}

/// Each head of the ragged layout its own box, one after another.
void compare_several_stores(Comparison& comparison, RandomBits& random) {
  const Layout layout = ragged("several before they are waited for", 4, 64, 1, 8);
  Experiment test;
  test.kernel = MicroKernel::kStoreBoxes;
  test.threads = 64;
  test.shared_bytes = 4 * box_bytes(layout);
  test.in = random_bytes(random, test.shared_bytes + kRecords);
  for (std::int32_t head = 0; head < 4; ++head) {
    Place place = layout.place(random, layout);
    place.at[1] = head;
    put(test.in, test.shared_bytes + 32 * head, place);
  }
  test.out = random_bytes(random, layout.bytes);
  test.tensor = {true, layout.offset, layout.box};
  test.value[0] = box_bytes(layout);
  test.value[1] = 4;
  comparison.expect_same(std::string("store_box, ") + layout.name, test, 4);
}

}  // namespace

void compare_boxes(Comparison& comparison, const Extent& extent) {
  RandomBits random(4);
  for (const Layout& layout : layouts()) {
    for (int i = 0; i < extent.of(24); ++i) compare_loads(comparison, layout, random, kMostBoxes, i % kOrders);
  }
  for (const Layout& layout : layouts()) {
    for (int i = 0; i < extent.of(96); ++i) compare_store(comparison, layout, random);
  }
  for (int i = 0; i < extent.of(16); ++i) compare_several_stores(comparison, random);
}

}  // namespace varlen::fidelity
