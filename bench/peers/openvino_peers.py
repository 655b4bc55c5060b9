"""OpenVINO's ScaledDotProductAttention on the CPU, compiled for each shape that occurs."""

import numpy as np
import openvino as ov
import openvino.opset13 as ops
import torch

_threads = 1


def prepare(threads):
    global _threads
    _threads = threads
    return f"OpenVINO {ov.__version__}"


def compile_model(workload, shapes):
    """The model of one shape of query, key and value, each [requests, heads, tokens, head_dim].

    bf16 is widened to fp32 inside and narrowed again: without bf16 instructions OpenVINO's own bf16 attention is its
    reference code, a hundred times slower.
    """
    square = workload.query_lengths == workload.key_lengths
    if workload.causal and not square and max(workload.query_lengths) > 1:
        raise NotImplementedError("causal with fewer queries than keys")
    narrow = workload.dtype == "bf16"
    kind = ov.Type.bf16 if narrow else ov.Type.f32
    parameters = [ops.parameter(shape, kind, name=name) for shape, name in zip(shapes, ("query", "key", "value"))]
    inputs = [ops.convert(parameter, ov.Type.f32) for parameter in parameters] if narrow else parameters
    out = ops.scaled_dot_product_attention(*inputs, causal=workload.causal and square)
    model = ov.Model([ops.convert(out, kind) if narrow else out], parameters, "attention")
    config = {
        "INFERENCE_NUM_THREADS": _threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    return ov.Core().compile_model(model, "CPU", config)


def tensor(source):
    """A tensor that shares the memory of a contiguous torch tensor."""
    if source.dtype == torch.bfloat16:
        array = source.view(torch.int16).numpy()
        return ov.Tensor(array, list(source.shape), ov.Type.bf16)
    return ov.Tensor(source.numpy(), shared_memory=True)


def to_torch(output):
    if output.element_type == ov.Type.bf16:
        raw = np.frombuffer(output.data.tobytes(), dtype=np.int16).reshape(output.shape)
        return torch.from_numpy(raw.copy()).view(torch.bfloat16).float()
    return torch.from_numpy(np.array(output.data)).float()


class PerRequest:
    """One inference per request, each with a request object of its own and its tensors set beforehand."""

    name = "OpenVINO SDPA, per request"

    def __init__(self, workload):
        self.workload = workload
        compiled = {}
        self.calls, self.keep = [], []
        for request in workload.requests():
            query, key, value = request[0], workload.expanded(request[1]), workload.expanded(request[2])
            inputs = [part.transpose(0, 1).contiguous()[None] for part in (query, key, value)]
            shapes = tuple(tuple(part.shape) for part in inputs)
            if shapes not in compiled:
                compiled[shapes] = compile_model(workload, shapes)
            call = compiled[shapes].create_infer_request()
            for index, part in enumerate(inputs):
                call.set_input_tensor(index, tensor(part))
            self.keep.append(inputs)
            self.calls.append(call)

    def run(self):
        for call in self.calls:
            call.infer()

    def result(self):
        return torch.cat([to_torch(call.get_output_tensor(0))[0].transpose(0, 1) for call in self.calls])


class Padded:
    """One inference over the padded batch; padding stands on the right, so a causal mask hides it."""

    name = "OpenVINO SDPA, padded"

    def __init__(self, workload):
        self.workload = w = workload
        if not w.equal_lengths and not (w.causal and w.query_lengths == w.key_lengths):
            raise NotImplementedError("padding a full mask")
        group = w.query_heads // w.kv_heads
        parts = [w.padded("query")] + [w.padded(name).repeat_interleave(group, dim=2) for name in ("key", "value")]
        self.inputs = [part.transpose(1, 2).contiguous() for part in parts]
        self.call = compile_model(w, [part.shape for part in self.inputs]).create_infer_request()
        for index, part in enumerate(self.inputs):
            self.call.set_input_tensor(index, tensor(part))

    def run(self):
        self.call.infer()

    def result(self):
        return self.workload.unpadded(to_torch(self.call.get_output_tensor(0)).transpose(1, 2))


CONTENDERS = [Padded, PerRequest]
