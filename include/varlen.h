/* The C interface of varlen: fused attention over ragged batches. C11 and C++.
 *
 * Every function that can fail returns a code: VARLEN_OK, or the number of what went wrong, and then
 * varlen_last_error() tells this thread why, in one line. Nothing has been computed or written when a function refuses
 * its arguments.
 *
 * Structs carry their size in `struct_size`, so that a program built against an older header keeps working with a newer
 * library: fields that it does not know get their defaults. The functions varlen_batch_default(),
 * varlen_tensor_dense(), … below fill it in. Fields marked "required" must lie within struct_size. A size beyond the
 * library's own struct is accepted if the bytes it does not know are zero.
 *
 * What the fields mean is told once, in varlen/batch.hpp, varlen/plan.hpp, varlen/tensor.hpp, varlen/attention.hpp and
 * varlen/device.hpp. */
#ifndef VARLEN_H
#define VARLEN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "varlen/export.hpp"

#ifdef __cplusplus
extern "C" {
#endif

/* Codes. */
enum {
  VARLEN_OK = 0,
  VARLEN_INVALID_ARGUMENT = 1,
  VARLEN_UNSUPPORTED = 2,
  VARLEN_OUT_OF_MEMORY = 3,
  VARLEN_WORKSPACE_TOO_SMALL = 4,
  VARLEN_INPUT_OUTPUT = 5,
  VARLEN_INTERNAL = 6,
  VARLEN_DEVICE_FAILURE = 7
};

/* Of this header; varlen_version() tells the library's. */
#define VARLEN_VERSION_MAJOR 0
#define VARLEN_VERSION_MINOR 1
#define VARLEN_VERSION_PATCH 0

/* Element types. */
enum {
  VARLEN_FLOAT32 = 0,
  VARLEN_FLOAT16 = 1,
  VARLEN_BFLOAT16 = 2,
  VARLEN_FLOAT8_E4M3 = 3,
  VARLEN_FLOAT8_E5M2 = 4,
  VARLEN_INT32 = 5,
  VARLEN_INT64 = 6
};

/* Devices. */
enum { VARLEN_CPU = 0, VARLEN_CUDA = 1 };

/* Backends. */
enum {
  VARLEN_BACKEND_AUTO = 0,
  VARLEN_BACKEND_CPU = 1,
  VARLEN_BACKEND_REFERENCE = 2,
  VARLEN_BACKEND_CUDA = 3,
  VARLEN_BACKEND_EMULATOR = 4
};

/* The struct that a DLPack tensor comes in: DLTensor, DLManagedTensor or DLManagedTensorVersioned. */
enum { VARLEN_DLPACK_TENSOR = 0, VARLEN_DLPACK_MANAGED = 1, VARLEN_DLPACK_VERSIONED = 2 };

/* The forward kernel that a GPU backend prefers: GpuKernel of varlen/attention.hpp. */
enum { VARLEN_KERNEL_AUTO = 0, VARLEN_KERNEL_MMA = 80, VARLEN_KERNEL_WGMMA = 90, VARLEN_KERNEL_TCGEN05 = 100 };

/* The default of varlen_batch.kv_dtype. */
#define VARLEN_DTYPE_OF_QUERY ((int32_t)-1)

/* A limit of a mask that does not limit. */
#define VARLEN_UNLIMITED ((int64_t)-1)

#define VARLEN_MAX_RANK 4
#define VARLEN_MAX_TILE_SHAPES 4

/* Integers in host memory, 32 or 64 bits each. All zero: absent. */
typedef struct varlen_indices {
  const void* data;
  int64_t size;
  int32_t bits; /* 32, 64, or 0 for absent */
  int32_t reserved;
} varlen_indices;

/* What to compute. Functions that want a spec, because requests come later, refuse one with any of the four arrays. */
typedef struct varlen_batch {
  size_t struct_size;           /* required, as everything down to output_dtype */
  varlen_indices query_indptr;  /* [requests + 1], tokens */
  varlen_indices query_lengths; /* [requests], tokens */
  varlen_indices key_indptr;    /* [requests + 1], tokens */
  varlen_indices key_lengths;   /* [requests], tokens */
  int64_t page_size;            /* 0: ragged keys */
  int32_t query_heads;
  int32_t kv_heads;
  int32_t head_dim_qk;
  int32_t head_dim_vo; /* 0: the same as head_dim_qk */
  int32_t query_dtype;
  int32_t output_dtype;
  int32_t kv_dtype;   /* of key and value. Default, and so far the only one computed: VARLEN_DTYPE_OF_QUERY */
  int32_t reserved;   /* 0 */
  int64_t mask_left;  /* keys seen before a row's own position; default VARLEN_UNLIMITED */
  int64_t mask_right; /* keys seen after it; default VARLEN_UNLIMITED. Causal: 0 */
  int32_t has_scale;  /* 0 (default): the scale is 1 / sqrt(head_dim_qk); 1: it is `scale` */
  float scale;
  float soft_cap;          /* default 0: none */
  int32_t batch_invariant; /* default 0 */
} varlen_batch;

/* A strided view; strides count elements. */
typedef struct varlen_tensor {
  size_t struct_size; /* required, as everything down to strides */
  void* data;
  int32_t dtype;
  int32_t rank;
  int64_t shape[VARLEN_MAX_RANK];
  int64_t strides[VARLEN_MAX_RANK];
  int32_t device;       /* default VARLEN_CPU */
  int32_t device_index; /* default 0 */
} varlen_tensor;

/* Where the data lies. A null pointer is an absent tensor. */
typedef struct varlen_tensors {
  size_t struct_size;         /* required, as everything down to out */
  const varlen_tensor* query; /* [query tokens, query_heads, head_dim_qk], query_dtype */
  const varlen_tensor* key;   /* [key tokens, kv_heads, head_dim_qk] or [pages, page_size, kv_heads, head_dim_qk] */
  const varlen_tensor* value; /* as key, with head_dim_vo */
  const varlen_tensor* out;   /* [query tokens, query_heads, head_dim_vo], output_dtype; written */
  const varlen_tensor* lse;   /* optional: [query tokens, query_heads], fp32; written */

  /* Paged keys: page numbers, int32 or int64, in one of three forms. Row r of block_table is request r's; or row
   * block_table_rows[r] is; or page_indices[page_indptr[r]] and those after it, before page_indptr[r + 1]. */
  const varlen_tensor* block_table;      /* [requests, max_pages] or [rows, max_pages] */
  const varlen_tensor* block_table_rows; /* optional: [requests] */
  const varlen_tensor* page_indptr;      /* [requests + 1] */
  const varlen_tensor* page_indices;     /* [pages] */

  const varlen_tensor* sinks;       /* optional: [query_heads], fp32 */
  const varlen_tensor* query_scale; /* optional, fp8 inputs: [requests, kv_heads] or [1], fp32 */
  const varlen_tensor* key_scale;
  const varlen_tensor* value_scale;
} varlen_tensors;

typedef struct varlen_tile_shape {
  int32_t rows;
  int32_t reserved;
  int64_t block_cost; /* of one key block, in sixteenths of what it costs the tallest tile */
} varlen_tile_shape;

/* The machine a plan is made for. varlen_plan_target_named() fills it. */
typedef struct varlen_plan_target {
  size_t struct_size;                                    /* required, as everything down to workers */
  varlen_tile_shape tile_shapes[VARLEN_MAX_TILE_SHAPES]; /* tallest first */
  int32_t tile_shape_count;
  int32_t key_block; /* keys per key block */
  int32_t workers;
  int32_t invariant_shares; /* default 0: as many as workers */
  int64_t item_cost;        /* default 24 */
  int64_t split_cost;       /* default 32 */
  int64_t l2_bytes;         /* default 0 */
} varlen_plan_target;

/* One entry of a plan, written by varlen_plan_item(): some query tokens and heads of one request, and the keys they
 * meet here. */
typedef struct varlen_work_item {
  size_t struct_size; /* required, as everything down to query_head_count */
  int64_t query_begin;
  int64_t query_count;
  int64_t key_begin;
  int64_t key_end;
  int64_t partial_row; /* −1 for whole tiles */
  int32_t request;
  int32_t kv_head;
  int32_t query_head_begin;
  int32_t query_head_count;
  int32_t tile_shape;
  int32_t part;
  int32_t parts;
  int32_t merge; /* −1 for whole tiles */
} varlen_work_item;

/* What walking a plan's items and simulating its workers shows. */
typedef struct varlen_report {
  size_t struct_size; /* required, as everything down to items */
  int64_t requests;
  int64_t tiles;
  int64_t empty_tiles;
  int64_t blind_tiles;
  int64_t items;
  int64_t splits;
  int64_t partial_slots;
  int64_t partial_rows;
  int64_t live_rows;
  int64_t tile_rows;
  int64_t key_blocks;
  int64_t padded_tiles;
  int32_t workers;
  int32_t reserved;
  double mean;
  double makespan;
  double makespan_over_mean;
  double makespan_over_unsplit_mean;
  double l2_footprint_mean;
  int64_t l2_footprint_max;
  int64_t plan_bytes;
  double plan_us;
  int64_t simulated_items; /* the last ones; fewer than `items` if these are more than 2^20 */
} varlen_report;

/* How to run. */
typedef struct varlen_run_options {
  size_t struct_size; /* required, as everything down to stream */
  int32_t backend;    /* default VARLEN_BACKEND_AUTO */
  int32_t kernel;     /* default VARLEN_KERNEL_AUTO */
  void* stream;       /* CUDA: the cudaStream_t to launch on; default null: the default stream */
} varlen_run_options;

/* What computes, and why. Texts that do not fit are cut. */
typedef struct varlen_kernel_choice {
  size_t struct_size; /* required, as everything */
  int32_t supported;  /* varlen_supports(): 1 or 0. varlen_explain(): 1 */
  int32_t reserved;
  char kernel[32];  /* "forward_wgmma"; on the CPU the SIMD target; empty if there is nothing to compute */
  char field[64];   /* that stands against the spec or against a faster kernel; empty if there is none */
  char reason[512]; /* one line */
} varlen_kernel_choice;

/* A CUDA device, written by varlen_device_info(). */
typedef struct varlen_device {
  size_t struct_size; /* required, as everything down to memory_bytes */
  char name[256];
  int32_t compute_major;
  int32_t compute_minor;
  int32_t multiprocessors;
  int32_t reserved;
  int64_t l2_bytes;
  int64_t memory_bytes;
} varlen_device;

/* This build on this machine, written by varlen_build_info(). */
typedef struct varlen_build {
  size_t struct_size; /* required, as everything down to threads */
  char version[32];
  char build_type[32];
  char compiler[64];
  char simd_target[32]; /* the one that runs here */
  int32_t threads;      /* of the CPU backend, unless a plan has fewer workers */
  int32_t reserved;
} varlen_build;

/* What every batch that a device plan is made for keeps to. */
typedef struct varlen_limits {
  size_t struct_size; /* required, as everything down to key_tokens */
  int64_t requests;
  int64_t query_tokens;
  int64_t key_tokens;
  int64_t query_length; /* of one request; default 0: query_tokens */
  int64_t key_length;   /* of one request; default 0: key_tokens */
} varlen_limits;

/* Integers in memory of the device, 32 or 64 bits each. All zero: absent. */
typedef struct varlen_device_indices {
  const void* data;
  int32_t bits; /* 32, 64, or 0 for absent */
  int32_t reserved;
} varlen_device_indices;

/* Requests in memory of the device. */
typedef struct varlen_device_requests {
  size_t struct_size;                  /* required, as everything down to key_lengths */
  varlen_device_indices query_indptr;  /* [requests + 1] */
  varlen_device_indices query_lengths; /* [requests] */
  varlen_device_indices key_indptr;    /* [requests + 1] */
  varlen_device_indices key_lengths;   /* [requests] */
  const int32_t* request_count;        /* at most limits.requests; default null: as many as those */
} varlen_device_requests;

/* Requests in memory of the host: the same fields as in varlen_batch. */
typedef struct varlen_requests {
  size_t struct_size; /* required, as everything down to key_lengths */
  varlen_indices query_indptr;
  varlen_indices query_lengths;
  varlen_indices key_indptr;
  varlen_indices key_lengths;
} varlen_requests;

/* Where a device plan is made and kept. `memory` is memory of the device that the caller lends: 256-byte aligned, at
 * least varlen_device_plan_bytes_for() bytes, and not freed before the plan and all that runs it have ended. */
typedef struct varlen_device_plan_options {
  size_t struct_size;   /* required, as everything down to device */
  int32_t backend;      /* VARLEN_BACKEND_CUDA, or _EMULATOR: then "the device" is the host. Default _CUDA */
  int32_t device;       /* default 0 */
  void* memory;         /* default null: the plan allocates its own */
  int64_t memory_bytes; /* default 0 */
} varlen_device_plan_options;

/* Who computes what. Immutable: any number of threads may use one at once. */
typedef struct varlen_plan varlen_plan;

/* A plan that is made on a device, again and again: DevicePlan of varlen/device.hpp. */
typedef struct varlen_device_plan varlen_device_plan;

/* "0.1.0" */
VARLEN_API const char* varlen_version(void);
/* struct_size of `build` set by the caller. */
VARLEN_API int varlen_build_info(varlen_build* build);

/* "auto", "cpu", "reference", "cuda", "emulator"; "unknown" of other numbers. And back. */
VARLEN_API const char* varlen_backend_name(int backend);
VARLEN_API int varlen_backend_named(const char* name, int* backend);
/* "auto", "forward_mma", "forward_wgmma", "forward_tcgen05"; "unknown" of other numbers. And back, also from "newest",
 * "sm_80", "sm_90a" and "sm_100a". */
VARLEN_API const char* varlen_kernel_name(int kernel);
VARLEN_API int varlen_kernel_named(const char* name, int* kernel);

/* The last failure in this thread; "" and −1 where there is nothing to tell. The texts hold until the next failure. */
VARLEN_API const char* varlen_last_error(void);       /* one line */
VARLEN_API int varlen_last_error_code(void);          /* VARLEN_OK before the first failure */
VARLEN_API const char* varlen_last_error_field(void); /* the argument at fault: "query_indptr" */
VARLEN_API int64_t varlen_last_error_index(void);     /* its element at fault */
VARLEN_API const char* varlen_last_error_value(void); /* the value at fault */

/* Views a DLPack tensor of one of the three forms, of at most VARLEN_MAX_RANK dimensions, in memory of the host or of a
 * CUDA device. Takes no ownership: the caller keeps the tensor alive while the view is in use, and calls its deleter,
 * if it has one. struct_size of `tensor` set by the caller. `read_only` may be null; it becomes 1 if the producer marks
 * the tensor as read-only. */
VARLEN_API int varlen_tensor_from_dlpack(const void* dlpack, int form, varlen_tensor* tensor, int32_t* read_only);

/* What every other call does first: refuses a batch, and its tensors unless they are null, that break a rule. */
VARLEN_API int varlen_validate(const varlen_batch* batch, const varlen_tensors* tensors);
/* Whether a backend computes all batches of a spec, and with which kernel. VARLEN_BACKEND_AUTO: the CUDA device if
 * there are any, else the CPU. A spec that is not supported is no failure: choice->supported is 0. */
VARLEN_API int varlen_supports(const varlen_batch* spec, int backend, int32_t device, int kernel,
                               varlen_kernel_choice* choice);

/* Fills `target` (struct_size set by the caller) for "cpu", which is this machine, "h100" or "b200". */
VARLEN_API int varlen_plan_target_named(const char* name, varlen_plan_target* target);

/* Validates and plans the batch. `target` may be null: this machine. On success *plan is the caller's to destroy; on
 * failure it is null. The batch's arrays are not used after the call. */
VARLEN_API int varlen_plan_create(const varlen_batch* batch, const varlen_plan_target* target, varlen_plan** plan);
/* Null is allowed. */
VARLEN_API void varlen_plan_destroy(varlen_plan* plan);

VARLEN_API int varlen_plan_item_count(const varlen_plan* plan, int64_t* count);
/* 0 ≤ index < item count. struct_size of `item` set by the caller. */
VARLEN_API int varlen_plan_item(const varlen_plan* plan, int64_t index, varlen_work_item* item);
/* struct_size of `report` set by the caller. */
VARLEN_API int varlen_plan_report(const varlen_plan* plan, varlen_report* report);

/* Bytes of scratch memory that one running call needs; exact. Of a plan on a device: there, else on the CPU. */
VARLEN_API int varlen_workspace_bytes(const varlen_plan* plan, int64_t* bytes);
/* The same for a backend. */
VARLEN_API int varlen_workspace_bytes_for(const varlen_plan* plan, int backend, int64_t* bytes);
/* Computes the plan's batch where the tensors are. `workspace` is 64-byte aligned, holds `workspace_bytes` bytes and
 * shares none with a tensor; two calls at once need two. May be null if none are needed. On a CUDA device the plan is
 * that of varlen_plan_to_device(), and the call only launches. */
VARLEN_API int varlen_run(const varlen_plan* plan, const varlen_tensors* tensors, void* workspace,
                          int64_t workspace_bytes);
/* The same with options; null: the defaults. */
VARLEN_API int varlen_run_with(const varlen_plan* plan, const varlen_tensors* tensors, void* workspace,
                               int64_t workspace_bytes, const varlen_run_options* options);
/* Which kernel varlen_run_with() would launch, and why. */
VARLEN_API int varlen_explain(const varlen_plan* plan, const varlen_tensors* tensors, const varlen_run_options* options,
                              varlen_kernel_choice* choice);

/* Everything at once: validate, plan, allocate the workspace, run. Page numbers in memory of a device are found wrong
 * only once it is done: then, too, it returns VARLEN_INVALID_ARGUMENT, and rows that need them are NaN. */
VARLEN_API int varlen_attention(const varlen_batch* batch, const varlen_tensors* tensors, int backend);

/* CUDA devices that this build and this machine's driver can use; 0 if there are none, and why. */
VARLEN_API int32_t varlen_device_count(void);
VARLEN_API const char* varlen_no_device_reason(void); /* "" if there are some. Holds until this thread's next call */
/* struct_size of `info` set by the caller. */
VARLEN_API int varlen_device_info(int32_t device, varlen_device* info);
/* The target that plans of the batch are best made for on a device. struct_size of `target` set by the caller. */
VARLEN_API int varlen_device_target(const varlen_batch* batch, int32_t device, int kernel, varlen_plan_target* target);
/* The same for all batches of a spec within limits: for a device plan. */
VARLEN_API int varlen_device_target_within(const varlen_batch* spec, const varlen_limits* limits, int32_t device,
                                           int kernel, varlen_plan_target* target);
/* The same plan with a copy in the device's memory, for varlen_run(). Waits for the copy. *copy is the caller's to
 * destroy. */
VARLEN_API int varlen_plan_to_device(const varlen_plan* plan, int32_t device, varlen_plan** copy);

/* Plans made on a device. varlen/device.hpp tells what DevicePlan and its functions do. Null options: the defaults. */
VARLEN_API int varlen_device_plan_create(const varlen_batch* spec, const varlen_limits* limits,
                                         const varlen_plan_target* target, const varlen_device_plan_options* options,
                                         varlen_device_plan** plan);
/* Bytes of memory for such a plan, whatever options->memory. */
VARLEN_API int varlen_device_plan_bytes_for(const varlen_batch* spec, const varlen_limits* limits,
                                            const varlen_plan_target* target, const varlen_device_plan_options* options,
                                            int64_t* bytes);
/* Null is allowed. */
VARLEN_API void varlen_device_plan_destroy(varlen_device_plan* plan);
/* Bytes of device memory that the plan uses. */
VARLEN_API int varlen_device_plan_bytes(const varlen_device_plan* plan, int64_t* bytes);
/* Bytes of workspace that suffice for any plan within the limits. The second needs no device plan. */
VARLEN_API int varlen_device_plan_workspace_bytes(const varlen_device_plan* plan, int64_t* bytes);
VARLEN_API int varlen_workspace_bytes_within(const varlen_batch* spec, const varlen_limits* limits,
                                             const varlen_plan_target* target, int64_t* bytes);
/* Makes the plan for the requests, when the stream comes to it. Also fails with what was reported of earlier calls. */
VARLEN_API int varlen_device_plan_update(varlen_device_plan* plan, const varlen_device_requests* requests,
                                         void* stream);
/* The same for lengths in memory of the host, which are checked and copied before it returns. */
VARLEN_API int varlen_device_plan_update_from_host(varlen_device_plan* plan, const varlen_requests* requests,
                                                   void* stream);
/* Launches the plan that was made last. options->backend is the plan's own, or VARLEN_BACKEND_AUTO. */
VARLEN_API int varlen_device_plan_run(const varlen_device_plan* plan, const varlen_tensors* tensors, void* workspace,
                                      int64_t workspace_bytes, const varlen_run_options* options);
VARLEN_API int varlen_device_plan_explain(const varlen_device_plan* plan, const varlen_tensors* tensors,
                                          const varlen_run_options* options, varlen_kernel_choice* choice);
/* What was wrong with the last requests or with pages: fails with it, if anything was. Waits for the device. */
VARLEN_API int varlen_device_plan_status(const varlen_device_plan* plan);
/* A copy in host memory, the caller's to destroy. Waits for the device. Fails as varlen_device_plan_status(). */
VARLEN_API int varlen_device_plan_to_host(const varlen_device_plan* plan, varlen_plan** copy);

#ifdef __cplusplus
}
#endif

/* Starting points. They are part of the calling program, and so take the struct sizes of the header that it was built
 * with. */

static inline varlen_batch varlen_batch_default(void) {
  varlen_batch batch;
  memset(&batch, 0, sizeof batch);
  batch.struct_size = sizeof(varlen_batch);
  batch.query_dtype = VARLEN_BFLOAT16;
  batch.kv_dtype = VARLEN_DTYPE_OF_QUERY;
  batch.output_dtype = VARLEN_BFLOAT16;
  batch.mask_left = VARLEN_UNLIMITED;
  batch.mask_right = VARLEN_UNLIMITED;
  return batch;
}

static inline varlen_indices varlen_indices_32(const int32_t* values, int64_t size) {
  varlen_indices view = {values, size, 32, 0};
  return view;
}

static inline varlen_indices varlen_indices_64(const int64_t* values, int64_t size) {
  varlen_indices view = {values, size, 64, 0};
  return view;
}

/* A dense row-major view; `shape` has `rank` entries, at most VARLEN_MAX_RANK. Strides that would exceed INT64_MAX are
 * INT64_MAX: every call refuses such a tensor, unless it has no elements. */
static inline varlen_tensor varlen_tensor_dense(void* data, int32_t dtype, int32_t rank, const int64_t* shape) {
  varlen_tensor tensor;
  int64_t stride = 1;
  int32_t dimension;
  memset(&tensor, 0, sizeof tensor);
  tensor.struct_size = sizeof(varlen_tensor);
  tensor.data = data;
  tensor.dtype = dtype;
  tensor.rank = rank;
  for (dimension = (rank < VARLEN_MAX_RANK ? rank : VARLEN_MAX_RANK) - 1; dimension >= 0; --dimension) {
    const int64_t size = shape[dimension];
    tensor.shape[dimension] = size;
    tensor.strides[dimension] = stride;
    if (size > 1) stride = stride <= INT64_MAX / size ? stride * size : INT64_MAX;
  }
  return tensor;
}

static inline varlen_tensors varlen_tensors_default(void) {
  varlen_tensors tensors;
  memset(&tensors, 0, sizeof tensors);
  tensors.struct_size = sizeof(varlen_tensors);
  return tensors;
}

static inline varlen_run_options varlen_run_options_default(void) {
  varlen_run_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof(varlen_run_options);
  return options;
}

static inline varlen_limits varlen_limits_default(void) {
  varlen_limits limits;
  memset(&limits, 0, sizeof limits);
  limits.struct_size = sizeof(varlen_limits);
  return limits;
}

static inline varlen_device_indices varlen_device_indices_32(const int32_t* values) {
  varlen_device_indices view = {values, 32, 0};
  return view;
}

static inline varlen_device_indices varlen_device_indices_64(const int64_t* values) {
  varlen_device_indices view = {values, 64, 0};
  return view;
}

static inline varlen_device_requests varlen_device_requests_default(void) {
  varlen_device_requests requests;
  memset(&requests, 0, sizeof requests);
  requests.struct_size = sizeof(varlen_device_requests);
  return requests;
}

static inline varlen_requests varlen_requests_default(void) {
  varlen_requests requests;
  memset(&requests, 0, sizeof requests);
  requests.struct_size = sizeof(varlen_requests);
  return requests;
}

static inline varlen_device_plan_options varlen_device_plan_options_default(void) {
  varlen_device_plan_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof(varlen_device_plan_options);
  options.backend = VARLEN_BACKEND_CUDA;
  return options;
}

static inline varlen_kernel_choice varlen_kernel_choice_default(void) {
  varlen_kernel_choice choice;
  memset(&choice, 0, sizeof choice);
  choice.struct_size = sizeof(varlen_kernel_choice);
  return choice;
}

static inline varlen_plan_target varlen_plan_target_default(void) {
  varlen_plan_target target;
  memset(&target, 0, sizeof target);
  target.struct_size = sizeof(varlen_plan_target);
  target.item_cost = 24;
  target.split_cost = 32;
  return target;
}

#endif
