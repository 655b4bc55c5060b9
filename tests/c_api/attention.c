/* Results against attention written out from its definition. */
#include <math.h>
#include <stdlib.h>

#include "c_api_test.h"

/* One (query token, head) of request `r` from the definition: softmax over the keys that bottom-right causal alignment
 * lets it see. Returns its LSE, −inf if there are none. */
static double naive_row(const fixture* f, int r, int token, int head, double scale, double* row) {
  const int query_begin = kQueryOffsets[r];
  const int query_length = kQueryOffsets[r + 1] - query_begin;
  const int key_begin = (int)kKeyOffsets[r];
  const int key_length = (int)kKeyOffsets[r + 1] - key_begin;
  const int visible = key_length - query_length + (token - query_begin) + 1;
  const int kv_head = head / (kQueryHeads / kKvHeads);
  double sum = 0;
  for (int d = 0; d < kDimVo; ++d) row[d] = 0;
  for (int k = 0; k < visible; ++k) {
    double score = 0;
    for (int d = 0; d < kDimQk; ++d) {
      score += (double)f->query[token][head][d] * (double)f->key[key_begin + k][kv_head][d];
    }
    const double weight = exp(score * scale); /* scores are small here, so the plain sum is exact enough */
    sum += weight;
    for (int d = 0; d < kDimVo; ++d) row[d] += weight * (double)f->value[key_begin + k][kv_head][d];
  }
  for (int d = 0; d < kDimVo && sum > 0; ++d) row[d] /= sum;
  return sum > 0 ? log(sum) : -INFINITY;
}

/* Every row of `out` and `lse`: as many checks as there are rows. */
static void check_results(const fixture* f, double scale) {
  for (int r = 0; r < kRequests; ++r) {
    for (int token = kQueryOffsets[r]; token < kQueryOffsets[r + 1]; ++token) {
      for (int head = 0; head < kQueryHeads; ++head) {
        double expected[kDimVo];
        const double lse = naive_row(f, r, token, head, scale, expected);
        double worst = 0;
        for (int d = 0; d < kDimVo; ++d) worst = fmax(worst, fabs(expected[d] - (double)f->out[token][head][d]));
        CHECK(worst <= 1e-6);
        if (isinf(lse)) {
          CHECK(isinf(f->lse[token][head]) && f->lse[token][head] < 0);
        } else {
          CHECK(fabs(lse - (double)f->lse[token][head]) <= 1e-5);
        }
      }
    }
  }
}

static void run_plan(fixture* f, const varlen_plan_target* target) {
  varlen_plan* plan = NULL;
  CHECK_OK(varlen_plan_create(&f->batch, target, &plan));
  int64_t bytes = -1;
  CHECK_OK(varlen_workspace_bytes(plan, &bytes));
  CHECK(bytes >= 0);
  void* workspace = aligned_alloc(64, (size_t)((bytes + 63) / 64 * 64 + 64));
  CHECK_OK(varlen_run(plan, &f->tensors, workspace, bytes));
  free(workspace);
  varlen_plan_destroy(plan);
}

void test_attention(void) {
  fixture f;
  const double default_scale = 1.0 / sqrt((double)kDimQk);

  prepare(&f);
  CHECK_OK(varlen_attention(&f.batch, &f.tensors, VARLEN_BACKEND_AUTO));
  check_results(&f, default_scale);

  prepare(&f);
  CHECK_OK(varlen_attention(&f.batch, &f.tensors, VARLEN_BACKEND_REFERENCE));
  check_results(&f, default_scale);

  prepare(&f);
  f.batch.has_scale = 1;
  f.batch.scale = 0.5f;
  CHECK_OK(varlen_attention(&f.batch, &f.tensors, VARLEN_BACKEND_CPU));
  check_results(&f, 0.5);

  prepare(&f);
  run_plan(&f, NULL);
  check_results(&f, default_scale);

  prepare(&f);
  const varlen_plan_target small = small_target();
  run_plan(&f, &small);
  check_results(&f, default_scale);

  /* A GPU's plan runs here as well, and without an LSE tensor none is written. */
  prepare(&f);
  varlen_plan_target h100 = varlen_plan_target_default();
  CHECK_OK(varlen_plan_target_named("h100", &h100));
  CHECK(h100.workers == 132);
  f.tensors.lse = NULL;
  run_plan(&f, &h100);
  for (int token = 0; token < kQueryTokens; ++token) {
    for (int head = 0; head < kQueryHeads; ++head) CHECK(f.lse[token][head] == kUntouched);
  }
  f.tensors.lse = &f.lse_tensor;
  run_plan(&f, &h100);
  check_results(&f, default_scale);
}
