"""ONNX Runtime on the CPU: the contributed MultiHeadAttention and GroupQueryAttention, and the Attention of ONNX itself.

Inputs and outputs are bound to memory made outside the timed section. Its CPU kernels take fp32 (some fp16), no bf16.
"""

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper

_threads = 1


def prepare(threads):
    global _threads
    _threads = threads
    return f"ONNX Runtime {onnxruntime.__version__}"


def session(node, workload, lengths=False):
    """A session for one node; requests and tokens are dynamic. With `lengths` it also takes those of the keys."""

    def packed(name, heads):
        return helper.make_tensor_value_info(
            name, TensorProto.FLOAT, [f"{name}_requests", f"{name}_tokens", heads * workload.head_dim]
        )

    inputs = [packed("query", workload.query_heads)]
    inputs += [packed(name, node_kv_heads(node, workload)) for name in ("key", "value")]
    if lengths:
        inputs.append(helper.make_tensor_value_info("seqlens_k", TensorProto.INT32, ["requests"]))
        inputs.append(helper.make_tensor_value_info("total", TensorProto.INT32, [1]))
    graph = helper.make_graph([node], "attention", inputs, [packed("out", workload.query_heads)])
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def node_kv_heads(node, workload):
    """MultiHeadAttention has no groups: it gets every key head once per query head."""
    return workload.query_heads if node.op_type == "MultiHeadAttention" else workload.kv_heads


def bind(run_session, arrays, out):
    binding = run_session.io_binding()
    for name, array in arrays.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    value = onnxruntime.OrtValue.ortvalue_from_numpy(out)
    binding.bind_ortvalue_output("out", value)
    return binding, value


class Contender:
    def __init__(self, workload):
        if workload.dtype != "fp32":
            raise NotImplementedError(f"no CPU kernel for {workload.dtype}")
        self.workload = workload
        self.calls = []  # (binding, output value)

    def run(self):
        for binding, _ in self.calls:
            self.session.run_with_iobinding(binding)

    def result(self):
        heads, head_dim = self.workload.query_heads, self.workload.head_dim
        outs = [torch.from_numpy(value.numpy()) for _, value in self.calls]
        if len(outs) == 1:  # padded: [requests, longest, hidden]
            return self.workload.unpadded(outs[0].reshape(*outs[0].shape[:2], heads, head_dim))
        return torch.cat([out.reshape(-1, heads, head_dim) for out in outs])


def hidden(tensor):
    """[requests, tokens, heads, head_dim] as [requests, tokens, heads × head_dim], a numpy array of its own."""
    return np.ascontiguousarray(tensor.flatten(2).numpy())


class MultiHead(Contender):
    """com.microsoft MultiHeadAttention; for the full mask without padding it takes its flash kernel."""

    def __init__(self, workload):
        super().__init__(workload)
        if workload.causal and workload.query_lengths != workload.key_lengths and max(workload.query_lengths) > 1:
            raise NotImplementedError("causal with fewer queries than keys")
        causal = workload.causal and workload.query_lengths == workload.key_lengths
        node = helper.make_node(
            "MultiHeadAttention",
            ["query", "key", "value"],
            ["out"],
            domain="com.microsoft",
            num_heads=workload.query_heads,
            unidirectional=int(causal),
        )
        self.session = session(node, workload)
        for query, key, value in self.batches():
            arrays = {"query": hidden(query), "key": hidden(key), "value": hidden(value)}
            self.calls.append(bind(self.session, arrays, np.zeros_like(arrays["query"])))


class MultiHeadPerRequest(MultiHead):
    name = "ONNX Runtime MultiHeadAttention, per request"

    def batches(self):
        for query, key, value in self.workload.requests():
            yield query[None], self.workload.expanded(key)[None], self.workload.expanded(value)[None]


class MultiHeadPadded(MultiHead):
    name = "ONNX Runtime MultiHeadAttention, padded"

    def batches(self):
        # A causal mask hides padding on the right of requests that start at their first key.
        w = self.workload
        if not w.equal_lengths and not (w.causal and w.query_lengths == w.key_lengths):
            raise NotImplementedError("padding a full mask")
        group = w.query_heads // w.kv_heads
        yield (
            w.padded("query"),
            w.padded("key").repeat_interleave(group, dim=2),
            w.padded("value").repeat_interleave(group, dim=2),
        )


class GroupQuery(Contender):
    """com.microsoft GroupQueryAttention on a prompt: causal, takes each request's length, so padding is skipped."""

    name = "ONNX Runtime GroupQueryAttention, padded + lengths"

    def __init__(self, workload):
        super().__init__(workload)
        if not workload.causal or workload.query_lengths != workload.key_lengths:
            raise NotImplementedError("only causal prompts without a cache")
        inputs = ["query", "key", "value", "", "", "seqlens_k", "total"]
        node = helper.make_node(
            "GroupQueryAttention",
            inputs,
            ["out", "present_key", "present_value"],
            domain="com.microsoft",
            num_heads=workload.query_heads,
            kv_num_heads=workload.kv_heads,
        )
        self.session = session(node, workload, lengths=True)
        arrays = {name: hidden(workload.padded(name)) for name in ("query", "key", "value")}
        arrays["seqlens_k"] = np.array(workload.key_lengths, dtype=np.int32) - 1
        arrays["total"] = np.array([max(workload.key_lengths)], dtype=np.int32)
        self.calls.append(bind(self.session, arrays, np.zeros_like(arrays["query"])))


class GroupQueryPerRequest(GroupQuery):
    name = "ONNX Runtime GroupQueryAttention, per request"

    def __init__(self, workload):
        super().__init__(workload)
        self.calls = []
        for query, key, value in workload.requests():
            arrays = {"query": hidden(query[None]), "key": hidden(key[None]), "value": hidden(value[None])}
            arrays["seqlens_k"] = np.array([key.shape[0] - 1], dtype=np.int32)
            arrays["total"] = np.array([key.shape[0]], dtype=np.int32)
            self.calls.append(bind(self.session, arrays, np.zeros_like(arrays["query"])))


class OnnxAttention(Contender):
    """Attention of ONNX opset 23, one call per request."""

    name = "ONNX Runtime Attention (opset 23), per request"

    def __init__(self, workload):
        super().__init__(workload)
        if workload.causal and workload.query_lengths != workload.key_lengths and max(workload.query_lengths) > 1:
            raise NotImplementedError("causal with fewer queries than keys")
        causal = workload.causal and workload.query_lengths == workload.key_lengths
        node = helper.make_node(
            "Attention",
            ["query", "key", "value"],
            ["out"],
            q_num_heads=workload.query_heads,
            kv_num_heads=workload.kv_heads,
            is_causal=int(causal),
        )
        self.session = session(node, workload)
        for query, key, value in workload.requests():
            arrays = {"query": hidden(query[None]), "key": hidden(key[None]), "value": hidden(value[None])}
            self.calls.append(bind(self.session, arrays, np.zeros_like(arrays["query"])))


CONTENDERS = [MultiHeadPadded, MultiHeadPerRequest, GroupQuery, GroupQueryPerRequest, OnnxAttention]
