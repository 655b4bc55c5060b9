// The names that the kernels' memory layouts give to barriers, for what the emulator tells of them.
#pragma once

#include <fmt/format.h>

#include "gpu/emulator/barrier_names.hpp"
#include "gpu/operations.hpp"
#include "kernel/tcgen05_memory.hpp"
#include "kernel/wgmma_memory.hpp"

namespace varlen::emulator {

/// "key_full[1]" for each of `count` barriers; one that has a name keeps it. `address_of` says where number i is.
template <class Address>
void add_names(gpu::emulator::BarrierNames& names, const char* name, int count, const Address& address_of) {
  for (int i = 0; i < count; ++i) names.try_emplace(address_of(i).value, fmt::format("{}[{}]", name, i));
}

template <class Memory>
void add_work_names(gpu::emulator::BarrierNames& names) {
  constexpr int kSlots = Memory::Shape::kWorkSlots;
  add_names(names, "work_full", kSlots, Memory::work_full);
  add_names(names, "work_empty", kSlots, Memory::work_empty);
  names.try_emplace(Memory::work_wanted().value, "work_wanted");
}

template <class Memory>
void add_query_names(gpu::emulator::BarrierNames& names) {
  constexpr int kStages = Memory::Shape::kQueryStages;
  add_names(names, "query_full", kStages, Memory::query_full);
  add_names(names, "query_empty", kStages, Memory::query_empty);
  add_names(names, "result_full", kStages, Memory::result_full);
}

/// Those of forward_wgmma.
template <class Shape>
const gpu::emulator::BarrierNames& wgmma_barrier_names() {
  using Memory = kernel::WgmmaMemory<Shape>;
  static const gpu::emulator::BarrierNames kNames = [] {
    gpu::emulator::BarrierNames names;
    add_query_names<Memory>(names);
    add_names(names, "key_full", Shape::kStages, Memory::key_full);
    add_names(names, "key_empty", Shape::kStages, Memory::key_empty);
    add_names(names, "value_full", Shape::kStages, Memory::value_full);
    add_names(names, "value_empty", Shape::kStages, Memory::value_empty);
    add_work_names<Memory>(names);
    add_names(names, "query_landed", Shape::kQueryStages, Memory::query_landed);
    add_names(names, "key_landed", Shape::kStages, Memory::key_landed);
    add_names(names, "value_landed", Shape::kStages, Memory::value_landed);
    return names;
  }();
  return kNames;
}

/// Those of forward_tcgen05.
template <class Shape>
const gpu::emulator::BarrierNames& tcgen05_barrier_names() {
  using Memory = kernel::Tcgen05Memory<Shape>;
  static const gpu::emulator::BarrierNames kNames = [] {
    gpu::emulator::BarrierNames names;
    add_query_names<Memory>(names);
    add_names(names, "stage_full", Shape::kStages, Memory::stage_full);
    add_names(names, "stage_empty", Shape::kStages, Memory::stage_empty);
    add_names(names, "score_full", Shape::kHalves, Memory::score_full);
    add_names(names, "weight_full", Shape::kHalves, Memory::weight_full);
    add_names(names, "out_full", Shape::kHalves, Memory::out_full);
    add_names(names, "out_empty", Shape::kHalves, Memory::out_empty);
    add_names(names, "state_full", Shape::kHalves, Memory::state_full);
    add_names(names, "state_empty", Shape::kHalves, Memory::state_empty);
    add_work_names<Memory>(names);
    add_names(names, "wide_full", Shape::kWideStages, Memory::wide_full);
    add_names(names, "wide_empty", Shape::kWideStages, Memory::wide_empty);
    if (Shape::kClearsValues) add_names(names, "value_landed", Shape::kStages, Memory::value_landed);
    return names;
  }();
  return kNames;
}

}  // namespace varlen::emulator
