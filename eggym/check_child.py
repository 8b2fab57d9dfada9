"""The part of `eggym.check` that runs in a process of its own: another hash seed, and nobody's globals.

There it is seen whether a task is the same elsewhere, and there a scorer may hang: the process is stopped by the
system after so many CPU seconds, and what it was busy with is known. ``python -m eggym.check_child`` reads one JSON
object (reference, options, number of items) and prints JSON lines.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from eggym.check_sample import HOSTILE, N_HOSTILE, Broken, Sample, constant, items_of, outline, play_through, shown
from eggym.registry import load_task
from eggym.source import told

CPU_LIMIT_S = 120  # for all that the process does
WALL_LIMIT_S = 900  # for a process that sleeps


@dataclass(slots=True)
class Elsewhere:
    """What another process found."""

    outline: Any = None
    after: Any = None  # the outline once more, after the hostile replies
    hostile: list[dict[str, Any]] = field(default_factory=list)  # item, reply, reward, why, cpu_s: one per try
    busy: str = ""  # what it was doing when it was stopped; "" if it came to its end
    failed: str = ""  # what it raised


def consult(sample: Sample) -> Elsewhere | None:
    """Return what another process makes of the task, asked once per sample; None if it cannot find the task."""
    if sample.ref is None:
        return None
    if "elsewhere" not in sample.memo:
        wanted = {"split": sample.items[0].split, "n": len(sample.items)}
        sample.memo["elsewhere"] = _ask({"ref": sample.ref, "options": dict(sample.options), **wanted})
    found: Elsewhere = sample.memo["elsewhere"]
    return found


def _ask(question: dict[str, Any]) -> Elsewhere:
    env = dict(os.environ, PYTHONHASHSEED="20011", PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    command = [sys.executable, "-m", "eggym.check_child"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True) as process:
        try:
            out, _ = process.communicate(json.dumps(question), timeout=WALL_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
    found = Elsewhere(busy="starting")
    for line in out.splitlines():
        with contextlib.suppress(ValueError):  # a task may print too, and a killed process leaves half a line
            _take(found, json.loads(line))
    return found


def _take(found: Elsewhere, line: Any) -> None:
    if not isinstance(line, dict):
        return
    found.busy = line.get("busy", found.busy)
    found.failed = line.get("failed", found.failed)
    found.outline = line.get("outline", found.outline)
    found.after = line.get("after", found.after)
    if "hostile" in line:
        found.hostile.append(line["hostile"])


def same_elsewhere(sample: Sample) -> str:
    """Rule: another process, with another hash seed, makes the same items and scores them alike."""
    found = consult(sample)
    if found is None:
        return "not tried: the task is known to this process only"
    if found.failed or found.outline is None:
        raise Broken(f"another process cannot use the task: {found.failed or f'it was stopped while {found.busy}'}")
    here = json.loads(json.dumps(outline(sample.task, sample.items)))
    for place, (mine, other) in enumerate(zip(here, found.outline, strict=True)):
        if mine != other:
            raise Broken(f"item {place % len(sample.items)} is {mine!r:.70} here and {other!r:.70} in another process")
    return "items and rewards are the same in another process, with another hash seed"


def _main() -> None:
    _limit()
    question = json.loads(sys.stdin.read())
    try:
        _say({"busy": "loading the task"})
        task = load_task(question["ref"], **question["options"])
        _say({"busy": "making items"})
        items = list(items_of(task, question["split"], question["n"]))
        _say({"busy": "scoring plain replies"})
        _say({"outline": outline(task, items)})
        for item in items[:N_HOSTILE]:
            for number, text in enumerate(HOSTILE):
                _say({"busy": f"scoring {shown(text)}"})
                began = time.process_time()
                verdict = play_through(task, item, constant(text))
                taken = time.process_time() - began
                line = {"item": item.index, "reply": number, "reward": verdict.reward, "why": verdict.why}
                _say({"hostile": line | {"cpu_s": taken}})
        _say({"busy": "scoring plain replies once more"})
        _say({"after": outline(task, items), "busy": ""})
    except BaseException as problem:  # a task may raise anything, sys.exit() included
        _say({"failed": told(problem)})


def _say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def _limit() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # where the system knows no such limit
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S + 5))


if __name__ == "__main__":
    _main()
