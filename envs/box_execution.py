"""This side of one execution: its descriptors, what it says and prints, how long it may go on, and its end."""

import json
import math
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from .box_channel import Channel, ProtocolFault
from .box_keeper import Keeper
from .box_terms import Limits, Status

SETUP_LIMIT_S = 20.0  # from the fork to the first word
_CHUNK = 1 << 16
_LEAST_LOOK_S = 0.005
_MOST_REPORT = 1 << 20  # bytes of one message to this process
_MOST_OF_A_CHECKER = 16 * _MOST_REPORT  # of all its messages; what runs model code has one to send


class Execution:
    """One process of a zygote, from its fork to its burial. `end` is set once it is known."""

    def __init__(
        self, keeper: Keeper, request: Mapping[str, Any], limits: Limits, stdin: bytes = b"", link: int | None = None
    ) -> None:
        """Fork it and give it its work; ``link`` is its end of the socket to the other process of a check."""
        self.limits, self._keeper = limits, keeper
        self.messages: list[dict[str, Any]] = []
        self.end: tuple[Status, str, str] | None = None  # status, why, limit
        names = ("stdout", "stderr") if request["role"] == "program" else ("output",)  # of others nobody reads it
        self.output = {name: bytearray() for name in names}
        self.cpu_s, self.wall_s, self.peak_bytes = 0.0, 0.0, 0
        self.spent_s = 0.0  # CPU time of earlier work
        self._began = time.monotonic()
        self._ready = False
        mine, theirs = socket.socketpair()
        pipes = [os.pipe() for _ in self.output]
        work = memory_file({**request, "limits": _plain(limits)})
        writes = [write for _, write in pipes]
        lent = [_memory(stdin), *writes, theirs.detach(), work]
        is_checker = request["role"] in ("checker", "standing")
        self._report = Channel(mine.detach(), _MOST_REPORT, _MOST_OF_A_CHECKER if is_checker else 2 * _MOST_REPORT)
        self._streams = {read: name for (read, _), name in zip(pipes, self.output, strict=True)}
        self.pid = 0
        try:
            placed = [lent[0], writes[0], *lent[len(writes) :], *([] if link is None else [link])]
            self.pid = keeper.fork(placed, is_checker)
        except BaseException:
            self.close()
            raise
        finally:
            for file in lent:
                os.close(file)
        for file in self.descriptors():
            os.set_blocking(file, False)
        self._look_at = self._began + SETUP_LIMIT_S

    def descriptors(self) -> list[int]:
        """Return what is to be watched for something to read."""
        report = self._report.descriptor
        return [*([report] if report >= 0 else []), *self._streams]

    def read(self, descriptor: int) -> None:
        """Take what there is to read from one of the descriptors."""
        if descriptor == self._report.descriptor:
            self._hear()
        else:
            self._collect(descriptor)

    def next_look(self) -> float:
        """Return when `look` is to be called, by the monotonic clock."""
        return self._look_at if self.end is None else math.inf

    def look(self) -> None:
        """End an execution that has had its time."""
        now = time.monotonic()
        if self.end is not None or now < self._look_at:
            return
        if not self._ready:
            self.end = (Status.SETUP_ERROR, f"the process was not ready after {SETUP_LIMIT_S:g} s", "")
            return
        left = self.limits.cpu_s - (self._keeper.cpu_s(self.pid) - self.spent_s)
        wall_left = self._began + self.limits.wall_s - now
        if left <= 0:
            self.end = self._over("cpu_s")
        elif wall_left <= 0:
            self.end = (Status.TIMEOUT, f"went on for more than {self.limits.wall_s:g} s", "wall_s")
        self._look_at = now + max(_LEAST_LOOK_S, min(left, wall_left))

    def report_descriptor(self) -> int:
        """Return the descriptor of the messages from it, or -1."""
        return self._report.descriptor

    def begin_again(self, limits: Limits) -> None:
        """Forget what came of earlier work, for more of it."""
        self.limits, self.end = limits, None
        self.messages.clear()
        self._report.renew()
        for text in self.output.values():
            text.clear()
        self._began = time.monotonic()
        self._look_at = self._began + (min(limits.cpu_s, limits.wall_s) if self._ready else SETUP_LIMIT_S)

    def leave(self) -> None:
        """Be done with it: there is no more work for it."""
        self.bury()

    def bury(self) -> None:
        """Kill it, take what it left in the pipes, and learn what it used."""
        if self.pid:
            status, self.cpu_s, self.peak_bytes = self._keeper.bury(self.pid)
            self.pid = 0
            self.wall_s = time.monotonic() - self._began
            for descriptor in list(self._streams):
                self._collect(descriptor)
            self._judge_end(status)
        self.close()

    def close(self) -> None:
        """Close the descriptors."""
        for descriptor in self.descriptors():
            os.close(descriptor)
        self._report.descriptor, self._streams = -1, {}

    def _hear(self) -> None:
        try:
            goes_on = self._report.fill()
            for message in self._report.take():
                self._understand(message)
        except BlockingIOError:
            return
        except ProtocolFault as problem:
            self.end = self.end or (Status.PROTOCOL, str(problem), "")
            return
        if goes_on:
            return
        os.close(self._report.descriptor)  # or it could be read for ever
        self._report.descriptor = -1
        if self.end is None:
            self.end = (
                (Status.DIED, "", "") if self._ready else (Status.SETUP_ERROR, "it ended before it was ready", "")
            )

    def _understand(self, message: Any) -> None:
        """Take a message. The first is by our own code, before any of a model's has run."""
        if type(message) is not dict or self.end is not None:
            raise ProtocolFault("a report that is none")
        if self._ready:
            self.messages.append(message)
        elif message.get("ready") is True:
            self._ready, self._began = True, time.monotonic()
            self._look_at = self._began + min(self.limits.cpu_s, self.limits.wall_s)
        else:
            self.end = (Status.SETUP_ERROR, str(message.get("why")), "")

    def _collect(self, descriptor: int) -> None:
        name = self._streams[descriptor]
        while True:
            try:
                data = os.read(descriptor, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                del self._streams[descriptor]
                os.close(descriptor)
                return
            room = self.limits.output_bytes - sum(map(len, self.output.values()))
            self.output[name] += data[: max(0, room)]
            if len(data) > room:
                if self.end is None or self.end[0] is Status.OK:
                    why = f"printed more than {self.limits.output_bytes} bytes"
                    self.end = (Status.OUTPUT_LIMIT, why, "output_bytes")
                return

    def _over(self, limit: str) -> tuple[Status, str, str]:
        return (Status.TIMEOUT, f"took more than {self.limits.cpu_s:g} s of CPU", limit)

    def _judge_end(self, wait_status: int) -> None:
        """Say what a process died of, and correct an end that came after its time."""
        status = self.end[0] if self.end else Status.DIED
        if status in (Status.OK, Status.EXCEPTION, Status.DIED) and self.cpu_s > self.limits.cpu_s:
            self.end = self._over("cpu_s")
        elif status is Status.DIED:
            number = os.WTERMSIG(wait_status) if os.WIFSIGNALED(wait_status) else 0
            words = (
                f"killed by signal {number}" if number else f"left with exit code {wait_status >> 8}, without a report"
            )
            self.end = (Status.DIED, words, "")


@lru_cache(maxsize=64)
def _plain(limits: Limits) -> dict[str, Any]:
    return asdict(limits)


def memory_file(request: Mapping[str, Any]) -> int:
    """Return a descriptor of a file in memory that holds a request as JSON."""
    return _memory(json.dumps(request).encode())


def _memory(data: bytes) -> int:
    """Return a descriptor of a file in memory that holds ``data``, at its beginning."""
    file = os.memfd_create("box")
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file
