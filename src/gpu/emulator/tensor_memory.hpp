// Tensor memory of the running block: what it holds, who has allocated it, and who wrote and read each granule when. A
// granule is one column of the 32 lanes that a warp can reach. (PTX ISA: tcgen05, tensor memory.)
//
// As for shared memory, accesses that nothing orders are faults in whichever order they came. What orders them is told
// by clocks with two further kinds of entries: how often each warp has called fence_tensor_before_sync(), and how many
// commits of products are done. Of those only what a thread knew at its last fence_tensor_after_sync() counts, its
// view.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gpu/emulator/shared_memory.hpp"
#include "gpu/tensor_operations.hpp"

namespace varlen::gpu::emulator {

inline constexpr int kTensorQuarters = kTensorLanes / kWarpThreads;

/// Columns of some quarters of the lanes.
struct TensorRange {
  int first_quarter;
  int quarters;
  int column;
  int columns;
};

/// Who accesses tensor memory.
struct TensorActor {
  int thread;
  int warp;
  const Clock* clock;  // of the warp
  const Clock* view;   // what its last fence_tensor_after_sync() has let it know
};

class TensorMemory {
 public:
  /// `fences` is where in clocks the entries of warps begin, `commits` is the entry of products.
  void reset(int warps, std::size_t fences, std::size_t commits);

  // Each says what is wrong, as the end of a sentence, or nothing.
  std::optional<std::string> allocate(int columns, const TensorActor& actor, std::uint32_t& first);
  std::optional<std::string> free(std::uint32_t address, int columns, const TensorActor& actor);
  /// Nothing must be allocated when a block ends.
  std::optional<std::string> leak() const;
  bool is_given_up() const { return given_up_; }
  void give_up() { given_up_ = true; }

  /// A load or a store of a warp begins and ends.
  std::optional<std::string> begin_load(const TensorRange& range, const TensorActor& actor);
  std::optional<std::string> begin_store(const TensorRange& range, const TensorActor& actor);
  void end_load(const TensorRange& range, const TensorActor& actor);
  void end_store(const TensorRange& range, const TensorActor& actor);
  /// A product is issued that reads or writes the range. Products are done in the order in which they are issued.
  std::optional<std::string> begin_product_read(const TensorRange& range, const TensorActor& actor);
  std::optional<std::string> begin_product_write(const TensorRange& range, bool adds, const TensorActor& actor);
  /// It is done, and `commit` tells of it.
  void end_product_read(const TensorRange& range, std::uint32_t commit);
  void end_product_write(const TensorRange& range, std::uint32_t commit, int thread);

  std::uint32_t& word(int lane, int column) {
    return words_[static_cast<std::size_t>(lane) * kTensorColumns + static_cast<std::size_t>(column)];
  }

 private:
  struct Granule {
    bool written;
    int writer;             // thread
    std::size_t component;  // of clocks: when it was written last
    std::uint32_t write_time;
    std::uint32_t product_read;  // the commit that tells of the last product which read it, 0: none
    int products_reading;        // in flight
    int products_writing;
    int loads;  // in flight
    int stores;
    int user;  // thread, of the newest of these
  };
  struct Allocation {
    int column;
    int columns;
    int warp;
    std::uint32_t time;  // of the warp
  };

  std::size_t index(int quarter, int column) const {
    return static_cast<std::size_t>(quarter) * kTensorColumns + static_cast<std::size_t>(column);
  }
  template <class Visit>
  void for_each(const TensorRange& range, const Visit& visit) const;
  template <class Check>
  std::optional<std::string> first_fault(const TensorRange& range, const Check& check) const;
  std::optional<std::string> check_allocated(int column, int columns, const TensorActor& actor) const;
  std::string place(int quarter, int column) const;
  bool is_after_write(const Granule& granule, const TensorActor& actor) const;
  std::optional<std::string> check_readers(std::size_t granule, const TensorActor& actor,
                                           const std::string& does) const;
  std::optional<std::string> check_writer(const Granule& granule, const TensorActor& actor,
                                          const std::string& does) const;
  void forget_loads(std::size_t granule);

  std::vector<std::uint32_t> words_;   // [lane][column]
  std::vector<Granule> granules_;      // [quarter][column]
  std::vector<std::uint32_t> loaded_;  // [quarter][column][warp]: fences of the warp when it last loaded it, plus 1
  std::vector<Allocation> allocations_;
  std::size_t warps_ = 0;
  std::size_t fences_ = 0;
  std::size_t commits_ = 0;
  bool given_up_ = false;
};

}  // namespace varlen::gpu::emulator
