"""A pool of zygotes that run model code: each has one piece of work at a time.

A zygote that dies or hangs takes nothing with it but the work in hand, which is tried once more by a fresh one; a
second failure is the host's fault and a ``setup_error``. A zygote is replaced after its share of work. Results come in
the order of the requests. Nothing here uses signals, timers or threads of this process; several threads take turns, and
a forked copy of this process forgets the pool and starts its own. When this process ends, however it ends, the zygotes'
sockets close, and they end with all that they have forked. Nothing is ever written to a disk.
"""

import atexit
import os
import select
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from eggym.usage import count_sandboxed

from .box_keeper import HostFailure, Keeper
from .box_runs import CheckRun, ProgramRun
from .box_standing import Checkers
from .box_terms import Check, Level, Program, Result, Verdict

WORKS_PER_WORKER = 2000  # then it is replaced
MOST_WORKERS = 16
MOST_TRIES = 2
_MOST_PATIENCE_MS = 10_000.0

Work = Program | Check
Run = ProgramRun | CheckRun


@dataclass(slots=True)
class Worker:
    """A zygote, its checkers, and what it has in hand."""

    keeper: Keeper
    checkers: Checkers
    n_works: int = 0
    index: int = -1  # of the work in hand
    run: Run | None = None

    def start(self, index: int, work: Work) -> None:
        """Take work in hand."""
        self.index = index
        if isinstance(work, Program):
            self.run = ProgramRun(self.keeper, work)
        else:
            self.run = CheckRun(self.keeper, work, self.checkers)

    def close(self) -> None:
        """End the zygote and all that it has forked."""
        for part in self.run.parts if self.run else ():
            part.close()
        self.checkers.close()
        self.keeper.close()

    def forget(self) -> None:
        """Close the descriptors alone."""
        self.checkers.close()
        self.keeper.forget()


class Pool:
    """Up to ``size`` zygotes of one level, as `box_levels.choose_level` gives it; see the module's docstring."""

    def __init__(self, level: Level, size: int | None = None) -> None:
        """Note level and size (default: one worker per CPU of this process, at most 16); no process starts yet."""
        self.level = level
        self.size = size or min(MOST_WORKERS, len(os.sched_getaffinity(0)))
        self._idle: list[Worker] = []
        self._lock = threading.Lock()

    def run(self, works: Sequence[Work]) -> list[Result | Verdict]:
        """Do all the works; return what became of each, in their order."""
        with self._lock:
            return _Batch(self, works).run()

    def pids(self) -> list[int]:
        """Return the process ids of the idle workers."""
        return [worker.keeper.pid for worker in self._idle]

    def close(self) -> None:
        """End all processes and wait for them; the pool may be used again."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def forget(self) -> None:
        """Let go of everything without ending it: it belongs to the process that this one was forked from."""
        self._lock = threading.Lock()
        for worker in self._idle:
            worker.forget()
        self._idle = []

    def lend(self, fresh: bool) -> Worker:
        """Return a new worker, or, unless a ``fresh`` one is wanted, an idle one that nobody has killed."""
        while self._idle and not fresh:
            worker = self._idle.pop()
            if worker.keeper.is_alive():
                return worker
            worker.close()
        keeper = Keeper(self.level)
        return Worker(keeper, Checkers(keeper))

    def give_back(self, worker: Worker) -> None:
        """Take a worker that has done its work."""
        worker.n_works += 1
        worker.run, worker.index = None, -1
        if worker.n_works >= WORKS_PER_WORKER:
            worker.close()
        else:
            self._idle.append(worker)


class _Batch:
    """The works of one call of `Pool.run`."""

    def __init__(self, pool: Pool, works: Sequence[Work]) -> None:
        self._pool, self._works = pool, works
        self._results: list[Result | Verdict | None] = [None] * len(works)
        self._tries = [0] * len(works)
        self._waiting = deque(range(len(works)))
        self._busy: list[Worker] = []

    def run(self) -> list[Result | Verdict]:
        try:
            while self._waiting or self._busy:
                while self._waiting and len(self._busy) < self._pool.size:
                    self._start(self._waiting.popleft())
                self._wait()
                for worker in list(self._busy):
                    self._attend(worker)
        finally:
            for worker in self._busy:  # Ctrl-C: what they would answer belongs to nobody
                worker.close()
        return [result for result in self._results if result is not None]

    def _start(self, index: int) -> None:
        worker = None
        try:
            worker = self._pool.lend(fresh=self._tries[index] > 0)
            worker.start(index, self._works[index])
            self._busy.append(worker)
        except BaseException as problem:  # Ctrl-C, too, leaves no worker behind
            if worker is not None:
                worker.close()
            if not isinstance(problem, HostFailure | OSError):
                raise
            self._try_again(index, problem)

    def _wait(self) -> None:
        """Wait until something can be read or somebody's time is over; read."""
        poll, owners, looks = select.poll(), {}, []
        for worker in self._busy:
            for part in worker.run.parts if worker.run else ():
                looks.append(part.next_look())
                for descriptor in part.descriptors():
                    poll.register(descriptor, select.POLLIN)
                    owners[descriptor] = part
        if not owners:
            return
        patience_ms = 1e3 * (min(looks) - time.monotonic()) + 1
        for descriptor, _ in poll.poll(max(0.0, min(patience_ms, _MOST_PATIENCE_MS))):
            owners[descriptor].read(descriptor)

    def _attend(self, worker: Worker) -> None:
        """Look at the clocks of a worker's work, and take its result if it is over."""
        run = worker.run
        if run is None:
            return
        try:
            for part in run.parts:
                part.look()
            if not run.is_over():
                return
            self._results[worker.index] = found = run.result()
            count_sandboxed(found.cpu_s)
            self._busy.remove(worker)
            self._pool.give_back(worker)
        except (HostFailure, OSError) as problem:
            self._busy.remove(worker)
            worker.close()
            self._try_again(worker.index, problem)

    def _try_again(self, index: int, problem: Exception) -> None:
        self._tries[index] += 1
        if self._tries[index] < MOST_TRIES:
            self._waiting.appendleft(index)
            return
        kind = ProgramRun if isinstance(self._works[index], Program) else CheckRun
        self._results[index] = kind.failed(f"the sandbox failed: {problem}", self._pool.level)


_POOLS: dict[Level, Pool] = {}


def pool_of(level: Level) -> Pool:
    """Return this process's pool of a level."""
    return _POOLS.setdefault(level, Pool(level))


def close_all() -> None:
    """End the processes of all pools that `pool_of` has made."""
    for pool in _POOLS.values():
        pool.close()


def _forget_all() -> None:
    for pool in _POOLS.values():
        pool.forget()


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
