#include <stdio.h>
#include <string.h>

#include "c_api_test.h"

static int passed_count = 0;
static int failed_count = 0;

void check(int passed, const char* expression, const char* file, int line) {
  if (passed) {
    ++passed_count;
  } else {
    ++failed_count;
    printf("%s:%d: failed: %s\n", file, line, expression);
  }
}

void check_ok(int code, const char* call, const char* file, int line) {
  check(code == VARLEN_OK, call, file, line);
  if (code != VARLEN_OK) printf("  code %d: %s\n", code, varlen_last_error());
}

const int32_t kQueryOffsets[kRequests + 1] = {0, 5, 5, 6, 9};
const int64_t kKeyOffsets[kRequests + 1] = {0, 5, 7, 16, 16};

static void fill(float* values, size_t count, uint32_t seed) {
  uint32_t state = seed;
  for (size_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    values[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
  }
}

void prepare(fixture* f) {
  memset(f, 0, sizeof *f);
  fill(&f->query[0][0][0], sizeof f->query / sizeof(float), 1);
  fill(&f->key[0][0][0], sizeof f->key / sizeof(float), 2);
  fill(&f->value[0][0][0], sizeof f->value / sizeof(float), 3);
  for (int token = 0; token < kQueryTokens; ++token) {
    for (int head = 0; head < kQueryHeads; ++head) {
      f->lse[token][head] = kUntouched;
      for (int d = 0; d < kDimVo; ++d) f->out[token][head][d] = kUntouched;
    }
  }

  f->batch = varlen_batch_default();
  f->batch.query_indptr = varlen_indices_32(kQueryOffsets, kRequests + 1);
  f->batch.key_indptr = varlen_indices_64(kKeyOffsets, kRequests + 1);
  f->batch.query_heads = kQueryHeads;
  f->batch.kv_heads = kKvHeads;
  f->batch.head_dim_qk = kDimQk;
  f->batch.head_dim_vo = kDimVo;
  f->batch.query_dtype = VARLEN_FLOAT32;
  f->batch.output_dtype = VARLEN_FLOAT32;
  f->batch.mask_right = 0; /* causal */

  f->query_tensor =
      varlen_tensor_dense(f->query, VARLEN_FLOAT32, 3, (const int64_t[]){kQueryTokens, kQueryHeads, kDimQk});
  f->key_tensor = varlen_tensor_dense(f->key, VARLEN_FLOAT32, 3, (const int64_t[]){kKeyTokens, kKvHeads, kDimQk});
  f->value_tensor = varlen_tensor_dense(f->value, VARLEN_FLOAT32, 3, (const int64_t[]){kKeyTokens, kKvHeads, kDimVo});
  f->out_tensor = varlen_tensor_dense(f->out, VARLEN_FLOAT32, 3, (const int64_t[]){kQueryTokens, kQueryHeads, kDimVo});
  f->lse_tensor = varlen_tensor_dense(f->lse, VARLEN_FLOAT32, 2, (const int64_t[]){kQueryTokens, kQueryHeads});
  f->tensors = varlen_tensors_default();
  f->tensors.query = &f->query_tensor;
  f->tensors.key = &f->key_tensor;
  f->tensors.value = &f->value_tensor;
  f->tensors.out = &f->out_tensor;
  f->tensors.lse = &f->lse_tensor;
}

varlen_plan_target small_target(void) {
  varlen_plan_target target = varlen_plan_target_default();
  target.tile_shapes[0].rows = 4;
  target.tile_shapes[0].block_cost = 16;
  target.tile_shape_count = 1;
  target.key_block = 4;
  target.workers = 7;
  target.item_cost = 1;
  target.split_cost = 1;
  return target;
}

int main(void) {
  test_abi();
  test_attention();
  test_device();
  test_dlpack();
  test_plan();
  test_errors();
  test_layouts();
  test_stack();
  printf("%d passed, %d failed\n", passed_count, failed_count);
  return failed_count == 0 ? 0 : 1;
}
