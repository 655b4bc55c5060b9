#!/usr/bin/env python3
"""Times varlen's traces on a CUDA device in a steady state, and the device's rates in the same run: what `varlen model
--measured` is held against.

    python3 bench/peers/steady.py --varlen build/cuda/varlen --json FILE TRACE...

Traces follow each other without a pause, 50 calls each, so that power decides their clock as it does in use. The matrix product's
rate is the median of three times 60 samples, 1.5 s in all; the clock is the median of what nvidia-smi says, each 20 ms, while
the device draws more than 500 W. bf16; needs PyTorch.
"""
import argparse
import json
import statistics
import subprocess
import sys

import torch

from gpu import machine_line, machine_rates, milliseconds

REPEAT = 50
LOADED_WATTS = 500


def steady_matmul():
    size = 8192
    a, b, c = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(3))
    return 2 * size**3 / statistics.median(milliseconds(lambda: torch.matmul(a, b, out=c), 60) for _ in range(3)) * 1e3


def time_trace(program, path):
    command = [program, "bench", "--backend", "cuda", "--trace", path, "--dtype", "bf16", "--repeat", str(REPEAT), "--max-gflop",
               "20000", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        sys.exit(f"{path}: {done.stderr.strip()}")
    row = json.loads(done.stdout)["traces"][0]
    return None if "skipped" in row else {"trace": row["name"], "ms": round(row["run_ms"], 5)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", nargs="+")
    parser.add_argument("--varlen", required=True)
    parser.add_argument("--json", required=True)
    options = parser.parse_args()
    copy = machine_rates()[1]
    matmul = steady_matmul()
    watch = subprocess.Popen(["nvidia-smi", "--query-gpu=clocks.sm,power.draw", "--format=csv,noheader,nounits", "-lms", "20"],
                             stdout=subprocess.PIPE, text=True)
    try:
        rows = [row for path in options.traces if (row := time_trace(options.varlen, path))]
    finally:
        watch.terminate()
    samples = [line.split(",") for line in watch.stdout.read().splitlines()]
    clocks = [float(clock) for clock, watts in (sample for sample in samples if len(sample) == 2) if float(watts) > LOADED_WATTS]
    if not clocks:
        sys.exit(f"no sample of nvidia-smi above {LOADED_WATTS} W: the clock is not known")
    machine = f"{machine_line((matmul, copy))} Clock: median of {len(clocks)} samples above {LOADED_WATTS} W."
    with open(options.json, "w") as file:
        lines = ",\n  ".join(json.dumps(row) for row in rows)
        file.write(f'{{\n"machine": {json.dumps(machine)},\n"rates": {json.dumps([matmul, copy])},\n'
                   f'"clock_hz": {statistics.median(clocks) * 1e6},\n"rows": [\n  {lines}\n]\n}}\n')
    print(machine)


if __name__ == "__main__":
    main()
