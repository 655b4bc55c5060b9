/* Tensors of other libraries, as DLPack's header describes them. */
#include <string.h>

#include "c_api_test.h"

typedef struct dl_tensor {
  void* data;
  struct {
    int32_t device_type;
    int32_t device_id;
  } device;
  int32_t ndim;
  struct {
    uint8_t code;
    uint8_t bits;
    uint16_t lanes;
  } dtype;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
} dl_tensor;

typedef struct dl_managed {
  dl_tensor tensor;
  void* manager_ctx;
  void (*deleter)(struct dl_managed* self);
} dl_managed;

typedef struct dl_versioned {
  struct {
    uint32_t major;
    uint32_t minor;
  } version;
  void* manager_ctx;
  void (*deleter)(struct dl_versioned* self);
  uint64_t flags;
  dl_tensor tensor;
} dl_versioned;

enum { kInt = 0, kUnsigned = 1, kFloat = 2, kBfloat = 4, kE4m3fn = 10, kE5m2 = 12 };

static dl_tensor described(void* data, int64_t* shape, int64_t* strides) {
  dl_tensor tensor = {data, {1, 0}, 3, {kFloat, 32, 1}, shape, strides, 0};
  return tensor;
}

static varlen_tensor empty_tensor(void) {
  varlen_tensor tensor;
  memset(&tensor, 0, sizeof tensor);
  tensor.struct_size = sizeof tensor;
  return tensor;
}

/* The fixture's batch through DLPack in its three forms gives the bits that it has without. */
static void test_three_forms(void) {
  fixture direct;
  fixture shared;
  prepare(&direct);
  prepare(&shared);
  CHECK_OK(varlen_attention(&direct.batch, &direct.tensors, VARLEN_BACKEND_CPU));

  int64_t query_shape[3] = {kQueryTokens, kQueryHeads, kDimQk};
  int64_t query_strides[3] = {kQueryHeads * kDimQk, kDimQk, 1};
  int64_t key_shape[3] = {kKeyTokens, kKvHeads, kDimQk};
  int64_t value_shape[3] = {kKeyTokens, kKvHeads, kDimVo};
  const dl_tensor query = described(shared.query, query_shape, query_strides);
  dl_managed key = {described(shared.key, key_shape, NULL), NULL, NULL};
  dl_versioned value = {{1, 1}, NULL, NULL, 1, described((char*)shared.value - 64, value_shape, NULL)};
  value.tensor.byte_offset = 64;

  varlen_tensor views[3] = {empty_tensor(), empty_tensor(), empty_tensor()};
  int32_t read_only = -1;
  CHECK_OK(varlen_tensor_from_dlpack(&query, VARLEN_DLPACK_TENSOR, &views[0], &read_only));
  CHECK(read_only == 0);
  CHECK_OK(varlen_tensor_from_dlpack(&key, VARLEN_DLPACK_MANAGED, &views[1], NULL));
  CHECK_OK(varlen_tensor_from_dlpack(&value, VARLEN_DLPACK_VERSIONED, &views[2], &read_only));
  CHECK(read_only == 1);
  CHECK(views[2].data == (void*)shared.value && views[2].strides[0] == kKvHeads * kDimVo);
  shared.tensors.query = &views[0];
  shared.tensors.key = &views[1];
  shared.tensors.value = &views[2];
  CHECK_OK(varlen_attention(&shared.batch, &shared.tensors, VARLEN_BACKEND_CPU));
  CHECK(memcmp(direct.out, shared.out, sizeof direct.out) == 0);
}

static void test_dtypes_and_devices(void) {
  int64_t shape[3] = {4, 2, 8};
  const struct {
    uint8_t code;
    uint8_t bits;
    int32_t dtype;
  } types[] = {{kFloat, 32, VARLEN_FLOAT32},     {kFloat, 16, VARLEN_FLOAT16},   {kBfloat, 16, VARLEN_BFLOAT16},
               {kE4m3fn, 8, VARLEN_FLOAT8_E4M3}, {kE5m2, 8, VARLEN_FLOAT8_E5M2}, {kInt, 32, VARLEN_INT32},
               {kInt, 64, VARLEN_INT64}};
  dl_tensor tensor = described(shape, shape, NULL);
  varlen_tensor view = empty_tensor();
  for (size_t i = 0; i < sizeof types / sizeof types[0]; ++i) {
    tensor.dtype.code = types[i].code;
    tensor.dtype.bits = types[i].bits;
    CHECK_OK(varlen_tensor_from_dlpack(&tensor, VARLEN_DLPACK_TENSOR, &view, NULL));
    CHECK(view.dtype == types[i].dtype && view.rank == 3 && view.shape[2] == 8 && view.strides[0] == 16);
  }
  const struct {
    int32_t device_type;
    int32_t device;
    int32_t index;
  } devices[] = {{1, VARLEN_CPU, 0}, {2, VARLEN_CUDA, 5}, {3, VARLEN_CPU, 0}, {13, VARLEN_CUDA, 5}};
  tensor.device.device_id = 5;
  for (size_t i = 0; i < sizeof devices / sizeof devices[0]; ++i) {
    tensor.device.device_type = devices[i].device_type;
    CHECK_OK(varlen_tensor_from_dlpack(&tensor, VARLEN_DLPACK_TENSOR, &view, NULL));
    CHECK(view.device == devices[i].device && view.device_index == devices[i].index);
  }
}

static void refused(const void* dlpack, int form, int code, const char* field) {
  varlen_tensor view = empty_tensor();
  const varlen_tensor before = view;
  CHECK(varlen_tensor_from_dlpack(dlpack, form, &view, NULL) == code);
  CHECK(strcmp(varlen_last_error_field(), field) == 0);
  CHECK(memcmp(&view, &before, sizeof view) == 0);
}

static void test_refusals(void) {
  int64_t shape[5] = {4, 2, 8, 1, 1};
  dl_tensor tensor = described(shape, shape, NULL);
  refused(NULL, VARLEN_DLPACK_TENSOR, VARLEN_INVALID_ARGUMENT, "dlpack");
  refused(&tensor, 3, VARLEN_INVALID_ARGUMENT, "form");
  CHECK(varlen_tensor_from_dlpack(&tensor, VARLEN_DLPACK_TENSOR, NULL, NULL) == VARLEN_INVALID_ARGUMENT);
  tensor.dtype.lanes = 4;
  refused(&tensor, VARLEN_DLPACK_TENSOR, VARLEN_UNSUPPORTED, "dlpack.dtype");
  tensor.dtype.lanes = 1;
  tensor.dtype.code = kUnsigned;
  refused(&tensor, VARLEN_DLPACK_TENSOR, VARLEN_UNSUPPORTED, "dlpack.dtype");
  CHECK(strcmp(varlen_last_error_value(), "(1, 32, 1)") == 0);
  tensor.dtype.code = kFloat;
  tensor.ndim = 5;
  refused(&tensor, VARLEN_DLPACK_TENSOR, VARLEN_UNSUPPORTED, "dlpack.ndim");
  tensor.ndim = -1;
  refused(&tensor, VARLEN_DLPACK_TENSOR, VARLEN_UNSUPPORTED, "dlpack.ndim");
  tensor.ndim = 3;
  tensor.shape = NULL;
  refused(&tensor, VARLEN_DLPACK_TENSOR, VARLEN_INVALID_ARGUMENT, "dlpack.shape");
  tensor.shape = shape;
  tensor.device.device_type = 10;
  refused(&tensor, VARLEN_DLPACK_TENSOR, VARLEN_UNSUPPORTED, "dlpack.device_type");
  dl_versioned newer = {{2, 0}, NULL, NULL, 0, described(shape, shape, NULL)};
  refused(&newer, VARLEN_DLPACK_VERSIONED, VARLEN_UNSUPPORTED, "dlpack.version");
  CHECK(strcmp(varlen_last_error_value(), "2.0") == 0);
}

void test_dlpack(void) {
  test_three_forms();
  test_dtypes_and_devices();
  test_refusals();
}
