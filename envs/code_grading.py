"""From what became of a program in the sandbox to the verdict on a reply: what the tasks on programs share.

Reward:  ``all``: 1 if every test passes, else 0. ``share``: the share of tests that pass; those that were not reached
         have not passed. The part ``tests`` of a verdict is that share under both.
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

    def judge(self, checks: Sequence[Check | None]) -> list[Verdict]:
        """Judge solutions, several at a time, in their order; None stands for a reply without a program."""
        runnable = [check for check in checks if check is not None and len(check.code) <= LONGEST]
        allowed = self.allow_unsafe_execution
        found = iter(box.check_solutions(runnable, allow_unsafe_execution=allowed) if runnable else ())
        return [
            self._verdict(check, next(found)) if check and len(check.code) <= LONGEST else _unseen(check)
            for check in checks
        ]

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

    def _verdict(self, check: Check, found: box_terms.Verdict) -> Verdict:
        if found.status is Status.SETUP_ERROR:
            return Verdict(None, VerdictState.ERROR, check.code[:_SHOWN], found.why)
        share = sum(test.passed for test in found.tests) / len(check.tests)
        reward = float(found.passed) if self.reward == "all" else share
        return Verdict(reward, _state(found), check.code[:_SHOWN], _why(check, found), {"tests": share})


def _unseen(check: Check | None) -> Verdict:
    if check is None:
        return Verdict(0.0, VerdictState.UNPARSED, None, "no program in the reply", {"tests": 0.0})
    why = f"{len(check.code)} characters, more than {LONGEST}"
    return Verdict(0.0, VerdictState.REFUSED, None, why, {"tests": 0.0})


def _state(found: box_terms.Verdict) -> VerdictState:
    if found.passed:
        return VerdictState.CORRECT
    if found.status is Status.TIMEOUT:
        return VerdictState.TIMEOUT
    if found.status is Status.EXCEPTION and found.why.startswith(_DOES_NOT_COMPILE):
        return VerdictState.UNPARSED
    return VerdictState.WRONG


def _why(check: Check, found: box_terms.Verdict) -> str:
    if found.status is not Status.OK:
        return f"{found.status}: {found.why}" if found.why else str(found.status)
    failed = [number for number, test in enumerate(found.tests) if not test.passed]
    if not failed:
        return ""
    of = f"{len(found.tests) - len(failed)} of {len(found.tests)} tests passed"
    return f"{of}; first failure: {found.tests[failed[0]].why or 'failed'}"
