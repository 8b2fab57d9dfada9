"""This side of `box_zygote`: starting it, and ordering forks, their end and their CPU time from it."""

import socket
import subprocess
import tempfile

from .box_bare import BARE, bare_python
from .box_terms import Level
from .box_zygote import ANSWER, ORDER

START_LIMIT_S = 60.0  # until it is ready, on a busy machine
ANSWER_LIMIT_S = 20.0  # a fork or a burial takes milliseconds


class HostFailure(Exception):
    """A process cannot be started, or does not answer."""


class Keeper:
    """This side of a zygote's socket."""

    def __init__(self, level: Level) -> None:
        """Start the process and wait until it is ready.

        Raises:
            HostFailure: it cannot start; the last line of what it said is in the message.
        """
        self.level = level
        self._control, other = socket.socketpair()
        self._control.settimeout(START_LIMIT_S)
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the keeper
        self._process: subprocess.Popen[bytes] | None = None
        try:
            with other:
                self._process = self._start(other.fileno())
            self._answer()
            self._control.settimeout(ANSWER_LIMIT_S)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process that was started; at `namespaces` it is the parent of the zygote proper."""
        return self._process.pid if self._process else 0

    def is_alive(self) -> bool:
        """Say whether the process goes on."""
        return self._process is not None and self._process.poll() is None

    def _start(self, descriptor: int) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            bare_python("box_zygote", str(descriptor), self.level),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            pass_fds=[descriptor],
            **BARE,
        )

    def fork(self, descriptors: list[int], checker: bool) -> int:
        """Return the process id, as the zygote knows it, of a new execution with these descriptors."""
        try:
            socket.send_fds(self._control, [ORDER.pack(b"F", int(checker))], descriptors)
        except OSError as problem:
            raise HostFailure(self._last_words() or str(problem)) from None
        return self._answer()[0]

    def bury(self, pid: int) -> tuple[int, float, int]:
        """Kill an execution; return its wait status, its CPU seconds and its peak of resident bytes."""
        self._order(b"R", pid)
        status, microseconds, peak = self._answer()
        return status, microseconds / 1e6, peak

    def cpu_s(self, pid: int) -> float:
        """Return the CPU seconds that an execution has used so far."""
        self._order(b"C", pid)
        return self._answer()[0] / 1e6

    def close(self) -> None:
        """End the process and all executions."""
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

    def _order(self, letter: bytes, pid: int) -> None:
        try:
            self._control.sendall(ORDER.pack(letter, pid))
        except OSError as problem:
            raise HostFailure(self._last_words() or str(problem)) from None

    def _answer(self) -> tuple[int, int, int]:
        answer = b""
        while len(answer) < ANSWER.size:
            try:
                part = self._control.recv(ANSWER.size - len(answer))
            except OSError as problem:
                raise HostFailure(f"the zygote does not answer: {problem}") from None
            if not part:
                raise HostFailure(self._last_words() or "the zygote ended without a word")
            answer += part
        first, second, third = ANSWER.unpack(answer)
        return first, second, third

    def _last_words(self) -> str:
        self._said.seek(0)
        lines = self._said.read()[-2000:].decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
