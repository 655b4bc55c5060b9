// What micro-kernels read and write: the launch's two arrays, and shared memory as a whole.
#pragma once

#include <cstdint>

#include "fidelity/micro_parameters.hpp"
#include "gpu/block_operations.hpp"
#include "gpu/operations.hpp"

namespace varlen::fidelity {

using Parameters = MicroParameters;

template <class T>
VARLEN_DEVICE T load_in(const Parameters& p, std::int64_t byte) {
  return gpu::load_global(reinterpret_cast<const T*>(p.in + byte));
}
template <class T>
VARLEN_DEVICE void store_out(const Parameters& p, std::int64_t byte, const T& value) {
  gpu::store_global(reinterpret_cast<T*>(p.out + byte), value);
}

VARLEN_DEVICE gpu::SharedAddress shared_at(std::int64_t byte) {
  return gpu::shared_memory() + static_cast<std::uint32_t>(byte);
}

/// The first `bytes` of shared memory become those of `in` from `from` on, for every way of reading them. By every
/// thread of the block.
VARLEN_DEVICE void fill_shared(const Parameters& p, std::int64_t from, std::int64_t bytes) {
  for (std::int64_t byte = 16 * gpu::thread_index(); byte < bytes; byte += 16 * gpu::thread_count()) {
    gpu::store_shared(shared_at(byte), load_in<gpu::Words4>(p, from + byte));
  }
  gpu::fence_shared_for_products();
  gpu::sync_block();
}
/// Shared memory from `from` on to `out`. By every thread of the block.
VARLEN_DEVICE void dump_shared(const Parameters& p, std::int64_t from, std::int64_t bytes, std::int64_t to) {
  gpu::sync_block();
  for (std::int64_t byte = 16 * gpu::thread_index(); byte < bytes; byte += 16 * gpu::thread_count()) {
    store_out(p, to + byte, gpu::load_shared(shared_at(from + byte)));
  }
}

}  // namespace varlen::fidelity
