"""PyTorch on the CPU, the ways its users run attention over requests of different lengths."""

import torch
import torch.nn.functional as F


class Padded:
    """One scaled_dot_product_attention call over [requests, heads, longest, head_dim].

    The padded tensors are contiguous and made outside the timed section. Where requests start at their own first key a
    causal mask alone hides the padding (it stands on the right), so no mask tensor is needed; otherwise one is given.
    """

    name = "PyTorch SDPA, padded"

    def __init__(self, workload):
        self.workload = workload
        self.query, self.key, self.value = (
            workload.padded(name).transpose(1, 2).contiguous() for name in ("query", "key", "value")
        )
        self.mask = None
        self.is_causal = workload.causal
        square = workload.query_lengths == workload.key_lengths
        if not workload.equal_lengths and not (workload.causal and square):
            queries, keys = torch.tensor(workload.query_lengths), torch.tensor(workload.key_lengths)
            positions = torch.arange(max(workload.key_lengths))
            if workload.causal:
                rows = torch.arange(max(workload.query_lengths))
                last = rows[None, :] + (keys - queries)[:, None]
                seen = positions[None, None, :] <= last[:, :, None]
            else:
                seen = (positions[None, :] < keys[:, None])[:, None, :]
            self.mask = seen[:, None]
            self.is_causal = False
        self.gqa = workload.query_heads != workload.kv_heads

    def run(self):
        self.out = F.scaled_dot_product_attention(
            self.query, self.key, self.value, attn_mask=self.mask, is_causal=self.is_causal, enable_gqa=self.gqa
        )

    def result(self):
        return self.workload.unpadded(self.out.transpose(1, 2))


class PerRequest:
    """One scaled_dot_product_attention call per request, each on its own contiguous [1, heads, tokens, head_dim]."""

    name = "PyTorch SDPA, per request"

    def __init__(self, workload):
        self.workload = workload
        self.tensors = [
            tuple(tensor.transpose(0, 1).contiguous()[None] for tensor in request) for request in workload.requests()
        ]
        # is_causal aligns at the top left; a single row at the end of its keys sees all of them.
        if workload.causal and workload.query_lengths != workload.key_lengths:
            if max(workload.query_lengths) > 1:
                raise NotImplementedError("causal with fewer queries than keys needs a mask tensor per request")
            self.is_causal = False
        else:
            self.is_causal = workload.causal
        self.gqa = workload.query_heads != workload.kv_heads

    def run(self):
        self.out = [
            F.scaled_dot_product_attention(query, key, value, is_causal=self.is_causal, enable_gqa=self.gqa)
            for query, key, value in self.tensors
        ]

    def result(self):
        return torch.cat([out[0].transpose(0, 1) for out in self.out]).float()


class Nested:
    """scaled_dot_product_attention on jagged nested tensors."""

    name = "PyTorch SDPA, nested (jagged)"

    def __init__(self, workload):
        self.workload = workload

        def jagged(packed, lengths):
            offsets = torch.from_numpy(workload.starts(lengths))
            return torch.nested.nested_tensor_from_jagged(packed.contiguous(), offsets).transpose(1, 2)

        if workload.causal and workload.query_lengths != workload.key_lengths:
            raise NotImplementedError("causal with fewer queries than keys")
        inputs = workload.inputs
        self.query = jagged(inputs["query"], workload.query_lengths)
        self.key = jagged(workload.expanded(inputs["key"]), workload.key_lengths)
        self.value = jagged(workload.expanded(inputs["value"]), workload.key_lengths)

    def run(self):
        self.out = F.scaled_dot_product_attention(self.query, self.key, self.value, is_causal=self.workload.causal)

    def result(self):
        return self.out.transpose(1, 2).values().float()


class Flex:
    """Compiled flex_attention over the packed tokens with a block mask that keeps requests apart."""

    name = "PyTorch flex_attention, packed"
    compiled = None

    def __init__(self, workload):
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention

        self.workload = workload
        self.query, self.key, self.value = (
            workload.inputs[name].transpose(0, 1).contiguous()[None] for name in ("query", "key", "value")
        )
        queries, keys = torch.tensor(workload.query_lengths), torch.tensor(workload.key_lengths)
        query_request = torch.repeat_interleave(torch.arange(len(queries)), queries)
        key_request = torch.repeat_interleave(torch.arange(len(keys)), keys)
        # Position of a query among its request's keys minus that of a key, from the packed indices.
        shift = torch.cumsum(keys, 0) - torch.cumsum(queries, 0)
        causal = workload.causal

        def mask(batch, head, query, key):
            request = query_request[query]
            same = request == key_request[key]
            return same & (key <= query + shift[request]) if causal else same

        self.mask = create_block_mask(mask, None, None, len(query_request), len(key_request), device="cpu")
        torch._dynamo.reset()  # every workload compiles its own, static kernel
        self.compiled = torch.compile(flex_attention, dynamic=False)
        self.gqa = workload.query_heads != workload.kv_heads

    def run(self):
        self.out = self.compiled(self.query, self.key, self.value, block_mask=self.mask, enable_gqa=self.gqa)

    def result(self):
        return self.out[0].transpose(0, 1).float()


CONTENDERS = [Padded, PerRequest, Nested, Flex]


def prepare(threads):
    torch.set_num_threads(threads)
    return f"PyTorch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()})"
