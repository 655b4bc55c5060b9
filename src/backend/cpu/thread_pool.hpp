// Threads that compute a call together. They are the library's own, so they work beside any OpenMP runtime and after
// fork() (docs/decisions/0012-cpu-threads.md).
#pragma once

#include <cstdint>
#include <type_traits>

namespace varlen::cpu {

/// What the threads of one call do: share work that they draw from a counter.
struct ThreadBody {
  void (*run)(const void* context, std::int32_t thread) noexcept;
  const void* context;
};

/// Runs the body on the calling thread, as thread 0, and on up to `threads` − 1 helpers, numbered from 1. Returns when
/// all of them have returned.
///
/// A body returns when nothing is left to draw: a helper that has not joined by then will not. Nothing may rely on a
/// number of helpers, and a body must not wait for another: helpers may serve other callers or be impossible to start.
/// Any thread may call at any time, also in a child of fork(), but not from a body.
void run_on_threads(std::int32_t threads, ThreadBody body) noexcept;

/// The same for a callable `body(thread)`.
template <class Body>
void run_on_threads(std::int32_t threads, const Body& body) noexcept {
  static_assert(std::is_nothrow_invocable_v<const Body&, std::int32_t>, "an exception could not leave a helper");
  const auto run = [](const void* context, std::int32_t thread) noexcept {
    (*static_cast<const Body*>(context))(thread);
  };
  run_on_threads(threads, ThreadBody{run, &body});
}

}  // namespace varlen::cpu
