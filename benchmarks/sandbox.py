"""How many executions of model-written code a core holds, by level of the sandbox, and how long one takes.

    python benchmarks/sandbox.py --data ../shared/data --out benchmarks/results/sandbox.json

CPU seconds are those of this process and of all that it starts. A `program` defines, asserts and prints; a `check` is a
solution of which ten values are asked; `HumanEval` are the 164 reference solutions with their tests. Latency: one
program at a time, from the call to its result, on the clock.
"""

import argparse
import gzip
import json
import time
from pathlib import Path
from typing import Any

from eggym.bench_rates import Rate, Settings, rates_of
from eggym.envs.box import Check, Program, check_solutions, run_programs
from eggym.envs.box_levels import probe
from eggym.envs.box_pool import Pool, close_all
from eggym.envs.box_terms import Level
from eggym.envs.code_rows import humaneval_check
from eggym.files import write_json
from eggym.machine import describe

PROGRAM = Program("def f(x):\n    return x + 1\nassert f(1) == 2\nprint('hello')")
CHECK = Check("def f(x):\n    return x + 1", ("assert f(1) == 2",) * 10)
LEVELS = (Level.NONE, Level.RLIMITS, Level.LANDLOCK, Level.NAMESPACES)
TARGETS = {  # per CPU second
    ("program", Level.LANDLOCK): 200.0,
    ("program", Level.NAMESPACES): 100.0,
    ("check, 10 calls", Level.LANDLOCK): 100.0,
    ("HumanEval", Level.LANDLOCK): 100.0,
}
MANY = 10_000


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--data", type=Path, help="folder with humaneval/HumanEval.jsonl.gz")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    before = describe()
    levels = [level for level in LEVELS if probe().gives(level)]
    found = rates_of(
        _rates(levels, chosen.data), Settings(parts=(), rounds=chosen.rounds), lambda number: print(f"round {number}")
    )
    latency = {str(level): _latency(level) for level in levels}
    leaks = {str(level): _leak(level) for level in levels if level not in (Level.NONE, Level.RLIMITS)}
    close_all()
    result = {
        "format": 1,
        "benchmark": "sandbox",
        "machine": before | {"load_after": describe()["load"]},
        "rounds": chosen.rounds,
        "figures": found,
        "latency_ms": latency,
        "after_many": leaks,
    }
    _say(result)
    if chosen.out:
        write_json(chosen.out, result)


def _rates(levels: list[Level], data: Path | None) -> list[Rate]:
    rates = []
    for level in levels:
        named = [
            ("program", 50, lambda level=level: run_programs([PROGRAM] * 50, level, level)),
            ("check, 10 calls", 25, lambda level=level: check_solutions([CHECK] * 25, level, level)),
        ]
        if data is not None and level in (Level.LANDLOCK, Level.NAMESPACES):
            lines = gzip.decompress((data / "humaneval/HumanEval.jsonl.gz").read_bytes()).decode().splitlines()
            checks = [humaneval_check(row, row["canonical_solution"]) for row in map(json.loads, lines)]
            run = lambda level=level, checks=checks: check_solutions(checks, level)  # noqa: E731
            named.append(("HumanEval", len(checks), run))
        rates += [Rate(f"{name}, {level}", n, run, TARGETS.get((name, level))) for name, n, run in named]
    return rates


def _latency(level: Level) -> dict[str, float]:
    """Return milliseconds on the clock of one program after another."""
    run_programs([PROGRAM], level, level)
    spent = []
    for _ in range(200):
        began = time.perf_counter()
        run_programs([PROGRAM], level, level)
        spent.append(1e3 * (time.perf_counter() - began))
    spent.sort()
    return {"median": spent[100], "p95": spent[190], "least": spent[0]}


def _leak(level: Level) -> dict[str, Any]:
    """Return what is left after many executions: descriptors here, resident MiB of the workers."""
    pool = Pool(level)
    pool.run([PROGRAM] * 100)
    before = len(list(Path("/proc/self/fd").iterdir()))
    wrong = sum(result.status != "ok" for result in pool.run([PROGRAM] * MANY))
    grown = len(list(Path("/proc/self/fd").iterdir())) - before
    resident = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20 for pid in pool.pids()]
    pool.close()
    return {"executions": MANY, "not ok": wrong, "descriptors more": grown, "largest worker MiB": max(resident)}


def _say(result: dict[str, Any]) -> None:
    for name, one in result["figures"]["rates"].items():
        target = "" if one["target"] is None else f", aim {one['target']:g} {'met' if one['met'] else 'MISSED'}"
        print(f"{name:<34} {one['median']:7.1f}/CPU s   {one['q1']:.0f} to {one['q3']:.0f}{target}")
    for level, times in result["latency_ms"].items():
        print(f"latency, {level:<24} {times['median']:7.1f} ms   95 %: {times['p95']:.1f}, least {times['least']:.1f}")
    for level, left in result["after_many"].items():
        print(f"after many, {level}: {left}")


if __name__ == "__main__":
    main()
