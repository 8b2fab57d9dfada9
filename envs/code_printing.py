"""Whole programs that read and print, and their tests: every test is a fresh process that sees its input alone.

What is expected stays here. A program that leaves its limits on one test is not asked about those behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from . import box, box_terms
from .box_terms import Limits, Outcome, Program, Result, Status
from .box_trace import cut

_GOES_ON = (Status.OK, Status.EXCEPTION)  # what a test may come to without ending all


@dataclass(frozen=True, slots=True)
class Printing:
    """A program, and what it is to print for what it is given."""

    code: str
    tests: tuple[tuple[str, str], ...]  # (standard input, expected output)
    limits: Limits = field(default_factory=Limits)


def check_printings(works: Sequence[Printing], allow_unsafe_execution: str | None = None) -> list[box_terms.Verdict]:
    """Test programs, several at a time; return the verdicts, in their order.

    Tests are run in rounds of 1, 2, 4 and so on, so that a program that hangs costs little. The verdict is the same as
    one after the other.
    """
    results: list[list[Result]] = [[] for _ in works]
    size = 1
    while going := [place for place, work in enumerate(works) if _goes_on(work, results[place])]:
        rounds = [works[place].tests[len(results[place]) :][:size] for place in going]
        programs = [
            Program(works[place].code, given, works[place].limits)
            for place, tests in zip(going, rounds, strict=True)
            for given, _ in tests
        ]
        found = iter(box.run_programs(programs, allow_unsafe_execution=allow_unsafe_execution))
        for place, tests in zip(going, rounds, strict=True):
            results[place] += islice(found, len(tests))
        size *= 2
    return [_verdict(work, ended) for work, ended in zip(works, results, strict=True)]


def _goes_on(work: Printing, results: Sequence[Result]) -> bool:
    return len(results) < len(work.tests) and all(result.status in _GOES_ON for result in results)


def _verdict(work: Printing, results: Sequence[Result]) -> box_terms.Verdict:
    last = next((place for place, result in enumerate(results) if result.status not in _GOES_ON), len(results))
    reached = results[: last + 1]
    worst = next((result for result in reached if result.status is not Status.OK), reached[0])
    if reached[-1].status is Status.SETUP_ERROR:
        worst = reached[-1]
    tests = [_outcome(result, *test) for result, test in zip(reached, work.tests, strict=False)]
    tests += [Outcome(False, f"not run: {worst.why or worst.status}")] * (len(work.tests) - len(tests))
    return box_terms.Verdict(
        worst.status,
        tuple(tests),
        worst.why,
        worst.limit,
        sum(result.cpu_s for result in reached),
        sum(result.wall_s for result in reached),
        max(result.peak_bytes for result in reached),
        worst.level,
    )


def _outcome(result: Result, given: str, expected: str) -> Outcome:
    if result.status is not Status.OK:
        why = result.why or str(result.status)
        return Outcome(False, why, cut(given), result.trace or why)
    same = box.same_output(result.stdout, expected)
    return Outcome(same, "" if same else "another output was expected", "" if same else cut(given))
