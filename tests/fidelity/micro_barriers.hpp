// Micro-kernels of barriers, and of the counter that blocks share.
#pragma once

#include "fidelity/micro_memory.hpp"

namespace varlen::fidelity {

inline constexpr int kPhases = 7;
inline constexpr int kPhaseThreads = 128;
inline constexpr int kPhaseWriters = kPhaseThreads - 32;

/// Three warps write kPhases times to the same place, the first one reads it. in: [blocks, kPhases, writers] chunks;
/// out: those, as they were read.
struct BarrierPhases {
  VARLEN_DEVICE static void run(const Parameters& p) {
    const gpu::SharedAddress full = shared_at(kPhaseWriters * 16);
    const gpu::SharedAddress empty = full + 8;
    if (gpu::thread_index() == 0) {
      gpu::init_barrier(full, kPhaseWriters);
      gpu::init_barrier(empty, 32);
      gpu::fence_barriers();
    }
    gpu::sync_block();
    for (int phase = 0; phase < kPhases; ++phase) {
      const auto parity = static_cast<std::uint32_t>(phase % 2);
      const std::int64_t first = (std::int64_t{gpu::block_index()} * kPhases + phase) * kPhaseWriters;
      if (gpu::warp_index() > 0) {
        const int writer = gpu::thread_index() - 32;
        gpu::wait_for(empty, parity ^ 1U);  // at once for the first
        gpu::store_shared(shared_at(writer * 16), load_in<gpu::Words4>(p, (first + writer) * 16));
        gpu::arrive(full);
        continue;
      }
      gpu::wait_for(full, parity);
      for (int writer = gpu::lane_index(); writer < kPhaseWriters; writer += 32) {
        store_out(p, (first + writer) * 16, gpu::load_shared(shared_at(writer * 16)));
      }
      gpu::arrive(empty);
    }
  }
};

inline constexpr int kTurns = 5;
inline constexpr int kTurnThreads = 128;
inline constexpr int kTurnWriters = kTurnThreads / 2;

/// Two warps write, two read, in turns by barriers of every id, and each pair meets in one of its own. in and out:
/// [blocks, kTurns, writers] chunks.
struct NamedBarriers {
  VARLEN_DEVICE static void run(const Parameters& p) {
    const int written = 1 + gpu::block_index() % 15;
    const int read = 1 + (gpu::block_index() + 4) % 15;
    const int own = 1 + (gpu::block_index() + (gpu::warp_index() < 2 ? 8 : 11)) % 15;
    const int writer = gpu::thread_index() % kTurnWriters;
    for (int turn = 0; turn < kTurns; ++turn) {
      const std::int64_t first = (std::int64_t{gpu::block_index()} * kTurns + turn) * kTurnWriters;
      if (gpu::warp_index() < 2) {
        if (turn > 0) gpu::sync_threads(read, kTurnThreads);
        gpu::store_shared(shared_at(writer * 16), load_in<gpu::Words4>(p, (first + writer) * 16));
        gpu::sync_threads(own, kTurnWriters);
        gpu::arrive_threads(written, kTurnThreads);
        continue;
      }
      gpu::sync_threads(written, kTurnThreads);
      const int other = (writer + 41) % kTurnWriters;
      store_out(p, (first + other) * 16, gpu::load_shared(shared_at(other * 16)));
      gpu::sync_threads(own, kTurnWriters);
      if (turn + 1 < kTurns) gpu::arrive_threads(read, kTurnThreads);
    }
  }
};

/// Blocks draw until there is nothing left. value: how many draws there are. out: for each, 1 + the number drawn.
struct Draws {
  VARLEN_DEVICE static void run(const Parameters& p) {
    if (gpu::lane_index() != 0) return;
    for (;;) {
      const std::int64_t drawn = gpu::draw(p.counter);
      if (drawn >= p.value[0]) return;
      store_out(p, 8 * drawn, drawn + 1);
    }
  }
};

}  // namespace varlen::fidelity
