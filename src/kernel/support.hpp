// What each forward kernel is compiled for, and why one was selected, in words.
#pragma once

#include <fmt/format.h>

#include <string>

#include "batch/ragged_batch.hpp"
#include "kernel/select.hpp"
#include "kernel/shapes.hpp"
#include "varlen/attention.hpp"

namespace varlen::kernel {

constexpr const char* architecture(Forward forward) {
  constexpr const char* kArchitectures[] = {"sm_80 and later", "sm_90a", "sm_100a and sm_103a"};
  return kArchitectures[static_cast<int>(forward)];
}

inline KernelSupport support(Forward forward) {
  const auto largest = [&](std::int64_t element_bytes) {
    const HeadDims dims = largest_head_dims(forward, element_bytes);
    return fmt::format("{} / {}", dims.qk, dims.vo);
  };
  std::string head_dims = largest(2);
  if (largest(1) != head_dims) head_dims += ", fp8 " + largest(1);
  const char* const if_asked = forward == Forward::kTcgen05 ? ", if asked for" : "";
  return {name(forward), std::string(architecture(forward)) + if_asked, head_dims};
}

/// The field that stands against a faster kernel, empty if there is none, and one line.
struct Reason {
  const char* field;
  std::string words;
};

/// Why this kernel computes `batch` in a plan for tiles of at most `tile_rows` rows.
inline Reason reason_of(const Selection& selection, const RaggedBatch& batch, std::int32_t tile_rows = 0) {
  const char* const faster = name(selection.preferred);
  const char* const dtype = dtype_name(batch.input_dtype);
  const HeadDims largest = largest_head_dims(selection.preferred, dtype_size(batch.input_dtype));
  const HeadDims compiled = kHeadDims[selection.shape];
  const auto with_value = [](const char* field, std::int64_t value, const std::string& rule) -> Reason {
    return {field, fmt::format("{} = {} {}", field, value, rule)};
  };
  const auto too_large = [&](const char* field, std::int32_t value, std::int32_t most) {
    return with_value(field, value, fmt::format("is more than {}, the largest of {} for {}", most, faster, dtype));
  };
  const auto chunks = [&](const char* field, std::int32_t value) {
    return with_value(field, value,
                      fmt::format("lets rows of {} end within the 16 bytes that {} copies at once", dtype, faster));
  };
  const auto columns = [&](const char* field, std::int32_t value, std::int32_t padded) {
    return with_value(field, value,
                      fmt::format("leaves {} or more of the {} columns of {} empty", kBoxColumns, padded, faster));
  };
  const auto memory = [&](const char* field) -> Reason {
    return {field,
            fmt::format("{}: {} loads by TMA, which needs an address and strides that are multiples of 16 bytes, "
                        "strides from 16 to below 2^40 bytes, and fewer than 2^31 tokens or pages",
                        field, faster)};
  };
  switch (selection.obstacle) {
    case Obstacle::kNone:
      if (selection.forward == Forward::kMma) return {"", "the only kernel for this device"};
      if (selection.forward == Forward::kTcgen05) return {"", "options.kernel asks for it; no GPU has run it yet"};
      return {"", fmt::format("the fastest kernel for {}", architecture(selection.forward))};
    case Obstacle::kAskedFor:
      return {"options.kernel", fmt::format("options.kernel = {} asks for it", name(selection.forward))};
    case Obstacle::kUnproven:
      return {"options.kernel", "no GPU has run forward_tcgen05 yet: it computes only if options.kernel asks for it"};
    case Obstacle::kHeadDimQk:
      return too_large("head_dim_qk", batch.head_dim_qk, largest.qk);
    case Obstacle::kHeadDimVo:
      return too_large("head_dim_vo", batch.head_dim_vo, largest.vo);
    case Obstacle::kChunksQk:
      return chunks("head_dim_qk", batch.head_dim_qk);
    case Obstacle::kChunksVo:
      return chunks("head_dim_vo", batch.head_dim_vo);
    case Obstacle::kColumnsQk:
      return columns("head_dim_qk", batch.head_dim_qk, compiled.qk);
    case Obstacle::kColumnsVo:
      return columns("head_dim_vo", batch.head_dim_vo, compiled.vo);
    case Obstacle::kPageRows:
      if (batch.page_size % kBoxRows == 0) {
        return {
            "target.key_block",
            fmt::format("target.key_block is no multiple of {} keys, as many as {} loads at least", kBoxRows, faster)};
      }
      return with_value("page_size", batch.page_size,
                        fmt::format("is no multiple of {} keys, as many as {} loads at least", kBoxRows, faster));
    case Obstacle::kDecodes:
      return {"query_lengths", fmt::format("query_lengths: no request has more than {} rows in a KV head's group, and "
                                           "then {} reads {} faster",
                                           kDecodingRows, name(selection.forward), dtype)};
    case Obstacle::kTileShapes:
      return {"target.tile_shapes",
              fmt::format("target.tile_shapes: {} takes at most {}", faster, QueryBoxes::kShapes)};
    case Obstacle::kTileRows:
      return with_value("target.tile_shapes[0].rows", tile_rows,
                        fmt::format("is more than {}, the tallest tile of {}",
                                    box_shape(selection.preferred, compiled).tile_rows, faster));
    case Obstacle::kNoKeys:
      return {"key_lengths", fmt::format("key_lengths: no request has keys for {} to load", faster)};
    case Obstacle::kLongRequest:
      return {"requests",
              fmt::format("requests: one is longer than the 2^30 queries or keys that {} can address", faster)};
    case Obstacle::kQuery:
      return memory("query");
    case Obstacle::kKey:
      return memory("key");
    case Obstacle::kValue:
      return memory("value");
  }
  return {"", ""};
}

/// The choice for a plan with tensors.
inline KernelChoice choice_of(const Selection& selection, const RaggedBatch& batch, const PlanTarget& target) {
  const Reason reason = reason_of(selection, batch, target.tile_shapes.front().rows);
  return {name(selection.forward), reason.words, reason.field};
}

/// The choice for all batches of a spec, which `batch` is without requests. Throws Error(kUnsupported).
inline KernelChoice choice_for_spec(const RaggedBatch& batch, const Offer& offer) {
  const Selection any = select(batch, kLongRequests, offer);
  Reason reason = reason_of(any, batch);
  const bool short_ones_differ = select(batch, {1, 1}, offer).obstacle == Obstacle::kDecodes;
  if (any.obstacle == Obstacle::kNone && short_ones_differ) {
    reason.words += fmt::format("; batches whose requests have at most {} rows in a group run on {}", kDecodingRows,
                                name(Forward::kMma));
  }
  return {name(any.forward), reason.words, reason.field};
}

}  // namespace varlen::kernel
