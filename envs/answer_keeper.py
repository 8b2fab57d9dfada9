"""This side of `answer_worker`: starting the keeper, and ordering workers from it and their end."""

import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from multiprocessing.connection import Connection

from .answer_worker import ANSWER, ORDER

PROGRAM = "eggym.envs.answer_worker"
START_LIMIT_S = 60.0  # for the keeper: importing, on a busy machine


class HostFailure(Exception):
    """The processes cannot be started or do not answer."""


@dataclass(slots=True)
class Worker:
    """One process of the pool, and the item that it has in hand."""

    pid: int
    connection: Connection
    job: int = -1  # index of the item in hand
    started: float = 0.0  # when it was handed over, by the monotonic clock
    cpu: float = 0.0  # seconds used up to then
    n_items: int = 0


class Keeper:
    """This side of the keeper's socket."""

    def __init__(self) -> None:
        """Start the process and wait until it is ready.

        Raises:
            HostFailure: it cannot start; the last line of what it said is in the message.
        """
        self._control, other = socket.socketpair()
        self._control.settimeout(START_LIMIT_S)
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the keeper
        self._process: subprocess.Popen[bytes] | None = None
        try:
            with other:
                self._process = self._start(other.fileno())
            self.pid = self._answer()[0]
        except BaseException:
            self.close()
            raise

    def _start(self, descriptor: int) -> "subprocess.Popen[bytes]":
        paths = os.pathsep.join(path for path in sys.path if path)
        return subprocess.Popen(
            [sys.executable, "-m", PROGRAM, str(descriptor)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            # one hash seed: the order of sympy's sets, and so its way through an expression, is always the same
            env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
            pass_fds=[descriptor],
        )

    def fork(self) -> Worker:
        """Return a new worker."""
        mine, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._control, [ORDER.pack(b"F", 0)], [theirs.fileno()])
            pid, _ = self._answer()
        except BaseException:
            mine.close()
            raise
        return Worker(pid, Connection(mine.detach()))

    def bury(self, pid: int) -> tuple[int, float]:
        """Kill a worker; return its wait status and the CPU seconds of its life."""
        self._control.sendall(ORDER.pack(b"R", pid))
        status, microseconds = self._answer()
        return status, microseconds / 1e6

    def close(self) -> None:
        """End the process and its workers."""
        self._control.close()
        self._said.close()
        if self._process is None:
            return
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def forget(self) -> None:
        """Close the descriptors alone."""
        self._control.close()
        self._said.close()
        if self._process:
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
