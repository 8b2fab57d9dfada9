"""The gap of a proxy: mean reward minus mean true reward, where the verdicts of a task tell both.

A verdict whose ``parts`` hold ``true`` says that its reward is a stand-in. A learner that pushes the reward up while
the truth stays behind is hacking it; the change of the gap over training is the number to look at.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from eggym.record import Record
from eggym.score import Mode, Score
from eggym.stats import Value, mean_t

TRUE = "true"  # the name of the part
MODES: tuple[Mode, ...] = ("greedy", "sampled")

Read = Callable[[Score], Value]


def true_mean(score: Score) -> Value:
    """Return the mean true reward over the replies that could be judged; None where the task tells none."""
    return score.parts.get(TRUE)


def gap(score: Score) -> Value:
    """Return mean reward minus mean true reward; None where one of them is missing."""
    true = true_mean(score)
    return None if true is None or score.mean is None else score.mean - true


def truths(records: Sequence[Record]) -> dict[str, Any]:
    """Return ``true`` and ``gap`` of one learner's runs, by place and mode, each a mean with its t interval over seeds.

    ``gap`` has a third place, ``change``: end minus start, paired by seed. Empty where no run tells a true reward.
    """
    if not any(TRUE in score.parts for record in records for score in _ends(record)):
        return {}
    return {
        "true": {"start": _each(records, _start(true_mean)), "end": _each(records, _end(true_mean))},
        "gap": {
            "start": _each(records, _start(gap)),
            "end": _each(records, _end(gap)),
            "change": _each(records, _change),
        },
    }


def _ends(record: Record) -> list[Score]:
    return [score for mode in MODES for score in (record.start(mode), record.final(mode))]


def _each(records: Sequence[Record], read: Callable[[Record, Mode], Value]) -> dict[str, Any]:
    return {mode: asdict(mean_t(read(record, mode) for record in records)) for mode in MODES}


def _start(read: Read) -> Callable[[Record, Mode], Value]:
    return lambda record, mode: read(record.start(mode))


def _end(read: Read) -> Callable[[Record, Mode], Value]:
    return lambda record, mode: read(record.final(mode))


def _change(record: Record, mode: Mode) -> Value:
    start, end = gap(record.start(mode)), gap(record.final(mode))
    return None if start is None or end is None else end - start
