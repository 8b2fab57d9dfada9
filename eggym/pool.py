"""The worker processes of a duel, and the jobs that they do: the longest first, each free worker the next one."""

import itertools
import queue
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eggym import errors
from eggym.config import CONFIG, RunConfig, flat, refuse_other
from eggym.errors import Diverged, EggymError
from eggym.executor_parts import WorkerCrash
from eggym.files import read_json, write_json
from eggym.forecast import Shortage, refuse_short
from eggym.record import RECORD_FILE
from eggym.trials import DIVERGED
from eggym.worker import Message, Worker, plan_job


@dataclass
class Entry:
    """One run of a duel, or one trial before it."""

    config: RunConfig
    folder: Path
    forecast: dict[str, float]
    kind: str
    task: str
    learner: str
    identity: dict[str, Any]
    trial: int | None = None
    finished: bool = False

    @property
    def name(self) -> str:
        """What tells it from the others of its learner and task."""
        return f"seed {self.config.seed}" if self.trial is None else f"trial {self.trial}"


Tried = Callable[[int, int], None]  # how many of how many learners on tasks have been tried
Watch = Callable[[str, Entry, Message], None]  # what happened ("planned", "event", "finished"), to which run


def look_at(entry: Entry, open_: Collection[str] = ()) -> None:
    """Note whether a run is finished already.

    Args:
        entry: the run.
        open_: keys of the identity that are not known yet, and may be anything.

    Raises:
        RunMismatch: its folder holds a run of another configuration.
    """
    if (entry.folder / CONFIG).is_file():
        refuse_other(entry.folder, _less(read_json(entry.folder / CONFIG), open_), _less(entry.identity, open_))
        entry.finished = any((entry.folder / name).is_file() for name in (RECORD_FILE, DIVERGED))


def _less(identity: Mapping[str, Any], open_: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in flat(identity).items() if name not in open_}


class Pool:
    """Worker processes and the jobs that they do. They are started when there is a job for them."""

    def __init__(self, n_workers: int, watch: Watch, plan_here: bool = False) -> None:
        """Prepare.

        Args:
            n_workers: how many processes at most.
            watch: is told what the runs do.
            plan_here: plan in this process: the start of the others, seconds each, is of no use to what is finished.
        """
        self._inbox: queue.Queue[tuple[Worker, Message]] = queue.Queue()
        self._workers: list[Worker] = []
        self._n_workers, self._watch, self._plan_here = n_workers, watch, plan_here

    def plan(
        self, configs: list[RunConfig], force: bool, n_trials: int = 0, tried: Tried | None = None
    ) -> list[tuple[RunConfig, Message]]:
        """Plan all, and that many trials of each; the first refusal ends it, but budgets are refused all together."""
        jobs = [{"do": "plan", "config": asdict(config), "force": force, "trials": n_trials} for config in configs]
        done = itertools.count(1)

        def tell(number: int, message: Message) -> None:
            if tried is not None:
                tried(next(done), len(jobs))

        found = [plan_job(job) for job in jobs] if self._plan_here else self._do(jobs, tell)
        refuse_short([Shortage(**message["short"]) for message in found if message["short"]], force, n_trials > 0)
        return list(zip(configs, found, strict=True))

    def run(self, entries: Sequence[Entry], force: bool) -> None:
        """Run all that are not finished, the longest first; the first refusal ends it, and the same command continues.

        A trial that diverges is finished: it has no score.
        """
        order = sorted((one for one in entries if not one.finished), key=lambda one: -one.forecast["total_seconds"])
        jobs = [
            {"do": "run", "config": asdict(entry.config), "folder": str(entry.folder), "force": force}
            for entry in order
        ]

        def tell(number: int, message: Message) -> None:
            entry = order[number]
            if message["type"] == "diverged":
                if entry.trial is None:
                    raise Diverged(message["message"], message["flops"])
                write_json(entry.folder / DIVERGED, {"reason": message["message"], "flops": message["flops"]})
            entry.finished = message["type"] in ("finished", "diverged")
            self._watch("finished" if entry.finished else message["type"], entry, message)

        self._do(jobs, tell)

    def _do(self, jobs: list[dict[str, Any]], tell: Callable[[int, Message], None]) -> list[Message]:
        """Give each free worker the next job; return the last message of every job, in order."""
        results: dict[int, Message] = {}
        following = iter(range(len(jobs)))
        while len(self._workers) < min(self._n_workers, len(jobs)):
            self._workers.append(Worker(self._inbox))
        for worker in self._workers:
            self._next(worker, jobs, following)
        while len(results) < len(jobs):
            worker, message = self._inbox.get()
            _raise_trouble(message)
            tell(message["id"], message)
            if message["type"] in ("planned", "finished", "diverged"):
                results[message["id"]] = message
                self._next(worker, jobs, following)
        return [results[number] for number in range(len(jobs))]

    def _next(self, worker: Worker, jobs: list[dict[str, Any]], following: Any) -> None:
        number = next(following, None)
        if number is not None:
            worker.send({**jobs[number], "id": number})

    def stop(self) -> None:
        """End the processes, whatever they do."""
        for worker in self._workers:
            worker.stop()


def _raise_trouble(message: Message) -> None:
    if message["type"] == "refused":
        kind = getattr(errors, message["error"], EggymError)
        raise kind(message["message"])
    if message["type"] == "crashed":
        raise WorkerCrash(f"a worker failed: {message['message']}; --debug shows where", message["trace"])
    if message["type"] == "died":
        raise WorkerCrash(
            f"a worker process ended with code {message['code']} (out of memory, or killed); "
            "the same command continues where it was"
        )
