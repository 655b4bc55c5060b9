/* What the files of this test share: the counting check and the batch that they compute. */
#ifndef VARLEN_TESTS_C_API_TEST_H
#define VARLEN_TESTS_C_API_TEST_H

#include <stdint.h>

#include "varlen.h"

/* Counts; prints the expression and where it stands if it is false. */
#define CHECK(expression) check((expression) ? 1 : 0, #expression, __FILE__, __LINE__)
/* The call returned VARLEN_OK; prints why not. */
#define CHECK_OK(call) check_ok((call), #call, __FILE__, __LINE__)

void check(int passed, const char* expression, const char* file, int line);
void check_ok(int code, const char* call, const char* file, int line);

/* Four causal requests of 5, 0, 1 and 3 query tokens over 5, 2, 9 and 0 keys: one without queries, a decode step and
 * one without keys. Four query heads share two KV heads. */
enum { kRequests = 4, kQueryTokens = 9, kKeyTokens = 16, kQueryHeads = 4, kKvHeads = 2, kDimQk = 16, kDimVo = 8 };

extern const int32_t kQueryOffsets[kRequests + 1];
extern const int64_t kKeyOffsets[kRequests + 1];

typedef struct fixture {
  float query[kQueryTokens][kQueryHeads][kDimQk];
  float key[kKeyTokens][kKvHeads][kDimQk];
  float value[kKeyTokens][kKvHeads][kDimVo];
  float out[kQueryTokens][kQueryHeads][kDimVo];
  float lse[kQueryTokens][kQueryHeads];
  varlen_batch batch;
  varlen_tensor query_tensor;
  varlen_tensor key_tensor;
  varlen_tensor value_tensor;
  varlen_tensor out_tensor;
  varlen_tensor lse_tensor;
  varlen_tensors tensors;
} fixture;

/* Inputs from a fixed sequence, outputs filled with kUntouched, and the structs that describe them. */
void prepare(fixture* f);
#define kUntouched (-12345.0f)

/* A target of 4-row tiles × 4 keys with 7 workers: small enough that this batch is split. */
varlen_plan_target small_target(void);

void test_abi(void);
void test_attention(void);
void test_device(void);
void test_dlpack(void);
void test_plan(void);
void test_errors(void);
void test_layouts(void);
void test_stack(void);

#endif
