"""What is computed: lengths, heads, dtype and mask of each comparison, and random inputs for it."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

TRACES = Path(__file__).resolve().parent.parent / "traces"


@dataclass
class Workload:
    name: str
    query_lengths: list
    key_lengths: list
    query_heads: int
    kv_heads: int
    head_dim: int
    dtype: str  # "fp32" or "bf16"
    causal: bool
    required: float = 0.0  # asked: varlen at least this many times as fast as the best peer; 0: for information
    inputs: dict = field(default_factory=dict)

    @property
    def title(self):
        heads = f"{self.query_heads}" if self.query_heads == self.kv_heads else f"{self.query_heads}/{self.kv_heads}"
        mask = "causal" if self.causal else "full"
        return f"{self.name}, {heads} heads, d {self.head_dim}, {self.dtype}, {mask}"

    @property
    def torch_dtype(self):
        return {"fp32": torch.float32, "bf16": torch.bfloat16}[self.dtype]

    @property
    def equal_lengths(self):
        return len(set(self.query_lengths)) == 1 and len(set(self.key_lengths)) == 1

    def flops(self):
        """Two products of two operations per visible (query, key) pair, head and element."""
        pairs = 0
        for queries, keys in zip(self.query_lengths, self.key_lengths):
            if self.causal:
                seen = np.clip(np.arange(queries, dtype=np.int64) + 1 + keys - queries, 0, keys)
                pairs += int(seen.sum())
            else:
                pairs += queries * keys
        return 4 * pairs * self.query_heads * self.head_dim

    def starts(self, lengths):
        return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)

    def make_inputs(self, seed=0):
        """Packed query, key and value: [tokens, heads, head_dim], requests laid end to end."""
        generator = torch.Generator().manual_seed(seed)

        def random(tokens, heads):
            return torch.randn((tokens, heads, self.head_dim), generator=generator).to(self.torch_dtype)

        self.inputs = {
            "query": random(sum(self.query_lengths), self.query_heads),
            "key": random(sum(self.key_lengths), self.kv_heads),
            "value": random(sum(self.key_lengths), self.kv_heads),
        }

    def requests(self):
        """(query, key, value) of each request as views [tokens, heads, head_dim] of the packed tensors."""
        query_starts, key_starts = self.starts(self.query_lengths), self.starts(self.key_lengths)
        for r in range(len(self.query_lengths)):
            queries = slice(query_starts[r], query_starts[r + 1])
            keys = slice(key_starts[r], key_starts[r + 1])
            yield self.inputs["query"][queries], self.inputs["key"][keys], self.inputs["value"][keys]

    def padded(self, name):
        """[requests, longest, heads, head_dim], zeros after each request's end."""
        lengths = self.query_lengths if name == "query" else self.key_lengths
        packed = self.inputs[name]
        result = torch.zeros((len(lengths), max(lengths), *packed.shape[1:]), dtype=packed.dtype)
        starts = self.starts(lengths)
        for r, length in enumerate(lengths):
            result[r, :length] = packed[starts[r] : starts[r + 1]]
        return result

    def unpadded(self, padded):
        """The reverse for outputs [requests, longest, heads, head_dim]: packed, float32."""
        return torch.cat([padded[r, :length] for r, length in enumerate(self.query_lengths)]).float()

    def expanded(self, tensor):
        """Key or value [tokens, kv_heads, head_dim] with each head repeated for its group of query heads."""
        group = self.query_heads // self.kv_heads
        return tensor if group == 1 else tensor.repeat_interleave(group, dim=1)


def reference(workload):
    """Attention by its definition in float64: outputs, and for each row ‖Σ pⱼ |vⱼ|‖, which errors are measured against."""
    outs, scales = [], []
    group = workload.query_heads // workload.kv_heads
    for query, key, value in workload.requests():
        query, key, value = (part.transpose(0, 1).double() for part in (query, key, value))
        out, scale = torch.empty_like(query), torch.empty(query.shape[:2], dtype=torch.float64)
        last = torch.arange(query.shape[1])[:, None] + key.shape[1] - query.shape[1]
        hidden = torch.arange(key.shape[1])[None, :] > last
        for head in range(workload.query_heads):  # one at a time, for the memory's sake
            scores = query[head] @ key[head // group].T / workload.head_dim**0.5
            if workload.causal:
                scores.masked_fill_(hidden, float("-inf"))
            weights = torch.softmax(scores, dim=-1)
            out[head] = weights @ value[head // group]
            scale[head] = (weights @ value[head // group].abs()).norm(dim=-1)
        outs.append(out.transpose(0, 1))
        scales.append(scale.transpose(0, 1))
    return torch.cat(outs), torch.cat(scales)


def trace_lengths(name):
    trace = json.loads((TRACES / f"{name}.json").read_text())
    return trace["query_lengths"], trace["kv_lengths"]


def all_workloads(shorten=1):
    """`shorten` divides all lengths, to try the scripts quickly."""
    workloads = full_size_workloads()
    for workload in workloads:
        workload.query_lengths = [max(1, length // shorten) for length in workload.query_lengths]
        workload.key_lengths = [max(1, length // shorten) for length in workload.key_lengths]
    return workloads


def full_size_workloads():
    workloads = []
    equal = [2048] * 4
    for dtype in ("fp32", "bf16"):
        for causal in (True, False):
            workloads.append(Workload("4 × 2048", equal, equal, 12, 12, 64, dtype, causal, required=1.2))
    queries, keys = trace_lengths("prompts_64")
    for dtype in ("fp32", "bf16"):
        workloads.append(Workload("prompts_64", queries, keys, 12, 12, 64, dtype, True, required=2.0))
    # The trace's own heads, on every other request: the whole of it takes the slower peers half a minute a call.
    for dtype in ("fp32", "bf16"):
        workloads.append(
            Workload("half of prompts_64", queries[::2], keys[::2], 32, 8, 128, dtype, True, required=2.0)
        )
    # One query token per request over a long context: bound by reading keys and values.
    contexts = [128 + 61 * r for r in range(32)]
    for dtype in ("fp32", "bf16"):
        workloads.append(Workload("decode 32 × 128…2019", [1] * 32, contexts, 32, 8, 128, dtype, True))
    return workloads
