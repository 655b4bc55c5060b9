// More that a kernel may call: what blocks of a cluster do together, of an architecture that has clusters (PTX ISA:
// thread block cluster; from sm_90 on). The rest is in gpu/block_operations.hpp, whose rules hold here as well.
#pragma once

#include <cstdint>

#include "gpu/block_operations.hpp"

namespace varlen::gpu {

VARLEN_DEVICE int cluster_rank();  ///< of the block in its cluster

// ---- Barriers, by every thread of the cluster.
VARLEN_DEVICE void sync_cluster();     ///< What threads wrote before, to any memory, all of them see after.
VARLEN_DEVICE void sync_own_memory();  ///< The same of what they wrote to their own block's shared memory. Much faster.
VARLEN_DEVICE void wait_for_cluster();  ///< Until all threads are here, whatever they wrote.

VARLEN_DEVICE void arrive_at_cluster();         ///< wait_for_cluster() in two parts: this thread is here, …
VARLEN_DEVICE void wait_for_arrived_cluster();  ///< … and until all are

/// Shared memory of any block of the cluster. A block's is there from when all have started until it ends.
struct ClusterAddress {
  std::uint32_t value;
};
VARLEN_DEVICE ClusterAddress of_block(SharedAddress address, int rank);  ///< that address in the block of this rank

/// T is of 4 or 8 bytes, which the address is a multiple of.
template <class T>
VARLEN_DEVICE T load_word(ClusterAddress from);
template <class T>
VARLEN_DEVICE void store_word(ClusterAddress to, const T& value);
/// The same of 4 bytes without waiting for it: they count as arrived at `barrier`, of that block too, once they are
/// there.
VARLEN_DEVICE void store_arriving(ClusterAddress to, std::uint32_t value, ClusterAddress barrier);

}  // namespace varlen::gpu
