// Products in tensor memory: what is asked for, taken apart and checked, and computed.
#include <fmt/format.h>

#include <cstring>
#include <vector>

#include "gpu/emulator/machine.hpp"
#include "gpu/emulator/matrix_places.hpp"
#include "gpu/emulator/number.hpp"
#include "gpu/emulator/tensor_operations.hpp"

namespace varlen::gpu::emulator {
namespace {

using Element = TensorProduct::Element;

constexpr int kMaxColumns = 256;
constexpr int kDepthBytes = 32;
constexpr int kOperandColumns = kDepthBytes / 4;  // of `a` in tensor memory
constexpr int kMaxDepth = kDepthBytes;

int element_bytes(Element element) { return element == Element::kFloat8E4M3 ? 1 : 2; }
int depth(Element element) { return kDepthBytes / element_bytes(element); }

/// PTX ISA: tcgen05, instruction descriptor of .kind::f16 and .kind::f8f6f4.
struct Shape {
  int columns;
  bool across_rows;
};
Shape decode_shape(Machine& machine, const Thread& thread, const TensorProduct& product) {
  const auto field = [&](int first, int bits) { return product.shape >> first & ((1U << bits) - 1); };
  const std::uint32_t format = product.element == Element::kBFloat16 ? 1 : 0;
  const Shape shape{static_cast<int>(field(17, 6)) * 8, field(16, 1) != 0};
  const bool is_known = field(0, 4) == 0 && field(4, 2) == 1 && field(6, 1) == 0 && field(7, 3) == format &&
                        field(10, 3) == format && field(13, 3) == 0 && field(23, 1) == 0 &&
                        field(24, 5) * 16 == kTensorLanes && field(29, 3) == 0;
  if (!is_known || shape.columns < 16 || shape.columns > kMaxColumns || shape.columns % 16 != 0) {
    machine.fail(
        thread, Operation::kTensorMultiply,
        fmt::format("has the shape {:#010x}, which is not of 128 rows and 16 to 256 columns of fp32 from operands "
                    "of its own type",
                    product.shape));
  }
  return shape;
}

MatrixPlaces decode_matrix(Machine& machine, const Thread& thread, std::uint64_t bits) {
  constexpr std::uint64_t kKnown = std::uint64_t{0x3FFF} | std::uint64_t{0x3FFF} << 16 | std::uint64_t{0x3FFF} << 32;
  constexpr std::uint64_t kConstant = std::uint64_t{1} << 46 | std::uint64_t{2} << 61;
  if ((bits & ~kKnown) != kConstant) {
    machine.fail(thread, Operation::kTensorMultiply,
                 fmt::format("has the matrix {:#018x}, which is not one of 128-byte swizzle", bits));
  }
  return MatrixPlaces::decode(bits);
}

TensorRange sums_of(const TensorProduct& product, const Shape& shape) {
  return {0, kTensorQuarters, static_cast<int>(product.sum & 0xFFFFU), shape.columns};
}
TensorRange operand_of(const TensorProduct& product) {
  return {0, kTensorQuarters, static_cast<int>(product.a & 0xFFFFU), kOperandColumns};
}

/// Calls visit(address) for each granule that it reads of shared memory.
template <class Visit>
void visit_shared(const TensorProduct& product, const Shape& shape, const Visit& visit) {
  const auto visit_granule = [&](int /*row*/, int /*granule*/, std::uint32_t address) { visit(address); };
  if (!product.a_in_tensor) MatrixPlaces::decode(product.a).visit_along_rows(kTensorLanes, visit_granule);
  const MatrixPlaces b = MatrixPlaces::decode(product.b);
  if (shape.across_rows) {
    b.visit_across_rows(depth(product.element), shape.columns * element_bytes(product.element), visit_granule);
  } else {
    b.visit_along_rows(shape.columns, visit_granule);
  }
}

Shape shape_of(const TensorProduct& product) {
  return {static_cast<int>(product.shape >> 17 & 63U) * 8, (product.shape >> 16 & 1U) != 0};
}

/// Elements of `bytes` bytes at `from`, as fp32.
void widen_all(Element element, const std::byte* from, int bytes, float* to) {
  if (element == Element::kFloat8E4M3) {
    for (int i = 0; i < bytes; ++i) to[i] = widen<Float8E4M3>(static_cast<std::uint8_t>(from[i]));
    return;
  }
  for (int i = 0; i < bytes / 2; ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, from + 2 * i, sizeof(bits));
    to[i] = element == Element::kBFloat16 ? widen<BFloat16>(bits) : widen<Float16>(bits);
  }
}

struct Operand {
  float a[kTensorLanes][kMaxDepth];
  float b[kMaxDepth][kMaxColumns];
};

void read_operands(Machine& machine, const TensorProduct& product, const Shape& shape, Operand& operand) {
  const Element element = product.element;
  const int in_granule = static_cast<int>(kGranuleBytes) / element_bytes(element);
  const auto granule = [&](std::uint32_t address, float* to) {
    widen_all(element, machine.shared().data(address), static_cast<int>(kGranuleBytes), to);
  };
  if (product.a_in_tensor) {
    const TensorRange range = operand_of(product);
    for (int lane = 0; lane < kTensorLanes; ++lane) {
      std::uint32_t words[kOperandColumns];
      for (int i = 0; i < kOperandColumns; ++i) words[i] = machine.tensor().word(lane, range.column + i);
      widen_all(element, reinterpret_cast<const std::byte*>(words), kDepthBytes, operand.a[lane]);
    }
  } else {
    MatrixPlaces::decode(product.a).visit_along_rows(kTensorLanes, [&](int row, int half, std::uint32_t address) {
      granule(address, &operand.a[row][half * in_granule]);
    });
  }
  const MatrixPlaces b = MatrixPlaces::decode(product.b);
  if (shape.across_rows) {
    b.visit_across_rows(
        depth(element), shape.columns * element_bytes(element),
        [&](int k, int place, std::uint32_t address) { granule(address, &operand.b[k][place * in_granule]); });
    return;
  }
  b.visit_along_rows(shape.columns, [&](int column, int half, std::uint32_t address) {
    float elements[kGranuleBytes];
    granule(address, elements);
    for (int i = 0; i < in_granule; ++i) operand.b[half * in_granule + i][column] = elements[i];
  });
}

}  // namespace

void begin_product(Machine& machine, const Thread& thread, const TensorActor& actor, const TensorProduct& product) {
  constexpr Operation kMultiply = Operation::kTensorMultiply;
  const Shape shape = decode_shape(machine, thread, product);
  if (!product.a_in_tensor) decode_matrix(machine, thread, product.a);
  decode_matrix(machine, thread, product.b);
  if (product.sum >> 16 != 0 || (product.a_in_tensor && product.a >> 16 != 0)) {
    machine.fail(thread, kMultiply, "is not of tensor memory's lanes from 0 on");
  }
  if (product.a_in_tensor) {
    const auto fault = machine.tensor().begin_product_read(operand_of(product), actor);
    if (fault) machine.fail(thread, kMultiply, *fault);
  }
  const auto fault = machine.tensor().begin_product_write(sums_of(product, shape), product.add, actor);
  if (fault) machine.fail(thread, kMultiply, *fault);
  visit_shared(product, shape, [&](std::uint32_t address) {
    const auto unreadable = machine.shared().begin_committed_read(address, machine.actor(thread));
    if (unreadable) machine.fail(thread, kMultiply, *unreadable);
    machine.check_fenced(thread, kMultiply, address);
  });
}

/// Products of elements are exact in fp32, sums are rounded to it one by one by rising k. (PTX ISA: tcgen05.mma: at
/// least single precision, in an order that is not specified.)
void execute_product(Machine& machine, const TensorProduct& product) {
  const Shape shape = shape_of(product);
  Operand operand;
  read_operands(machine, product, shape, operand);
  TensorMemory& tensor = machine.tensor();
  const TensorRange sums = sums_of(product, shape);
  for (int lane = 0; lane < kTensorLanes; ++lane) {
    float sum[kMaxColumns] = {};
    std::uint32_t* const words = &tensor.word(lane, sums.column);
    if (product.add) std::memcpy(sum, words, sizeof(float) * static_cast<std::size_t>(shape.columns));
    for (int k = 0; k < depth(product.element); ++k) {
      const float a = operand.a[lane][k];
      for (int column = 0; column < shape.columns; ++column) sum[column] += a * operand.b[k][column];
    }
    std::memcpy(words, sum, sizeof(float) * static_cast<std::size_t>(shape.columns));
  }
  if (product.a_in_tensor) tensor.end_product_read(operand_of(product), product.commit);
  tensor.end_product_write(sums, product.commit, product.thread);
  visit_shared(product, shape,
               [&](std::uint32_t address) { machine.shared().end_committed_read(address, product.commit); });
}

}  // namespace varlen::gpu::emulator
