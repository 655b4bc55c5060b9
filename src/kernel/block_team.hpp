// A block of threads, or a cluster of blocks, as the team of a planner (plan/team.hpp says what a team is asked for).
//
// Shared memory: two slots for each warp, in turns, for what threads make together, and two for the block; the table,
// which is a sort's counters or records on their way out; of a cluster, the block's sums of a sort; then arrays, unless
// they are in global memory. Blocks of a cluster read from each other what each has written to its own memory; only a
// sort writes to others', by stores that arrive at a barrier there. One barrier, of the block, and for a cluster one
// more of all its blocks; each use says what it orders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "gpu/block_operations.hpp"
#include "kernel/team_arrays.hpp"
#include "kernel/team_memory.hpp"
#include "kernel/team_words.hpp"
#include "plan/integers.hpp"

namespace varlen::kernel {

/// `kArrays`: where arrays are. Warps are a power of two.
template <Arrays kArrays>
class BlockTeam {
  static constexpr bool kGlobal = kArrays == Arrays::kGlobal;
  static constexpr bool kCluster = kArrays == Arrays::kCluster;
  static constexpr int kBlocks = TeamMemory::blocks(kArrays);
  using Bytes = std::conditional_t<kGlobal, std::int64_t, std::int32_t>;

 public:
  VARLEN_DEVICE BlockTeam(std::int32_t classes, std::byte* scratch)
      : lane_(gpu::lane_index()),
        warp_of_block_(gpu::warp_index()),
        warps_of_block_(kCluster ? TeamMemory::kClusterWarps : gpu::thread_count() / gpu::kWarpThreads),
        warp_(rank() * warps_of_block_ + warp_of_block_),
        warps_(kBlocks * warps_of_block_),
        log2_threads_(bit_width(warps_ * gpu::kWarpThreads) - 1),
        classes_(classes),
        arrays_(gpu::shared_memory() +
                static_cast<std::uint32_t>(TeamMemory::before_arrays(kArrays, warps_of_block_, classes))),
        scratch_(scratch) {
    if constexpr (kCluster) {
      if (warp_of_block_ == 0 && lane_ == 0) {
        gpu::init_barrier(arrivals(), 1);
        gpu::fence_barriers();
      }
    }
  }
  /// Before the first thread of the team ends.
  VARLEN_DEVICE void end() {
    // Nobody reads this block's memory any more.
    if constexpr (kCluster) {
      if (!has_parted_) gpu::arrive_at_cluster();
      gpu::wait_for_arrived_cluster();
    }
  }

  template <class T>
  using Array = TeamArray<kArrays, T>;
  template <class T>
  VARLEN_DEVICE Array<T> array(std::int32_t count) {
    if constexpr (kCluster) {
      // Threads do not find all of it in their own block.
      if (count > threads() && !has_turns_) {
        has_turns_ = true;
        gpu::wait_for_cluster();  // all blocks have started: their memory is there
      }
    }
    const Bytes begin = used_;
    used_ += static_cast<Bytes>(TeamMemory::array(kArrays, Bytes{count} * static_cast<Bytes>(sizeof(T))));
    if constexpr (kGlobal) {
      return Array<T>(scratch_ + begin);
    } else {
      return Array<T>(arrays_ + static_cast<std::uint32_t>(begin));
    }
  }
  /// What arrays made after mark() take is free again after the next barrier.
  VARLEN_DEVICE std::int64_t mark() const { return used_; }
  VARLEN_DEVICE void release(std::int64_t mark) { used_ = static_cast<Bytes>(mark); }

  /// One thread does, of the warp that is first to have nothing else to do.
  VARLEN_DEVICE bool leads() const { return warp_ == warps_ - 1 && lane_ == 0; }

  VARLEN_DEVICE void sync() {
    if constexpr (kCluster) {
      if (expects_) {
        gpu::wait_for(arrivals(), arrivals_parity_);
        arrivals_parity_ ^= 1U;
        expects_ = false;
      }
    }
    if constexpr (!kCluster) {
      gpu::sync_block();
    } else if (has_scattered_ || has_turns_) {
      gpu::sync_cluster();
      has_scattered_ = false;
    } else {
      gpu::sync_own_memory();
    }
  }
  VARLEN_DEVICE bool has_one_each(std::int32_t count) const { return !kGlobal && count <= threads(); }
  VARLEN_DEVICE void part() {
    if constexpr (kCluster) {
      gpu::arrive_at_cluster();
      has_parted_ = true;
    }
  }
  /// Before the next sync(): elements were put at other indices than those of the loop.
  VARLEN_DEVICE void scattered() { has_scattered_ = true; }

  template <class Value, class Join>
  VARLEN_DEVICE Value combine(Value value, const Join& join) {
    VARLEN_UNROLL_BY(1)
    for (int distance = gpu::kWarpThreads / 2; distance > 0; distance >>= 1) {
      value = join(value, of_lane(value, lane_ ^ distance));
    }
    static_assert(sizeof(Value) <= TeamMemory::kSlotBytes);
    const gpu::SharedAddress slots = next_slots();
    if (lane_ == 0) store_value(element<Value>(slots, warp_of_block_), value);
    gpu::sync_block();  // slots are there
    // As many lanes as there are warps join them, and so does each further group of so many lanes.
    value = load_value<Value>(element<Value>(slots, lane_ & (warps_of_block_ - 1)));
    VARLEN_UNROLL_BY(1)
    for (int distance = warps_of_block_ / 2; distance > 0; distance >>= 1) {
      value = join(value, of_lane(value, lane_ ^ distance));
    }
    if constexpr (kCluster) {
      value = of_blocks(value);
      VARLEN_UNROLL_BY(1)
      for (int distance = kBlocks / 2; distance > 0; distance >>= 1) {
        value = join(value, of_lane(value, lane_ ^ distance));
      }
    }
    return value;
  }

  VARLEN_DEVICE bool any(bool own) {
    const gpu::SharedAddress slots = next_slots();
    const int of_warp = gpu::count_votes(own);
    if (lane_ == 0) store_value(element<std::int32_t>(slots, warp_of_block_), of_warp);
    gpu::sync_block();  // slots are there
    const auto of_other = load_value<std::int32_t>(element<std::int32_t>(slots, lane_ & (warps_of_block_ - 1)));
    const bool of_block = gpu::count_votes(of_other > 0) > 0;
    if constexpr (kCluster) return gpu::count_votes(of_blocks<std::int32_t>(of_block ? 1 : 0) > 0) > 0;
    return of_block;
  }

  template <class Visit>
  VARLEN_DEVICE void for_each(std::int32_t count, const Visit& visit) {
    VARLEN_UNROLL_BY(1)
    for (std::int32_t i = thread(); i < count; i += threads()) visit(i);
  }

  // Twice over the warp's own indices, unless each lane has just one: for their sum, and once what comes before is
  // known.
  template <class Sum, class Load, class Use>
  VARLEN_DEVICE Sum scan(std::int32_t count, const Load& load, const Use& use) {
    const Segment own = segment(count);
    const bool has_one = own.end - own.begin <= gpu::kWarpThreads;
    Sum before{};
    Sum all{};
    Sum value{};
    VARLEN_UNROLL_BY(1)
    for (int pass = 0; pass < 2; ++pass) {  // one copy of `load`
      VARLEN_UNROLL_BY(1)
      for (std::int32_t begin = own.begin; begin < own.end; begin += gpu::kWarpThreads) {
        const std::int32_t i = begin + lane_;
        if (pass == 0 || !has_one) value = i < own.end ? load(i) : Sum{};
        if (pass == 0) {
          all += value;
        } else {
          const Scanned<Sum> lanes = scan_lanes(value);
          Sum until = before;
          until += lanes.before;
          if (i < own.end) use(i, until, value);
          before += lanes.all;
        }
      }
      if (pass > 0) break;
      const Scanned<Sum> warps = scan_warps(warp_sum(all));
      before = warps.before;
      all = warps.all;
    }
    return all;
  }

  template <class Sum, class Load, class Use, class Enough>
  VARLEN_DEVICE void scan_until(std::int32_t count, const Load& load, const Use& use, const Enough& enough) {
    Sum before{};
    VARLEN_UNROLL_BY(1)
    for (std::int32_t begin = 0; begin < count && !enough(before); begin += threads()) {
      const std::int32_t i = begin + thread();
      const Sum value = i < count ? load(i) : Sum{};
      const Scanned<Sum> scanned = scan_threads(value);
      Sum until = before;
      until += scanned.before;
      if (i < count) use(i, until, value);
      before += scanned.all;
    }
  }

  template <class Load, class Key>
  VARLEN_DEVICE std::int32_t stable_sort(std::int32_t count, std::int32_t classes, const Load& load, const Key& key,
                                         const Array<std::int32_t>& order) {
    if constexpr (kArrays == Arrays::kShared) {
      if (count * kFewThreads <= threads()) return sort_few(count, load, key, order);
    }
    const std::int64_t free = mark();
    const auto entries = array<std::int32_t>(count);  // key and rank among the warp's own of this key; −1: none
    const Segment own = segment(count);
    const gpu::SharedAddress counters = counters_of(warp_of_block_);
    using Loaded = decltype(load(0));
    Loaded next = own.begin + lane_ < own.end ? load(own.begin + lane_) : Loaded{};
    VARLEN_UNROLL_BY(1)
    for (std::int32_t c = lane_; c < classes; c += gpu::kWarpThreads) {
      gpu::store_word(counters + 4 * static_cast<std::uint32_t>(c), 0U);
    }
    gpu::sync_warp();
    VARLEN_UNROLL_BY(1)
    for (std::int32_t begin = own.begin; begin < own.end; begin += gpu::kWarpThreads) {
      const std::int32_t i = begin + lane_;
      const Loaded loaded = next;
      if (i + gpu::kWarpThreads < own.end) next = load(i + gpu::kWarpThreads);
      const std::int32_t own_key = i < own.end ? key(i, loaded) : -1;
      const std::uint32_t same = gpu::match_any(static_cast<std::uint32_t>(own_key));
      const auto rank = static_cast<std::uint32_t>(gpu::count_ones(same & lanes_below()));
      const gpu::SharedAddress counter = counters + 4 * static_cast<std::uint32_t>(own_key);
      const std::uint32_t before = own_key >= 0 ? gpu::load_word<std::uint32_t>(counter) : 0;
      gpu::sync_warp();  // all have read their counters
      if (own_key >= 0 && rank == 0) {
        gpu::store_word(counter, before + static_cast<std::uint32_t>(gpu::count_ones(same)));
      }
      if (i < own.end) entries.put(i, own_key < 0 ? -1 : own_key << kRankBits | static_cast<int>(before + rank));
      gpu::sync_warp();  // counters are there
    }
    gpu::sync_block();  // all counters are there

    const std::uint32_t placed = add_up(classes);
    if constexpr (kCluster) {
      if (warp_of_block_ == 0 && lane_ == 0) {
        const std::int32_t own_part = Array<std::int32_t>::count_in(rank(), static_cast<std::int32_t>(placed));
        gpu::arrive_expecting(arrivals(), 4 * static_cast<std::uint32_t>(own_part));
      }
      expects_ = true;
    }
    const gpu::SharedAddress sums = counters_of(warps_of_block_);
    VARLEN_UNROLL_BY(1)
    for (std::int32_t i = own.begin + lane_; i < own.end; i += gpu::kWarpThreads) {
      const std::int32_t entry = entries.at(i);
      if (entry < 0) continue;
      const std::uint32_t at = 4 * static_cast<std::uint32_t>(entry >> kRankBits);
      const std::int32_t place = static_cast<std::int32_t>(gpu::load_word<std::uint32_t>(sums + at) +
                                                           gpu::load_word<std::uint32_t>(counters + at)) +
                                 (entry & ((1 << kRankBits) - 1));
      if constexpr (kCluster) {
        order.put_arriving(place, i, arrivals());
      } else {
        order.put(place, i);
      }
    }
    release(free);
    return static_cast<std::int32_t>(placed);
  }
  /// stable_sort() takes so many elements.
  static constexpr std::int32_t kMostSorted = 1 << 22;

  template <class T>
  VARLEN_DEVICE void store(T* to, const T& value) {
    const WordsOf<T> words(value);
    auto* const pieces = reinterpret_cast<typename WordsOf<T>::Word*>(to);
    VARLEN_UNROLL
    for (int i = 0; i < WordsOf<T>::kCount; ++i) gpu::store_global(pieces + i, words.word[i]);
  }

  // Records go through shared memory, so that a warp writes one piece of memory at a time.
  template <class T, class Make>
  VARLEN_DEVICE void write(T* to, std::int32_t count, const Make& make) {
    using Piece = std::conditional_t<sizeof(T) % sizeof(gpu::Words4) == 0, gpu::Words4, std::uint64_t>;
    constexpr int kPieces = sizeof(T) / sizeof(Piece);
    static_assert(kPieces * sizeof(Piece) == sizeof(T));
    constexpr int kFitting = TeamMemory::kStageBytes / static_cast<int>(sizeof(T));
    constexpr int kRecords = kFitting >= 32 ? 32 : kFitting >= 16 ? 16 : 8;  // at a time
    const gpu::SharedAddress stage = table() + static_cast<std::uint32_t>(warp_of_block_ * TeamMemory::kStageBytes);
    VARLEN_UNROLL_BY(1)
    for (std::int32_t begin = warp_ * gpu::kWarpThreads; begin < count; begin += threads()) {
      Piece record[kPieces];
      if (begin + lane_ < count) {
        const T value = make(begin + lane_);
        __builtin_memcpy(record, &value, sizeof(T));
      }
      VARLEN_UNROLL
      for (int first = 0; first < gpu::kWarpThreads; first += kRecords) {
        const int left = least(count - begin - first, kRecords);
        gpu::sync_warp();  // records before have been read
        if (lane_ >= first && lane_ < first + left) {
          VARLEN_UNROLL
          for (int i = 0; i < kPieces; ++i) {
            gpu::store_word(element<Piece>(element<T>(stage, lane_ - first), i), record[i]);
          }
        }
        gpu::sync_warp();  // records are there
        auto* const pieces = reinterpret_cast<Piece*>(to + begin + first);
        VARLEN_UNROLL
        for (int i = 0; i < kPieces; ++i) {
          const int piece = i * gpu::kWarpThreads + lane_;
          if (piece < left * kPieces) {
            gpu::store_global(pieces + piece, gpu::load_word<Piece>(element<Piece>(stage, piece)));
          }
        }
      }
    }
  }

 private:
  static constexpr int kRankBits = 22;  // and at most 2^9 keys
  static constexpr int kFewThreads = 4;

  /// stable_sort() of so few that as many threads as kFewThreads for each may compare it with all others.
  template <class Load, class Key>
  VARLEN_DEVICE std::int32_t sort_few(std::int32_t count, const Load& load, const Key& key,
                                      const Array<std::int32_t>& order) {
    constexpr std::int32_t kNone = INT32_MAX;
    const std::int64_t free = mark();
    const auto entries = array<std::int32_t>(count);  // key and index; in whole pieces of four
    if (thread() < ((count + 3) & ~3)) {
      const std::int32_t own_key = thread() < count ? key(thread(), load(thread())) : -1;
      entries.put(thread(), own_key < 0 ? kNone : own_key << kRankBits | thread());
    }
    gpu::sync_block();  // entries are there
    const std::int32_t i = thread() / kFewThreads;
    const std::int32_t own = i < count ? entries.at(i) : kNone;
    std::uint32_t sums = 0;  // of lower entries and, 2^16 times, of all
    VARLEN_UNROLL_BY(1)
    for (std::int32_t j = 4 * (lane_ % kFewThreads); j < count; j += 4 * kFewThreads) {
      const gpu::Words4 others = entries.four_at(j);
      VARLEN_UNROLL
      for (int k = 0; k < 4; ++k) {
        const auto other = static_cast<std::int32_t>(others.word[k]);
        if (other < own) sums += 1;
        if (other != kNone) sums += 1U << 16;
      }
    }
    sums += shuffled(sums, lane_ ^ 1);
    sums += shuffled(sums, lane_ ^ 2);
    if (own != kNone && lane_ % kFewThreads == 0) order.put(static_cast<std::int32_t>(sums & 0xFFFFU), i);
    release(free);
    return static_cast<std::int32_t>(sums >> 16);
  }

  /// Of a sort's class, over the warps of the block: counters become sums over the warps before. Returns the sum of
  /// all.
  VARLEN_DEVICE std::uint32_t add_up_warps(std::int32_t c) const {
    std::uint32_t sum = 0;
    constexpr int kAtOnce = 8;  // loads
    VARLEN_UNROLL_BY(1)
    for (int first = 0; first < warps_of_block_; first += kAtOnce) {
      const auto counter = [&](int i) { return counters_of(first + i) + 4 * static_cast<std::uint32_t>(c); };
      std::uint32_t values[kAtOnce];
      VARLEN_UNROLL
      for (int i = 0; i < kAtOnce; ++i) {
        values[i] = first + i < warps_of_block_ ? gpu::load_word<std::uint32_t>(counter(i)) : 0;
      }
      VARLEN_UNROLL
      for (int i = 0; i < kAtOnce; ++i) {
        if (first + i < warps_of_block_) gpu::store_word(counter(i), sum);
        sum += values[i];
      }
    }
    return sum;
  }
  /// Counters become sums over the warps before; the sums over lower keys stand in a row of their own. Returns how many
  /// elements have keys.
  VARLEN_DEVICE std::uint32_t add_up(std::int32_t classes) {
    const std::int32_t step = warps_of_block_ * gpu::kWarpThreads;
    const std::int32_t thread = warp_of_block_ * gpu::kWarpThreads + lane_;
    if constexpr (kCluster) {
      VARLEN_UNROLL_BY(1)
      for (std::int32_t c = thread; c < classes; c += step) {
        gpu::store_word(sum_of_block(c), add_up_warps(c));
      }
      sync();  // all blocks' sums are there
    }
    std::uint32_t placed = 0;
    VARLEN_UNROLL_BY(1)
    for (std::int32_t begin = 0; begin < classes; begin += step) {
      const std::int32_t c = begin + thread;
      std::uint32_t sum = 0;
      std::uint32_t before = 0;  // of this key, in blocks before
      if (c < classes) {
        if constexpr (kCluster) {
          std::uint32_t sums[kBlocks];
          VARLEN_UNROLL
          for (int block = 0; block < kBlocks; ++block) {
            sums[block] = gpu::load_word<std::uint32_t>(gpu::of_block(sum_of_block(c), block));
          }
          VARLEN_UNROLL
          for (int block = 0; block < kBlocks; ++block) {
            if (block == rank()) before = sum;
            sum += sums[block];
          }
        } else {
          sum = add_up_warps(c);
        }
      }
      const Scanned<std::uint32_t> lanes = scan_lanes(sum);
      const Scanned<std::uint32_t> warps = scan_block(lanes.all);
      if (c < classes) {
        gpu::store_word(counters_of(warps_of_block_) + 4 * static_cast<std::uint32_t>(c),
                        placed + warps.before + lanes.before + before);
      }
      placed += warps.all;
    }
    gpu::sync_block();  // sums are there
    return placed;
  }

  template <class Sum>
  struct Scanned {
    Sum before;
    Sum all;
  };
  /// The indices of a warp: as many whole warps' widths for each.
  struct Segment {
    std::int32_t begin;
    std::int32_t end;
  };

  VARLEN_DEVICE std::int32_t thread() const { return warp_ * gpu::kWarpThreads + lane_; }
  VARLEN_DEVICE std::int32_t threads() const { return warps_ * gpu::kWarpThreads; }
  VARLEN_DEVICE std::uint32_t lanes_below() const { return (1U << lane_) - 1; }

  VARLEN_DEVICE Segment segment(std::int32_t count) const {
    const std::int32_t size = ((count + threads() - 1) >> log2_threads_) * gpu::kWarpThreads;
    const std::int32_t begin = least(warp_ * size, count);
    return {begin, least(begin + size, count)};
  }

  VARLEN_DEVICE static int rank() {
    if constexpr (kCluster) {
      return gpu::cluster_rank();
    } else {
      return 0;
    }
  }
  /// A barrier at which elements arrive that a sort has put into this block's part of its order.
  VARLEN_DEVICE static gpu::SharedAddress arrivals() {
    return gpu::shared_memory() + (TeamMemory::kWarpSlotsBytes + 2 * TeamMemory::kSlotBytes);
  }
  VARLEN_DEVICE static gpu::SharedAddress table() { return gpu::shared_memory() + TeamMemory::kSlotsBytes; }
  VARLEN_DEVICE gpu::SharedAddress counters_of(int warp) const {
    return table() + 4 * static_cast<std::uint32_t>(warp * classes_);
  }
  VARLEN_DEVICE gpu::SharedAddress sum_of_block(std::int32_t c) const {
    return table() + static_cast<std::uint32_t>(TeamMemory::table(warps_of_block_, classes_) + 4 * c);
  }
  /// In turns, so that one barrier for each use is enough: who writes to slots has passed the barrier after which the
  /// others read the other ones, and they came there after they had read these.
  VARLEN_DEVICE gpu::SharedAddress next_slots() {
    turn_ ^= 1U;
    return gpu::shared_memory() + turn_ * (TeamMemory::kWarpSlotsBytes / 2);
  }
  /// Of values that every lane of a block has: lanes 0 to 15 get that of each block, and so do lanes 16 to 31. One
  /// barrier of the cluster.
  template <class Value>
  VARLEN_DEVICE Value of_blocks(const Value& value) {
    block_turn_ ^= 1U;
    const gpu::SharedAddress slot =
        gpu::shared_memory() + (TeamMemory::kWarpSlotsBytes + block_turn_ * TeamMemory::kSlotBytes);
    if (warp_of_block_ == 0 && lane_ == 0) store_value(slot, value);
    sync();  // slots are there
    return load_value<Value>(gpu::of_block(slot, lane_ % kBlocks));
  }

  template <class Sum>
  VARLEN_DEVICE Sum warp_sum(Sum sum) const {
    VARLEN_UNROLL_BY(1)
    for (int distance = gpu::kWarpThreads / 2; distance > 0; distance >>= 1) sum += of_lane(sum, lane_ ^ distance);
    return sum;
  }
  /// Each lane's and those below, in the first `lanes`, a power of two.
  template <class Sum>
  VARLEN_DEVICE Sum sum_until(Sum sum, int lanes) const {
    VARLEN_UNROLL
    for (int distance = 1; distance < lanes; distance *= 2) {
      const Sum below = of_lane_below(sum, distance);
      if (lane_ >= distance) sum += below;
    }
    return sum;
  }
  template <class Sum>
  VARLEN_DEVICE Scanned<Sum> scan_lanes(const Sum& value) const {
    const Sum sum = sum_until(value, gpu::kWarpThreads);
    Sum before = of_lane_below(sum, 1);
    if (lane_ == 0) before = Sum{};
    return {before, of_lane(sum, gpu::kWarpThreads - 1)};
  }
  /// Of values that every lane of a warp has. One barrier of the team.
  template <class Sum>
  VARLEN_DEVICE Scanned<Sum> scan_warps(const Sum& value) {
    Scanned<Sum> scanned = scan_block(value);
    if constexpr (kCluster) {
      const Sum until = sum_until(of_blocks(scanned.all), kBlocks);
      const Sum before = of_lane(until, greatest(rank() - 1, 0));
      if (rank() > 0) scanned.before += before;
      scanned.all = of_lane(until, kBlocks - 1);
    }
    return scanned;
  }
  /// The same over the warps of the block. One barrier of the block.
  template <class Sum>
  VARLEN_DEVICE Scanned<Sum> scan_block(const Sum& value) {
    const gpu::SharedAddress slots = next_slots();
    if (lane_ == 0) store_value(element<Sum>(slots, warp_of_block_), value);
    gpu::sync_block();  // slots are there
    const Sum of_warp = lane_ < warps_of_block_ ? load_value<Sum>(element<Sum>(slots, lane_)) : Sum{};
    Sum sum = sum_until(of_warp, TeamMemory::kMaxWarps);
    const Sum all = of_lane(sum, TeamMemory::kMaxWarps - 1);
    sum = of_lane(sum, greatest(warp_of_block_ - 1, 0));
    return {warp_of_block_ == 0 ? Sum{} : sum, all};
  }
  template <class Sum>
  VARLEN_DEVICE Scanned<Sum> scan_threads(const Sum& value) {
    const Scanned<Sum> lanes = scan_lanes(value);
    Scanned<Sum> warps = scan_warps(lanes.all);
    warps.before += lanes.before;
    return warps;
  }

  const int lane_;
  const int warp_of_block_;
  const int warps_of_block_;
  const int warp_;  // of the team
  const int warps_;
  const int log2_threads_;
  const std::int32_t classes_;  // of any sort, at most
  const gpu::SharedAddress arrays_;
  std::byte* const scratch_;
  Bytes used_ = 0;
  std::uint32_t turn_ = 0;
  std::uint32_t block_turn_ = 0;
  std::uint32_t arrivals_parity_ = 0;
  bool expects_ = false;  // arrivals, before the next barrier of the team
  bool has_scattered_ = false;
  bool has_turns_ = false;
  bool has_parted_ = false;
};

}  // namespace varlen::kernel
