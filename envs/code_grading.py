"""From what became of a program in the sandbox to the verdict on a reply: what the tasks on programs share.

Reward:  ``all``: 1 if every test passes, else 0. ``share``: the share of tests that pass; those that were not reached
         have not passed. The part ``tests`` of a verdict is that share under both.
         A check is one solution whose functions are called; a printing is a whole program, run once for every test.
States:  ``correct``; ``timeout``; ``unparsed``: no program, or none that compiles; ``refused``: more than 1 MiB;
         ``error`` if the host or the tests are at fault, which is no reward at all; else ``wrong``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eggym.errors import unknown
from eggym.task import Verdict, VerdictState

from . import box, box_terms
from .box_levels import choose_level
from .box_terms import MIB, Check, Limits, Status
from .code_printing import Printing, check_printings

Work = Check | Printing

REWARDS = ("all", "share")
LONGEST = MIB  # characters of a program
_SHOWN = 400  # characters of a program that a verdict repeats
_DOES_NOT_COMPILE = ("SyntaxError", "IndentationError", "TabError")


@dataclass(frozen=True, slots=True)
class Grading:
    """How the programs of a task are judged: the options that all such tasks have."""

    reward: str = "all"
    allow_unsafe_execution: str | None = None  # a level of the sandbox below `landlock` that is allowed
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Refuse a reward that does not exist."""
        if self.reward not in REWARDS:
            raise unknown("reward of a task on programs", str(self.reward), REWARDS)

    def options(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, for a task's ``difficulty``."""
        unsafe = self.allow_unsafe_execution
        given = {"reward": self.reward} if self.reward != "all" else {}
        return given | ({} if unsafe is None else {"allow_unsafe_execution": unsafe})

    def judge(self, works: Sequence[Work | None]) -> list[Verdict]:
        """Judge programs, several at a time, in their order; None stands for a reply without a program."""
        return [self.verdict(work, found) for work, found in zip(works, self.run(works), strict=True)]

    def run(self, works: Sequence[Work | None]) -> list[box_terms.Verdict | None]:
        """Return the sandbox's verdicts; None where nothing is run: there is no program, or it is too long."""
        runnable = [work for work in works if work is not None and len(work.code) <= LONGEST]
        checks = [work for work in runnable if isinstance(work, Check)]
        printings = [work for work in runnable if isinstance(work, Printing)]
        allowed = self.allow_unsafe_execution
        checked = iter(box.check_solutions(checks, allow_unsafe_execution=allowed) if checks else ())
        printed = iter(check_printings(printings, allowed))
        return [
            None if work is None or len(work.code) > LONGEST else next(checked if isinstance(work, Check) else printed)
            for work in works
        ]

    def verdict(self, work: Work | None, found: box_terms.Verdict | None) -> Verdict:
        """Return the verdict on a reply by what `run` found."""
        if work is None or found is None:
            return _unseen(work)
        if found.status is Status.SETUP_ERROR:
            return Verdict(None, VerdictState.ERROR, work.code[:_SHOWN], found.why)
        share = sum(test.passed for test in found.tests) / len(work.tests)
        reward = float(found.passed) if self.reward == "all" else share
        return Verdict(reward, _state(found), work.code[:_SHOWN], _why(found), {"tests": share})

    def identity(self) -> str:
        """Return what verdicts depend on, for `Task.identity`.

        Raises:
            BadValue: this host's sandbox is too weak: before anything is run, not reply by reply.
        """
        choose_level(self.allow_unsafe_execution)
        return box.sandbox_identity(self.limits)

    def host(self) -> Mapping[str, str]:
        """Return the level of the sandbox, for `Task.host`."""
        return {"sandbox": str(choose_level(self.allow_unsafe_execution))}


def _unseen(work: Work | None) -> Verdict:
    if work is None:
        return Verdict(0.0, VerdictState.UNPARSED, None, "no program in the reply", {"tests": 0.0})
    why = f"{len(work.code)} characters, more than {LONGEST}"
    return Verdict(0.0, VerdictState.REFUSED, None, why, {"tests": 0.0})


def _state(found: box_terms.Verdict) -> VerdictState:
    if found.passed:
        return VerdictState.CORRECT
    if found.status is Status.TIMEOUT:
        return VerdictState.TIMEOUT
    if found.status is Status.EXCEPTION and found.why.startswith(_DOES_NOT_COMPILE):
        return VerdictState.UNPARSED
    return VerdictState.WRONG


def _why(found: box_terms.Verdict) -> str:
    if found.status is not Status.OK:
        return f"{found.status}: {found.why}" if found.why else str(found.status)
    failed = [number for number, test in enumerate(found.tests) if not test.passed]
    if not failed:
        return ""
    of = f"{len(found.tests) - len(failed)} of {len(found.tests)} tests passed"
    return f"{of}; first failure: {found.tests[failed[0]].why or 'failed'}"
