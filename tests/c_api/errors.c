/* What is refused, with which code and words, and that nothing is written then. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "c_api_test.h"

/* The batch is refused by planning and by attention, names `field`, and leaves the outputs alone. */
static void check_refused(fixture* f, int code, const char* field) {
  varlen_plan* plan = (varlen_plan*)f;
  CHECK(varlen_plan_create(&f->batch, NULL, &plan) == code);
  CHECK(plan == NULL);
  CHECK(varlen_last_error_code() == code);
  CHECK(varlen_last_error()[0] != '\0');
  CHECK(strcmp(varlen_last_error_field(), field) == 0);
  if (strcmp(varlen_last_error_field(), field) != 0) {
    printf("  field '%s', not '%s': %s\n", varlen_last_error_field(), field, varlen_last_error());
  }
  CHECK(varlen_attention(&f->batch, &f->tensors, VARLEN_BACKEND_AUTO) == code);
  CHECK(f->out[0][0][0] == kUntouched && f->lse[0][0] == kUntouched);
}

static void test_batches(void) {
  fixture f;
  const int32_t decreasing[kRequests + 1] = {0, 5, 4, 6, 9};
  prepare(&f);
  f.batch.query_indptr = varlen_indices_32(decreasing, kRequests + 1);
  check_refused(&f, VARLEN_INVALID_ARGUMENT, "query_indptr");
  CHECK(varlen_last_error_index() == 2);
  CHECK(strcmp(varlen_last_error_value(), "4") == 0);
  CHECK(strstr(varlen_last_error(), "query_indptr[2] = 4 is less than query_indptr[1] = 5") != NULL);

  prepare(&f);
  f.batch.kv_heads = 3;
  check_refused(&f, VARLEN_INVALID_ARGUMENT, "query_heads");

  prepare(&f);
  f.batch.query_dtype = 17;
  check_refused(&f, VARLEN_INVALID_ARGUMENT, "query_dtype");

  prepare(&f);
  f.batch.has_scale = 1;
  f.batch.scale = NAN;
  check_refused(&f, VARLEN_INVALID_ARGUMENT, "scale");

  prepare(&f);
  f.batch.has_scale = 2;
  check_refused(&f, VARLEN_INVALID_ARGUMENT, "has_scale");

  prepare(&f);
  f.batch.batch_invariant = -1;
  check_refused(&f, VARLEN_INVALID_ARGUMENT, "batch_invariant");

  prepare(&f);
  f.batch.query_indptr.bits = 16;
  check_refused(&f, VARLEN_INVALID_ARGUMENT, "query_indptr.bits");

  prepare(&f);
  f.batch.key_indptr.size = -1;
  check_refused(&f, VARLEN_INVALID_ARGUMENT, "key_indptr.size");

  prepare(&f);
  f.batch.key_indptr.data = NULL;
  check_refused(&f, VARLEN_INVALID_ARGUMENT, "key_indptr.data");

  prepare(&f);
  f.batch.key_indptr.data = (const char*)kKeyOffsets + 4;
  check_refused(&f, VARLEN_INVALID_ARGUMENT, "key_indptr.data");

  prepare(&f);
  f.batch.struct_size = 0;
  check_refused(&f, VARLEN_INVALID_ARGUMENT, "batch.struct_size");
  f.batch.struct_size = offsetof(varlen_batch, output_dtype);
  check_refused(&f, VARLEN_INVALID_ARGUMENT, "batch.struct_size");
  f.batch.struct_size = SIZE_MAX;
  check_refused(&f, VARLEN_INVALID_ARGUMENT, "batch.struct_size");
}

static void test_pointers_and_sizes(void) {
  fixture f;
  varlen_plan* plan = NULL;
  varlen_report report = {.struct_size = 0};
  varlen_work_item item = {.struct_size = 0};
  varlen_plan_target target = varlen_plan_target_default();
  int64_t number = 0;
  prepare(&f);

  CHECK(varlen_plan_create(NULL, NULL, &plan) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_plan_create(&f.batch, NULL, NULL) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_plan_item_count(NULL, &number) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_plan_report(NULL, &report) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_workspace_bytes(NULL, &number) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_run(NULL, &f.tensors, NULL, 0) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_attention(&f.batch, NULL, VARLEN_BACKEND_AUTO) == VARLEN_INVALID_ARGUMENT);
  CHECK(strcmp(varlen_last_error_field(), "tensors") == 0);

  CHECK(varlen_plan_target_named("h200x", &target) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_plan_target_named(NULL, &target) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_plan_target_named("h100", NULL) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_plan_create(&f.batch, &target, &plan) == VARLEN_INVALID_ARGUMENT); /* no tile shape */
  CHECK(strcmp(varlen_last_error_field(), "target.tile_shape_count") == 0);
  target.tile_shape_count = VARLEN_MAX_TILE_SHAPES + 1;
  CHECK(varlen_plan_create(&f.batch, &target, &plan) == VARLEN_INVALID_ARGUMENT);
  CHECK(plan == NULL);
  target.struct_size = 8;
  CHECK(varlen_plan_target_named("h100", &target) == VARLEN_INVALID_ARGUMENT);

  target = small_target();
  CHECK_OK(varlen_plan_create(&f.batch, &target, &plan));
  CHECK(varlen_plan_item_count(plan, NULL) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_plan_report(plan, NULL) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_plan_report(plan, &report) == VARLEN_INVALID_ARGUMENT);
  CHECK(strcmp(varlen_last_error_field(), "report.struct_size") == 0);
  CHECK(varlen_plan_item(plan, 0, &item) == VARLEN_INVALID_ARGUMENT);
  CHECK(strcmp(varlen_last_error_field(), "item.struct_size") == 0);
  item.struct_size = sizeof item;
  CHECK(varlen_plan_item(plan, -1, &item) == VARLEN_INVALID_ARGUMENT);
  CHECK_OK(varlen_plan_item_count(plan, &number));
  CHECK(varlen_plan_item(plan, number, &item) == VARLEN_INVALID_ARGUMENT);
  CHECK(strcmp(varlen_last_error_field(), "index") == 0);

  /* The plan has splits, so it needs a workspace. */
  CHECK_OK(varlen_workspace_bytes(plan, &number));
  CHECK(number > 0);
  void* workspace = aligned_alloc(64, (size_t)((number + 63) / 64 * 64));
  CHECK(varlen_run(plan, &f.tensors, workspace, number - 1) == VARLEN_WORKSPACE_TOO_SMALL);
  CHECK(varlen_run(plan, &f.tensors, NULL, number) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_run(plan, NULL, workspace, number) == VARLEN_INVALID_ARGUMENT);
  f.query_tensor.struct_size = 0;
  CHECK(varlen_run(plan, &f.tensors, workspace, number) == VARLEN_INVALID_ARGUMENT);
  CHECK(strcmp(varlen_last_error_field(), "query.struct_size") == 0);
  CHECK(f.out[0][0][0] == kUntouched);
  free(workspace);
  varlen_plan_destroy(plan);
}

static void test_tensors(void) {
  fixture f;
  prepare(&f);
  CHECK(varlen_attention(&f.batch, &f.tensors, 99) == VARLEN_INVALID_ARGUMENT);

  f.query_tensor.device = VARLEN_CUDA; /* and the others are not */
  CHECK(varlen_attention(&f.batch, &f.tensors, VARLEN_BACKEND_AUTO) == VARLEN_INVALID_ARGUMENT);

  prepare(&f);
  f.key_tensor.rank = 9;
  CHECK(varlen_attention(&f.batch, &f.tensors, VARLEN_BACKEND_AUTO) == VARLEN_INVALID_ARGUMENT);
  f.key_tensor.rank = -1;
  CHECK(varlen_attention(&f.batch, &f.tensors, VARLEN_BACKEND_AUTO) == VARLEN_INVALID_ARGUMENT);

  prepare(&f);
  f.value_tensor.dtype = 17;
  CHECK(varlen_attention(&f.batch, &f.tensors, VARLEN_BACKEND_AUTO) == VARLEN_INVALID_ARGUMENT);

  prepare(&f);
  f.tensors.out = NULL;
  CHECK(varlen_attention(&f.batch, &f.tensors, VARLEN_BACKEND_AUTO) == VARLEN_INVALID_ARGUMENT);
}

static void* fail_elsewhere(void* fresh) {
  *(int*)fresh = varlen_last_error_code() == VARLEN_OK && varlen_last_error()[0] == '\0';
  varlen_plan_create(NULL, NULL, NULL);
  return NULL;
}

static void test_last_error_is_per_thread(void) {
  varlen_report report = {.struct_size = sizeof report};
  CHECK(varlen_plan_report(NULL, &report) == VARLEN_INVALID_ARGUMENT);
  char before[1024];
  snprintf(before, sizeof before, "%s", varlen_last_error());
  pthread_t thread;
  int fresh = 0;
  CHECK(pthread_create(&thread, NULL, fail_elsewhere, &fresh) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(fresh);
  CHECK(strcmp(before, varlen_last_error()) == 0);
}

void test_errors(void) {
  CHECK(strncmp(varlen_version(), "0.", 2) == 0);
  test_batches();
  test_pointers_and_sizes();
  test_tensors();
  test_last_error_is_per_thread();
}
