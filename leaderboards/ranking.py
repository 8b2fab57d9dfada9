"""Ranks that ties share, from the scores of every two rows with the same seeds.

Two rows differ if the paired t interval over seeds excludes zero and so does p after Holm's adjustment over all pairs
of the table. A row's rank is 1 + the number of rows that are ahead of it in this sense, so rows that cannot be told
apart share ranks; the last rank that it may have is the number of rows less those it is ahead of.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eggym.many import holm
from eggym.stats import Comparison, Value, paired

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Pair:
    """Two learners of a table over all its tasks."""

    a: str
    b: str
    found: Comparison  # a - b
    p_adjusted: float | None
    ahead: str | None  # the label of the one that is ahead; None: not resolved


def pairs_of(scores: Mapping[str, Mapping[int, Value]]) -> list[Pair]:
    """Compare every two rows by their scores of each seed: paired, and adjusted for the number of pairs (Holm 1979)."""
    found = {(a, b): paired(scores[a], scores[b]) for a, b in itertools.combinations(scores, 2)}
    keys = {f"{place:08d}": key for place, key in enumerate(found)}
    adjusted = holm({name: found[key].p for name, key in keys.items()})
    pairs = []
    for name, (a, b) in keys.items():
        one, p = found[a, b], adjusted.get(name)
        passed = p is not None and p < 1 - LEVEL and one.resolved is not None
        ahead = {"a": a, "b": b}[one.resolved or "a"] if passed else None
        pairs.append(Pair(a, b, one, p, ahead))
    return pairs


def ranks_of(ranked: Sequence[str], pairs: Sequence[Pair]) -> dict[str, list[int]]:
    """Return the first and the last rank that each row may have."""
    ahead = dict.fromkeys(ranked, 0)
    behind = dict.fromkeys(ranked, 0)
    for pair in pairs:
        if pair.ahead is not None:
            ahead[pair.ahead] += 1
            behind[pair.b if pair.ahead == pair.a else pair.a] += 1
    return {label: [1 + behind[label], len(ranked) - ahead[label]] for label in ranked}
