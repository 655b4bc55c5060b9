// Micro-kernels of copies: boxes, and the asynchronous copies of threads.
#pragma once

#include "fidelity/micro_memory.hpp"

namespace varlen::fidelity {

/// When a barrier is told how many bytes come.
enum BoxOrder : std::int32_t { kExpectedFirst, kExpectedAfter, kExpectedInTwoParts };
inline constexpr int kMostBoxes = 8;
inline constexpr int kBoxRecord = 32;  // in `in`: five numbers of a place

/// value: bytes of a box, boxes, order. in: an image of shared memory (where the boxes come, in order, then a kilobyte
/// for barriers), then the boxes' places, then the tensor. out: shared memory but for the barriers, after each box.
struct LoadBoxes {
  VARLEN_DEVICE static void run(const Parameters& p) {
    const int box_bytes = p.value[0];
    const int boxes = p.value[1];
    const int order = p.value[2];
    const int image = p.shared_bytes - 1024;
    const gpu::SharedAddress barrier = shared_at(image);
    fill_shared(p, 0, image);
    if (gpu::thread_index() == 0) {
      gpu::init_barrier(barrier, order == kExpectedInTwoParts ? 2 : 1);
      gpu::fence_barriers();
    }
    gpu::sync_block();
    const auto bytes = static_cast<std::uint32_t>(box_bytes);
    for (int box = 0; box < boxes; ++box) {
      if (gpu::thread_index() == 0) {
        gpu::BoxPlace place;
        for (int d = 0; d < gpu::kBoxRank; ++d) {
          place[d] = load_in<std::int32_t>(p, p.shared_bytes + box * kBoxRecord + 4 * d);
        }
        if (order == kExpectedFirst) gpu::arrive_expecting(barrier, bytes);
        if (order == kExpectedInTwoParts) gpu::arrive_expecting(barrier, bytes / 2);
        gpu::load_box(shared_at(box * box_bytes), p.map, place, barrier);
        if (order == kExpectedAfter) gpu::arrive_expecting(barrier, bytes);
        if (order == kExpectedInTwoParts) gpu::arrive_expecting(barrier, bytes - bytes / 2);
      }
      gpu::wait_for(barrier, static_cast<std::uint32_t>(box % 2));
      gpu::sync_block();  // nobody misses a phase
    }
    // A phase without bytes ends only if all boxes have brought exactly what was expected.
    if (gpu::thread_index() == 0) {
      gpu::arrive(barrier);
      if (order == kExpectedInTwoParts) gpu::arrive(barrier);
    }
    gpu::wait_for(barrier, static_cast<std::uint32_t>(boxes % 2));
    dump_shared(p, 0, image, 0);
  }
};

/// value: bytes of a box, boxes. in: an image of shared memory (the boxes in order), then their places. out: the
/// tensor.
struct StoreBoxes {
  VARLEN_DEVICE static void run(const Parameters& p) {
    fill_shared(p, 0, p.shared_bytes);
    if (gpu::thread_index() != 0) return;
    for (int box = 0; box < p.value[1]; ++box) {
      gpu::BoxPlace place;
      for (int d = 0; d < gpu::kBoxRank; ++d) {
        place[d] = load_in<std::int32_t>(p, p.shared_bytes + box * kBoxRecord + 4 * d);
      }
      gpu::store_box(p.map, place, shared_at(box * p.value[0]));
    }
    gpu::store_box_wait();
  }
};

inline constexpr int kCopyThreads = 128;
inline constexpr int kCopies = 4;  // of a thread, a group each

/// A copy of one chunk: which of `in`, and whether it is there.
struct CopyRecord {
  std::int32_t chunk;
  std::int32_t present;
};
VARLEN_DEVICE void start_copy(const Parameters& p, int copy) {
  const std::int64_t index =
      std::int64_t{gpu::block_index()} * kCopyThreads * kCopies + copy * kCopyThreads + gpu::thread_index();
  const auto chunk = load_in<std::int32_t>(p, p.value[0] + 8 * index);
  const auto present = load_in<std::int32_t>(p, p.value[0] + 8 * index + 4);
  gpu::copy_async_16(shared_at((copy * kCopyThreads + gpu::thread_index()) * 16), p.in + std::int64_t{chunk} * 16,
                     present != 0);
}

/// value: where the CopyRecords are in `in`, [blocks, kCopies, threads]. in: chunks, then those. out: what each thread
/// copied, as soon as its group is there.
struct CopyAsync {
  VARLEN_DEVICE static void run(const Parameters& p) {
    for (int copy = 0; copy < kCopies; ++copy) {
      start_copy(p, copy);
      gpu::copy_async_commit();
    }
    gpu::copy_async_wait<kCopies - 1>();
    take(p, 0);
    gpu::copy_async_wait<1>();
    take(p, 1);
    take(p, 2);
    gpu::copy_async_wait<0>();
    take(p, 3);
  }

 private:
  VARLEN_DEVICE static void take(const Parameters& p, int copy) {
    const int place = copy * kCopyThreads + gpu::thread_index();
    store_out(p, (std::int64_t{gpu::block_index()} * kCopyThreads * kCopies + place) * 16,
              gpu::load_shared(shared_at(place * 16)));
  }
};

/// The same through a barrier: each thread takes what another one copied.
struct CopyAsyncArrive {
  VARLEN_DEVICE static void run(const Parameters& p) {
    const gpu::SharedAddress barrier = shared_at(kCopies * kCopyThreads * 16);
    if (gpu::thread_index() == 0) {
      gpu::init_barrier(barrier, kCopyThreads);
      gpu::fence_barriers();
    }
    gpu::sync_block();
    for (int copy = 0; copy < kCopies; ++copy) {
      start_copy(p, copy);
      gpu::copy_async_arrive(barrier);
      gpu::wait_for(barrier, static_cast<std::uint32_t>(copy % 2));
      const int place = copy * kCopyThreads + (gpu::thread_index() + 37) % kCopyThreads;
      store_out(p, (std::int64_t{gpu::block_index()} * kCopyThreads * kCopies + place) * 16,
                gpu::load_shared(shared_at(place * 16)));
    }
  }
};

}  // namespace varlen::fidelity
