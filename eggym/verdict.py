"""Verdicts: what a grader concluded about a reply. A grader's failure is never a zero."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from eggym.errors import EggymError, TaskFault
from eggym.plausible import is_number
from eggym.source import told
from eggym.values import as_float, is_text, writable

Range = tuple[float, float]


class VerdictState(StrEnum):
    """What became of a reply. Closed: add a member rather than overload one."""

    CORRECT = "correct"
    WRONG = "wrong"  # includes partly right
    UNPARSED = "unparsed"  # no answer could be read
    TIMEOUT = "timeout"
    REFUSED = "refused"  # the grader would not look at it (too long, too deep)
    ERROR = "error"  # the grader itself failed: never a zero


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a grader concluded, with enough to argue about it."""

    reward: float | None  # larger is better; None: could not be judged, which is never 0
    state: VerdictState
    found: str | None = None  # the answer as read from the reply
    why: str = ""  # one line for a person
    parts: Mapping[str, float] = field(default_factory=dict)  # named components of the reward


def as_plain(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as a JSON value."""
    told = {"reward": verdict.reward, "state": verdict.state.value, "found": verdict.found, "why": verdict.why}
    return {**told, "parts": dict(verdict.parts)}


def from_plain(row: Mapping[str, Any]) -> Verdict:
    """Return the verdict of a JSON value.

    Raises:
        KeyError, TypeError or ValueError: it is none.
    """
    if not (row["reward"] is None or is_number(row["reward"])):
        raise ValueError(f"a reward is a number, got {row['reward']!r}")
    return Verdict(row["reward"], VerdictState(row["state"]), row["found"], row["why"], dict(row["parts"]))


_STATES = tuple(map(str, VerdictState))


def judged(task_id: str, reward_range: Range, score: Callable[[], Any]) -> Verdict:
    """Call a scorer; what it returns becomes a whole `Verdict`, and what it raises an error without a reward."""
    try:
        return _whole(task_id, reward_range, score())
    except KeyboardInterrupt:
        raise
    except EggymError as problem:
        return Verdict(None, VerdictState.ERROR, why=writable(str(problem)))
    except BaseException as problem:  # noqa: BLE001 - a user's code may raise anything; the class and message go on record
        return Verdict(None, VerdictState.ERROR, why=writable(f"score raised {told(problem)}"))


def _whole(task_id: str, reward_range: Range, value: Any) -> Verdict:
    """Return a whole verdict that can be written down; raise what is wrong with it."""
    if not isinstance(value, Verdict):
        reward = _number(task_id, reward_range, value)
        return Verdict(reward, VerdictState.CORRECT if reward >= reward_range[1] else VerdictState.WRONG)
    if not isinstance(value.state, str) or value.state not in _STATES:
        raise TaskFault(f"task {task_id!r} gave the state {value.state!r:.60}; there are {', '.join(_STATES)}")
    state = VerdictState(value.state)
    failed = value.reward is None or state is VerdictState.ERROR  # a grader's failure is never a number
    return Verdict(
        None if failed else _number(task_id, reward_range, value.reward),
        state,
        None if value.found is None else writable(value.found),
        "" if value.why is None else writable(value.why),
        _parts(task_id, value.parts),
    )


def _parts(task_id: str, parts: Any) -> dict[str, float]:
    if not isinstance(parts, Mapping):
        raise TaskFault(f"task {task_id!r}: the parts of a reward are a mapping of names, got {parts!r:.60}")
    for name, value in parts.items():
        if not is_text(name) or not math.isfinite(as_float(value)):
            raise TaskFault(f"task {task_id!r}: a part of a reward is a finite number, got {name!r:.40}: {value!r:.40}")
    return {name: as_float(value) for name, value in parts.items()}


def _number(task_id: str, reward_range: Range, value: Any) -> float:
    number = as_float(value)
    if not math.isfinite(number):
        raise TaskFault(f"task {task_id!r} scored {value!r:.60}, which is not a finite number")
    low, high = reward_range
    if not low <= number <= high:
        raise TaskFault(f"task {task_id!r} scored {value!r:.60}, outside its reward_range [{low:g}, {high:g}]")
    return number
