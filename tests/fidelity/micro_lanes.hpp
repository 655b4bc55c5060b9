// Micro-kernels of one warp whose lanes exchange words, and of words in shared memory.
#pragma once

#include "fidelity/micro_memory.hpp"

namespace varlen::fidelity {

/// in: [blocks, 32] words and as many lanes. out: [blocks, kShuffles, 32] words.
struct Shuffles {
  static constexpr int kShuffles = 32 + 32 + 32 + 2;

  VARLEN_DEVICE static void run(const Parameters& p) {
    const int lane = gpu::lane_index();
    const std::int64_t block = gpu::block_index();
    const auto word = load_in<std::uint32_t>(p, (block * 64 + lane) * 4);
    const auto from = load_in<std::uint32_t>(p, (block * 64 + 32 + lane) * 4);
    std::int64_t place = block * kShuffles;
    const auto put = [&](std::uint32_t value) { store_out(p, (place++ * 32 + lane) * 4, value); };
    for (int mask = 0; mask < 32; ++mask) put(gpu::float_as_word(gpu::shuffle_xor(gpu::word_as_float(word), mask)));
    for (std::uint32_t shift = 0; shift < 32; ++shift) {
      put(gpu::shuffle(word, static_cast<int>((from + shift * (2 * static_cast<std::uint32_t>(lane) + 1)) % 32)));
    }
    for (int lanes = 0; lanes < 32; ++lanes) put(gpu::shuffle_up(word, lanes));
    const std::int64_t wide = gpu::broadcast(static_cast<std::int64_t>(word) << 32 | from);
    put(static_cast<std::uint32_t>(wide >> 32));
    put(static_cast<std::uint32_t>(wide));
  }
};

/// in: [blocks, 32] words. out: [blocks, kVotes, 32] words, the last of which is how often a lane was elected.
struct Votes {
  static constexpr int kVotes = 12;
  static constexpr int kElections = 5;

  VARLEN_DEVICE static void run(const Parameters& p) {
    const int lane = gpu::lane_index();
    const std::int64_t block = gpu::block_index();
    const auto word = load_in<std::uint32_t>(p, (block * 32 + lane) * 4);
    std::int64_t place = block * kVotes;
    const auto put = [&](std::uint32_t value) { store_out(p, (place++ * 32 + lane) * 4, value); };
    put(static_cast<std::uint32_t>(gpu::count_votes(word % 2 != 0)));
    put(static_cast<std::uint32_t>(gpu::count_votes(word % 64 == 0)));
    put(static_cast<std::uint32_t>(gpu::count_votes(true)));
    put(static_cast<std::uint32_t>(gpu::count_votes(false)));
    for (std::uint32_t values = 1; values <= 32; values *= 4) put(gpu::match_any(word % values));
    put(gpu::match_any(word));
    put(static_cast<std::uint32_t>(gpu::count_ones(word)));
    put(static_cast<std::uint32_t>(gpu::count_ones(gpu::match_any(word % 5))));
    std::uint32_t elected = 0;
    for (int i = 0; i < kElections; ++i) elected += gpu::elect_one() ? 1 : 0;
    put(elected);
    gpu::sync_warp();
    put(gpu::elect_one() ? elected : 0);
  }
};

/// in: [blocks, 128] chunks. out: the same, each written as words of one size and read as words of another thread.
struct Words {
  VARLEN_DEVICE static void run(const Parameters& p) {
    const std::int64_t first = std::int64_t{gpu::block_index()} * 128;
    const int thread = gpu::thread_index();
    const auto words = load_in<gpu::Words4>(p, (first + thread) * 16);
    const gpu::SharedAddress to = shared_at(thread * 16);
    if (gpu::warp_index() == 0) {
      for (std::uint32_t i = 0; i < 4; ++i) gpu::store_word<std::uint32_t>(to + 4 * i, words.word[i]);
    } else if (gpu::warp_index() == 1) {
      for (std::uint32_t i = 0; i < 2; ++i) {
        const std::uint64_t low = words.word[2 * i];
        const std::uint64_t high = words.word[2 * i + 1];
        gpu::store_word<std::uint64_t>(to + 8 * i, low | high << 32);
      }
    } else {
      gpu::store_word<gpu::Words4>(to, words);
    }
    gpu::sync_block();
    const int other = (thread + 45) % 128;
    const gpu::SharedAddress from = shared_at(other * 16);
    const std::int64_t out = (first + other) * 16;
    if (gpu::warp_index() == 2) {
      for (std::uint32_t i = 0; i < 4; ++i) store_out(p, out + 4 * i, gpu::load_word<std::uint32_t>(from + 4 * i));
    } else if (gpu::warp_index() == 3) {
      for (std::uint32_t i = 0; i < 2; ++i) store_out(p, out + 8 * i, gpu::load_word<std::uint64_t>(from + 8 * i));
    } else {
      store_out(p, out, gpu::load_word<gpu::Words4>(from));
    }
  }
};

}  // namespace varlen::fidelity
