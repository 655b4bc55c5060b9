#include "output_image.hpp"

#include <fmt/format.h>

namespace varlen::gpu_check {
namespace {

bool is_nan(Dtype dtype, std::uint32_t bits) {
  switch (dtype) {
    case Dtype::kFloat32:
      return (bits & 0x7FFFFFFFU) > 0x7F800000U;
    case Dtype::kFloat16:
      return (bits & 0x7FFFU) > 0x7C00U;
    default:
      return (bits & 0x7FFFU) > 0x7F80U;
  }
}

}  // namespace

OutputImage::OutputImage(Machine& machine, const PlacedCase& placed, int output, bool lse)
    : view_(lse ? placed.tensors(output).lse : placed.tensors(output).out),
      region_(placed.output_region(output, lse)),
      first_((static_cast<const std::byte*>(view_.data) - static_cast<const std::byte*>(region_.data)) /
             dtype_size(view_.dtype)),
      bytes_(static_cast<std::size_t>(region_.elements * dtype_size(view_.dtype))) {
  machine.download(bytes_.data(), region_.data, static_cast<std::int64_t>(bytes_.size()));
  region_.data = bytes_.data();
}

std::int64_t OutputImage::row_elements() const { return view_.shape[1] * (view_.rank == 3 ? view_.shape[2] : 1); }

std::uint32_t OutputImage::bits(std::int64_t element) const {
  return oracle::load_bits(region_.dtype, region_.data, element);
}

void OutputImage::visit(std::int64_t token, const std::function<void(std::int64_t)>& function) const {
  const std::int64_t columns = view_.rank == 3 ? view_.shape[2] : 1;
  for (std::int64_t head = 0; head < view_.shape[1]; ++head) {
    const std::int64_t row = first_ + token * view_.strides[0] + head * view_.strides[1];
    for (std::int64_t column = 0; column < columns; ++column) function(row + column);
  }
}

std::int64_t OutputImage::nan_count(std::int64_t token) const {
  std::int64_t count = 0;
  visit(token, [&](std::int64_t element) { count += is_nan(region_.dtype, bits(element)) ? 1 : 0; });
  return count;
}

bool OutputImage::equals(const OutputImage& other, std::int64_t token) const {
  bool same = true;
  visit(token, [&](std::int64_t element) { same &= bits(element) == other.bits(element - first_ + other.first_); });
  return same;
}

bool OutputImage::is_old(std::int64_t token) const {
  bool old = true;
  visit(token, [&](std::int64_t element) {
    old &= bits(element) == oracle::pattern_bits(region_.dtype, kOldMemory, element);
  });
  return old;
}

bool OutputImage::gaps_are_old() const {
  std::vector<bool> is_row(static_cast<std::size_t>(region_.elements));
  for (std::int64_t token = 0; token < tokens(); ++token) {
    visit(token, [&](std::int64_t element) { is_row[static_cast<std::size_t>(element)] = true; });
  }
  for (std::int64_t element = 0; element < region_.elements; ++element) {
    if (is_row[static_cast<std::size_t>(element)]) continue;
    if (bits(element) != oracle::pattern_bits(region_.dtype, kOldMemory, element)) return false;
  }
  return true;
}

void make_old(Machine& machine, const PlacedCase& placed, int output) {
  for (const bool lse : {false, true}) {
    if (lse && !placed.test().lse) continue;
    machine.fill(placed.output_region(output, lse), kOldMemory);
  }
}

std::string find_number(Machine& machine, const PlacedCase& placed, int output) {
  for (const bool lse : {false, true}) {
    if (lse && !placed.test().lse) continue;
    const char* const name = lse ? "lse" : "out";
    const OutputImage image(machine, placed, output, lse);
    if (!image.gaps_are_old()) return fmt::format("memory between the rows of {} was written", name);
    for (std::int64_t token = 0; token < image.tokens(); ++token) {
      if (!image.all_nan(token)) return fmt::format("{}[token {}] has a number", name, token);
    }
  }
  return {};
}

}  // namespace varlen::gpu_check
