// gpu/cluster_operations.hpp in PTX.
#pragma once

#include <cstdint>

#include "gpu/cluster_operations.hpp"
#include "gpu/ptx/block_operations.hpp"

namespace varlen::gpu {

// mov.u32 d, %cluster_ctarank;
VARLEN_DEVICE int cluster_rank() {
  int rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

// barrier.cluster.arrive.release; barrier.cluster.wait.acquire;
VARLEN_DEVICE void sync_cluster() {
  asm volatile("barrier.cluster.arrive.release; barrier.cluster.wait.acquire;" ::: "memory");
}
// barrier.cluster.arrive.relaxed;
VARLEN_DEVICE void arrive_at_cluster() { asm volatile("barrier.cluster.arrive.relaxed;" ::: "memory"); }
// barrier.cluster.wait.acquire;
VARLEN_DEVICE void wait_for_arrived_cluster() { asm volatile("barrier.cluster.wait.acquire;" ::: "memory"); }
VARLEN_DEVICE void wait_for_cluster() {
  arrive_at_cluster();
  wait_for_arrived_cluster();
}
// fence.release.sync_restrict::shared::cta.cluster;
VARLEN_DEVICE void sync_own_memory() {
  asm volatile("fence.release.sync_restrict::shared::cta.cluster;" ::: "memory");
  wait_for_cluster();
}

// mapa.shared::cluster.u32 d, a, b;
VARLEN_DEVICE ClusterAddress of_block(SharedAddress address, int rank) {
  ClusterAddress there;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there.value) : "r"(address.value), "r"(rank));
  return there;
}

// ld.shared::cluster.b32 d, [a];
template <>
VARLEN_DEVICE std::uint32_t load_word<std::uint32_t>(ClusterAddress from) {
  std::uint32_t value;
  asm volatile("ld.shared::cluster.b32 %0, [%1];" : "=r"(value) : "r"(from.value) : "memory");
  return value;
}
// ld.shared::cluster.b64 d, [a];
template <>
VARLEN_DEVICE std::uint64_t load_word<std::uint64_t>(ClusterAddress from) {
  std::uint64_t value;
  asm volatile("ld.shared::cluster.b64 %0, [%1];" : "=l"(value) : "r"(from.value) : "memory");
  return value;
}

// st.shared::cluster.b32 [a], b;
template <>
VARLEN_DEVICE void store_word<std::uint32_t>(ClusterAddress to, const std::uint32_t& value) {
  asm volatile("st.shared::cluster.b32 [%0], %1;" ::"r"(to.value), "r"(value) : "memory");
}
// st.shared::cluster.b64 [a], b;
template <>
VARLEN_DEVICE void store_word<std::uint64_t>(ClusterAddress to, const std::uint64_t& value) {
  asm volatile("st.shared::cluster.b64 [%0], %1;" ::"r"(to.value), "l"(value) : "memory");
}

// st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [a], b, [mbar];
VARLEN_DEVICE void store_arriving(ClusterAddress to, std::uint32_t value, ClusterAddress barrier) {
  asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], %1, [%2];" ::"r"(to.value),
               "r"(value), "r"(barrier.value)
               : "memory");
}

}  // namespace varlen::gpu
