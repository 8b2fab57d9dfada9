"""The part of `eggym.check` that runs in a process of its own: another hash seed, and nobody's globals.

There a task is tried first, for there it may hang or leave: the process is stopped by the system when one step (an item
made, a reply scored) takes too long, and what it was busy with is known. There it is seen, too, whether a task is the
same elsewhere. ``python -m eggym.check_child`` reads one JSON object (reference, options, number of items) and says
JSON lines on what was its standard output; what the task prints goes nowhere.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from eggym.check_sample import HOSTILE, N_HOSTILE, Broken, Sample, constant, items_of, outline, play_through, shown
from eggym.registry import load_task
from eggym.source import told
from eggym.task import Task

STEP_CPU_S = 60.0  # for one step; a reply that is scored may take more in a task of many turns
STEP_WALL_S = 600.0  # for a step that sleeps
HOSTILE_CPU_S = 100.0  # for all hostile replies: a slow scorer is asked about fewer


@dataclass(slots=True)
class Elsewhere:
    """What another process found."""

    outline: Any = None
    plain_cpu_s: float = 0.0  # what a plain reply took, on average
    after: Any = None  # the outline once more, after the hostile replies
    hostile: list[dict[str, Any]] = field(default_factory=list)  # item, reply, reward, why, cpu_s: one per try
    busy: str = "starting"  # what it was doing when it came to an end that is not its own; "" if it did all
    failed: str = ""  # what it raised
    ended: str = ""  # how it came to an end that is not its own

    @property
    def lost(self) -> str:
        """How the process was lost, and over what; "" if it did all or raised something."""
        return "" if self.failed or not self.busy else f"{self.ended} while {self.busy}"


def try_elsewhere(ref: str, options: Mapping[str, Any], n_items: int) -> Elsewhere:
    """Return what another process makes of a task that it finds by ``ref``."""
    limits = {"step_s": STEP_CPU_S, "hostile_s": HOSTILE_CPU_S}
    question = json.dumps({"ref": ref, "options": dict(options), "n": n_items, "limits": limits})
    env = dict(os.environ, PYTHONHASHSEED="20011", PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    command = [sys.executable, "-m", "eggym.check_child"]
    found = Elsewhere()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True) as process:
        assert process.stdin and process.stdout  # noqa: S101 - both are pipes, above
        with contextlib.suppress(OSError), process.stdin:  # it may have ended at once
            process.stdin.write(question)
        try:
            for line in _lines(process.stdout):
                with contextlib.suppress(ValueError):  # a killed process leaves half a line
                    _take(found, json.loads(line))
        except queue.Empty:
            process.kill()
    found.ended = "left the process" if process.returncode >= 0 else "had to be stopped"
    return found


def _lines(stream: IO[str]) -> Iterator[str]:
    """Give the lines of a stream; raise `queue.Empty` where the next one does not come in time."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        with contextlib.suppress(ValueError):  # closed by then: nobody waits for it any more
            for line in stream:
                lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    yield from iter(lambda: lines.get(timeout=STEP_WALL_S), "")


def _take(found: Elsewhere, line: dict[str, Any]) -> None:
    for name, value in line.items():
        if name == "hostile":
            found.hostile.append(value)
        else:
            setattr(found, name, value)


def same_elsewhere(sample: Sample) -> str:
    """Rule: another process, with another hash seed, makes the same items and scores them alike."""
    found = sample.elsewhere
    if found is None:
        return "not tried: the task is known to this process only"
    if found.outline is None:
        raise Broken(f"another process cannot use the task: {found.failed}")
    here = json.loads(json.dumps(outline(sample.task, sample.items)))
    for what in ("items", "rewards"):
        for place, (mine, other) in enumerate(zip(here[what], found.outline[what], strict=False)):
            if mine != other:
                raise Broken(f"{what} {place}: {mine!r:.70} here and {other!r:.70} in another process")
    return "items and rewards are the same in another process, with another hash seed"


class _Child:
    """The process itself: it says what it is about to do, and gives itself so long for it."""

    def __init__(self, out: IO[str], step_s: float, hostile_s: float) -> None:
        self._out, self._step_s, self._hostile_s = out, step_s, hostile_s

    def say(self, **line: Any) -> None:
        print(json.dumps(line), file=self._out, flush=True)

    def step(self, what: str, turns: int = 1) -> None:
        self.say(busy=what)
        with contextlib.suppress(ImportError, ValueError, OSError):  # where the system knows no such limit
            import resource

            seconds = int(time.process_time() + max(self._step_s, 2.0 * turns)) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))

    def answer(self, question: dict[str, Any]) -> None:
        self.step("loading the task")
        task = load_task(question["ref"], **question["options"])
        items = list(self._items(task, "train", question["n"])) or list(self._items(task, "test", question["n"]))
        began = time.process_time()
        first = outline(task, items, self._before(task, ""))
        n_replies = max(1, sum(map(len, first["rewards"])))
        self.say(outline=first, plain_cpu_s=(time.process_time() - began) / n_replies)
        self._hostile(task, items)
        self.say(after=outline(task, items, self._before(task, " once more")))
        self.say(busy="")

    def _items(self, task: Task, split: str, count: int) -> Iterator[Any]:
        self.step(f"making item {split}[0]")
        for item in items_of(task, split, count):
            yield item
            self.step(f"making item {split}[{item.index + 1}]")

    def _before(self, task: Task, again: str) -> Callable[[str], None]:
        return lambda text: self.step(f"scoring {text}{again}", task.max_turns)

    def _hostile(self, task: Task, items: list[Any]) -> None:
        began = time.process_time()
        for item in items[:N_HOSTILE]:
            for number, text in enumerate(HOSTILE):
                start = time.process_time()
                if start - began > self._hostile_s:
                    return
                self.step(f"scoring {shown(text)}", task.max_turns)
                verdict = play_through(task, item, constant(text))
                line = {"item": item.index, "reply": number, "reward": verdict.reward, "why": verdict.why}
                self.say(hostile=line | {"cpu_s": time.process_time() - start})


def _main() -> None:
    question = json.loads(sys.stdin.read())
    with os.fdopen(os.dup(1), "w") as out:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)  # the task may print, in whatever language
        child = _Child(out, **question["limits"])
        try:
            child.answer(question)
        except BaseException as problem:  # noqa: BLE001 - a task may raise anything, sys.exit() included
            child.say(failed=told(problem))


if __name__ == "__main__":
    _main()
