"""Algebra in processes that can be killed: one pool for all tasks of a process, started when first needed.

Each worker has one item at a time. The item has `answer_worker.CPU_LIMIT_S` of CPU, held by the kernel, and
`WALL_LIMIT_S` from its start, held by this side with SIGKILL; a fresh worker takes its place. A worker that dies takes
nothing with it but the item in hand, whose verdict is ``timeout``. What is the host's fault is an error and never a
zero: a process that cannot be started, or an item that waited for a CPU rather than used it.

Nothing here uses signals, timers or threads of this process; several threads take turns. A forked copy of this process
forgets the pool and starts its own. Outcomes are kept by (profile, truth, answer): a population repeats its answers.
"""

import atexit
import json
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, wait

from .answer_keeper import HostFailure, Keeper, Worker
from .answer_worker import CPU_LIMIT_S

WALL_LIMIT_S = 2.0  # from the start of an item
ITEMS_PER_WORKER = 2000  # then it is replaced, as sympy's caches grow
MOST_WORKERS = 16
MOST_KEPT = 65536  # outcomes

Job = tuple[str, str, str]  # profile, truth, answer
Outcome = tuple[str, str]  # a state of `VerdictState`, why


class Pool:
    """A keeper and up to ``size`` workers; see the module's docstring."""

    def __init__(self, size: int | None = None) -> None:
        """Note the size (default: one worker per CPU of this process, at most 16); no process starts yet."""
        self.size = size or min(MOST_WORKERS, _n_cpus())
        self._keeper: Keeper | None = None
        self._idle: list[Worker] = []
        self._lock = threading.Lock()
        self._kept: OrderedDict[Job, Outcome] = OrderedDict()

    def judge(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Return the outcomes of all jobs, in their order."""
        with self._lock:
            known = {job: self._kept[job] for job in set(jobs) if job in self._kept}
            asked = [job for job in dict.fromkeys(jobs) if job not in known]
            known |= zip(asked, self._judge(asked), strict=True)
            self._keep(known)
        return [known[job] for job in jobs]

    def pids(self) -> list[int]:
        """Return the process ids of the keeper and of its idle workers."""
        return [self._keeper.pid, *(worker.pid for worker in self._idle)] if self._keeper else []

    def close(self) -> None:
        """End all processes and wait for them; the pool may be used again."""
        with self._lock:
            self._close()

    def forget(self) -> None:
        """Let go of everything without ending it: it belongs to the process that this one was forked from."""
        self._lock = threading.Lock()
        for worker in self._idle:
            worker.connection.close()
        if self._keeper:
            self._keeper.forget()
        self._idle, self._keeper = [], None

    def forget_outcomes(self) -> None:
        """Drop the outcomes kept; none changes by it."""
        with self._lock:
            self._kept.clear()

    def _judge(self, jobs: Sequence[Job]) -> list[Outcome]:
        outcomes: list[Outcome | None] = [None] * len(jobs)
        failure = ""
        for _ in range(2):  # once more with a new keeper: somebody may have killed the old one
            try:
                self._run(jobs, outcomes)
                break
            except (HostFailure, OSError, EOFError) as problem:
                failure = f"the processes of the answer checker failed: {problem or type(problem).__name__}"
        return [outcome or ("error", failure) for outcome in outcomes]

    def _keep(self, outcomes: Mapping[Job, Outcome]) -> None:
        for job, outcome in outcomes.items():
            if outcome[0] != "error":
                self._kept[job] = outcome
                self._kept.move_to_end(job)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def _close(self) -> None:
        for worker in self._idle:
            worker.connection.close()
        if self._keeper:
            self._keeper.close()
        self._idle, self._keeper = [], None

    def _run(self, jobs: Sequence[Job], outcomes: list[Outcome | None]) -> None:
        waiting = deque(index for index, outcome in enumerate(outcomes) if outcome is None)
        busy: dict[Connection, Worker] = {}
        try:
            while waiting or busy:
                while waiting and len(busy) < self.size:
                    worker = self._hand(waiting[0], jobs)
                    busy[worker.connection] = worker
                    waiting.popleft()
                limit = min(worker.started for worker in busy.values()) + WALL_LIMIT_S
                ready = wait(list(busy), max(0.0, limit - time.monotonic()))
                for connection in ready:
                    worker = busy.pop(connection)  # type: ignore[call-overload]
                    outcomes[worker.job] = self._take(worker)
                for worker in [each for each in busy.values() if _is_late(each)]:
                    del busy[worker.connection]
                    outcomes[worker.job] = self._dismiss(worker, late=True)
        except BaseException:
            for worker in busy.values():  # their answers would be taken for those of later items
                worker.connection.close()
            self._close()
            raise

    def _hand(self, index: int, jobs: Sequence[Job]) -> Worker:
        """Give an item to a worker: an idle one that is still alive, or a new one."""
        request = json.dumps(jobs[index]).encode()
        while True:
            if self._keeper is None:
                self._keeper = Keeper()
            worker = self._idle.pop() if self._idle else self._keeper.fork()
            worker.job, worker.started = index, time.monotonic()
            worker.n_items += 1
            try:
                worker.connection.send_bytes(request)
                return worker
            except OSError:  # it was killed while it had nothing to do
                self._dismiss(worker)

    def _take(self, worker: Worker) -> Outcome:
        try:
            state, why, cpu = json.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            return self._dismiss(worker)
        worker.cpu = cpu
        if state == "timeout" or worker.n_items >= ITEMS_PER_WORKER:
            self._dismiss(worker)
        else:
            self._idle.append(worker)
        return state, why

    def _dismiss(self, worker: Worker, late: bool = False) -> Outcome:
        """Kill a worker, and say what became of its item."""
        worker.connection.close()
        if self._keeper is None:
            raise HostFailure("no keeper")
        status, cpu = self._keeper.bury(worker.pid)
        used = cpu - worker.cpu
        if late and used < CPU_LIMIT_S / 2:
            return "error", f"the host gave the answer checker {used:.1f} s of CPU in {WALL_LIMIT_S:g} s"
        if late or used > 0.8 * CPU_LIMIT_S:
            return "timeout", "took too long to compare"
        return "timeout", f"the process that compared it died (signal {os.WTERMSIG(status) if status > 0 else '?'})"


def _is_late(worker: Worker) -> bool:
    return time.monotonic() - worker.started >= WALL_LIMIT_S and not worker.connection.poll()


def _n_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


POOL = Pool()
atexit.register(POOL.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.forget)
