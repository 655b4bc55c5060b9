/* Views and layouts that C callers meet: huge shapes, tables of 64 bits with pages that no query sees, an LSE by heads,
 * expanded heads, and workspaces that lie on a tensor. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "c_api_test.h"

static void test_huge_shapes(void) {
  const int64_t half = (int64_t)1 << 40;
  varlen_tensor tensor = varlen_tensor_dense(NULL, VARLEN_FLOAT32, 4, (const int64_t[]){3, half, half, 8});
  CHECK(tensor.strides[3] == 1 && tensor.strides[2] == 8 && tensor.strides[1] == 8 * half);
  CHECK(tensor.strides[0] == INT64_MAX);
  tensor = varlen_tensor_dense(NULL, VARLEN_FLOAT32, 3, (const int64_t[]){INT64_MAX, INT64_MAX, INT64_MAX});
  CHECK(tensor.strides[2] == 1 && tensor.strides[1] == INT64_MAX && tensor.strides[0] == INT64_MAX);
  tensor = varlen_tensor_dense(NULL, VARLEN_FLOAT32, 3, (const int64_t[]){7, 0, 5});
  CHECK(tensor.strides[2] == 1 && tensor.strides[1] == 5 && tensor.strides[0] == 5);
  tensor = varlen_tensor_dense(NULL, VARLEN_FLOAT32, 3, (const int64_t[]){INT64_MIN, -3, INT64_MAX});
  CHECK(tensor.shape[0] == INT64_MIN && tensor.strides[1] == INT64_MAX);
  tensor = varlen_tensor_dense(NULL, VARLEN_FLOAT32, 9, (const int64_t[]){1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(tensor.rank == 9 && tensor.strides[0] == 24);
  tensor = varlen_tensor_dense(NULL, VARLEN_FLOAT32, -1, NULL);
  CHECK(tensor.rank == -1);

  fixture f;
  prepare(&f);
  f.key_tensor = varlen_tensor_dense(f.key, VARLEN_FLOAT32, 3, (const int64_t[]){INT64_MAX, kKvHeads, kDimQk});
  CHECK(varlen_attention(&f.batch, &f.tensors, VARLEN_BACKEND_CPU) == VARLEN_INVALID_ARGUMENT);
  CHECK(strcmp(varlen_last_error_field(), "key.strides") == 0);
  CHECK(varlen_last_error_index() == 0);
  CHECK(f.out[0][0][0] == kUntouched);
}

/* Every key is a page of its own; those before a window of three keys have no number. */
static void test_hidden_pages(void) {
  fixture f;
  fixture paged;
  prepare(&f);
  f.batch.mask_left = 2;
  memcpy(&paged, &f, sizeof f);
  CHECK_OK(varlen_attention(&f.batch, &f.tensors, VARLEN_BACKEND_CPU));

  int64_t table[kRequests][kKeyTokens];
  int64_t key_lengths[kRequests];
  for (int r = 0; r < kRequests; ++r) {
    const int keys = (int)(kKeyOffsets[r + 1] - kKeyOffsets[r]);
    const int queries = kQueryOffsets[r + 1] - kQueryOffsets[r];
    key_lengths[r] = keys;
    for (int key = 0; key < kKeyTokens; ++key) {
      const int seen = queries > 0 && key >= keys - queries - 2 && key < keys;
      table[r][key] = seen ? kKeyOffsets[r] + key : key % 2 == 0 ? -1 : INT64_MAX;
    }
  }
  CHECK(table[0][0] == 0 && table[1][0] == -1 && table[2][0] == -1 && table[2][7] == 14);
  const varlen_tensor query =
      varlen_tensor_dense(paged.query, VARLEN_FLOAT32, 3, (const int64_t[]){kQueryTokens, kQueryHeads, kDimQk});
  const varlen_tensor key =
      varlen_tensor_dense(paged.key, VARLEN_FLOAT32, 4, (const int64_t[]){kKeyTokens, 1, kKvHeads, kDimQk});
  const varlen_tensor value =
      varlen_tensor_dense(paged.value, VARLEN_FLOAT32, 4, (const int64_t[]){kKeyTokens, 1, kKvHeads, kDimVo});
  const varlen_tensor out =
      varlen_tensor_dense(paged.out, VARLEN_FLOAT32, 3, (const int64_t[]){kQueryTokens, kQueryHeads, kDimVo});
  const varlen_tensor pages = varlen_tensor_dense(table, VARLEN_INT64, 2, (const int64_t[]){kRequests, kKeyTokens});
  varlen_tensors tensors = varlen_tensors_default();
  tensors.query = &query;
  tensors.key = &key;
  tensors.value = &value;
  tensors.out = &out;
  tensors.block_table = &pages;
  paged.batch.key_indptr = varlen_indices_64(NULL, 0);
  paged.batch.key_indptr.bits = 0;
  paged.batch.key_lengths = varlen_indices_64(key_lengths, kRequests);
  paged.batch.page_size = 1;
  CHECK_OK(varlen_attention(&paged.batch, &tensors, VARLEN_BACKEND_REFERENCE));
  CHECK_OK(varlen_attention(&paged.batch, &tensors, VARLEN_BACKEND_CPU));
  CHECK(memcmp(paged.out, f.out, sizeof f.out) == 0);

  table[2][6] = -1; /* the first key that request 2 sees */
  CHECK(varlen_attention(&paged.batch, &tensors, VARLEN_BACKEND_CPU) == VARLEN_INVALID_ARGUMENT);
  CHECK(strcmp(varlen_last_error_field(), "block_table") == 0);
  CHECK(varlen_last_error_index() == 2 * kKeyTokens + 6);
  CHECK(strcmp(varlen_last_error_value(), "-1") == 0);
}

/* A query without keys and keys without queries: nothing of the keys is read, so they may be absent. */
static void test_absent_keys(int backend) {
  fixture f;
  prepare(&f);
  const int32_t queries[2] = {1, 0};
  const int32_t keys[2] = {0, 5};
  f.batch.query_indptr = f.batch.key_indptr = varlen_indices_32(NULL, 0);
  f.batch.query_indptr.bits = f.batch.key_indptr.bits = 0;
  f.batch.query_lengths = varlen_indices_32(queries, 2);
  f.batch.key_lengths = varlen_indices_32(keys, 2);
  f.tensors.key = f.tensors.value = NULL;
  CHECK_OK(varlen_attention(&f.batch, &f.tensors, backend));
  for (int head = 0; head < kQueryHeads; ++head) {
    CHECK(isinf(f.lse[0][head]) && f.lse[0][head] < 0);
    for (int d = 0; d < kDimVo; ++d) CHECK(f.out[0][head][d] >= 0 && f.out[0][head][d] <= 0);
  }
  CHECK(f.out[1][0][0] == kUntouched);
}

static void test_free_strides(int backend) {
  fixture f;
  fixture turned;
  prepare(&f);
  for (int token = 0; token < kKeyTokens; ++token) { /* both KV heads are the first */
    memcpy(f.key[token][1], f.key[token][0], sizeof f.key[token][0]);
    memcpy(f.value[token][1], f.value[token][0], sizeof f.value[token][0]);
  }
  memcpy(&turned, &f, sizeof f);
  CHECK_OK(varlen_attention(&f.batch, &f.tensors, backend));

  varlen_tensor query = f.query_tensor;
  varlen_tensor key = f.key_tensor;
  varlen_tensor value = f.value_tensor;
  varlen_tensor out = f.out_tensor;
  varlen_tensor lse = f.lse_tensor;
  query.data = turned.query;
  key.data = turned.key;
  value.data = turned.value;
  out.data = turned.out;
  lse.data = turned.lse;
  key.strides[1] = value.strides[1] = 0;
  lse.strides[0] = 1;
  lse.strides[1] = kQueryTokens;
  const varlen_tensors tensors = {
      .struct_size = sizeof tensors, .query = &query, .key = &key, .value = &value, .out = &out, .lse = &lse};
  CHECK_OK(varlen_attention(&f.batch, &tensors, backend));
  CHECK(memcmp(turned.out, f.out, sizeof f.out) == 0);
  const float* const by_heads = &turned.lse[0][0];
  for (int token = 0; token < kQueryTokens; ++token) {
    for (int head = 0; head < kQueryHeads; ++head) {
      CHECK(memcmp(&by_heads[head * kQueryTokens + token], &f.lse[token][head], sizeof(float)) == 0);
    }
  }
}

static void test_workspace_on_a_tensor(void) {
  fixture f;
  prepare(&f);
  const varlen_plan_target target = small_target();
  varlen_plan* plan = NULL;
  CHECK_OK(varlen_plan_create(&f.batch, &target, &plan));
  int64_t bytes = 0;
  CHECK_OK(varlen_workspace_bytes(plan, &bytes));
  const size_t room = ((size_t)bytes + 63) / 64 * 64;
  char* const memory = aligned_alloc(64, room + (sizeof f.out + 63) / 64 * 64);
  const varlen_tensor* const tensors[] = {&f.query_tensor, &f.key_tensor, &f.value_tensor, &f.out_tensor,
                                          &f.lse_tensor};
  for (int i = 0; i < 5; ++i) {
    varlen_tensor* const tensor = (varlen_tensor*)tensors[i];
    void* const own = tensor->data;
    tensor->data = memory + room - 64; /* inputs, too: the workspace would be written over them */
    if (i == 0 || i == 1) tensor->data = memory;
    memset(memory, 0, room);
    CHECK(varlen_run(plan, &f.tensors, memory, (int64_t)room) == VARLEN_INVALID_ARGUMENT);
    CHECK(strcmp(varlen_last_error_field(), "workspace.data") == 0);
    CHECK(strstr(varlen_last_error(), "the workspace must share memory with no tensor") != NULL);
    CHECK(strstr(varlen_last_error(), "0x") == NULL);
    tensor->data = own;
  }
  f.out_tensor.data = memory + room;
  CHECK_OK(varlen_run(plan, &f.tensors, memory, (int64_t)room));
  free(memory);
  varlen_plan_destroy(plan);
}

static void test_many_items(void) {
  const int64_t queries = 1000000000;
  const int64_t keys = 1;
  varlen_batch batch = varlen_batch_default();
  batch.query_lengths = varlen_indices_64(&queries, 1);
  batch.key_lengths = varlen_indices_64(&keys, 1);
  batch.query_heads = batch.kv_heads = 8;
  batch.head_dim_qk = 64;
  varlen_plan_target target = {.struct_size = sizeof target};
  CHECK_OK(varlen_plan_target_named("h100", &target));
  varlen_plan* plan = NULL;
  CHECK_OK(varlen_plan_create(&batch, &target, &plan));
  varlen_report report = {.struct_size = sizeof report};
  CHECK_OK(varlen_plan_report(plan, &report));
  CHECK(report.items == 62500000 && report.live_rows == 8 * queries);
  CHECK(report.simulated_items == 1 << 20);
  varlen_plan_destroy(plan);
}

void test_layouts(void) {
  test_huge_shapes();
  test_hidden_pages();
  test_free_strides(VARLEN_BACKEND_CPU);
  test_free_strides(VARLEN_BACKEND_REFERENCE);
  test_absent_keys(VARLEN_BACKEND_CPU);
  test_absent_keys(VARLEN_BACKEND_REFERENCE);
  test_workspace_on_a_tensor();
  test_many_items();
}
