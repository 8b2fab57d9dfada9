"""The worker processes of a duel, and the jobs that they do: the longest first, each free worker the next one."""

import queue
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eggym import errors
from eggym.config import RunConfig
from eggym.errors import EggymError
from eggym.worker import Message, Worker


@dataclass
class Entry:
    """One run of a duel."""

    config: RunConfig
    folder: Path
    forecast: dict[str, float]
    kind: str
    task: str
    learner: str
    finished: bool = False


Watch = Callable[[str, Entry, Message], None]  # what happened ("planned", "event", "finished"), to which run


class Pool:
    """Worker processes and the jobs that they do."""

    def __init__(self, n_workers: int, watch: Watch) -> None:
        """Start the processes; ``watch`` is told what the runs do."""
        self._inbox: queue.Queue[tuple[Worker, Message]] = queue.Queue()
        self._workers = [Worker(self._inbox) for _ in range(n_workers)]
        self._watch = watch

    def plan(self, configs: list[RunConfig], force: bool) -> list[tuple[RunConfig, Message]]:
        """Plan all; the first refusal ends it."""
        jobs = [{"do": "plan", "config": asdict(config), "force": force} for config in configs]
        found = self._do(jobs, lambda number, message: None)
        return list(zip(configs, found, strict=True))

    def run(self, entries: list[Entry], force: bool) -> None:
        """Run all, the longest first; the first refusal ends it, and the same command continues."""
        order = sorted(entries, key=lambda entry: -entry.forecast["total_seconds"])
        jobs = [
            {"do": "run", "config": asdict(entry.config), "folder": str(entry.folder), "force": force}
            for entry in order
        ]

        def tell(number: int, message: Message) -> None:
            if message["type"] == "finished":
                order[number].finished = True
            self._watch(message["type"], order[number], message)

        self._do(jobs, tell)

    def _do(self, jobs: list[dict[str, Any]], tell: Callable[[int, Message], None]) -> list[Message]:
        """Give each free worker the next job; return the last message of every job, in order."""
        results: dict[int, Message] = {}
        following = iter(range(len(jobs)))
        for worker in self._workers:
            self._next(worker, jobs, following)
        while len(results) < len(jobs):
            worker, message = self._inbox.get()
            _raise_trouble(message)
            tell(message["id"], message)
            if message["type"] in ("planned", "finished"):
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


class WorkerCrash(EggymError):
    """A worker process met a bug, or was killed. ``trace`` is its traceback; ``--debug`` shows it."""

    def __init__(self, message: str, trace: str = "") -> None:
        """Keep the traceback beside the message."""
        super().__init__(message)
        self.trace = trace


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
