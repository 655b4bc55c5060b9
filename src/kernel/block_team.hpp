// A block of threads as the team of a planner (plan/team.hpp says what a team is asked for).
//
// Shared memory: two slots for each warp, in turns, for what threads make together; the table, which is a sort's
// counters or records on their way out; then arrays, unless they are in global memory. One barrier, of the whole block;
// each use says what it orders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "gpu/block_operations.hpp"
#include "kernel/team_memory.hpp"
#include "plan/integers.hpp"

namespace varlen::kernel {

/// By words: 8 bytes each, or 4.
template <class T>
struct WordsOf {
  using Word = std::conditional_t<sizeof(T) % 8 == 0, std::uint64_t, std::uint32_t>;
  static constexpr int kCount = sizeof(T) / sizeof(Word);
  static_assert(kCount * sizeof(Word) == sizeof(T) && std::is_trivially_copyable_v<T>);
  Word word[kCount];

  VARLEN_DEVICE WordsOf() {}
  VARLEN_DEVICE explicit WordsOf(const T& value) { __builtin_memcpy(word, &value, sizeof(T)); }
  VARLEN_DEVICE T value() const {
    T value;
    __builtin_memcpy(&value, word, sizeof(T));
    return value;
  }
};

/// Where the element at `index` of an array of T in shared memory is.
template <class T>
VARLEN_DEVICE gpu::SharedAddress element(gpu::SharedAddress array, std::int32_t index) {
  return array + static_cast<std::uint32_t>(index) * static_cast<std::uint32_t>(sizeof(T));
}
template <class T>
VARLEN_DEVICE T load_value(gpu::SharedAddress from) {
  using Word = typename WordsOf<T>::Word;
  WordsOf<T> words;
  VARLEN_UNROLL
  for (int i = 0; i < WordsOf<T>::kCount; ++i) words.word[i] = gpu::load_word<Word>(element<Word>(from, i));
  return words.value();
}
template <class T>
VARLEN_DEVICE void store_value(gpu::SharedAddress to, const T& value) {
  using Word = typename WordsOf<T>::Word;
  const WordsOf<T> words(value);
  VARLEN_UNROLL
  for (int i = 0; i < WordsOf<T>::kCount; ++i) gpu::store_word(element<Word>(to, i), words.word[i]);
}

VARLEN_DEVICE std::uint32_t shuffled(std::uint32_t word, int lane) { return gpu::shuffle(word, lane); }
VARLEN_DEVICE std::uint32_t shuffled_up(std::uint32_t word, int lanes) { return gpu::shuffle_up(word, lanes); }
VARLEN_DEVICE std::uint64_t shuffled(std::uint64_t word, int lane) {
  return gpu::shuffle(static_cast<std::uint32_t>(word), lane) |
         std::uint64_t{gpu::shuffle(static_cast<std::uint32_t>(word >> 32), lane)} << 32;
}
VARLEN_DEVICE std::uint64_t shuffled_up(std::uint64_t word, int lanes) {
  return gpu::shuffle_up(static_cast<std::uint32_t>(word), lanes) |
         std::uint64_t{gpu::shuffle_up(static_cast<std::uint32_t>(word >> 32), lanes)} << 32;
}
/// The value of another lane, by the whole warp.
template <class T>
VARLEN_DEVICE T of_lane(const T& value, int lane) {
  WordsOf<T> words(value);
  VARLEN_UNROLL
  for (int i = 0; i < WordsOf<T>::kCount; ++i) words.word[i] = shuffled(words.word[i], lane);
  return words.value();
}
template <class T>
VARLEN_DEVICE T of_lane_below(const T& value, int lanes) {
  WordsOf<T> words(value);
  VARLEN_UNROLL
  for (int i = 0; i < WordsOf<T>::kCount; ++i) words.word[i] = shuffled_up(words.word[i], lanes);
  return words.value();
}

/// `kInShared`: arrays are in shared memory, otherwise in `scratch`. Warps are a power of two.
template <bool kInShared>
class BlockTeam {
  using Bytes = std::conditional_t<kInShared, std::int32_t, std::int64_t>;

 public:
  VARLEN_DEVICE BlockTeam(std::int32_t classes, std::byte* scratch)
      : lane_(gpu::lane_index()),
        warp_(gpu::warp_index()),
        warps_(gpu::thread_count() / gpu::kWarpThreads),
        log2_threads_(bit_width(gpu::thread_count()) - 1),
        classes_(classes),
        arrays_(gpu::shared_memory() + static_cast<std::uint32_t>(TeamMemory::before_arrays(warps_, classes))),
        scratch_(scratch) {}

  template <class T>
  class Array {
   public:
    Array() = default;
    VARLEN_DEVICE explicit Array(gpu::SharedAddress shared) : shared_(shared) {}
    VARLEN_DEVICE explicit Array(std::byte* global) : global_(global) {}
    /// Made by default, not by array(). Of shared memory the slots come first.
    VARLEN_DEVICE bool is_null() const { return kInShared ? shared_.value == 0 : global_ == nullptr; }
    VARLEN_DEVICE T at(std::int32_t index) const {
      if constexpr (kInShared) {
        return static_cast<T>(gpu::load_word<Word>(element<T>(shared_, index)));
      } else {
        return gpu::load_global(reinterpret_cast<const T*>(global_) + index);
      }
    }
    /// Elements of 4 bytes in shared memory, from a multiple of four on.
    VARLEN_DEVICE gpu::Words4 four_at(std::int32_t index) const {
      return gpu::load_word<gpu::Words4>(element<T>(shared_, index));
    }
    VARLEN_DEVICE void put(std::int32_t index, T value) const {
      if constexpr (kInShared) {
        gpu::store_word(element<T>(shared_, index), static_cast<Word>(value));
      } else {
        gpu::store_global(reinterpret_cast<T*>(global_) + index, value);
      }
    }

   private:
    using Word = std::make_unsigned_t<T>;
    gpu::SharedAddress shared_{};
    std::byte* global_ = nullptr;
  };
  template <class T>
  VARLEN_DEVICE Array<T> array(std::int32_t count) {
    const Bytes begin = used_;
    used_ += static_cast<Bytes>(TeamMemory::array(Bytes{count} * static_cast<Bytes>(sizeof(T))));
    if constexpr (kInShared) {
      return Array<T>(arrays_ + static_cast<std::uint32_t>(begin));
    } else {
      return Array<T>(scratch_ + begin);
    }
  }
  /// What arrays made after mark() take is free again after the next barrier.
  VARLEN_DEVICE std::int64_t mark() const { return used_; }
  VARLEN_DEVICE void release(std::int64_t mark) { used_ = static_cast<Bytes>(mark); }

  /// One thread does, of the warp that is first to have nothing else to do.
  VARLEN_DEVICE bool leads() const { return warp_ == warps_ - 1 && lane_ == 0; }

  VARLEN_DEVICE void sync() { gpu::sync_block(); }

  template <class Value, class Join>
  VARLEN_DEVICE Value combine(Value value, const Join& join) {
    VARLEN_UNROLL_BY(1)
    for (int distance = gpu::kWarpThreads / 2; distance > 0; distance >>= 1) {
      value = join(value, of_lane(value, lane_ ^ distance));
    }
    static_assert(sizeof(Value) <= TeamMemory::kSlotBytes);
    const gpu::SharedAddress slots = next_slots();
    if (lane_ == 0) store_value(element<Value>(slots, warp_), value);
    gpu::sync_block();  // slots are there
    // As many lanes as there are warps join them, and so does each further group of so many lanes.
    value = load_value<Value>(element<Value>(slots, lane_ & (warps_ - 1)));
    VARLEN_UNROLL_BY(1)
    for (int distance = warps_ / 2; distance > 0; distance >>= 1) {
      value = join(value, of_lane(value, lane_ ^ distance));
    }
    return value;
  }

  VARLEN_DEVICE bool any(bool own) {
    const gpu::SharedAddress slots = next_slots();
    const int of_warp = gpu::count_votes(own);
    if (lane_ == 0) store_value(element<std::int32_t>(slots, warp_), of_warp);
    gpu::sync_block();  // slots are there
    return gpu::count_votes(load_value<std::int32_t>(element<std::int32_t>(slots, lane_ & (warps_ - 1))) > 0) > 0;
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

  template <class Load, class Key, class Place>
  VARLEN_DEVICE std::int32_t stable_sort(std::int32_t count, std::int32_t classes, const Load& load, const Key& key,
                                         const Place& place) {
    if constexpr (kInShared) {
      if (count * kFewThreads <= threads()) return sort_few(count, load, key, place);
    }
    const std::int64_t free = mark();
    const auto entries = array<std::int32_t>(count);  // key and rank among the warp's own of this key; −1: none
    const Segment own = segment(count);
    const gpu::SharedAddress counters = counters_of(warp_);
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

    // Counters become sums over the warps before; the sums over lower keys stand in a row of their own.
    const gpu::SharedAddress sums = counters_of(warps_);
    std::uint32_t placed = 0;
    VARLEN_UNROLL_BY(1)
    for (std::int32_t begin = 0; begin < classes; begin += threads()) {
      const std::int32_t c = begin + thread();
      std::uint32_t sum = 0;
      constexpr int kAtOnce = 8;  // loads
      VARLEN_UNROLL_BY(1)
      for (int first = 0; first < warps_ && c < classes; first += kAtOnce) {
        const auto counter = [&](int i) { return counters_of(first + i) + 4 * static_cast<std::uint32_t>(c); };
        std::uint32_t values[kAtOnce];
        VARLEN_UNROLL
        for (int i = 0; i < kAtOnce; ++i) {
          values[i] = first + i < warps_ ? gpu::load_word<std::uint32_t>(counter(i)) : 0;
        }
        VARLEN_UNROLL
        for (int i = 0; i < kAtOnce; ++i) {
          if (first + i < warps_) gpu::store_word(counter(i), sum);
          sum += values[i];
        }
      }
      const Scanned<std::uint32_t> scanned = scan_threads(sum);
      if (c < classes) gpu::store_word(sums + 4 * static_cast<std::uint32_t>(c), placed + scanned.before);
      placed += scanned.all;
    }
    gpu::sync_block();  // sums are there
    VARLEN_UNROLL_BY(1)
    for (std::int32_t i = own.begin + lane_; i < own.end; i += gpu::kWarpThreads) {
      const std::int32_t entry = entries.at(i);
      if (entry < 0) continue;
      const std::uint32_t at = 4 * static_cast<std::uint32_t>(entry >> kRankBits);
      place(i, static_cast<std::int32_t>(gpu::load_word<std::uint32_t>(sums + at) +
                                         gpu::load_word<std::uint32_t>(counters + at)) +
                   (entry & ((1 << kRankBits) - 1)));
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
    const gpu::SharedAddress stage = table() + static_cast<std::uint32_t>(warp_ * TeamMemory::kStageBytes);
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
  template <class Load, class Key, class Place>
  VARLEN_DEVICE std::int32_t sort_few(std::int32_t count, const Load& load, const Key& key, const Place& place) {
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
    if (own != kNone && lane_ % kFewThreads == 0) place(i, static_cast<std::int32_t>(sums & 0xFFFFU));
    release(free);
    return static_cast<std::int32_t>(sums >> 16);
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

  VARLEN_DEVICE gpu::SharedAddress table() const { return gpu::shared_memory() + TeamMemory::kSlotsBytes; }
  VARLEN_DEVICE gpu::SharedAddress counters_of(int warp) const {
    return table() + 4 * static_cast<std::uint32_t>(warp * classes_);
  }
  /// In turns, so that one barrier for each use is enough: who writes to slots has passed the barrier after which the
  /// others read the other ones, and they came there after they had read these.
  VARLEN_DEVICE gpu::SharedAddress next_slots() {
    turn_ ^= 1U;
    return gpu::shared_memory() + turn_ * (TeamMemory::kSlotsBytes / 2);
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
  /// Of values that every lane of a warp has. One barrier.
  template <class Sum>
  VARLEN_DEVICE Scanned<Sum> scan_warps(const Sum& value) {
    const gpu::SharedAddress slots = next_slots();
    if (lane_ == 0) store_value(element<Sum>(slots, warp_), value);
    gpu::sync_block();  // slots are there
    const Sum of_warp = lane_ < warps_ ? load_value<Sum>(element<Sum>(slots, lane_)) : Sum{};
    Sum sum = sum_until(of_warp, TeamMemory::kMaxWarps);
    const Sum all = of_lane(sum, TeamMemory::kMaxWarps - 1);
    sum = of_lane(sum, greatest(warp_ - 1, 0));
    return {warp_ == 0 ? Sum{} : sum, all};
  }
  template <class Sum>
  VARLEN_DEVICE Scanned<Sum> scan_threads(const Sum& value) {
    const Scanned<Sum> lanes = scan_lanes(value);
    Scanned<Sum> warps = scan_warps(lanes.all);
    warps.before += lanes.before;
    return warps;
  }

  const int lane_;
  const int warp_;
  const int warps_;
  const int log2_threads_;
  const std::int32_t classes_;  // of any sort, at most
  const gpu::SharedAddress arrays_;
  std::byte* const scratch_;
  Bytes used_ = 0;
  std::uint32_t turn_ = 0;
};

}  // namespace varlen::kernel
