#include "backend/emulator/describe_memory.hpp"

#include <iterator>
#include <utility>
#include <vector>

#include "batch/page_table.hpp"
#include "batch/scale_strides.hpp"
#include "kernel/launch_parameters.hpp"

namespace varlen::emulator {
namespace {

using gpu::emulator::Buffer;
using gpu::emulator::GlobalMemory;
using gpu::emulator::PartialRows;
using gpu::emulator::Role;

gpu::emulator::Extent extent(const TensorView& view, int dimension) {
  const auto d = static_cast<std::size_t>(dimension);
  return {view.shape[d], view.strides[d]};
}

/// Dimensions from the page (if there is one) to the head, and in each row `row_elements`.
void add_rows(GlobalMemory& memory, Role role, const TensorView& view, bool paged, std::int64_t row_elements) {
  if (!view.present()) return;
  Buffer buffer;
  buffer.role = role;
  buffer.data = view.data;
  buffer.element_bytes = dtype_size(view.dtype);
  buffer.row_elements = row_elements;
  const int first = paged ? 1 : 0;
  if (paged) buffer.pages = extent(view, 0);
  buffer.tokens = extent(view, first);
  buffer.heads = extent(view, first + 1);
  memory.add(buffer);
}

/// A one-dimensional tensor of integers, as kernels read them.
void add_numbers(GlobalMemory& memory, Role role, TensorView view) {
  if (!view.present()) return;
  view = narrow_integers(view);
  Buffer buffer;
  buffer.role = role;
  buffer.data = view.data;
  buffer.element_bytes = dtype_size(view.dtype);
  buffer.tokens = extent(view, 0);
  memory.add(buffer);
}

/// As they broadcast: one for each request and KV head, if need be with strides of 0.
void add_scales(GlobalMemory& memory, Role role, TensorView view, const RaggedBatch& batch) {
  if (!view.present()) return;
  const ScaleStrides strides = scale_strides(view);
  view.shape = {std::ssize(batch.requests), batch.kv_heads};
  view.strides = {strides.request, strides.kv_head};
  add_rows(memory, role, view, false, 1);
}

void add_sinks(GlobalMemory& memory, const TensorView& view) {
  if (!view.present()) return;
  Buffer buffer;
  buffer.role = Role::kSinks;
  buffer.data = view.data;
  buffer.element_bytes = dtype_size(view.dtype);
  buffer.heads = extent(view, 0);
  memory.add(buffer);
}

void add_counter(GlobalMemory& memory, const std::int64_t* counter) {
  Buffer buffer;
  buffer.role = Role::kCounter;
  buffer.data = counter;
  buffer.element_bytes = sizeof(std::int64_t);
  memory.add(buffer);
}

/// Two pieces of memory, each as the plain bytes of a row.
void add_faults(GlobalMemory& memory, const kernel::FaultLine& faults) {
  if (faults.report == nullptr) return;
  Buffer buffer;
  buffer.role = Role::kReport;
  buffer.data = faults.report;
  buffer.row_elements = sizeof(*faults.report);
  memory.add(buffer);
  buffer.data = faults.lock;
  buffer.row_elements = sizeof(*faults.lock);
  memory.add(buffer);
}

void add_partials(GlobalMemory& memory, const PlanData& plan, const float* partials) {
  if (plan.partial_rows == 0) return;
  const std::int64_t row_floats = kernel::partial_row_floats(plan.batch.head_dim_vo);
  Buffer buffer;
  buffer.role = Role::kPartials;
  buffer.data = partials;
  buffer.element_bytes = sizeof(float);
  buffer.row_elements = row_floats;
  buffer.tokens = {plan.partial_rows, row_floats};
  memory.add(buffer);
  std::vector<PartialRows> rows;
  for (const Merge& merge : plan.merges) {
    const std::int64_t count = merge.query_count * merge.query_head_count * merge.parts;
    rows.push_back({merge.partial_row, merge.partial_row + count, merge.request});
  }
  memory.set_partial_rows(std::move(rows));
}

}  // namespace

GlobalMemory describe_memory(const PlanData& plan, const Tensors& tensors,
                             const kernel::ForwardParameters& parameters) {
  const RaggedBatch& batch = plan.batch;
  const bool paged = batch.page_size > 0;
  GlobalMemory memory(batch.requests);
  add_rows(memory, Role::kQuery, tensors.query, false, batch.head_dim_qk);
  add_rows(memory, Role::kKey, tensors.key, paged, batch.head_dim_qk);
  add_rows(memory, Role::kValue, tensors.value, paged, batch.head_dim_vo);
  add_rows(memory, Role::kOut, tensors.out, false, batch.head_dim_vo);
  add_rows(memory, Role::kLse, tensors.lse, false, 1);
  add_scales(memory, Role::kQueryScale, tensors.query_scale, batch);
  add_scales(memory, Role::kKeyScale, tensors.key_scale, batch);
  add_scales(memory, Role::kValueScale, tensors.value_scale, batch);
  add_sinks(memory, tensors.sinks);
  add_counter(memory, parameters.counter);
  add_partials(memory, plan, parameters.partials);
  add_faults(memory, parameters.faults);
  if (paged) {
    add_rows(memory, Role::kBlockTable, narrow_integers(tensors.block_table), false, 1);
    add_numbers(memory, Role::kBlockTableRows, tensors.block_table_rows);
    add_numbers(memory, Role::kPageIndptr, tensors.page_indptr);
    add_numbers(memory, Role::kPageIndices, tensors.page_indices);
    memory.set_page_numbers(tensors, batch.page_size, batch.mask);
  }
  return memory;
}

}  // namespace varlen::emulator
