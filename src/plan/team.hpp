// The threads that make a plan together, and all that they do together. A planner is written for any team: one thread
// of a CPU (here) or a block of a GPU (kernel/block_team.hpp). Results do not depend on the team.
//
// Every thread calls every function with the same counts; the functions given to it are called in one thread for each
// index. What a thread has written is there for the others after the next sync() or combine().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <type_traits>

namespace varlen {

class HostTeam {
 public:
  /// Scratch memory that lives as long as the team.
  template <class T>
  class Array {
   public:
    Array() = default;
    explicit Array(T* data) : data_(data) {}
    bool is_null() const { return data_ == nullptr; }  // made by default, not by array()
    T at(std::int32_t index) const { return data_[index]; }
    void put(std::int32_t index, T value) const { data_[index] = value; }

   private:
    T* data_ = nullptr;
  };
  template <class T>
  Array<T> array(std::int32_t count) {
    static_assert(std::is_trivially_destructible_v<T>);
    return Array<T>(static_cast<T*>(memory_.allocate(static_cast<std::size_t>(count) * sizeof(T), alignof(T))));
  }
  void sync() {}
  /// scan(), write() and for_each() give each thread one index of so many at most, and each of them the same one.
  static constexpr bool has_one_each(std::int32_t /*count*/) { return false; }
  /// No thread reads what others have written any more. Nothing follows but one write().
  void part() {}
  /// Before the next sync(): elements were put at other indices than those of the loop.
  void scattered() {}

  /// What all threads' values make together. `join` is associative and commutative.
  template <class Value, class Join>
  Value combine(Value value, const Join& /*join*/) {
    return value;
  }

  template <class Visit>
  void for_each(std::int32_t count, const Visit& visit) {
    for (std::int32_t i = 0; i < count; ++i) visit(i);
  }

  /// use(i, sum of load(j) for j < i, load(i)) for every i. Returns the sum of all.
  template <class Sum, class Load, class Use>
  Sum scan(std::int32_t count, const Load& load, const Use& use) {
    Sum before{};
    for (std::int32_t i = 0; i < count; ++i) {
      const Sum own = load(i);
      use(i, before, own);
      before += own;
    }
    return before;
  }
  /// The same, but may stop once enough(sum so far): then `use` has nothing to do any more.
  template <class Sum, class Load, class Use, class Enough>
  void scan_until(std::int32_t count, const Load& load, const Use& use, const Enough& enough) {
    Sum before{};
    for (std::int32_t i = 0; i < count && !enough(before); ++i) {
      const Sum own = load(i);
      use(i, before, own);
      before += own;
    }
  }

  /// Any thread's?
  bool any(bool own) { return own; }

  /// Counting sort: to `order` every i whose key(i, load(i)), called once, is not negative. By keys below `classes`,
  /// equal ones by i. Returns how many there are. `load` may be called ahead, to have its loads on their way.
  template <class Load, class Key>
  std::int32_t stable_sort(std::int32_t count, std::int32_t classes, const Load& load, const Key& key,
                           const Array<std::int32_t>& order) {
    const auto keys = array<std::int32_t>(count);
    const auto next = array<std::int32_t>(classes + 1);
    for (std::int32_t c = 0; c <= classes; ++c) next.put(c, 0);
    for (std::int32_t i = 0; i < count; ++i) {
      const std::int32_t own = key(i, load(i));
      keys.put(i, own);
      if (own >= 0) next.put(own + 1, next.at(own + 1) + 1);
    }
    for (std::int32_t c = 1; c <= classes; ++c) next.put(c, next.at(c) + next.at(c - 1));
    for (std::int32_t i = 0; i < count; ++i) {
      const std::int32_t own = keys.at(i);
      if (own < 0) continue;
      order.put(next.at(own), i);
      next.put(own, next.at(own) + 1);
    }
    return next.at(classes);
  }

  template <class T>
  void store(T* to, const T& value) {
    *to = value;
  }
  /// to[i] = make(i) for every i.
  template <class T, class Make>
  void write(T* to, std::int32_t count, const Make& make) {
    for (std::int32_t i = 0; i < count; ++i) to[i] = make(i);
  }

 private:
  // Enough for some hundred requests without an allocation, and little enough for threads with small stacks.
  static constexpr std::size_t kFirstBytes = 16384;
  alignas(std::max_align_t) std::byte first_[kFirstBytes];
  std::pmr::monotonic_buffer_resource memory_{first_, kFirstBytes};
};

}  // namespace varlen
