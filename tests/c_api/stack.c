/* How much stack the library takes from a caller's thread: callers with small stacks (coroutines, other runtimes) must
 * be able to plan and to run. */
#define _POSIX_C_SOURCE 200809L /* pthread_attr_setstack() */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "c_api_test.h"

enum { kStackBytes = 512 * 1024, kPaint = 0xA5, kLargeRequests = 3000 };

/* Sanitizers and builds without optimisation have frames of other sizes. */
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
enum { kMostBytes = 32 * 1024 };
#else
enum { kMostBytes = kStackBytes / 2 };
#endif

/* Bytes of a painted stack that `body` touches in a thread of its own, those of the thread itself included. */
static size_t stack_bytes(void* (*body)(void*), void* argument) {
  unsigned char* const stack = aligned_alloc(4096, kStackBytes);
  memset(stack, kPaint, kStackBytes);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  CHECK(pthread_attr_setstack(&attributes, stack, kStackBytes) == 0);
  pthread_t thread;
  const int created = pthread_create(&thread, &attributes, body, argument);
  if (created == 0) pthread_join(thread, NULL);
  CHECK(created == 0); /* not before: the thread counts what it checks, too */
  pthread_attr_destroy(&attributes);
  size_t untouched = 0; /* stacks grow down */
  while (untouched < kStackBytes && stack[untouched] == kPaint) ++untouched;
  free(stack);
  return kStackBytes - untouched;
}

static void* nothing(void* argument) { return argument; }

/* Decoding of many requests, of which one is long enough to be split. */
static void* plan_many(void* argument) {
  const int64_t* const lengths = argument; /* of queries, then of keys */
  varlen_batch batch = varlen_batch_default();
  batch.query_lengths = varlen_indices_64(lengths, kLargeRequests);
  batch.key_lengths = varlen_indices_64(lengths + kLargeRequests, kLargeRequests);
  batch.query_heads = 32;
  batch.kv_heads = 8;
  batch.head_dim_qk = 128;
  batch.mask_right = 0;
  for (int invariant = 0; invariant < 2; ++invariant) {
    batch.batch_invariant = invariant;
    varlen_plan_target target = {.struct_size = sizeof target};
    CHECK_OK(varlen_plan_target_named("h100", &target));
    varlen_plan* plan = NULL;
    CHECK_OK(varlen_plan_create(&batch, &target, &plan));
    varlen_report report = {.struct_size = sizeof report};
    CHECK_OK(varlen_plan_report(plan, &report));
    CHECK(report.splits > 0);
    varlen_plan_destroy(plan);
  }
  return NULL;
}

/* Validation, its refusals, and a run in this thread alone. */
static void* run_small(void* argument) {
  fixture* const f = argument;
  varlen_plan_target target = small_target();
  target.workers = 1;
  varlen_plan* plan = NULL;
  CHECK_OK(varlen_plan_create(&f->batch, &target, &plan));
  int64_t bytes = 0;
  CHECK_OK(varlen_workspace_bytes(plan, &bytes));
  void* const workspace = aligned_alloc(64, (size_t)((bytes + 63) / 64 * 64));
  CHECK_OK(varlen_run(plan, &f->tensors, workspace, bytes));
  f->out_tensor.data = f->query;
  CHECK(varlen_run(plan, &f->tensors, workspace, bytes) == VARLEN_INVALID_ARGUMENT);
  f->out_tensor.data = f->out;
  free(workspace);
  varlen_plan_destroy(plan);
  return NULL;
}

static void check_stack(const char* what, void* (*body)(void*), void* argument) {
  const size_t own = stack_bytes(nothing, NULL);
  const size_t bytes = stack_bytes(body, argument) - own;
  printf("%s: %zu bytes of stack\n", what, bytes);
  CHECK(bytes <= kMostBytes);
}

void test_stack(void) {
  int64_t* const lengths = malloc(2 * kLargeRequests * sizeof *lengths);
  for (int r = 0; r < kLargeRequests; ++r) {
    lengths[r] = 1 + r % 2;
    lengths[kLargeRequests + r] = 2 + r * 7919 % 500;
  }
  lengths[kLargeRequests + 7] = 2000000;
  check_stack("varlen_plan_create", plan_many, lengths);
  free(lengths);
  fixture* const f = malloc(sizeof *f);
  prepare(f);
  check_stack("varlen_run", run_small, f);
  free(f);
}
