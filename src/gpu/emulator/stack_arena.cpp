#include "gpu/emulator/stack_arena.hpp"

#include <sys/mman.h>

#include <new>

#include "gpu/emulator/fiber.hpp"

namespace varlen::gpu::emulator {
namespace {

constexpr std::size_t kGuardBytes = 4096;
// Frames of unoptimised and of instrumented kernels are several times as large as those of optimised ones.
constexpr std::size_t kStackBytes = std::size_t{256} << 10;
constexpr std::size_t kSlotBytes = kGuardBytes + kStackBytes;
// Tops at one offset within a page would all lie in one set of the first-level cache.
constexpr std::size_t kLine = 64;
constexpr std::size_t kColours = 64;
constexpr std::size_t kColourStep = 23;

}  // namespace

StackArena::~StackArena() { release(); }

void StackArena::release() noexcept {
  if (memory_ != nullptr) {
    forget_frames(memory_, bytes_);
    munmap(memory_, bytes_);
  }
  memory_ = nullptr;
  stacks_ = 0;
}

void StackArena::reserve(int stacks) {
  if (stacks <= stacks_) return;
  release();
  bytes_ = static_cast<std::size_t>(stacks) * kSlotBytes;
  void* const memory =
      mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<std::byte*>(memory);
  stacks_ = stacks;
  for (int i = 0; i < stacks; ++i) {
    if (mprotect(memory_ + static_cast<std::size_t>(i) * kSlotBytes, kGuardBytes, PROT_NONE) != 0) {
      throw std::bad_alloc();
    }
  }
}

boost::context::stack_context StackArena::stack(int index) const {
  const auto i = static_cast<std::size_t>(index);
  const std::size_t colour = i * kColourStep % kColours * kLine;
  boost::context::stack_context context;
  context.size = kStackBytes - colour;
  context.sp = memory_ + (i + 1) * kSlotBytes - colour;
  return context;
}

}  // namespace varlen::gpu::emulator
