/* The layout of every struct of varlen.h on 64-bit machines. A number that changes here breaks programs that were built
 * before: structs only grow at their ends. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "c_api_test.h"

#define SIZE(type, bytes) CHECK(sizeof(type) == (bytes))
#define PLACE(type, member, offset) CHECK(offsetof(type, member) == (offset))

static void test_inputs(void) {
  SIZE(varlen_indices, 24);
  PLACE(varlen_indices, data, 0);
  PLACE(varlen_indices, size, 8);
  PLACE(varlen_indices, bits, 16);
  SIZE(varlen_batch, 176);
  PLACE(varlen_batch, struct_size, 0);
  PLACE(varlen_batch, query_indptr, 8);
  PLACE(varlen_batch, query_lengths, 32);
  PLACE(varlen_batch, key_indptr, 56);
  PLACE(varlen_batch, key_lengths, 80);
  PLACE(varlen_batch, page_size, 104);
  PLACE(varlen_batch, query_heads, 112);
  PLACE(varlen_batch, kv_heads, 116);
  PLACE(varlen_batch, head_dim_qk, 120);
  PLACE(varlen_batch, head_dim_vo, 124);
  PLACE(varlen_batch, query_dtype, 128);
  PLACE(varlen_batch, output_dtype, 132);
  PLACE(varlen_batch, kv_dtype, 136);
  PLACE(varlen_batch, reserved, 140);
  PLACE(varlen_batch, mask_left, 144);
  PLACE(varlen_batch, mask_right, 152);
  PLACE(varlen_batch, has_scale, 160);
  PLACE(varlen_batch, scale, 164);
  PLACE(varlen_batch, soft_cap, 168);
  PLACE(varlen_batch, batch_invariant, 172);
  SIZE(varlen_tensor, 96);
  PLACE(varlen_tensor, data, 8);
  PLACE(varlen_tensor, dtype, 16);
  PLACE(varlen_tensor, rank, 20);
  PLACE(varlen_tensor, shape, 24);
  PLACE(varlen_tensor, strides, 56);
  PLACE(varlen_tensor, device, 88);
  PLACE(varlen_tensor, device_index, 92);
  SIZE(varlen_tensors, 112);
  PLACE(varlen_tensors, query, 8);
  PLACE(varlen_tensors, key, 16);
  PLACE(varlen_tensors, value, 24);
  PLACE(varlen_tensors, out, 32);
  PLACE(varlen_tensors, lse, 40);
  PLACE(varlen_tensors, block_table, 48);
  PLACE(varlen_tensors, block_table_rows, 56);
  PLACE(varlen_tensors, page_indptr, 64);
  PLACE(varlen_tensors, page_indices, 72);
  PLACE(varlen_tensors, sinks, 80);
  PLACE(varlen_tensors, query_scale, 88);
  PLACE(varlen_tensors, key_scale, 96);
  PLACE(varlen_tensors, value_scale, 104);
  SIZE(varlen_run_options, 24);
  PLACE(varlen_run_options, backend, 8);
  PLACE(varlen_run_options, kernel, 12);
  PLACE(varlen_run_options, stream, 16);
  SIZE(varlen_limits, 48);
  PLACE(varlen_limits, requests, 8);
  PLACE(varlen_limits, query_tokens, 16);
  PLACE(varlen_limits, key_tokens, 24);
  PLACE(varlen_limits, query_length, 32);
  PLACE(varlen_limits, key_length, 40);
  SIZE(varlen_device_indices, 16);
  PLACE(varlen_device_indices, bits, 8);
  SIZE(varlen_device_requests, 80);
  PLACE(varlen_device_requests, query_indptr, 8);
  PLACE(varlen_device_requests, query_lengths, 24);
  PLACE(varlen_device_requests, key_indptr, 40);
  PLACE(varlen_device_requests, key_lengths, 56);
  PLACE(varlen_device_requests, request_count, 72);
  SIZE(varlen_requests, 104);
  PLACE(varlen_requests, query_indptr, 8);
  PLACE(varlen_requests, query_lengths, 32);
  PLACE(varlen_requests, key_indptr, 56);
  PLACE(varlen_requests, key_lengths, 80);
  SIZE(varlen_device_plan_options, 32);
  PLACE(varlen_device_plan_options, backend, 8);
  PLACE(varlen_device_plan_options, device, 12);
  PLACE(varlen_device_plan_options, memory, 16);
  PLACE(varlen_device_plan_options, memory_bytes, 24);
}

static void test_plans(void) {
  SIZE(varlen_tile_shape, 16);
  PLACE(varlen_tile_shape, block_cost, 8);
  SIZE(varlen_plan_target, 112);
  PLACE(varlen_plan_target, tile_shapes, 8);
  PLACE(varlen_plan_target, tile_shape_count, 72);
  PLACE(varlen_plan_target, key_block, 76);
  PLACE(varlen_plan_target, workers, 80);
  PLACE(varlen_plan_target, invariant_shares, 84);
  PLACE(varlen_plan_target, item_cost, 88);
  PLACE(varlen_plan_target, split_cost, 96);
  PLACE(varlen_plan_target, l2_bytes, 104);
  SIZE(varlen_work_item, 80);
  PLACE(varlen_work_item, query_begin, 8);
  PLACE(varlen_work_item, query_count, 16);
  PLACE(varlen_work_item, key_begin, 24);
  PLACE(varlen_work_item, key_end, 32);
  PLACE(varlen_work_item, partial_row, 40);
  PLACE(varlen_work_item, request, 48);
  PLACE(varlen_work_item, kv_head, 52);
  PLACE(varlen_work_item, query_head_begin, 56);
  PLACE(varlen_work_item, query_head_count, 60);
  PLACE(varlen_work_item, tile_shape, 64);
  PLACE(varlen_work_item, part, 68);
  PLACE(varlen_work_item, parts, 72);
  PLACE(varlen_work_item, merge, 76);
  SIZE(varlen_report, 184);
  PLACE(varlen_report, requests, 8);
  PLACE(varlen_report, tiles, 16);
  PLACE(varlen_report, empty_tiles, 24);
  PLACE(varlen_report, blind_tiles, 32);
  PLACE(varlen_report, items, 40);
  PLACE(varlen_report, splits, 48);
  PLACE(varlen_report, partial_slots, 56);
  PLACE(varlen_report, partial_rows, 64);
  PLACE(varlen_report, live_rows, 72);
  PLACE(varlen_report, tile_rows, 80);
  PLACE(varlen_report, key_blocks, 88);
  PLACE(varlen_report, padded_tiles, 96);
  PLACE(varlen_report, workers, 104);
  PLACE(varlen_report, mean, 112);
  PLACE(varlen_report, makespan, 120);
  PLACE(varlen_report, makespan_over_mean, 128);
  PLACE(varlen_report, makespan_over_unsplit_mean, 136);
  PLACE(varlen_report, l2_footprint_mean, 144);
  PLACE(varlen_report, l2_footprint_max, 152);
  PLACE(varlen_report, plan_bytes, 160);
  PLACE(varlen_report, plan_us, 168);
  PLACE(varlen_report, simulated_items, 176);
}

static void test_answers(void) {
  SIZE(varlen_kernel_choice, 624);
  PLACE(varlen_kernel_choice, supported, 8);
  PLACE(varlen_kernel_choice, kernel, 16);
  PLACE(varlen_kernel_choice, field, 48);
  PLACE(varlen_kernel_choice, reason, 112);
  SIZE(varlen_device, 296);
  PLACE(varlen_device, name, 8);
  PLACE(varlen_device, compute_major, 264);
  PLACE(varlen_device, compute_minor, 268);
  PLACE(varlen_device, multiprocessors, 272);
  PLACE(varlen_device, l2_bytes, 280);
  PLACE(varlen_device, memory_bytes, 288);
  SIZE(varlen_build, 176);
  PLACE(varlen_build, version, 8);
  PLACE(varlen_build, build_type, 40);
  PLACE(varlen_build, compiler, 72);
  PLACE(varlen_build, simd_target, 136);
  PLACE(varlen_build, threads, 168);
}

static void test_version(void) {
  char version[32];
  snprintf(version, sizeof version, "%d.%d.%d", VARLEN_VERSION_MAJOR, VARLEN_VERSION_MINOR, VARLEN_VERSION_PATCH);
  CHECK(strcmp(version, varlen_version()) == 0);
}

void test_abi(void) {
  test_inputs();
  test_plans();
  test_answers();
  test_version();
}
