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
import pathlib
import statistics
import subprocess
import sys
import tempfile

import gpu

REPEAT = 50
LOADED_WATTS = 500
WATCH = ["nvidia-smi", "--query-gpu=clocks.sm,power.draw", "--format=csv,noheader,nounits", "-lms", "20"]


def time_traces(program, paths):
    """Rows of traces, and the clocks in MHz that nvidia-smi said meanwhile under load."""
    with tempfile.TemporaryFile("w+") as said:
        watch = subprocess.Popen(WATCH, stdout=said)
        try:
            rows = [{"trace": json.loads(pathlib.Path(path).read_text())["name"],
                     "ms": round(gpu.varlen(program, path, ("newest",), REPEAT)[2]["newest"], 5)} for path in paths]
        finally:
            watch.terminate()
            watch.wait()
        said.seek(0)
        samples = [line.split(",") for line in said if line.endswith("\n")]  # the last one may be cut off
    return rows, [float(clock) for clock, watts in samples if float(watts) > LOADED_WATTS]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", nargs="+")
    parser.add_argument("--varlen", required=True)
    parser.add_argument("--json", required=True)
    options = parser.parse_args()
    rates = statistics.median(gpu.matmul_rate(60) for _ in range(3)), gpu.copy_rate()
    gpu.torch.cuda.empty_cache()
    rows, clocks = time_traces(options.varlen, options.traces)
    if not clocks:
        sys.exit(f"no sample of nvidia-smi above {LOADED_WATTS} W: the clock is not known")
    machine = f"{gpu.machine_line(rates)} Clock: median of {len(clocks)} samples above {LOADED_WATTS} W."
    with open(options.json, "w") as file:
        lines = ",\n  ".join(json.dumps(row) for row in rows)
        file.write(f'{{\n"machine": {json.dumps(machine)},\n"rates": {json.dumps(rates)},\n'
                   f'"clock_hz": {statistics.median(clocks) * 1e6},\n"rows": [\n  {lines}\n]\n}}\n')
    print(machine)


if __name__ == "__main__":
    main()
