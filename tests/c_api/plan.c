/* Walking a plan through the C interface, and structs of other sizes than this header's. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "c_api_test.h"

static void test_walk(void) {
  fixture f;
  prepare(&f);
  const varlen_plan_target target = small_target();
  varlen_plan* plan = NULL;
  CHECK_OK(varlen_plan_create(&f.batch, &target, &plan));

  varlen_report report = {.struct_size = sizeof report};
  CHECK_OK(varlen_plan_report(plan, &report));
  CHECK(report.requests == kRequests);
  CHECK(report.workers == 7);
  CHECK(report.empty_tiles == 0);
  CHECK(report.live_rows == kQueryTokens * kQueryHeads);
  CHECK(report.splits > 0);

  /* Every (query token, head) lies in exactly one tile: in one item that is the first part of its tile. */
  int seen[kQueryTokens][kQueryHeads] = {{0}};
  int64_t count = 0;
  CHECK_OK(varlen_plan_item_count(plan, &count));
  CHECK(count == report.items);
  for (int64_t i = 0; i < count; ++i) {
    varlen_work_item item = {.struct_size = sizeof item};
    CHECK_OK(varlen_plan_item(plan, i, &item));
    CHECK(item.query_count > 0 && item.query_head_count > 0);
    CHECK((item.parts > 1) == (item.merge >= 0));
    for (int64_t q = item.query_begin; q < item.query_begin + item.query_count && item.part == 0; ++q) {
      for (int32_t h = 0; h < item.query_head_count; ++h) {
        ++seen[kQueryOffsets[item.request] + q][item.query_head_begin + h];
      }
    }
  }
  for (int token = 0; token < kQueryTokens; ++token) {
    for (int head = 0; head < kQueryHeads; ++head) CHECK(seen[token][head] == 1);
  }
  varlen_plan_destroy(plan);
}

/* The first `size` bytes of `source` in memory of their own, so that a sanitizer sees a read past them. */
static void* cut(const void* source, size_t size) {
  void* copy = malloc(size);
  memcpy(copy, source, size);
  memcpy(copy, &size, sizeof size);
  return copy;
}

static void test_older_caller(void) {
  fixture f;
  prepare(&f);

  /* A batch that ends before the mask is unmasked, and its plan needs no fewer key blocks than the causal one. */
  f.batch.mask_right = VARLEN_UNLIMITED;
  varlen_batch* batch = cut(&f.batch, offsetof(varlen_batch, mask_left));
  varlen_plan* plan = NULL;
  const varlen_plan_target target = small_target();
  CHECK_OK(varlen_plan_create(batch, &target, &plan));
  varlen_report of_cut = {.struct_size = sizeof of_cut};
  CHECK_OK(varlen_plan_report(plan, &of_cut));
  varlen_plan_destroy(plan);
  CHECK_OK(varlen_plan_create(&f.batch, &target, &plan));
  varlen_report of_whole = {.struct_size = sizeof of_whole};
  CHECK_OK(varlen_plan_report(plan, &of_whole));
  CHECK(of_cut.key_blocks == of_whole.key_blocks && of_cut.items == of_whole.items);
  f.batch.mask_right = 0;
  varlen_plan* causal = NULL;
  CHECK_OK(varlen_plan_create(&f.batch, &target, &causal));
  varlen_report of_causal = {.struct_size = sizeof of_causal};
  CHECK_OK(varlen_plan_report(causal, &of_causal));
  CHECK(of_causal.key_blocks < of_cut.key_blocks);
  varlen_plan_destroy(causal);
  free(batch);

  /* Callers whose report ended after `items` and whose item ended after `query_head_count`. */
  struct older_report {
    size_t struct_size;
    int64_t requests, tiles, empty_tiles, blind_tiles, items;
  } report = {.struct_size = sizeof report, .items = -1};
  CHECK_OK(varlen_plan_report(plan, (varlen_report*)&report));
  CHECK(report.items == of_whole.items && report.struct_size == sizeof report);
  struct older_item {
    size_t struct_size;
    int64_t query_begin, query_count, key_begin, key_end, partial_row;
    int32_t request, kv_head, query_head_begin, query_head_count;
  } item = {.struct_size = sizeof item};
  CHECK_OK(varlen_plan_item(plan, 0, (varlen_work_item*)&item));
  CHECK(item.query_count > 0 && item.query_head_count > 0 && item.struct_size == sizeof item);
  varlen_plan_destroy(plan);

  /* Tensors that end after `out`, and views that end after their strides. */
  varlen_tensor* query = cut(&f.query_tensor, offsetof(varlen_tensor, device));
  f.tensors.query = query;
  varlen_tensors* tensors = cut(&f.tensors, offsetof(varlen_tensors, lse));
  CHECK_OK(varlen_attention(&f.batch, tensors, VARLEN_BACKEND_AUTO));
  CHECK(f.out[0][0][0] != kUntouched && f.lse[0][0] == kUntouched);
  free(tensors);
  free(query);

  varlen_plan_target* short_target = cut(&target, offsetof(varlen_plan_target, item_cost));
  CHECK_OK(varlen_plan_create(&f.batch, short_target, &plan));
  varlen_plan_destroy(plan);
  free(short_target);
}

static void test_newer_caller(void) {
  struct newer_batch {
    varlen_batch known;
    int64_t unknown;
  } newer;
  fixture f;
  prepare(&f);
  newer.known = f.batch;
  newer.known.struct_size = sizeof newer;
  newer.unknown = 0;
  varlen_plan* plan = NULL;
  CHECK_OK(varlen_plan_create(&newer.known, NULL, &plan));
  CHECK(plan != NULL);
  varlen_plan_destroy(plan);

  newer.unknown = 1;
  CHECK(varlen_plan_create(&newer.known, NULL, &plan) == VARLEN_UNSUPPORTED);
  CHECK(plan == NULL);
  CHECK(strcmp(varlen_last_error_field(), "batch.struct_size") == 0);
}

void test_plan(void) {
  test_walk();
  test_older_caller();
  test_newer_caller();
  varlen_plan_destroy(NULL);
}
