"""Algebra in processes that can be killed: one pool for all tasks of a process, started when first needed.

Each worker has one item at a time. It has `answer_worker.CPU_LIMIT_S` of CPU, held by the kernel, and `WALL_LIMIT_S` from
the start of the item, held by this side with SIGKILL; a fresh worker takes its place. A worker that dies takes nothing
with it but the item in hand, whose verdict is ``timeout``. What is the host's fault is an error and never a zero: a
process that cannot be started, or an item that waited for a CPU rather than used it.

Nothing here uses signals, timers or threads of this process; several threads take turns. A forked copy of this process
forgets the pool and starts its own.
"""

import atexit
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import IO

from .answer_worker import ANSWER, CPU_LIMIT_S, ORDER

WALL_LIMIT_S = 2.0  # from the start of an item
START_LIMIT_S = 60.0  # for the keeper: importing, on a busy machine
ITEMS_PER_WORKER = 2000  # then it is replaced, as sympy's caches grow
MOST_WORKERS = 16

Job = tuple[str, str, str]  # profile, truth, answer
Outcome = tuple[str, str]  # a state of `VerdictState`, why


class HostFailure(Exception):
    """The processes cannot be started or do not answer."""


@dataclass(slots=True)
class _Worker:
    pid: int
    connection: Connection
    job: int = -1  # index of the item in hand
    started: float = 0.0  # when it was handed over, by the monotonic clock
    cpu: float = 0.0  # seconds used up to then
    n_items: int = 0


class Pool:
    """A keeper and up to ``size`` workers; see the module's docstring."""

    def __init__(self, size: int | None = None) -> None:
        """Note the size (default: one worker per CPU of this process, at most 16); no process starts yet."""
        self.size = size or min(MOST_WORKERS, _n_cpus())
        self._keeper: _Keeper | None = None
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()

    def judge(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Return the outcomes of all jobs, in their order."""
        with self._lock:
            outcomes: list[Outcome | None] = [None] * len(jobs)
            for _ in range(2):  # once more with a new keeper: somebody may have killed the old one
                try:
                    self._run(jobs, outcomes)
                    break
                except (HostFailure, OSError, EOFError) as problem:
                    failure = f"the answer checker's processes failed: {problem or type(problem).__name__}"
                    self._close()
            else:
                return [outcome or ("error", failure) for outcome in outcomes]
        return [outcome or ("error", "no outcome") for outcome in outcomes]

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

    def _close(self) -> None:
        for worker in self._idle:
            worker.connection.close()
        if self._keeper:
            self._keeper.close()
        self._idle, self._keeper = [], None

    def _run(self, jobs: Sequence[Job], outcomes: list[Outcome | None]) -> None:
        waiting = deque(index for index, outcome in enumerate(outcomes) if outcome is None)
        busy: dict[Connection, _Worker] = {}
        try:
            while waiting or busy:
                while waiting and len(busy) < self.size:
                    worker = self._idle.pop() if self._idle else self._hire()
                    busy[worker.connection] = worker
                    self._hand(worker, waiting.popleft(), jobs)
                limit = min(worker.started for worker in busy.values()) + WALL_LIMIT_S
                ready = wait(list(busy), max(0.0, limit - time.monotonic()))
                for connection in ready:
                    worker = busy.pop(connection)  # type: ignore[call-overload]
                    outcomes[worker.job] = self._take(worker)
                for worker in [each for each in busy.values() if _is_late(each)]:
                    del busy[worker.connection]
                    outcomes[worker.job] = self._dismiss(worker, late=True)
        finally:
            for worker in busy.values():  # their answers would be taken for those of later items
                worker.connection.close()

    def _hire(self) -> _Worker:
        if self._keeper is None:
            self._keeper = _Keeper()
        return self._keeper.fork()

    def _hand(self, worker: _Worker, index: int, jobs: Sequence[Job]) -> None:
        worker.job, worker.started = index, time.monotonic()
        worker.n_items += 1
        try:
            worker.connection.send_bytes(json.dumps(jobs[index]).encode())
        except OSError:
            pass  # it has died while idle, which `_take` finds

    def _take(self, worker: _Worker) -> Outcome:
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

    def _dismiss(self, worker: _Worker, late: bool = False) -> Outcome:
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


class _Keeper:
    """This side of the keeper's socket."""

    def __init__(self) -> None:
        """Start the process and wait until it is ready.

        Raises:
            HostFailure: it cannot start; the last line of what it said is in the message.
        """
        self._control, other = socket.socketpair()
        self._control.settimeout(START_LIMIT_S)
        self._said: IO[bytes] = tempfile.TemporaryFile()
        paths = os.pathsep.join(path for path in sys.path if path)
        environment = {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "eggym.envs.answer_worker", str(other.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                env=environment,
                pass_fds=[other.fileno()],
            )
        self.pid = self._answer()[0]

    def fork(self) -> _Worker:
        """Return a new worker."""
        mine, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [ORDER.pack(b"F", 0)], [theirs.fileno()])
        pid, _ = self._answer()
        return _Worker(pid, Connection(mine.detach()))

    def bury(self, pid: int) -> tuple[int, float]:
        """Kill a worker; return its wait status and the CPU seconds of its life."""
        self._control.sendall(ORDER.pack(b"R", pid))
        status, microseconds = self._answer()
        return status, microseconds / 1e6

    def close(self) -> None:
        """End the process and its workers."""
        self._control.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()

    def forget(self) -> None:
        """Close the descriptors alone."""
        self._control.close()
        self._said.close()
        self._process.returncode = 0  # not this process's child: nothing to wait for

    def _answer(self) -> tuple[int, int]:
        answer = b""
        while len(answer) < ANSWER.size:
            part = self._control.recv(ANSWER.size - len(answer))
            if not part:
                raise HostFailure(self._last_words())
            answer += part
        first, second = ANSWER.unpack(answer)
        return first, second

    def _last_words(self) -> str:
        self._said.seek(0)
        lines = self._said.read()[-2000:].decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it ended without a word")


def _is_late(worker: _Worker) -> bool:
    return time.monotonic() - worker.started >= WALL_LIMIT_S and not worker.connection.poll()


def _n_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


POOL = Pool()
atexit.register(POOL.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.forget)
