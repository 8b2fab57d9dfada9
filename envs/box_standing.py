"""Checkers that go on from one check to the next: a process less for every solution that is tested.

A standing checker takes the checks whose tests leave nothing behind (`box_plain`), at `landlock` and `namespaces`,
where no solution reaches it but by its link. Every other check gets a checker of its own. One that does not come to
rest after a check, for whatever reason, is killed.
"""

import os
import select
import socket
import time
from typing import Any

from .box_execution import Execution, memory_file
from .box_keeper import Keeper
from .box_plain import is_plain
from .box_terms import MIB, Check, Level, Limits

CHECKS_PER_CHECKER = 500  # then it is replaced
_CPU_S, _MEMORY = 20.0, 1024 * MIB  # of the tests of one check
_ENDLESS_S = 1e6  # of a standing checker's whole life; this side holds each check to its own limit
_PATIENCE_S = 0.25  # until it has noticed that its solution is gone


class Checkers:
    """The checkers of one zygote."""

    def __init__(self, keeper: Keeper) -> None:
        """Start none yet."""
        self._keeper = keeper
        self._standing: StandingChecker | None = None

    def begin(self, work: Check, link: int) -> Execution:
        """Have the tests of a check run against what is at the other end of a link."""
        request = {"role": "checker", "tests": work.tests, "imports": work.imports, "names": dict(work.names)}
        limits = Limits(
            cpu_s=max(_CPU_S, work.limits.cpu_s),
            wall_s=2 * work.limits.wall_s + _CPU_S,
            memory_bytes=max(_MEMORY, work.limits.memory_bytes),
        )
        closed_off = self._keeper.level in (Level.LANDLOCK, Level.NAMESPACES)
        if not closed_off or limits.memory_bytes > _MEMORY or not is_plain(work):
            return Execution(self._keeper, request, limits, link=link)
        if self._standing is None or not self._standing.is_idle:
            self._standing = StandingChecker(self._keeper)
        self._standing.begin(request, limits, link)
        return self._standing

    def close(self) -> None:
        """Close this side; the processes end with their zygote."""
        if self._standing is not None:
            self._standing.close()


class StandingChecker(Execution):
    """One checker that stays."""

    def __init__(self, keeper: Keeper) -> None:
        """Start it."""
        limits = Limits(cpu_s=_ENDLESS_S, wall_s=_ENDLESS_S, memory_bytes=_MEMORY)
        super().__init__(keeper, {"role": "standing"}, limits)
        self.is_idle = True
        self._n_checks = 0
        self._orders = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, os.dup(self.report_descriptor()))

    def begin(self, request: dict[str, Any], limits: Limits, link: int) -> None:
        """Hand it a check."""
        self.is_idle = False
        self._n_checks += 1
        self.begin_again(limits)
        work = memory_file(request)
        try:
            socket.send_fds(self._orders, [b"C"], [work, link])
        finally:
            os.close(work)

    def leave(self) -> None:
        """Let it rest after a check, or end it if it does not, or has had its share."""
        if self.end is not None or self._n_checks >= CHECKS_PER_CHECKER or not self._rests():
            self.bury()

    def close(self) -> None:
        """Close the descriptors; it is of no more use."""
        self.is_idle = False
        self._orders.close()
        super().close()

    def _understand(self, message: Any) -> None:
        super()._understand(message)
        if "end" in message:
            self.is_idle = True
            self.spent_s = message["cpu_us"] / 1e6

    def _rests(self) -> bool:
        deadline = time.monotonic() + _PATIENCE_S
        while not self.is_idle and self.end is None and (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([self.report_descriptor()], [], [], left)
            for descriptor in ready:
                self.read(descriptor)
        return self.is_idle and self.end is None
