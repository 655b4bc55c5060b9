/* What C programs do with devices: plans made there, for which the emulator's host stands here, and the choice of a
 * kernel. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "c_api_test.h"

/* The fixture's batch as bf16, which GPU kernels compute, with head dims and an alignment that all of them take. */
enum { kDim = 64 };
typedef struct half_fixture {
  _Alignas(16) uint16_t query[kQueryTokens][kQueryHeads][kDim];
  _Alignas(16) uint16_t key[kKeyTokens][kKvHeads][kDim];
  _Alignas(16) uint16_t value[kKeyTokens][kKvHeads][kDim];
  float out[kQueryTokens][kQueryHeads][kDim];
  varlen_batch spec;
  varlen_tensor query_tensor;
  varlen_tensor key_tensor;
  varlen_tensor value_tensor;
  varlen_tensor out_tensor;
  varlen_tensors tensors;
} half_fixture;

static void fill_half(uint16_t* values, size_t count, uint32_t seed) {
  uint32_t state = seed;
  for (size_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    const float number = (float)(state >> 8) / 8388608.0f - 1.0f;
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    values[i] = (uint16_t)(bits >> 16);
  }
}

static void prepare_half(half_fixture* f) {
  memset(f, 0, sizeof *f);
  fill_half(&f->query[0][0][0], sizeof f->query / sizeof(uint16_t), 1);
  fill_half(&f->key[0][0][0], sizeof f->key / sizeof(uint16_t), 2);
  fill_half(&f->value[0][0][0], sizeof f->value / sizeof(uint16_t), 3);
  f->spec = varlen_batch_default();
  f->spec.query_heads = kQueryHeads;
  f->spec.kv_heads = kKvHeads;
  f->spec.head_dim_qk = kDim;
  f->spec.output_dtype = VARLEN_FLOAT32;
  f->spec.mask_right = 0; /* causal */
  f->query_tensor =
      varlen_tensor_dense(f->query, VARLEN_BFLOAT16, 3, (const int64_t[]){kQueryTokens, kQueryHeads, kDim});
  f->key_tensor = varlen_tensor_dense(f->key, VARLEN_BFLOAT16, 3, (const int64_t[]){kKeyTokens, kKvHeads, kDim});
  f->value_tensor = varlen_tensor_dense(f->value, VARLEN_BFLOAT16, 3, (const int64_t[]){kKeyTokens, kKvHeads, kDim});
  f->out_tensor = varlen_tensor_dense(f->out, VARLEN_FLOAT32, 3, (const int64_t[]){kQueryTokens, kQueryHeads, kDim});
  f->tensors = varlen_tensors_default();
  f->tensors.query = &f->query_tensor;
  f->tensors.key = &f->key_tensor;
  f->tensors.value = &f->value_tensor;
  f->tensors.out = &f->out_tensor;
}

static varlen_limits fixture_limits(void) {
  varlen_limits limits = varlen_limits_default();
  limits.requests = kRequests;
  limits.query_tokens = kQueryTokens;
  limits.key_tokens = kKeyTokens;
  return limits;
}

static varlen_plan_target h100(void) {
  varlen_plan_target target = varlen_plan_target_default();
  CHECK_OK(varlen_plan_target_named("h100", &target));
  return target;
}

static varlen_device_plan_options emulated(void) {
  varlen_device_plan_options options = varlen_device_plan_options_default();
  options.backend = VARLEN_BACKEND_EMULATOR;
  return options;
}

static void test_plan_made_on_a_device(void) {
  half_fixture f;
  prepare_half(&f);
  const varlen_limits limits = fixture_limits();
  const varlen_plan_target target = h100();
  varlen_device_plan* plan = NULL;
  const varlen_device_plan_options own_memory = emulated();
  CHECK_OK(varlen_device_plan_create(&f.spec, &limits, &target, &own_memory, &plan));
  int64_t bytes = 0;
  int64_t bytes_before = 0;
  CHECK_OK(varlen_device_plan_bytes(plan, &bytes));
  CHECK_OK(varlen_device_plan_bytes_for(&f.spec, &limits, &target, &own_memory, &bytes_before));
  CHECK(bytes > 0 && bytes == bytes_before);
  CHECK_OK(varlen_device_plan_workspace_bytes(plan, &bytes));
  CHECK_OK(varlen_workspace_bytes_within(&f.spec, &limits, &target, &bytes_before));
  CHECK(bytes > 0 && bytes == bytes_before);
  void* workspace = aligned_alloc(64, (size_t)((bytes + 63) / 64 * 64));
  CHECK(workspace != NULL);

  varlen_device_requests requests = varlen_device_requests_default();
  requests.query_indptr = varlen_device_indices_32(kQueryOffsets);
  requests.key_indptr = varlen_device_indices_64(kKeyOffsets);
  CHECK_OK(varlen_device_plan_update(plan, &requests, NULL));
  CHECK_OK(varlen_device_plan_status(plan));
  varlen_run_options options = varlen_run_options_default();
  options.kernel = VARLEN_KERNEL_MMA;
  varlen_kernel_choice choice = varlen_kernel_choice_default();
  CHECK_OK(varlen_device_plan_explain(plan, &f.tensors, NULL, &choice));
  CHECK(strcmp(choice.kernel, "forward_wgmma") == 0 && choice.supported == 1 && choice.field[0] == '\0');
  CHECK_OK(varlen_device_plan_explain(plan, &f.tensors, &options, &choice));
  CHECK(strcmp(choice.kernel, "forward_mma") == 0 && strcmp(choice.field, "options.kernel") == 0);
  CHECK_OK(varlen_device_plan_run(plan, &f.tensors, workspace, bytes, NULL));

  /* The CPU's result of the same batch. */
  half_fixture cpu;
  prepare_half(&cpu);
  varlen_batch batch = cpu.spec;
  batch.query_indptr = varlen_indices_32(kQueryOffsets, kRequests + 1);
  batch.key_indptr = varlen_indices_64(kKeyOffsets, kRequests + 1);
  CHECK_OK(varlen_attention(&batch, &cpu.tensors, VARLEN_BACKEND_CPU));
  float worst = 0;
  for (int token = 0; token < kQueryTokens; ++token) {
    for (int head = 0; head < kQueryHeads; ++head) {
      for (int d = 0; d < kDim; ++d) worst = fmaxf(worst, fabsf(f.out[token][head][d] - cpu.out[token][head][d]));
    }
  }
  CHECK(worst < 0.01f);
  CHECK(f.out[0][0][0] != 0.0f);

  /* The plan that was made is that of the host. */
  varlen_plan* on_host = NULL;
  varlen_plan* made_here = NULL;
  int64_t items = 0;
  int64_t items_here = 0;
  CHECK_OK(varlen_device_plan_to_host(plan, &on_host));
  CHECK_OK(varlen_plan_create(&batch, &target, &made_here));
  CHECK_OK(varlen_plan_item_count(on_host, &items));
  CHECK_OK(varlen_plan_item_count(made_here, &items_here));
  CHECK(items > 0 && items == items_here);
  varlen_plan_destroy(on_host);
  varlen_plan_destroy(made_here);

  /* Lengths that fall are reported by the next call, and out is NaN. */
  const int32_t falling[kRequests + 1] = {0, 5, 3, 6, 9};
  requests.query_indptr = varlen_device_indices_32(falling);
  CHECK_OK(varlen_device_plan_update(plan, &requests, NULL));
  CHECK(varlen_device_plan_run(plan, &f.tensors, workspace, bytes, NULL) == VARLEN_INVALID_ARGUMENT);
  CHECK(strcmp(varlen_last_error_field(), "query_indptr") == 0 && varlen_last_error_index() == 2);
  CHECK_OK(varlen_device_plan_run(plan, &f.tensors, workspace, bytes, NULL));
  CHECK(isnan(f.out[0][0][0]));
  CHECK(varlen_device_plan_status(plan) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_device_plan_to_host(plan, &on_host) == VARLEN_INVALID_ARGUMENT && on_host == NULL);
  free(workspace);
  varlen_device_plan_destroy(plan);
  varlen_device_plan_destroy(NULL);
}

static void test_plan_in_lent_memory_of_lengths_of_the_host(void) {
  half_fixture f;
  prepare_half(&f);
  const varlen_limits limits = fixture_limits();
  const varlen_plan_target target = h100();
  varlen_device_plan_options options = emulated();
  CHECK_OK(varlen_device_plan_bytes_for(&f.spec, &limits, &target, &options, &options.memory_bytes));
  unsigned char* memory = aligned_alloc(256, (size_t)((options.memory_bytes + 256 + 255) / 256 * 256));
  CHECK(memory != NULL);
  unsigned char* const behind = memory + options.memory_bytes;
  memset(memory, 0xA5, (size_t)options.memory_bytes + 256);
  options.memory = memory;
  varlen_device_plan* plan = NULL;
  options.memory_bytes -= 1;
  CHECK(varlen_device_plan_create(&f.spec, &limits, &target, &options, &plan) == VARLEN_INVALID_ARGUMENT);
  CHECK(strcmp(varlen_last_error_field(), "memory.bytes") == 0 && plan == NULL && memory[0] == 0xA5);
  options.memory_bytes += 1;
  options.memory = memory + 8;
  CHECK(varlen_device_plan_create(&f.spec, &limits, &target, &options, &plan) == VARLEN_INVALID_ARGUMENT);
  CHECK(strcmp(varlen_last_error_field(), "memory.data") == 0);
  options.memory = memory;
  CHECK_OK(varlen_device_plan_create(&f.spec, &limits, &target, &options, &plan));

  varlen_requests requests = varlen_requests_default();
  requests.query_indptr = varlen_indices_32(kQueryOffsets, kRequests + 1);
  requests.key_indptr = varlen_indices_64(kKeyOffsets, kRequests + 1);
  CHECK_OK(varlen_device_plan_update_from_host(plan, &requests, NULL));
  CHECK_OK(varlen_device_plan_status(plan));
  int64_t bytes = 0;
  CHECK_OK(varlen_device_plan_workspace_bytes(plan, &bytes));
  void* workspace = aligned_alloc(64, (size_t)((bytes + 63) / 64 * 64));
  CHECK_OK(varlen_device_plan_run(plan, &f.tensors, workspace, bytes, NULL));
  CHECK(f.out[0][0][0] != 0.0f && !isnan(f.out[0][0][0]));

  /* Lengths that fall are refused at once, and the plan is what it was. */
  const int32_t falling[kRequests + 1] = {0, 5, 3, 6, 9};
  requests.query_indptr = varlen_indices_32(falling, kRequests + 1);
  CHECK(varlen_device_plan_update_from_host(plan, &requests, NULL) == VARLEN_INVALID_ARGUMENT);
  CHECK(strcmp(varlen_last_error_field(), "query_indptr") == 0 && varlen_last_error_index() == 2);
  CHECK_OK(varlen_device_plan_run(plan, &f.tensors, workspace, bytes, NULL));
  CHECK(!isnan(f.out[0][0][0]));
  CHECK(varlen_device_plan_update_from_host(NULL, &requests, NULL) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_device_plan_update_from_host(plan, NULL, NULL) == VARLEN_INVALID_ARGUMENT);
  for (int i = 0; i < 256; ++i) CHECK(behind[i] == 0xA5);
  varlen_device_plan_destroy(plan);
  free(workspace);
  free(memory);
}

static void test_run_with_options(void) {
  half_fixture f;
  prepare_half(&f);
  varlen_batch batch = f.spec;
  batch.query_indptr = varlen_indices_32(kQueryOffsets, kRequests + 1);
  batch.key_indptr = varlen_indices_64(kKeyOffsets, kRequests + 1);
  const varlen_plan_target target = h100();
  varlen_plan* plan = NULL;
  CHECK_OK(varlen_plan_create(&batch, &target, &plan));
  int64_t bytes = 0;
  CHECK_OK(varlen_workspace_bytes_for(plan, VARLEN_BACKEND_EMULATOR, &bytes));
  void* workspace = aligned_alloc(64, (size_t)((bytes + 63) / 64 * 64));
  varlen_run_options options = varlen_run_options_default();
  options.backend = VARLEN_BACKEND_EMULATOR;
  options.kernel = VARLEN_KERNEL_WGMMA;
  varlen_kernel_choice choice = varlen_kernel_choice_default();
  CHECK_OK(varlen_explain(plan, &f.tensors, &options, &choice));
  CHECK(strcmp(choice.kernel, "forward_wgmma") == 0);
  CHECK_OK(varlen_run_with(plan, &f.tensors, workspace, bytes, &options));
  CHECK(f.out[0][0][0] != 0.0f && !isnan(f.out[0][0][0]));
  CHECK(varlen_run_with(plan, &f.tensors, workspace, bytes - 1, &options) == VARLEN_WORKSPACE_TOO_SMALL);
  options.kernel = 81;
  CHECK(varlen_run_with(plan, &f.tensors, workspace, bytes, &options) == VARLEN_INVALID_ARGUMENT);
  CHECK(strcmp(varlen_last_error_field(), "options.kernel") == 0 && strcmp(varlen_last_error_value(), "81") == 0);
  options.kernel = VARLEN_KERNEL_AUTO;
  options.backend = 9;
  CHECK(varlen_explain(plan, &f.tensors, &options, &choice) == VARLEN_INVALID_ARGUMENT);
  CHECK(strcmp(varlen_last_error_field(), "backend") == 0);
  options.struct_size = 4;
  CHECK(varlen_run_with(plan, &f.tensors, workspace, bytes, &options) == VARLEN_INVALID_ARGUMENT);
  CHECK(strcmp(varlen_last_error_field(), "options.struct_size") == 0);
  free(workspace);
  varlen_plan_destroy(plan);
}

static void test_supports(void) {
  half_fixture f;
  prepare_half(&f);
  varlen_kernel_choice choice = varlen_kernel_choice_default();
  CHECK_OK(varlen_supports(&f.spec, VARLEN_BACKEND_EMULATOR, 0, VARLEN_KERNEL_AUTO, &choice));
  CHECK(choice.supported == 1 && strcmp(choice.kernel, "forward_wgmma") == 0);
  CHECK_OK(varlen_supports(&f.spec, VARLEN_BACKEND_CPU, 0, VARLEN_KERNEL_AUTO, &choice));
  varlen_build build;
  memset(&build, 0, sizeof build);
  build.struct_size = sizeof build;
  CHECK_OK(varlen_build_info(&build));
  CHECK(strcmp(choice.kernel, build.simd_target) == 0 && build.threads >= 1);
  CHECK(strcmp(build.version, varlen_version()) == 0);
  f.spec.head_dim_qk = 577;
  CHECK_OK(varlen_supports(&f.spec, VARLEN_BACKEND_CPU, 0, VARLEN_KERNEL_AUTO, &choice));
  CHECK(choice.supported == 0 && strcmp(choice.field, "head_dim_qk") == 0 && choice.kernel[0] == '\0');
  CHECK(strstr(choice.reason, "577") != NULL);
  f.spec.head_dim_qk = kDim;
  f.spec.kv_dtype = VARLEN_FLOAT8_E4M3;
  CHECK_OK(varlen_supports(&f.spec, VARLEN_BACKEND_CPU, 0, VARLEN_KERNEL_AUTO, &choice));
  CHECK(choice.supported == 0 && strcmp(choice.field, "kv_dtype") == 0);
  f.spec.kv_dtype = VARLEN_DTYPE_OF_QUERY;
  f.spec.query_indptr = varlen_indices_32(kQueryOffsets, kRequests + 1);
  CHECK(varlen_supports(&f.spec, VARLEN_BACKEND_CPU, 0, VARLEN_KERNEL_AUTO, &choice) == VARLEN_INVALID_ARGUMENT);
  CHECK(strcmp(varlen_last_error_field(), "query_indptr.size") == 0);
  f.spec.query_indptr = varlen_indices_32(NULL, 0);
  f.spec.query_indptr.bits = 0;
  f.spec.reserved = 1;
  CHECK(varlen_validate(&f.spec, NULL) == VARLEN_INVALID_ARGUMENT);
  CHECK(strcmp(varlen_last_error_field(), "batch.reserved") == 0);
}

static void test_names(void) {
  int number = -1;
  CHECK_OK(varlen_backend_named("emulator", &number));
  CHECK(number == VARLEN_BACKEND_EMULATOR && strcmp(varlen_backend_name(number), "emulator") == 0);
  CHECK_OK(varlen_kernel_named("sm_100a", &number));
  CHECK(number == VARLEN_KERNEL_TCGEN05 && strcmp(varlen_kernel_name(number), "forward_tcgen05") == 0);
  CHECK(strcmp(varlen_backend_name(77), "unknown") == 0 && strcmp(varlen_kernel_name(77), "unknown") == 0);
  CHECK(varlen_kernel_named("sm_70", &number) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_backend_named(NULL, &number) == VARLEN_INVALID_ARGUMENT);
}

/* Without a device every call for one says why. */
static void test_devices(void) {
  half_fixture f;
  prepare_half(&f);
  varlen_device info;
  memset(&info, 0, sizeof info);
  info.struct_size = sizeof info;
  varlen_plan_target target = varlen_plan_target_default();
  const varlen_limits limits = fixture_limits();
  if (varlen_device_count() > 0) {
    CHECK_OK(varlen_device_info(0, &info));
    CHECK(info.multiprocessors > 0);
    CHECK_OK(varlen_device_target_within(&f.spec, &limits, 0, VARLEN_KERNEL_AUTO, &target));
    return;
  }
  CHECK(strlen(varlen_no_device_reason()) > 0);
  CHECK(varlen_device_info(0, &info) == VARLEN_UNSUPPORTED);
  CHECK(strstr(varlen_last_error(), varlen_no_device_reason()) != NULL);
  CHECK(varlen_device_target_within(&f.spec, &limits, 0, VARLEN_KERNEL_AUTO, &target) == VARLEN_UNSUPPORTED);
  varlen_batch batch = f.spec;
  batch.query_indptr = varlen_indices_32(kQueryOffsets, kRequests + 1);
  batch.key_indptr = varlen_indices_64(kKeyOffsets, kRequests + 1);
  CHECK(varlen_device_target(&batch, 0, VARLEN_KERNEL_AUTO, &target) == VARLEN_UNSUPPORTED);
  CHECK(varlen_device_target(&batch, 0, 5, &target) == VARLEN_INVALID_ARGUMENT);
  CHECK(strcmp(varlen_last_error_field(), "kernel") == 0);
  varlen_plan* plan = NULL;
  varlen_plan* copy = NULL;
  CHECK_OK(varlen_plan_create(&batch, NULL, &plan));
  CHECK(varlen_plan_to_device(plan, 0, &copy) == VARLEN_UNSUPPORTED && copy == NULL);
  varlen_plan_destroy(plan);
  varlen_device_plan* device_plan = NULL;
  target = h100();
  CHECK(varlen_device_plan_create(&f.spec, &limits, &target, NULL, &device_plan) == VARLEN_UNSUPPORTED);
  varlen_device_plan_options options = emulated();
  CHECK(varlen_device_plan_create(&batch, &limits, &target, &options, &device_plan) == VARLEN_INVALID_ARGUMENT);
  options.backend = VARLEN_BACKEND_CPU;
  CHECK(varlen_device_plan_create(&f.spec, &limits, &target, &options, &device_plan) == VARLEN_UNSUPPORTED);
  CHECK(device_plan == NULL);
}

static void test_null_pointers(void) {
  int64_t bytes = 0;
  varlen_plan* plan = NULL;
  CHECK(varlen_device_plan_bytes(NULL, &bytes) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_device_plan_workspace_bytes(NULL, &bytes) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_device_plan_status(NULL) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_device_plan_to_host(NULL, &plan) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_device_plan_to_host(NULL, NULL) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_device_plan_run(NULL, NULL, NULL, 0, NULL) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_device_plan_update(NULL, NULL, NULL) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_run_with(NULL, NULL, NULL, 0, NULL) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_explain(NULL, NULL, NULL, NULL) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_validate(NULL, NULL) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_build_info(NULL) == VARLEN_INVALID_ARGUMENT);
  CHECK(varlen_workspace_bytes_for(NULL, 0, &bytes) == VARLEN_INVALID_ARGUMENT);
}

void test_device(void) {
  test_plan_made_on_a_device();
  test_plan_in_lent_memory_of_lengths_of_the_host();
  test_run_with_options();
  test_supports();
  test_names();
  test_devices();
  test_null_pointers();
}
