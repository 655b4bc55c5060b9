#!/usr/bin/env python3
"""Times varlen on a CUDA device beside FlashAttention-2 and -3 and cuDNN, on traces, one after another, and beside what the
device can do at most.

    python3 bench/peers/gpu.py --varlen build/cuda/varlen [--only TEXT] [--seconds N] [--markdown FILE] [--json FILE] TRACE...

bf16. FlashAttention-2 is PyTorch's operator for ragged batches, whose causal mask is aligned at the last key as varlen's is.
FlashAttention-3 is the package fa3-fwd, which splits keys as it sees fit. cuDNN is PyTorch's for equal lengths, and the
package nvidia-cudnn-frontend for ragged ones, which takes no empty requests. Everything is timed alike: medians of samples that each take some milliseconds, of as many
calls as that needs, without waiting between calls; varlen by `varlen bench --backend cuda`, peers with CUDA events.

The floor of a row is max(FLOP / matmul rate, bytes / copy rate), both rates measured here: an 8192³ bf16 product, and a copy
counted as bytes read and written. `of floor` is the share of it that varlen reaches: where bytes decide, the share of the
copy rate. A peer that is missing or fails leaves its column empty.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time

try:
    import torch
    import torch.nn.attention
except ImportError:
    torch = None

SAMPLES = 9
SAMPLE_MS = 8
ARCHITECTURES = ("newest", "sm_80")


def milliseconds(function, samples=SAMPLES):
    """Of one call, as a median of samples."""

    def sample(calls):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(calls):
            function()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / calls

    sample(2)  # loads kernels, raises clocks, fills the allocator's pool
    calls = max(1, min(1000, round(SAMPLE_MS / sample(2))))
    return statistics.median(sample(calls) for _ in range(samples))


def matmul_rate(samples=SAMPLES):
    """FLOP/s of a matrix product."""
    size = 8192
    a, b, c = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(3))
    return 2 * size**3 / milliseconds(lambda: torch.matmul(a, b, out=c), samples) * 1e3


def copy_rate():
    """Bytes/s of a copy, read and written."""
    source = torch.empty(1 << 30, device="cuda", dtype=torch.int8).random_()
    target = torch.empty_like(source)
    return 2 * source.numel() / milliseconds(lambda: target.copy_(source)) * 1e3


def machine_rates():
    rates = matmul_rate(), copy_rate()
    torch.cuda.empty_cache()
    return rates


def ragged(lengths, heads, dim):
    return torch.randn(sum(lengths), heads, dim, device="cuda", dtype=torch.bfloat16)


def offsets(lengths):
    return torch.tensor([0, *lengths], device="cuda").cumsum(0).to(torch.int32)


def flash_attention_2(trace):
    if trace["head_dim_qk"] != trace["head_dim_vo"]:
        return None
    queries, keys, dim = trace["query_lengths"], trace["kv_lengths"], trace["head_dim_qk"]
    query = ragged(queries, trace["query_heads"], dim)
    key, value = (ragged(keys, trace["kv_heads"], dim) for _ in range(2))
    arguments = (offsets(queries), offsets(keys), max(queries), max(keys), 0.0, trace["causal"], False)
    return milliseconds(lambda: torch.ops.aten._flash_attention_forward(query, key, value, *arguments))


def flash_attention_3(trace):
    import fa3_fwd._C  # noqa: F401 (registers the operator)

    queries, keys = trace["query_lengths"], trace["kv_lengths"]
    query = ragged(queries, trace["query_heads"], trace["head_dim_qk"])
    key, value = (ragged(keys, trace["kv_heads"], trace[dim]) for dim in ("head_dim_qk", "head_dim_vo"))
    of_queries, of_keys = offsets(queries), offsets(keys)
    scale = trace["head_dim_qk"] ** -0.5
    splits = 0  # as many as its heuristic likes
    none = None
    return milliseconds(lambda: torch.ops.fa3_fwd.fwd(
        query, key, value, none, none, none, none, of_queries, of_keys, none, none, none, max(queries), max(keys), none, none, none,
        none, none, none, none, none, none, scale, trace["causal"], -1, -1, 0, 0.0, True, none, splits, none, 0))


def cudnn_ragged(trace):
    import cudnn as frontend

    queries, keys = trace["query_lengths"], trace["kv_lengths"]
    if min(queries + keys) == 0:
        return None
    query_heads, kv_heads = trace["query_heads"], trace["kv_heads"]
    dim_qk, dim_vo, requests = trace["head_dim_qk"], trace["head_dim_vo"], len(queries)
    query, key = ragged(queries, query_heads, dim_qk), ragged(keys, kv_heads, dim_qk)
    value, out = ragged(keys, kv_heads, dim_vo), ragged(queries, query_heads, dim_vo)
    handle = frontend.create_handle()
    frontend.set_stream(handle, torch.cuda.current_stream().cuda_stream)
    types = frontend.data_type
    graph = frontend.pygraph(io_data_type=types.BFLOAT16, intermediate_data_type=types.FLOAT, compute_data_type=types.FLOAT,
                             handle=handle)
    wide = max(query.numel(), key.numel(), value.numel()) >= 2**31

    def integers(values, is_wide=False):
        kind = types.INT64 if is_wide else types.INT32
        data = torch.tensor(values, device="cuda", dtype=torch.int64 if is_wide else torch.int32).view(-1, 1, 1, 1)
        return graph.tensor(name=f"integers{len(pack)}", dim=list(data.shape), stride=[1, 1, 1, 1], data_type=kind), data

    def elements(lengths, width):
        sums = [0]
        for length in lengths:
            sums.append(sums[-1] + length * width)
        return integers(sums, wide)

    def rows(name, longest, heads, dim):
        return graph.tensor(name=name, dim=[requests, heads, longest, dim], stride=[longest * heads * dim, dim, heads * dim, 1],
                            data_type=types.BFLOAT16)

    pack = {}
    nodes = []
    for name, lengths, heads, dim, data in (("q", queries, query_heads, dim_qk, query), ("k", keys, kv_heads, dim_qk, key),
                                            ("v", keys, kv_heads, dim_vo, value)):
        node = rows(name, max(lengths), heads, dim)
        offset, offset_data = elements(lengths, heads * dim)
        node.set_ragged_offset(offset)
        pack |= {node: data, offset: offset_data}
        nodes.append(node)
    counts = []
    for lengths in (queries, keys):
        count, data = integers(lengths)
        pack[count] = data
        counts.append(count)
    mask = {"diagonal_alignment": frontend.diagonal_alignment.BOTTOM_RIGHT, "diagonal_band_right_bound": 0} if trace["causal"] else {}
    result, _ = graph.sdpa(name="sdpa", q=nodes[0], k=nodes[1], v=nodes[2], generate_stats=False, attn_scale=dim_qk**-0.5,
                           use_padding_mask=True, seq_len_q=counts[0], seq_len_kv=counts[1], **mask)
    longest = max(queries)
    result.set_output(True).set_dim([requests, query_heads, longest, dim_vo])
    result.set_stride([longest * query_heads * dim_vo, dim_vo, query_heads * dim_vo, 1])
    offset, data = elements(queries, query_heads * dim_vo)
    result.set_ragged_offset(offset)
    pack |= {offset: data, result: out}
    graph.validate()
    graph.build_operation_graph()
    graph.create_execution_plans([frontend.heur_mode.A, frontend.heur_mode.FALLBACK])
    graph.check_support()
    graph.build_plans()
    workspace = torch.empty(max(1, graph.get_workspace_size()), device="cuda", dtype=torch.uint8)
    return milliseconds(lambda: graph.execute(pack, workspace, handle=handle))


def cudnn(trace):
    queries, keys = trace["query_lengths"], trace["kv_lengths"]
    if len(set(queries)) > 1 or queries != keys or trace["head_dim_qk"] != trace["head_dim_vo"]:
        return cudnn_ragged(trace)

    def dense(heads):
        # [requests, tokens, heads, dim] in memory, as varlen's and FlashAttention-2's tensors are.
        return ragged(queries, heads, trace["head_dim_qk"]).view(len(queries), queries[0], heads, -1).transpose(1, 2)

    query, key, value = dense(trace["query_heads"]), dense(trace["kv_heads"]), dense(trace["kv_heads"])
    options = {"is_causal": trace["causal"], "enable_gqa": trace["query_heads"] != trace["kv_heads"]}
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.CUDNN_ATTENTION):
        return milliseconds(lambda: torch.nn.functional.scaled_dot_product_attention(query, key, value, **options))


missing = set()  # packages, in Python's words


def attempt(function, *arguments):
    """What the function returns; nothing if it fails, whose reason is printed."""
    if torch is None:
        return None
    try:
        return function(*arguments)
    except ImportError as error:  # of a package that is not here, said once
        if str(error) not in missing:
            print(f"  {function.__name__}: {error}", flush=True)
        missing.add(str(error))
        return None
    except Exception as error:  # a peer may fail in any way; the others' figures stand
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        print(f"  {function.__name__}: {reason[:120]}", flush=True)
        return None
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def varlen(program, path, architectures=ARCHITECTURES, repeat=SAMPLES):
    """FLOP, bytes and milliseconds by architecture; raises RuntimeError with the program's words."""
    command = [program, "bench", "--backend", "cuda", "--arch", ",".join(architectures), "--trace", path, "--dtype", "bf16",
               "--repeat", str(repeat), "--max-gflop", "20000", "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        raise RuntimeError("varlen bench took more than 60 s") from None
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"varlen bench ended with {done.returncode}")
    rows = json.loads(done.stdout)["traces"]
    if "skipped" in rows[0]:
        raise RuntimeError(rows[0]["skipped"])
    return rows[0]["flop"], rows[0]["bytes"], {row["arch"]: row["run_ms"] for row in rows}


PEERS = (("flash_attention_2_ms", "FlashAttention-2", flash_attention_2), ("flash_attention_3_ms", "FlashAttention-3", flash_attention_3),
         ("cudnn_ms", "cuDNN", cudnn))


def measure(program, path, rates):
    with open(path) as file:
        trace = json.load(file)
    row = {"trace": trace["name"]}
    try:
        row["flop"], row["bytes"], times = varlen(program, path)
    except RuntimeError as error:
        return row | {"failed": str(error)}
    row |= {"ms": times["newest"], "sm_80_ms": times["sm_80"]}
    if rates is not None:
        row["floor_ms"] = max(row["flop"] / rates[0], row["bytes"] / rates[1]) * 1e3
    for name, _, peer in PEERS:
        row[name] = attempt(peer, trace)
    return row


def markdown(rows):
    lines = ["| trace | GFLOP | MB | floor ms | varlen ms | of floor | TFLOP/s | TB/s | sm_80 ms | "
             + " | ".join(f"{title} ms (varlen is)" for _, title, _ in PEERS) + " |", "|---|" + "--:|" * (8 + len(PEERS))]
    for row in rows:
        if "failed" in row:
            lines.append(f"| {row['trace']} | " + " | ".join(["–"] * (7 + len(PEERS))) + f" | {row['failed'].splitlines()[0][:80]} |")
            continue
        ours = row["ms"]
        floor = row.get("floor_ms")
        peers = [row[name] for name, _, _ in PEERS]
        cells = [row["trace"], f"{row['flop'] * 1e-9:.0f}", f"{row['bytes'] * 1e-6:.0f}", f"{floor:.3f}" if floor else "–",
                 f"**{ours:.3f}**", f"{100 * floor / ours:.0f} %" if floor else "–", f"{row['flop'] / ours * 1e-9:.0f}",
                 f"{row['bytes'] / ours * 1e-9:.2f}", f"{row['sm_80_ms']:.3f}"]
        cells += [f"{peer:.3f} ({peer / ours:.2f} ×)" if peer else "–" for peer in peers]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine_line(rates):
    if torch is None:
        return "PyTorch is missing here: no peers, no rates."
    line = f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}"
    if rates is None:
        return line + "; its rates could not be measured."
    return line + f"; matmul {rates[0] * 1e-12:.0f} TFLOP/s, copy {rates[1] * 1e-12:.2f} TB/s."


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", nargs="+")
    parser.add_argument("--varlen", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no trace after these")
    parser.add_argument("--markdown")
    parser.add_argument("--json")
    options = parser.parse_args()
    begin = time.monotonic()
    rates = attempt(machine_rates)
    about = machine_line(rates)
    print(about, flush=True)
    rows = []
    for path in options.traces:
        if options.only not in path:
            continue
        if time.monotonic() - begin > options.seconds:
            rows.append({"trace": path.rsplit("/", 1)[-1].removesuffix(".json"), "failed": "not run: no time left"})
            continue
        rows.append(measure(options.varlen, path, rates))
        print(markdown(rows[-1:]).splitlines()[-1], flush=True)
        # Whatever happens next, what was measured is kept.
        if options.markdown:
            with open(options.markdown, "w") as file:
                file.write(f"{about}\n\n{markdown(rows)}\n")
        if options.json:
            with open(options.json, "w") as file:
                json.dump({"machine": about, "rates": rates, "rows": rows}, file, indent=1)
    failed = sum("failed" in row for row in rows)
    print(f"{len(rows) - failed} traces timed in {time.monotonic() - begin:.0f} s, {failed} not")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
