"""Times varlen beside what a user would run instead on this CPU. bench/peers/setup makes the environment it runs in.

All contenders run in this process on the same inputs with the same number of threads. Each is first compared with float64
attention; one that computes something else is not timed. Then they take turns, round after round, so that whatever else
the machine does hits all of them alike. What each contender gets ready outside the timed section is told in its module.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
import warnings
from pathlib import Path

import onnxruntime_peers
import openvino_peers
import torch
import torch_peers
import varlen_peer
from workloads import all_workloads, reference

# The accuracy that varlen promises per row, as a part of ‖Σ pⱼ |vⱼ|‖; peers may have five times as much.
TOLERANCE = {"fp32": 2e-6, "bf16": 4e-3}
PEER_ALLOWANCE = 5
PAUSE = 0.03  # seconds before each turn, for threads of the previous contender to go to sleep
HOPELESS = 4  # contenders this many times slower than the fastest in their first calls are not timed further


def timed(contender):
    begin = time.perf_counter()
    contender.run()
    return time.perf_counter() - begin


def error_of(contender, expected, scale):
    """Largest row error, in parts of the row's scale."""
    error = (contender.result().double() - expected).norm(dim=-1) / scale
    return float("inf") if error.isnan().any() else error.max().item()


def turn(contender, estimate):
    """Median seconds of a few calls in a row, of which the first, cold one does not count."""
    time.sleep(PAUSE)
    if estimate < 0.5:
        contender.run()
    calls = max(1, min(5, int(0.3 / estimate)))
    return statistics.median(timed(contender) for _ in range(calls))


def compare(workload, classes, rounds):
    workload.make_inputs()
    expected, scale = reference(workload)
    ready, results = [], []
    for cls in classes:
        result = {"contender": cls.name}
        results.append(result)
        print(f"  {cls.name} …", end="", flush=True, file=sys.stderr)
        try:
            contender = cls(workload)
            result["first_ms"] = timed(contender) * 1e3
            error = error_of(contender, expected, scale)
            result["error"] = error
            allowed = TOLERANCE[workload.dtype] * (1 if cls is varlen_peer.Varlen else PEER_ALLOWANCE)
            if error > allowed:
                result["refused"] = f"wrong result: row error {error:.1e}, allowed {allowed:.1e}"
                if cls is varlen_peer.Varlen:
                    raise SystemExit(f"varlen: {result['refused']}")
            else:
                ready.append((contender, result, min(timed(contender), timed(contender))))
        except (RuntimeError, NotImplementedError, ValueError, TypeError) as failure:
            result["refused"] = f"{str(failure).strip().splitlines()[0][:120]}"
        print(f" {result.get('refused', 'agrees')}", file=sys.stderr)
    fastest = min((estimate for _, _, estimate in ready), default=0)
    times = {id(result): [] for _, result, _ in ready}
    for round_number in range(rounds):
        for contender, result, estimate in ready:
            if estimate <= HOPELESS * fastest:
                times[id(result)].append(turn(contender, estimate))
            elif round_number == 0:
                times[id(result)].append(estimate)
    for _, result, _ in ready:
        samples = times[id(result)]
        result["median_ms"] = statistics.median(samples) * 1e3
        result["min_ms"] = min(samples) * 1e3
        result["max_ms"] = max(samples) * 1e3
        result["rounds"] = len(samples)
        result["gflops"] = workload.flops() / result["median_ms"] / 1e6
    return results


def summarise(workload, results):
    medians = {r["contender"]: r["median_ms"] for r in results if "median_ms" in r}
    own = medians.pop(varlen_peer.Varlen.name, None)
    best = min(medians, key=medians.get, default=None)
    summary = {
        "workload": workload.title,
        "required": workload.required,
        "query_lengths": workload.query_lengths,
        "key_lengths": workload.key_lengths,
        "gflop": workload.flops() / 1e9,
        "best_peer": best,
        "results": results,
    }
    if own and best:
        summary["times_as_fast"] = medians[best] / own
        summary["met"] = summary["times_as_fast"] >= workload.required
    return summary


def markdown(report):
    lines = [
        f"{report['machine']}; {report['threads']} threads; {', '.join(report['versions'])}; "
        f"medians of {report['rounds']} rounds.",
        "",
        "| Workload | varlen | best peer | | varlen is | asked |",
        "|---|---:|---:|---|---:|---:|",
    ]
    for summary in report["workloads"]:
        by_name = {r["contender"]: r for r in summary["results"]}
        own, best = by_name.get(varlen_peer.Varlen.name, {}), by_name.get(summary["best_peer"], {})
        own_text = f"{own['median_ms']:.1f} ms, {own['gflops']:.0f} GFLOP/s" if "median_ms" in own else "–"
        best_text = f"{best['median_ms']:.1f} ms, {best['gflops']:.0f} GFLOP/s" if "median_ms" in best else "–"
        ratio = f"{summary['times_as_fast']:.2f} ×" if "times_as_fast" in summary else "–"
        asked = f"≥ {summary['required']:g} ×" if summary["required"] else ""
        lines.append(
            f"| {summary['workload']} | {own_text} | {best_text} | {summary['best_peer'] or ''} | {ratio} | {asked} |"
        )
    lines += ["", "All contenders, median ms (and times varlen's):", ""]
    names = list(dict.fromkeys(r["contender"] for s in report["workloads"] for r in s["results"]))
    lines.append("| Workload | " + " | ".join(names) + " |")
    lines.append("|---|" + "---:|" * len(names))
    for summary in report["workloads"]:
        by_name = {r["contender"]: r for r in summary["results"]}
        own = by_name.get(varlen_peer.Varlen.name, {}).get("median_ms")
        cells = []
        for name in names:
            median = by_name.get(name, {}).get("median_ms")
            share = f" ({median / own:.1f})" if own and median else ""
            cells.append(f"{median:.1f}{share}" if median else "–")
        lines.append(f"| {summary['workload']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def machine_description():
    model = platform.processor()
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} logical CPUs, load average {load:.1f} at the start"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", required=True, help="libvarlen.so")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="workloads whose title contains this text")
    parser.add_argument("--contenders", default="", help="those whose name contains one of these texts, comma-separated")
    parser.add_argument("--shorten", type=int, default=1, help="divide all lengths, to try the script")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")

    machine = machine_description()
    versions = [
        varlen_peer.prepare(options.library, options.threads),
        torch_peers.prepare(options.threads),
        onnxruntime_peers.prepare(options.threads),
        openvino_peers.prepare(options.threads),
    ]
    classes = [cls for module in (varlen_peer, torch_peers, onnxruntime_peers, openvino_peers) for cls in module.CONTENDERS]
    if options.contenders:
        wanted = options.contenders.split(",")
        classes = [cls for cls in classes if any(text in cls.name for text in wanted)]
    report = {"machine": machine, "threads": options.threads, "rounds": options.rounds, "versions": versions}
    report["workloads"] = []
    with torch.inference_mode():
        for workload in all_workloads(options.shorten):
            if options.only not in workload.title:
                continue
            print(workload.title, file=sys.stderr)
            report["workloads"].append(summarise(workload, compare(workload, classes, options.rounds)))
    text = markdown(report)
    print(text)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(text)
    missed = [s["workload"] for s in report["workloads"] if s.get("met") is False]
    for name in missed:
        print(f"below what is asked: {name}", file=sys.stderr)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
