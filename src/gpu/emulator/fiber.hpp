// A fiber and the switch from one to another. AddressSanitizer is told of every switch: it keeps book of stacks.
#pragma once

#include <boost/context/fiber.hpp>
#include <cstddef>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#define VARLEN_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VARLEN_ADDRESS_SANITIZER 1
#endif
#endif
#if defined(VARLEN_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace varlen::gpu::emulator {

struct Fiber {
  boost::context::fiber context;  // where it goes on; empty while it runs
  const void* stack = nullptr;    // lowest byte. Of a CPU thread's own stack: known from the first switch away from it
  std::size_t stack_bytes = 0;
  void* shadow = nullptr;  // AddressSanitizer's, while it does not run
};

/// Before a switch; `from` is null if it ends with it.
inline void announce_switch([[maybe_unused]] Fiber* from, [[maybe_unused]] const Fiber& to) {
#if defined(VARLEN_ADDRESS_SANITIZER)
  __sanitizer_start_switch_fiber(from == nullptr ? nullptr : &from->shadow, to.stack, to.stack_bytes);
#endif
}

/// After one, in the fiber that now runs: `self` came from `previous`.
inline void complete_switch([[maybe_unused]] Fiber& self, [[maybe_unused]] Fiber& previous) {
#if defined(VARLEN_ADDRESS_SANITIZER)
  const void* stack = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(self.shadow, &stack, &bytes);
  if (previous.stack == nullptr) {
    previous.stack = stack;
    previous.stack_bytes = bytes;
  }
#endif
}

/// Memory that held stacks, before something else may be mapped there.
inline void forget_frames([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t bytes) {
#if defined(VARLEN_ADDRESS_SANITIZER)
  __asan_unpoison_memory_region(memory, bytes);
#endif
}

}  // namespace varlen::gpu::emulator
