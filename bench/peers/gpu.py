#!/usr/bin/env python3
"""Times varlen on a CUDA device beside PyTorch's FlashAttention-2 and cuDNN, on traces, one after another.

    python3 bench/peers/gpu.py --varlen build/cuda/varlen [--only TEXT] [--markdown FILE] TRACE...

bf16. FlashAttention-2 is PyTorch's varlen operator (causal masks need as many queries as keys or bottom-right alignment,
which it has); cuDNN runs equal lengths only. Peers are timed with CUDA events, medians of 20 after 5 runs; varlen by
`varlen bench --backend cuda`, medians of as many.
"""
import argparse
import json
import statistics
import subprocess

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

WARM_UP, ROUNDS = 5, 20


def milliseconds(function):
    for _ in range(WARM_UP):
        function()
    times = []
    for _ in range(ROUNDS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        function()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def offsets(lengths):
    return torch.tensor([0] + lengths, device="cuda").cumsum(0).to(torch.int32)


def flash_attention_2(trace):
    if trace["head_dim_qk"] != trace["head_dim_vo"]:
        return None
    dim, heads, kv_heads = trace["head_dim_qk"], trace["query_heads"], trace["kv_heads"]
    queries, keys = trace["query_lengths"], trace["kv_lengths"]
    query = torch.randn(sum(queries), heads, dim, device="cuda", dtype=torch.bfloat16)
    key = torch.randn(sum(keys), kv_heads, dim, device="cuda", dtype=torch.bfloat16)
    value = torch.randn_like(key)
    arguments = (offsets(queries), offsets(keys), max(queries), max(keys), 0.0, trace["causal"], False)
    return milliseconds(lambda: torch.ops.aten._flash_attention_forward(query, key, value, *arguments))


def cudnn(trace):
    queries, keys = trace["query_lengths"], trace["kv_lengths"]
    if len(set(queries)) > 1 or queries != keys or trace["head_dim_qk"] != trace["head_dim_vo"]:
        return None
    shape = (len(queries), queries[0])
    make = lambda heads: torch.randn(*shape, heads, trace["head_dim_qk"], device="cuda", dtype=torch.bfloat16).transpose(1, 2)
    query, key, value = make(trace["query_heads"]), make(trace["kv_heads"]), make(trace["kv_heads"])
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        return milliseconds(
            lambda: torch.nn.functional.scaled_dot_product_attention(
                query, key, value, is_causal=trace["causal"], enable_gqa=trace["query_heads"] != trace["kv_heads"]))


def attempt(function, trace):
    try:
        return function(trace)
    except (RuntimeError, torch.OutOfMemoryError) as error:
        print(f"  {function.__name__}: {str(error).splitlines()[0][:100]}")
        return None
    finally:
        torch.cuda.empty_cache()


def show(time):
    if time is None:
        return "–"
    return f"{time:.3f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", nargs="+")
    parser.add_argument("--varlen", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--markdown")
    options = parser.parse_args()
    lines = ["| trace | varlen ms | TFLOP/s | FlashAttention-2 ms (varlen is) | cuDNN ms (varlen is) |", "|---|--:|--:|--:|--:|"]
    for path in options.traces:
        if options.only not in path:
            continue
        with open(path) as file:
            trace = json.load(file)
        done = subprocess.run([options.varlen, "bench", "--backend", "cuda", "--trace", path, "--dtype", "bf16", "--repeat",
                               str(ROUNDS), "--max-gflop", "20000", "--json"], capture_output=True, text=True)
        if done.returncode != 0:
            print(f"{trace['name']}: {done.stderr.strip()}")
            continue
        ours = json.loads(done.stdout)["traces"][0]
        if "skipped" in ours:
            print(f"{trace['name']}: {ours['skipped']}")
            continue
        time = ours["run_ms"]
        flash, dnn = attempt(flash_attention_2, trace), attempt(cudnn, trace)
        row = [trace["name"], f"{time:.3f}", f"{ours['flop'] / time * 1e-9:.0f}",
               show(flash) + (f" ({flash / time:.2f} ×)" if flash else ""), show(dnn) + (f" ({dnn / time:.2f} ×)" if dnn else "")]
        lines.append("| " + " | ".join(row) + " |")
        print(lines[-1], flush=True)
    table = "\n".join(lines)
    print(f"\n{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}\n\n{table}")
    if options.markdown:
        with open(options.markdown, "w") as file:
            file.write(table + "\n")


if __name__ == "__main__":
    main()
