// How tensors are described as boxes (Boxes), and what stands against it. Runs on the host.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>

#include "batch/ragged_batch.hpp"
#include "kernel/parameters.hpp"
#include "kernel/shapes.hpp"
#include "plan/select_tiles.hpp"
#include "varlen/attention.hpp"

namespace varlen::kernel {

/// No request of a batch is longer: boxes must hold it.
struct LongestRequest {
  std::int64_t queries = 0;
  std::int64_t keys = 0;
};
inline LongestRequest longest_request(const RaggedBatch& batch) {
  LongestRequest longest;
  for (const RequestExtent& request : batch.requests) {
    longest.queries = std::max(longest.queries, request.query_length);
    longest.keys = std::max(longest.keys, request.key_length);
  }
  return longest;
}

/// What keeps a batch from the kernel that it would otherwise run on.
enum class Obstacle : std::uint8_t {
  kNone,
  // Of the device and the caller.
  kAskedFor,  // the caller asks for the kernel that runs
  kUnproven,  // no GPU has run the device's own kernel yet
  // Of the spec and the lengths.
  kHeadDimQk,  // larger than any that the kernel is compiled for
  kHeadDimVo,
  kChunksQk,  // rows end within the sixteen bytes that are copied at once
  kChunksVo,
  kColumnsQk,  // one of the boxes of a row would be empty
  kColumnsVo,
  kPageRows,  // pages are no whole number of boxes
  kDecodes,   // forward_mma is faster
  // Of the target and the tensors.
  kTileShapes,
  kTileRows,
  kNoKeys,
  kLongRequest,
  kQuery,  // the tensor's address or strides
  kKey,
  kValue,
};

inline constexpr std::int32_t kBoxColumns = 64;  // of two bytes, or twice as many of one byte
inline constexpr std::int64_t kBoxRows = 8;      // at least: fewer would be out of step with the swizzle

/// Describes the tensors of one call. `Encode` makes a gpu::TensorMap of a gpu::TensorBox: bool(box, map), false if it
/// cannot.
template <class Encode>
class BoxMaker {
 public:
  BoxMaker(const RaggedBatch& batch, const ForwardParameters& parameters, const LongestRequest& longest,
           const Encode& encode)
      : batch_(batch), parameters_(parameters), longest_(longest), encode_(encode) {}

  /// `pages` of paged tensors; `step` keys are loaded at a time, from a multiple of `key_block` on.
  Obstacle describe_keys(std::int64_t pages, std::int32_t key_block, std::int32_t step, KeyBoxes& boxes) const {
    const std::int64_t page_size = batch_.page_size;
    if (longest_.keys == 0) return Obstacle::kNoKeys;
    boxes.rows = step;
    if (page_size > 0) {
      // The largest power of two of which steps, items and pages hold whole numbers.
      const std::int64_t sizes = page_size | key_block | step;
      boxes.rows = static_cast<std::int32_t>(sizes & -sizes);
      if (boxes.rows < kBoxRows) return Obstacle::kPageRows;
    }
    const auto bound = bound_of(page_size > 0 ? page_size : longest_.keys, boxes.rows);
    if (!bound) return Obstacle::kLongRequest;
    boxes.bound = *bound;
    const Extents extents{batch_.kv_heads, boxes.bound,
                          page_size > 0 ? boxes.bound + std::int64_t{1} : batch_.key_tokens + 1,
                          page_size > 0 ? pages : 1};
    const Dtype dtype = batch_.input_dtype;
    if (!describe(parameters_.key, dtype, batch_.head_dim_qk, extents, 1, boxes.rows, boxes.key)) return Obstacle::kKey;
    const bool values = describe(parameters_.value, dtype, batch_.head_dim_vo, extents, 1, boxes.rows, boxes.value);
    return values ? Obstacle::kNone : Obstacle::kValue;
  }

  Obstacle describe_queries(std::span<const TileShape> shapes, const TilePackings& packings, QueryBoxes& boxes) const {
    const auto bound = bound_of(longest_.queries, shapes.front().rows);
    if (!bound) return Obstacle::kLongRequest;
    boxes.bound = *bound;
    for (int shape = 0; shape < static_cast<int>(shapes.size()); ++shape) {
      for (const bool packed : {true, false}) {
        const HeadPacking packing = packings.packing_of(shape, packed);
        const std::int32_t kind = QueryBoxes::index(shape, packed);
        boxes.heads[kind] = packing.heads_per_tile;
        boxes.rows[kind] = packing.heads_per_tile * packing.tile_tokens;
        if (!describe(parameters_.query, batch_.input_dtype, batch_.head_dim_qk, query_extents(boxes),
                      packing.heads_per_tile, packing.tile_tokens, boxes.query[kind])) {
          return Obstacle::kQuery;
        }
      }
    }
    return Obstacle::kNone;
  }

  /// Whether results can be stored in boxes. After describe_queries(): tiles of results are those of queries, whose
  /// place in shared memory they take. So both have two bytes there.
  bool describe_out(Forward forward, std::size_t shapes, QueryBoxes& boxes) const {
    const bool wide_queries = dtype_size(batch_.input_dtype) == 2 || forward == Forward::kWgmma;
    if (dtype_size(batch_.output_dtype) != 2 || !wide_queries) return false;
    for (std::size_t kind = 0; kind < 2 * shapes; ++kind) {
      if (!describe(parameters_.out, batch_.output_dtype, batch_.head_dim_vo, query_extents(boxes), boxes.heads[kind],
                    boxes.rows[kind] / boxes.heads[kind], boxes.out[kind])) {
        return false;
      }
    }
    return true;
  }

 private:
  /// Of all dimensions but the first.
  struct Extents {
    std::int64_t heads;
    std::int64_t places;
    std::int64_t tokens;
    std::int64_t pages;
  };

  static constexpr std::int64_t kMaxBound = std::int64_t{1} << 30;

  static std::optional<std::int32_t> bound_of(std::int64_t longest, std::int64_t box_rows) {
    const std::int64_t least = std::max(longest, box_rows);
    if (least > kMaxBound) return std::nullopt;
    return static_cast<std::int32_t>(std::bit_ceil(static_cast<std::uint64_t>(least)));
  }

  Extents query_extents(const QueryBoxes& boxes) const {
    return {batch_.query_heads, boxes.bound, batch_.query_tokens + 1, 1};
  }

  /// Boxes know elements of two bytes only: they take two of one byte for one, which rows of whole chunks allow.
  bool describe(const RowAddresses& rows, Dtype dtype, std::int32_t head_dim, const Extents& extents,
                std::int32_t box_heads, std::int32_t box_tokens, gpu::TensorMap& map) const {
    constexpr std::int64_t kMaxStride = std::int64_t{1} << 40;
    constexpr std::int64_t kMaxSize = std::int64_t{1} << 31;
    const std::int64_t bytes = dtype_size(dtype);
    const std::int64_t token = rows.token_stride * bytes;
    // The strides of dimensions of one element mean nothing, but must be of the kind that others are. Strides of 0, as
    // of expanded heads, are not for boxes.
    const std::int64_t head = extents.heads > 1 ? rows.head_stride * bytes : token;
    const std::int64_t page = extents.pages > 1 ? rows.page_stride * bytes : token;
    if (!rows.in_chunks || std::min({token, head, page}) <= 0 || std::max({token, head, page}) >= kMaxStride ||
        std::max(extents.tokens, extents.pages) >= kMaxSize) {
      return false;
    }
    const auto base = reinterpret_cast<std::uint64_t>(rows.data) - static_cast<std::uint64_t>(extents.places * token);
    const gpu::TensorBox box{base,
                             {head_dim * bytes / 2, extents.heads, extents.places, extents.tokens, extents.pages},
                             {head, token, token, page},
                             {64, box_heads, box_tokens, 1, 1}};
    return encode_(box, map);
  }

  const RaggedBatch& batch_;
  const ForwardParameters& parameters_;
  LongestRequest longest_;
  const Encode& encode_;
};

/// Fills in the boxes of a kernel, whose tiles have one or two shapes that are not taller than the kernel knows them,
/// or says what stands against them.
template <class Encode>
Obstacle make_boxes(Forward forward, const HeadDims& dims, const RaggedBatch& batch, const PlanTarget& target,
                    const Tensors& tensors, const ForwardParameters& parameters, const LongestRequest& longest,
                    const Encode& encode, Boxes& boxes) {
  const std::span<const TileShape> shapes = target.tile_shapes;
  if (shapes.size() > QueryBoxes::kShapes) return Obstacle::kTileShapes;
  const BoxShape shape = box_shape(forward, dims);
  if (shapes.front().rows > shape.tile_rows) return Obstacle::kTileRows;
  const BoxMaker maker(batch, parameters, longest, encode);
  const std::int64_t pages = batch.page_size > 0 ? tensors.key.shape[0] : 1;
  Obstacle obstacle = maker.describe_keys(pages, target.key_block, shape.step_keys, boxes.keys);
  if (obstacle != Obstacle::kNone) return obstacle;
  obstacle = maker.describe_queries(shapes, TilePackings(target, batch.group), boxes.queries);
  if (obstacle != Obstacle::kNone) return obstacle;
  boxes.stores_out = maker.describe_out(forward, shapes.size(), boxes.queries);
  return Obstacle::kNone;
}

}  // namespace varlen::kernel
