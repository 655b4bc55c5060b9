#!/usr/bin/env python3
"""Shows how varlen, FlashAttention-2 and -3 round small weights behind one large weight, on a CUDA device.

    python3 bench/peers/tails.py --varlen build/cuda/varlen [--markdown FILE]

Each request has one query and one hot key of weight 1, followed by `keys` keys of weight 2^-bits and value 1. The hot
key's value is 0 (an attention sink) or 1. The exact output is (hot value + keys · 2^-bits) / (1 + keys · 2^-bits). The
table has the relative error of each program in units of the output type's rounding, 2^-11 for fp16 and 2^-9 for bf16:
1 or less is a correctly rounded result. All requests are one batch, the same for every program. A program that is
missing or does not compute a type has no column.
"""
import argparse
import json
import math
import os
import pathlib
import subprocess
import tempfile

import torch

HEAD_DIM = 64
KEYS = (4_096, 131_072, 500_000)
BITS = (8, 13, 20, 24, 25, 26, 30)
HOT_VALUES = (0, 1)
ROUNDING = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-9}
NAMES = {torch.float16: "F16", torch.bfloat16: "BF16", torch.int32: "I32"}
SCALE = math.log(2)  # so that a score of -bits is a weight of 2^-bits

CASES = [(hot, keys, bits) for hot in HOT_VALUES for keys in KEYS for bits in BITS]


def inputs(dtype):
    """Query, key and value of the batch, each [tokens, 1, HEAD_DIM], and the key offsets."""
    lengths = [keys + 1 for _, keys, _ in CASES]
    starts = torch.tensor([0, *lengths]).cumsum(0)
    query = torch.zeros(len(CASES), 1, HEAD_DIM, device="cuda", dtype=dtype)
    query[:, 0, 0] = 1
    key = torch.zeros(int(starts[-1]), 1, HEAD_DIM, device="cuda", dtype=dtype)
    value = torch.ones_like(key)
    for (hot, _, bits), begin, end in zip(CASES, starts[:-1].tolist(), starts[1:].tolist()):
        key[begin + 1 : end, 0, 0] = -bits
        value[begin] = hot
    return query, key, value, starts.to(torch.int32)


def flash_attention_2(query, key, value, starts):
    of_queries = torch.arange(len(CASES) + 1, device="cuda", dtype=torch.int32)
    return torch.ops.aten._flash_attention_forward(query, key, value, of_queries, starts.cuda(), 1, max(KEYS) + 1, 0.0, False, False,
                                                   scale=SCALE)[0]


def flash_attention_3(query, key, value, starts):
    import fa3_fwd._C  # noqa: F401 (registers the operator)

    of_queries = torch.arange(len(CASES) + 1, device="cuda", dtype=torch.int32)
    none, splits = None, 0  # as many as its heuristic likes
    return torch.ops.fa3_fwd.fwd(
        query, key, value, none, none, none, none, of_queries, starts.cuda(), none, none, none, 1, max(KEYS) + 1, none, none, none,
        none, none, none, none, none, none, SCALE, False, -1, -1, 0, 0.0, True, none, splits, none, 0)[0]


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(tensor.cpu().contiguous().view(torch.uint8).numpy().tobytes())


def read_output(path, dtype):
    data = pathlib.Path(path).read_bytes()
    size = int.from_bytes(data[:8], "little")
    begin, end = json.loads(data[8 : 8 + size])["out"]["data_offsets"]
    return torch.frombuffer(bytearray(data[8 + size + begin : 8 + size + end]), dtype=dtype).view(len(CASES), 1, HEAD_DIM)


def varlen(program, kernel):
    def run(query, key, value, starts):
        libraries = str(pathlib.Path(program).resolve().parent / "lib")
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            source, target = f"{folder}/in.safetensors", f"{folder}/out.safetensors"
            of_queries = torch.arange(len(CASES) + 1, dtype=torch.int32)
            write_safetensors(source, {"q": query, "k": key, "v": value, "query_indptr": of_queries, "key_indptr": starts})
            done = subprocess.run([program, "run", source, "--backend", "cuda", "--kernel", kernel, "--scale", repr(SCALE),
                                   "--output", target], capture_output=True, text=True, check=False,
                                  env=os.environ | {"LD_LIBRARY_PATH": libraries})
            if done.returncode != 0:
                raise RuntimeError(done.stderr.strip())
            return read_output(target, query.dtype)
    return run


def errors(function, dtype):
    """The largest error of each case in roundings; None where the program does not compute the type."""
    try:
        out = function(*inputs(dtype)).double().cpu()
    except (ImportError, RuntimeError, AttributeError) as reason:
        print(f"{reason}".splitlines()[0], flush=True)
        return None
    result = []
    for (hot, keys, bits), row in zip(CASES, out):
        tail = keys * 2.0**-bits
        exact = (hot + tail) / (1 + tail)
        result.append(((row - exact).abs().max() / exact / ROUNDING[dtype]).item())
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--varlen", required=True)
    parser.add_argument("--markdown")
    options = parser.parse_args()
    programs = {"FlashAttention-2": flash_attention_2, "FlashAttention-3": flash_attention_3,
                "forward_wgmma": varlen(options.varlen, "forward_wgmma"), "forward_mma": varlen(options.varlen, "forward_mma")}
    columns = {}
    for name, dtype in (("fp16", torch.float16), ("bf16", torch.bfloat16)):
        for program, function in programs.items():
            columns[f"{program} {name}"] = errors(function, dtype)
            print(f"{program} {name} done", flush=True)
    columns = {name: column for name, column in columns.items() if column is not None}
    lines = ["| hot value | keys | weight | tail | " + " | ".join(columns) + " |", "|--:|--:|--:|--:|" + "--:|" * len(columns)]
    for row, (hot, keys, bits) in enumerate(CASES):
        cells = " | ".join(f"{column[row]:.3g}" for column in columns.values())
        lines.append(f"| {hot} | {keys:,} | 2^-{bits} | {keys * 2.0**-bits:.2g} | {cells} |")
    print("\n".join(lines))
    if options.markdown:
        pathlib.Path(options.markdown).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
