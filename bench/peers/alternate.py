#!/usr/bin/env python3
"""Times two builds of varlen on a CUDA device in alternating rounds: is the one after a change slower than the one before it?

    python3 bench/peers/alternate.py --before FOLDER/varlen --after FOLDER/varlen [--rounds N] [--dtype NAME,...] [--json FILE] TRACES

Each round runs the program before the change, the one after it, and the one before it once more, each over all traces of a
folder: `varlen bench --backend cuda`, random inputs. A row is a trace and an input type: the medians of both programs over all
rounds, after ÷ before, and the same of the two turns of one program (A/A), which is the spread that a difference must exceed.
A program's libraries are looked for in the folder lib beside it.
"""
import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess

TURNS = ("before", "after", "before again")


def times(program, options):
    """Milliseconds by (trace, input type)."""
    command = [program, "bench", "--backend", "cuda", "--arch", "newest", "--trace", options.traces, "--dtype", options.dtype,
               "--repeat", str(options.repeat), "--max-gflop", "20000", "--json"]
    libraries = str(pathlib.Path(program).resolve().parent / "lib")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"LD_LIBRARY_PATH": libraries})
    if done.returncode != 0:
        raise SystemExit(f"{program}: {done.stderr.strip()}")
    rows = json.loads(done.stdout)["traces"]
    return {(row["name"], row["dtype"]): row["run_ms"] for row in rows if "run_ms" in row}


def table(rows):
    lines = ["| trace | inputs | before ms | after ms | after ÷ before | A/A |", "|---|---|--:|--:|--:|--:|"]
    lines += [f"| {r['trace']} | {r['dtype']} | {r['before']:.4f} | {r['after']:.4f} | {r['ratio']:.3f} | {r['a_a']:.3f} |" for r in rows]
    for name, title in (("ratio", "after ÷ before"), ("a_a", "A/A")):
        mean = math.exp(statistics.fmean(math.log(r[name]) for r in rows))
        lines.append(f"geometric mean of {title}: {mean:.4f}, from {min(r[name] for r in rows):.3f} to {max(r[name] for r in rows):.3f}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", help="a folder of traces")
    parser.add_argument("--before", required=True)
    parser.add_argument("--after", required=True)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=5, help="samples of each program in a round")
    parser.add_argument("--dtype", default="bf16,fp8_e4m3")
    parser.add_argument("--json")
    options = parser.parse_args()
    samples = {turn: [] for turn in TURNS}
    rows = []
    for done in range(options.rounds):
        for turn in TURNS:
            samples[turn].append(times(options.after if turn == "after" else options.before, options))
        medians = {turn: {key: statistics.median(round_[key] for round_ in samples[turn]) for key in samples[turn][0]} for turn in TURNS}
        rows = [{"trace": key[0], "dtype": key[1], "before": medians["before"][key], "after": medians["after"][key],
                 "ratio": medians["after"][key] / medians["before"][key], "a_a": medians["before again"][key] / medians["before"][key]}
                for key in medians["before"]]
        print(f"round {done + 1} of {options.rounds}", flush=True)
        if options.json:  # whatever happens next, what was measured is kept
            pathlib.Path(options.json).write_text(json.dumps({"rounds": done + 1, "rows": rows}, indent=1))
    print(table(rows))


if __name__ == "__main__":
    main()
