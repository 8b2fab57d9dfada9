"""Reward workers: processes that judge replies, of any learner, here or on other machines, through the executor.

A verdict of a plain task follows from item and reply, so it is the same whoever judges; an item is told by its split
and index. Replies go out in pieces of eight, each distinct reply to an item once: a task that scores many in one call
(`score_all`) gets those of a piece, whatever the number of workers. A worker that hangs in a grader, or dies of
one, is replaced like any other.
"""

import contextlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from eggym.config import Plan, RunConfig, task_of
from eggym.digest import digest
from eggym.errors import BadValue
from eggym.executor import Executor
from eggym.executor_parts import MOST_WORKERS, Start
from eggym.frames import Frame
from eggym.parcels import parted
from eggym.patience import Patience
from eggym.task import Exchange, SingleTurnTask, Task
from eggym.transports import PROCESSES, transport
from eggym.usage import add_sandboxed, sandboxed
from eggym.verdict import Verdict, as_plain, from_plain

PIECE = 8  # replies that are dealt out together, whoever is there: a task may score them in one call
Asked = tuple[str, int, str]  # split, index, reply


class Judge:
    """What a worker does: it has the task, and no model."""

    def __init__(self, frame: Frame) -> None:
        """Load the task.

        Raises:
            BadValue: it is another one here than at the driver's.
        """
        self._task = task_of(RunConfig(**frame.header["config"]))
        if digest(self._task) != frame.header["digest"]:
            raise BadValue("a reward worker has another task than its driver; give both the same files and versions")

    def note(self, frame: Frame) -> None:
        """Nothing changes a verdict."""

    def do(self, frame: Frame) -> Frame:
        """Judge some replies: the blob is JSON, a list of split, index and reply."""
        before = sandboxed()
        states = [Exchange(self._task.item(split, index), reply) for split, index, reply in json.loads(frame.blob)]
        verdicts = [as_plain(verdict) for verdict in self._task.judge_all(states)]
        ran = sandboxed()
        return Frame({"s": [ran.cpu_s - before.cpu_s, ran.calls - before.calls]}, json.dumps(verdicts).encode())


class Judges:
    """The driver's side: judges a batch of episodes by asking workers."""

    def __init__(self, plan: Plan, n_workers: int, start: Start, patience: Patience | None = None) -> None:
        """Prepare; workers are started with the first batch."""
        self._task, self._n_workers = plan.task, n_workers
        header = {"do": "begin", "role": "judge", "config": asdict(plan.config), "digest": digest(plan.task)}
        self.executor = Executor(start, n_workers, lambda: Frame(header), patience)

    def judge_all(self, task: Task, states: Sequence[Any]) -> list[Verdict]:
        """Return the verdicts in order, as `Task.judge_all`; another task than the run's is judged here."""
        if task is not self._task:
            return task.judge_all(states)
        places: list[Asked] = [(state.item.split, state.item.index, state.reply or "") for state in states]
        distinct = list(dict.fromkeys(places))
        if not distinct:
            return []
        pieces = parted(len(distinct), math.ceil(len(distinct) / PIECE))
        asked = [Frame({"do": "judge"}, json.dumps(distinct[piece.start : piece.stop]).encode()) for piece in pieces]
        known: dict[Asked, Verdict] = {}
        for number, (verdicts, ran) in self.executor.map(
            asked, lambda number, frame: _read(frame, len(pieces[number]))
        ):
            known |= zip(distinct[pieces[number].start : pieces[number].stop], verdicts, strict=True)
            add_sandboxed(*ran)
        return [known[place] for place in places]

    def told(self) -> dict[str, Any]:
        """Return what is to be measured: how many there were, and what became of them."""
        return {"reward_workers": self._n_workers, "worker_events": self.executor.tally.events}

    def close(self) -> None:
        """End the workers."""
        self.executor.stop()


@contextlib.contextmanager
def judged_by(plan: Plan, n_workers: int | None, executor: str = PROCESSES) -> Iterator[tuple[Plan, Judges | None]]:
    """Give a plan whose replies are judged by workers, and these, as long as they live; None: by this process.

    Raises:
        EggymError: the task's verdicts cannot be had elsewhere, or the executor cannot be had.
    """
    if n_workers is None:
        yield plan, None
        return
    refuse_unjudgeable(plan.task, n_workers)
    with (
        transport(executor, n_workers, "cpu") as start,
        contextlib.closing(Judges(plan, n_workers, start)) as judges,
    ):
        yield replace(plan, judge=judges.judge_all), judges


def refuse_unjudgeable(task: Task, n_workers: int) -> None:
    """Refuse a number of reward workers that is none, and tasks whose verdicts depend on more than item and reply.

    Raises:
        BadValue: as said.
    """
    if not 1 <= n_workers <= MOST_WORKERS:
        raise BadValue(f"reward workers must lie from 1 to {MOST_WORKERS}, got {n_workers}")
    if not isinstance(task, SingleTurnTask) or not task.is_plain or task.grouped:
        raise BadValue(f"task {task.id!r} judges more than one reply to one item at a time; leave --reward-workers out")


def _read(frame: Frame, n_asked: int) -> tuple[list[Verdict], tuple[float, int]]:
    try:
        verdicts = [from_plain(row) for row in json.loads(frame.blob)]
        cpu_s, calls = frame.header["s"]
        ran = float(cpu_s), int(calls)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as problem:
        raise BadValue(f"a reward worker's answer cannot be read: {problem}") from problem
    if not (0 <= ran[0] < 2**63 and 0 <= ran[1] < 2**63):
        raise BadValue(f"a reward worker told of {ran[1]} programs that ran {ran[0]} s")
    if len(verdicts) != n_asked:
        raise BadValue(f"a reward worker gave {len(verdicts)} verdicts on {n_asked} replies")
    return verdicts, ran
