"""The two kinds of work: a program that reads and prints, and a solution whose functions are tested from outside."""

import socket
from collections.abc import Mapping
from typing import Any

from eggym.wording import printable

from .box_execution import Execution
from .box_keeper import HostFailure, Keeper
from .box_standing import Checkers
from .box_terms import Check, Level, Outcome, Program, Result, Status, Verdict
from .box_trace import MOST_TRACE

MOST_WHY = 400
_OF_A_REPORT = {"ok": Status.OK, "exception": Status.EXCEPTION, "memory": Status.MEMORY}


class ProgramRun:
    """One program under way."""

    def __init__(self, keeper: Keeper, work: Program) -> None:
        """Start it."""
        request = {"role": "program", "code": work.code}
        stdin = work.stdin.encode("utf-8", "surrogateescape")
        self._level, self._trace = keeper.level, ""
        self.parts = [Execution(keeper, request, work.limits, stdin)]

    def is_over(self) -> bool:
        """Say whether its end is known."""
        (run,) = self.parts
        if run.end is None and run.messages:
            run.end, self._trace = _end_of(run.messages[0]), _trace_in(run.messages[0])
        return run.end is not None

    def result(self) -> Result:
        """Bury it and return what became of it."""
        (run,) = self.parts
        run.bury()
        status, why, limit = run.end or (Status.SETUP_ERROR, "no end", "")
        texts = {name: bytes(data).decode("utf-8", "replace") for name, data in run.output.items()}
        return Result(status, why, limit, **texts, trace=self._trace, cpu_s=run.cpu_s, wall_s=run.wall_s,
                      peak_bytes=run.peak_bytes, level=self._level)  # fmt: skip

    @staticmethod
    def failed(why: str, level: Level) -> Result:
        """Return the result of what could not be run."""
        return Result(Status.SETUP_ERROR, why, level=level)


class CheckRun:
    """One solution and its tests under way."""

    def __init__(self, keeper: Keeper, work: Check, checkers: Checkers) -> None:
        """Start the solution's process and have it checked, with a socket between them."""
        self._level, self._n_tests = keeper.level, len(work.tests)
        self._tests: list[Outcome] = []
        self._end: tuple[Status, str, str] | None = None
        self._given = self._fault = ""  # of the test that was not finished
        self._has_run = False  # the solution's code, by its own word
        self.parts: list[Execution] = []
        for_solution, for_checker = socket.socketpair()
        with for_solution, for_checker:
            solution = {"role": "solution", "code": work.code, "setup": work.setup}
            self.parts.append(Execution(keeper, solution, work.limits, link=for_solution.fileno()))
            try:
                self.parts.append(checkers.begin(work, for_checker.fileno()))
            except BaseException:
                self.parts[0].close()
                raise

    def is_over(self) -> bool:
        """Say whether the end is known: the checker's word, or what the solution's process came to before it."""
        solution, checker = self.parts
        self._read_solution(solution)
        self._read_checker(checker)
        return self._end is not None

    def result(self) -> Verdict:
        """Bury the solution's process, be done with the checker's, and return the verdict."""
        for part in self.parts:
            part.leave()
        solution = self.parts[0]
        status, why, limit = self._end or (Status.SETUP_ERROR, "no end", "")
        died = solution.end is not None and solution.end[0] in (Status.DIED, Status.TIMEOUT)
        if status is Status.DIED or (status is Status.OK and solution.cpu_s > solution.limits.cpu_s):
            status, why, limit = solution.end if died and solution.end else (status, why, limit)
        tests = [*self._tests, *self._unreached(status, why)]
        return Verdict(
            status, tuple(tests), why, limit, solution.cpu_s, solution.wall_s, solution.peak_bytes, self._level
        )

    @staticmethod
    def failed(why: str, level: Level) -> Verdict:
        """Return the verdict on what could not be run."""
        return Verdict(Status.SETUP_ERROR, (), why, level=level)

    def _unreached(self, status: Status, why: str) -> list[Outcome]:
        """Return the tests that were not finished: the first has what ended them all."""
        left = self._n_tests - len(self._tests)
        first = Outcome(False, why or status, printable(self._given), printable(self._fault) or why or status)
        return [first, *[Outcome(False, why or status)] * (left - 1)] if left else []

    def _read_solution(self, solution: Execution) -> None:
        """A report that the code ran is no end; a solution that died is, once the checker has noticed."""
        while solution.end is None and solution.messages:
            message = solution.messages.pop(0)
            end = _end_of(message)
            if self._has_run:
                solution.end = (Status.PROTOCOL, "a second report", "")
            elif end[0] is not Status.OK:
                solution.end, self._fault = end, _trace_in(message)
            self._has_run = True
        if self._end is None and solution.end is not None and solution.end[0] is not Status.DIED:
            self._end = solution.end

    def _read_checker(self, checker: Execution) -> None:
        for message in checker.messages:
            if "test" in message:
                told = (printable(message.get(name, "")) for name in ("why", "given", "fault"))
                self._tests.append(Outcome(message["passed"], *told))
            elif "calling" in message:
                self._given = message["calling"]
            elif self._end is None:
                self._end = (Status(message["end"]), printable(message["why"]), "")
                self._given = message.get("given", "")
        checker.messages.clear()
        if self._end is None and checker.end is not None:
            status, why, limit = checker.end
            if status is Status.DIED:  # it runs our code: somebody killed it
                raise HostFailure("the checker's process ended without a word")
            self._end = (status, f"the tests: {why}", limit)


def _trace_in(message: Mapping[str, Any]) -> str:
    """Return the trace of a report: a text from a stranger, cut, and harmless to show."""
    trace = message.get("trace")
    return printable(trace[-MOST_TRACE:]) if type(trace) is str else ""


def _end_of(message: Mapping[str, Any]) -> tuple[Status, str, str]:
    """Read the report of a process that has run model code: it may claim what costs nobody but itself."""
    end, why = message.get("end"), message.get("why")
    if type(end) is not str or end not in _OF_A_REPORT or type(why) is not str:
        return Status.PROTOCOL, "a report that is none", ""
    return _OF_A_REPORT[end], printable(why[:MOST_WHY]), "memory_bytes" if end == "memory" else ""
