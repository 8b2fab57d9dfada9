"""Relative rewards: a reply is worth what it is among the replies to the same item.

``ranked@task=tiny-orders`` asks what another task asks, and turns its rewards into ranks within the replies to one
item; `standardised` and `ranks` are for scorers of your own that say ``grouped = True``.

Prompt:  of the other task; the items and splits are its own.
Reward:  the rank within the group, from 0 (last) to 1 (first); equal rewards share the mean of their places. A group of
         one, as in greedy evaluation, gets 0.5, and the replies of one group always average 0.5: to see progress, read
         ``parts["true"]``, the other task's reward (or its own true reward, where that is a proxy too).
Floor:   0.5: whoever replies as the others do.
Source:  ours. Ranks are what ES shaping and group-relative advantages look at anyway.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from eggym.digest import digest
from eggym.errors import BadValue
from eggym.registry import load_task
from eggym.task import Exchange, Item, SingleTurnTask, Verdict, VerdictState

NEUTRAL = 0.5
_COPIED = ("stop", "max_new_tokens", "system", "few_shot", "reads_late")

Known = Sequence[float | None]
Shaping = Callable[[Known], list[float | None]]


def ranks(values: Known) -> list[float | None]:
    """Return the place of each value among the others, from 0 to 1; ties share, None stays None and counts for nothing.

    >>> ranks([3.0, 1.0, 3.0, None])
    [0.75, 0.0, 0.75, None]
    """
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return [None if value is None else NEUTRAL for value in values]
    return [None if value is None else _share_below(value, known) for value in values]


def standardised(values: Known, most: float = 3.0) -> list[float | None]:
    """Return (value - mean) / spread, clipped to +-``most``; 0 where there is no spread, and None stays None.

    >>> standardised([1.0, 3.0, None])
    [-1.0, 1.0, None]
    """
    known = [value for value in values if value is not None]
    mean = math.fsum(known) / len(known) if known else 0.0
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in known) / len(known)) if known else 0.0
    if spread <= 1e-9 * max(1.0, abs(mean)):  # rounding is no difference
        return [None if value is None else 0.0 for value in values]
    return [None if value is None else max(-most, min(most, (value - mean) / spread)) for value in values]


def within_groups(items: Sequence[Item], values: Known, shape: Shaping) -> list[float | None]:
    """Shape the values of each group apart. A group is the replies to one item object, as `Task.grouped` has it."""
    places: dict[int, list[int]] = {}
    for place, item in enumerate(items):
        places.setdefault(id(item), []).append(place)
    shaped: list[float | None] = [None] * len(values)
    for group in places.values():
        for place, value in zip(group, shape([values[place] for place in group]), strict=True):
            shaped[place] = value
    return shaped


class Ranked(SingleTurnTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/ranked-v0"
    grouped: ClassVar[bool] = True
    floor: ClassVar[float] = NEUTRAL

    def __init__(self, task: str = "eggym/tiny-orders-v0", **options: Any) -> None:
        """``task`` is asked, with ``options``; its settings become this one's."""
        inner = load_task(task, **options)
        if not isinstance(inner, SingleTurnTask) or not inner.is_plain or inner.grouped:
            raise BadValue(f"task {task!r} cannot be ranked: it must have one turn, and judge every reply by itself")
        self.difficulty = {"task": task, **options}
        self.inner = inner
        for name in _COPIED:
            setattr(self, name, getattr(inner, name))

    def identity(self) -> str:
        """Return the digest of the task that is ranked."""
        return digest(self.inner)

    def host(self) -> Mapping[str, str]:
        """Return what the inner task says."""
        return self.inner.host()

    def n_items(self, split: str) -> int | None:
        """Return how many items the other task has."""
        return self.inner.n_items(split)

    def item(self, split: str, index: int) -> Item:
        """Return the other task's item."""
        return self.inner.item(split, index)

    def generate(self, rng: random.Random) -> Item:
        """Draw an item of the other task."""
        return self.inner.generate(rng, **self.inner.difficulty)

    def score_all(self, items: Sequence[Item], replies: Sequence[str]) -> list[Verdict]:
        """Rank the other task's rewards; what it could not judge is left out of its group."""
        verdicts = self.inner.judge_all([Exchange(item, reply) for item, reply in zip(items, replies, strict=True)])
        placed = within_groups(items, [verdict.reward for verdict in verdicts], ranks)
        return [_ranked(verdict, rank) for verdict, rank in zip(verdicts, placed, strict=True)]

    def oracle(self, item: Item) -> str | None:
        """Return the other task's best reply: nothing ranks above it."""
        return self.inner.oracle(item)


def _share_below(value: float, known: Sequence[float]) -> float:
    below = sum(other < value for other in known)
    same = sum(other == value for other in known) - 1  # itself apart
    return (below + same / 2) / (len(known) - 1)


def _ranked(verdict: Verdict, rank: float | None) -> Verdict:
    if rank is None or verdict.reward is None:
        return Verdict(None, VerdictState.ERROR, verdict.found, verdict.why)
    parts = {"true": verdict.parts.get("true", verdict.reward)}  # the others may come and go
    why = f"rank {rank:.3f} of 1 in its group; reward {verdict.reward:g}: {verdict.why}"
    return Verdict(rank, verdict.state, verdict.found, why, parts)
