#include "check/device_tensors.hpp"

#include <algorithm>

#include "batch/tensor_fields.hpp"

namespace varlen::check {
namespace {

constexpr std::int64_t kMargin = 512;
constexpr std::int64_t kAlignment = 256;
constexpr std::byte kCanary{0xA5};
/// Larger pieces are mostly gaps, which nobody has ever touched: only the requests' rows are copied.
constexpr std::int64_t kLargestWhole = std::int64_t{1} << 28;

std::byte* begin_of(const TensorView& view) { return static_cast<std::byte*>(view.data); }

std::byte* end_of(const TensorView& view) {
  std::int64_t last = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(view.rank); ++i) {
    if (view.shape[i] == 0) return begin_of(view);
    last += (view.shape[i] - 1) * view.strides[i];
  }
  return begin_of(view) + (last + 1) * dtype_size(view.dtype);
}

}  // namespace

template <typename Visit>
void DeviceTensors::visit_rows(const TensorView& view, const Visit& visit) const {
  const bool of_keys = view.data == host_.key.data || view.data == host_.value.data;
  const std::int64_t size = dtype_size(view.dtype);
  const auto visit_token = [&](std::int64_t offset) {
    const bool of_rows = view.rank > 2;  // the LSE has single elements
    const auto head_dimension = static_cast<std::size_t>(of_rows ? view.rank - 2 : 1);
    for (std::int64_t head = 0; head < view.shape[head_dimension]; ++head) {
      visit((offset + head * view.strides[head_dimension]) * size,
            of_rows ? view.shape[head_dimension + 1] * size : size);
    }
  };
  if (view.rank == 4) {
    for (std::int64_t page = 0; page < view.shape[0]; ++page) {
      for (std::int64_t slot = 0; slot < view.shape[1]; ++slot) {
        visit_token(page * view.strides[0] + slot * view.strides[1]);
      }
    }
    return;
  }
  for (const RequestExtent& request : batch_.requests) {
    const std::int64_t begin = of_keys ? request.key_start : request.query_start;
    const std::int64_t end = begin + (of_keys ? request.key_length : request.query_length);
    for (std::int64_t token = begin; token < end; ++token) visit_token(token * view.strides[0]);
  }
}

DeviceTensors::DeviceTensors(const RaggedBatch& batch, const Tensors& host, std::int32_t device)
    : batch_(batch), host_(host), tensors_(host) {
  struct Range {
    std::byte* begin;
    std::byte* end;
    bool output;
  };
  std::vector<Range> ranges;
  for (const TensorField& field : kTensorFields) {
    const TensorView& view = host_.*field.view;
    const bool output = field.view == &Tensors::out || field.view == &Tensors::lse;
    if (view.present()) ranges.push_back({begin_of(view), end_of(view), output});
  }
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::vector<Range> joined;
  for (const Range& range : ranges) {
    if (!joined.empty() && range.begin < joined.back().end) {
      joined.back().end = std::max(joined.back().end, range.end);
      joined.back().output |= range.output;
    } else {
      joined.push_back(range);
    }
  }
  for (const Range& range : joined) {
    const std::int64_t bytes = range.end - range.begin;
    DeviceMemory memory(bytes + 2 * kMargin + kAlignment, device);
    auto* const data =
        static_cast<std::byte*>(memory.data()) + kMargin + reinterpret_cast<std::uintptr_t>(range.begin) % kAlignment;
    pieces_.push_back({range.begin, range.end, range.output, std::move(memory), data});
    if (bytes > kLargestWhole) continue;
    std::vector<std::byte> image(static_cast<std::size_t>(pieces_.back().memory.bytes()), kCanary);
    std::copy(range.begin, range.end, image.begin() + (data - static_cast<std::byte*>(pieces_.back().memory.data())));
    copy_to_device(pieces_.back().memory.data(), image.data(), pieces_.back().memory.bytes());
  }
  for (const TensorField& field : kTensorFields) {
    TensorView& view = tensors_.*field.view;
    if (!view.present()) continue;
    const TensorView& host_view = host_.*field.view;
    const std::byte* const from = begin_of(host_view);
    const Piece& piece = piece_of(from);
    view.data = piece.data + (from - piece.begin);
    view.device = DeviceKind::kCuda;
    view.device_index = device;
    if (piece.end - piece.begin <= kLargestWhole || end_of(host_view) == from) continue;
    visit_rows(host_view, [&](std::int64_t offset, std::int64_t bytes) {
      copy_to_device(begin_of(view) + offset, from + offset, bytes);
    });
  }
}

DeviceTensors::Piece& DeviceTensors::piece_of(const std::byte* address) {
  return *std::find_if(pieces_.begin(), pieces_.end(), [&](const Piece& piece) {
    return address >= piece.begin && (address < piece.end || (piece.begin == piece.end && address == piece.begin));
  });
}

std::string DeviceTensors::copy_back() {
  for (Piece& piece : pieces_) {
    const std::int64_t bytes = piece.end - piece.begin;
    if (bytes > kLargestWhole) continue;
    std::vector<std::byte> image(static_cast<std::size_t>(piece.memory.bytes()));
    copy_to_host(image.data(), piece.memory.data(), piece.memory.bytes());
    const auto begin = image.begin() + (piece.data - static_cast<std::byte*>(piece.memory.data()));
    const auto is_canary = [](std::byte byte) { return byte == kCanary; };
    if (!std::all_of(image.begin(), begin, is_canary) || !std::all_of(begin + bytes, image.end(), is_canary)) {
      return "device memory beside a tensor changed";
    }
    if (piece.output) {
      std::copy(begin, begin + bytes, piece.begin);
    } else if (!std::equal(piece.begin, piece.end, begin)) {
      return "an input in device memory changed";
    }
  }
  for (const auto member : {&Tensors::out, &Tensors::lse}) {
    const TensorView* const from = &(tensors_.*member);
    const TensorView* const to = &(host_.*member);
    if (!to->present() || end_of(*to) == begin_of(*to)) continue;
    const Piece& piece = piece_of(begin_of(*to));
    if (piece.end - piece.begin <= kLargestWhole) continue;
    visit_rows(*to, [&](std::int64_t offset, std::int64_t bytes) {
      copy_to_host(begin_of(*to) + offset, begin_of(*from) + offset, bytes);
    });
  }
  return {};
}

}  // namespace varlen::check
