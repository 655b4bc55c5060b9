/* The same as minimal.cpp through the C interface: causal attention over four requests of different lengths laid end to
 * end. Zero queries weigh all visible keys equally and the values are positions, so the last row of each request must
 * be the mean position of its own tokens. */
#include <stdio.h>

#include "varlen.h"

enum { kRequests = 4, kTokens = 240, kQueryHeads = 8, kKvHeads = 2, kHeadDim = 64 };

static float query[kTokens][kQueryHeads][kHeadDim];
static float key[kTokens][kKvHeads][kHeadDim];
static float value[kTokens][kKvHeads][kHeadDim];
static float out[kTokens][kQueryHeads][kHeadDim];

int main(void) {
  const int32_t offsets[kRequests + 1] = {0, 7, 207, 207, 240};
  for (int request = 0; request < kRequests; ++request) {
    for (int token = offsets[request]; token < offsets[request + 1]; ++token) {
      for (int i = 0; i < kKvHeads * kHeadDim; ++i)
        value[token][i / kHeadDim][i % kHeadDim] = (float)(token - offsets[request]);
    }
  }

  varlen_batch batch = varlen_batch_default();
  batch.query_indptr = varlen_indices_32(offsets, kRequests + 1);
  batch.key_indptr = varlen_indices_32(offsets, kRequests + 1);
  batch.query_heads = kQueryHeads;
  batch.kv_heads = kKvHeads;
  batch.head_dim_qk = kHeadDim;
  batch.query_dtype = VARLEN_FLOAT32;
  batch.output_dtype = VARLEN_FLOAT32;
  batch.mask_right = 0; /* causal */

  const int64_t query_shape[] = {kTokens, kQueryHeads, kHeadDim};
  const int64_t key_shape[] = {kTokens, kKvHeads, kHeadDim};
  const varlen_tensor query_tensor = varlen_tensor_dense(query, VARLEN_FLOAT32, 3, query_shape);
  const varlen_tensor key_tensor = varlen_tensor_dense(key, VARLEN_FLOAT32, 3, key_shape);
  const varlen_tensor value_tensor = varlen_tensor_dense(value, VARLEN_FLOAT32, 3, key_shape);
  const varlen_tensor out_tensor = varlen_tensor_dense(out, VARLEN_FLOAT32, 3, query_shape);
  varlen_tensors tensors = varlen_tensors_default();
  tensors.query = &query_tensor;
  tensors.key = &key_tensor;
  tensors.value = &value_tensor;
  tensors.out = &out_tensor;

  if (varlen_attention(&batch, &tensors, VARLEN_BACKEND_AUTO) != VARLEN_OK) {
    fprintf(stderr, "%s\n", varlen_last_error());
    return 1;
  }

  for (int request = 0; request < kRequests; ++request) {
    const int length = offsets[request + 1] - offsets[request];
    printf("request %d: %d tokens", request, length);
    if (length > 0) printf(", mean position %.2f", (double)out[offsets[request + 1] - 1][0][0]);
    printf("\n");
  }
  return 0;
}
