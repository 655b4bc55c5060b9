"""varlen through its C interface (include/varlen.h), on the packed tensors as they are."""

import ctypes
from ctypes import (
    POINTER,
    byref,
    c_char_p,
    c_float,
    c_int32,
    c_int64,
    c_size_t,
    c_void_p,
)

import torch

DTYPES = {"fp32": 0, "bf16": 2}
UNLIMITED = -1


class Indices(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("size", c_int64), ("bits", c_int32), ("reserved", c_int32)]


class Batch(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("query_indptr", Indices),
        ("query_lengths", Indices),
        ("key_indptr", Indices),
        ("key_lengths", Indices),
        ("page_size", c_int64),
        ("query_heads", c_int32),
        ("kv_heads", c_int32),
        ("head_dim_qk", c_int32),
        ("head_dim_vo", c_int32),
        ("query_dtype", c_int32),
        ("output_dtype", c_int32),
        ("kv_dtype", c_int32),
        ("reserved", c_int32),
        ("mask_left", c_int64),
        ("mask_right", c_int64),
        ("has_scale", c_int32),
        ("scale", c_float),
        ("soft_cap", c_float),
        ("batch_invariant", c_int32),
    ]


class Tensor(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("data", c_void_p),
        ("dtype", c_int32),
        ("rank", c_int32),
        ("shape", c_int64 * 4),
        ("strides", c_int64 * 4),
        ("device", c_int32),
        ("device_index", c_int32),
    ]


TENSOR_NAMES = (
    *("query", "key", "value", "out", "lse", "block_table", "block_table_rows", "page_indptr", "page_indices"),
    *("sinks", "query_scale", "key_scale", "value_scale"),
)


class Tensors(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t)] + [(name, POINTER(Tensor)) for name in TENSOR_NAMES]


class TileShape(ctypes.Structure):
    _fields_ = [("rows", c_int32), ("reserved", c_int32), ("block_cost", c_int64)]


class PlanTarget(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("tile_shapes", TileShape * 4),
        ("tile_shape_count", c_int32),
        ("key_block", c_int32),
        ("workers", c_int32),
        ("invariant_shares", c_int32),
        ("item_cost", c_int64),
        ("split_cost", c_int64),
        ("l2_bytes", c_int64),
    ]


library = None
workers = 1


def prepare(path, threads):
    global library, workers
    workers = threads
    library = ctypes.CDLL(path)
    library.varlen_version.restype = c_char_p
    library.varlen_last_error.restype = c_char_p
    library.varlen_plan_destroy.restype = None
    library.varlen_run.argtypes = [c_void_p, POINTER(Tensors), c_void_p, c_int64]
    library.varlen_plan_destroy.argtypes = [c_void_p]
    library.varlen_workspace_bytes.argtypes = [c_void_p, POINTER(c_int64)]
    return f"varlen {library.varlen_version().decode()}"


def call(function, *arguments):
    if function(*arguments) != 0:
        raise RuntimeError(library.varlen_last_error().decode())


def tensor(source):
    dtype = {torch.float32: 0, torch.bfloat16: 2}[source.dtype]
    result = Tensor(struct_size=ctypes.sizeof(Tensor), data=source.data_ptr(), dtype=dtype, rank=source.dim())
    result.shape[: source.dim()] = list(source.shape)
    result.strides[: source.dim()] = list(source.stride())
    return result


class Varlen:
    """Plan and run in every call; the workspace and the output are made once, as the peers' inputs are."""

    name = "varlen (plan + run)"

    def __init__(self, workload):
        self.workload = workload
        starts = [torch.from_numpy(workload.starts(lengths)) for lengths in (workload.query_lengths, workload.key_lengths)]
        indices = [Indices(s.data_ptr(), len(s), 64, 0) for s in starts]
        self.keep = [starts]
        dtype = DTYPES[workload.dtype]
        self.batch = Batch(
            struct_size=ctypes.sizeof(Batch),
            query_indptr=indices[0],
            key_indptr=indices[1],
            query_heads=workload.query_heads,
            kv_heads=workload.kv_heads,
            head_dim_qk=workload.head_dim,
            query_dtype=dtype,
            kv_dtype=-1,
            output_dtype=dtype,
            mask_left=UNLIMITED,
            mask_right=0 if workload.causal else UNLIMITED,
        )
        self.target = PlanTarget(struct_size=ctypes.sizeof(PlanTarget))
        call(library.varlen_plan_target_named, b"cpu", byref(self.target))
        self.target.workers = workers
        self.out = torch.zeros_like(workload.inputs["query"])
        views = {name: tensor(workload.inputs[name]) for name in ("query", "key", "value")}
        views["out"] = tensor(self.out)
        self.tensors = Tensors(struct_size=ctypes.sizeof(Tensors))
        for name, view in views.items():
            setattr(self.tensors, name, ctypes.pointer(view))
        self.keep.append(views)
        plan = self.plan()
        size = c_int64()
        call(library.varlen_workspace_bytes, plan, byref(size))
        library.varlen_plan_destroy(plan)
        self.workspace_bytes = size.value
        # varlen asks for 64-byte alignment, which torch's allocator gives.
        self.workspace = torch.zeros(max(size.value, 1), dtype=torch.uint8)

    def plan(self):
        plan = c_void_p()
        call(library.varlen_plan_create, byref(self.batch), byref(self.target), byref(plan))
        return plan

    def run(self):
        plan = self.plan()
        try:
            call(library.varlen_run, plan, byref(self.tensors), self.workspace.data_ptr(), self.workspace_bytes)
        finally:
            library.varlen_plan_destroy(plan)

    def result(self):
        return self.out.float()


CONTENDERS = [Varlen]
