"""L1 of the curve: every score follows from the kept replies, and the replies are those of one list of items.

A kept reply has a form (`KeptReply`), which is looked at first: what comes from a stranger may be of any. Then every
evaluation must answer the same items in the same order, each as often as the others; no more replies may lack a reward
than a run goes on with, or wrong ones could be dropped from a mean; and each number of a score is worked out again.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from eggym.episode import Ending
from eggym.errors import BadValue
from eggym.passes import pass_at
from eggym.record import RECORD_FILE
from eggym.replies import EVALUATIONS
from eggym.rollout import MAX_ERROR_SHARE
from eggym.score import Count, Mode, Point, Score, Strict, same
from eggym.stats import clustered_mean
from eggym.verdict import VerdictState

from .chain import Row
from .stored import Entry

MODES: tuple[Mode, ...] = ("greedy", "sampled")
_Place = tuple[int, Mode]


class KeptTurn(Strict):
    """What was said, and what was replied."""

    observation: str
    reply: str


class KeptReply(Strict):
    """One line of ``evaluations.jsonl``."""

    point: Count
    mode: Mode
    item: Count
    sample: Count
    prompt: str
    turns: list[KeptTurn]
    reward: float | None
    state: Annotated[VerdictState, Field(strict=False)]
    found: str | None
    ending: Annotated[Ending, Field(strict=False)]
    tokens: Count


_REPLIES = TypeAdapter(list[KeptReply])


def kept_replies(name: str, rows: Sequence[Row]) -> list[KeptReply]:
    """Return the replies of all evaluations of a record, by its name and the lines of its file.

    Raises:
        BadValue: a line is not of their form.
    """
    try:
        return _REPLIES.validate_python(rows)
    except ValidationError as problem:
        first = problem.errors()[0]
        line, *place = first["loc"]
        raise BadValue(
            f"{name}/{EVALUATIONS}, line {int(line) + 1}: {'.'.join(map(str, place))}: {first['msg']}"
        ) from problem


def evaluation_faults(entry: Entry, rows: Sequence[Row]) -> Iterator[str]:
    """Yield what does not follow from the kept replies of a record, each as a sentence."""
    where = f"{entry.name}/{EVALUATIONS}"
    by_place: dict[_Place, list[KeptReply]] = {}
    for row in kept_replies(entry.name, rows):
        by_place.setdefault((row.point, row.mode), []).append(row)
    wanted = {(place, mode): point for place, point in enumerate(entry.record.points) for mode in MODES}
    for place, mode in sorted(set(by_place) ^ wanted.keys()):
        yield f"{where}: point {place}, {mode!r}, is not in both it and {RECORD_FILE}"
    items = list(dict.fromkeys(row.item for row in by_place.get((0, "greedy"), ())))
    for (place, mode), point in wanted.items():
        replies = by_place.get((place, mode), [])
        why = _list_fault(items, replies) or _score_fault(_of(point, mode), replies)
        if why:
            yield f"{where}: {mode} replies of point {place} {why}"


def _of(point: Point, mode: Mode) -> Score:
    return point.greedy if mode == "greedy" else point.sampled


def _list_fault(items: Sequence[int], rows: Sequence[KeptReply]) -> str | None:
    """Return what is wrong with which items were answered, and how often."""
    n_replies = len(rows) // max(1, len(items))
    if sorted(set(items)) != list(items):
        return "are not of items in their order"
    if [(row.item, row.sample) for row in rows] != [(item, sample) for item in items for sample in range(n_replies)]:
        return "are not of the same items, each as often, as those of point 0"
    missing = sum(row.reward is None for row in rows)
    if missing > MAX_ERROR_SHARE * len(rows):
        return f"lack {missing} of {len(rows)} rewards; a run stops above {MAX_ERROR_SHARE:.0%}"
    if any(row.reward is not None and row.state is VerdictState.ERROR for row in rows):
        return "have a reward where the grader failed"
    return None


def _score_fault(score: Score, rows: Sequence[KeptReply]) -> str | None:
    """Return the first number of a score that does not follow from its replies."""
    items: dict[int, list[KeptReply]] = {}
    states: dict[str, int] = {}
    for row in rows:
        items.setdefault(row.item, []).append(row)
        states[row.state] = states.get(row.state, 0) + 1
    rewards = [[row.reward for row in replies] for replies in items.values()]
    mean, error = clustered_mean(rewards)
    told: tuple[tuple[str, bool], ...] = (
        ("number of replies", score.n_replies == len(rows)),
        ("number of items", score.n_items == len(items)),
        ("states", score.states == states),
        ("rewards", len(score.rewards) == len(items) and all(map(same, score.rewards, map(_mean, rewards)))),
        ("mean", same(score.mean, mean) and same(score.se, error)),
        ("pass@k", _alike(score.pass_at, _passes(list(items.values())))),
        ("share of different answers", same(score.distinct, _distinct(list(items.values())))),
    )
    wrong = next((name for name, right in told if not right), None)
    return wrong and f"do not give the record's {wrong}"


def _mean(rewards: Sequence[float | None]) -> float | None:
    known = [reward for reward in rewards if reward is not None]
    return math.fsum(known) / len(known) if known else None


def _alike(told: dict[str, float], found: dict[str, float]) -> bool:
    return told.keys() == found.keys() and all(same(told[name], found[name]) for name in told)


def _passes(items: Sequence[Sequence[KeptReply]]) -> dict[str, float]:
    """Return pass@k as `eggym.passes` has it; nothing of one reply to an item."""
    most = max(map(len, items), default=0)
    found = {}
    for k in (1 << power for power in range(most.bit_length() if most > 1 else 0)):
        judged = [[row for row in replies if row.reward is not None] for replies in items]
        counts = [(len(of), sum(row.state is VerdictState.CORRECT for row in of)) for of in judged if len(of) >= k]
        if counts:
            found[str(k)] = math.fsum(pass_at(n, c, k) for n, c in counts) / len(counts)
    return found


def _distinct(items: Sequence[Sequence[KeptReply]]) -> float | None:
    if max(map(len, items), default=0) < 2:
        return None
    shares = [len({_answer(row) for row in replies}) / len(replies) for replies in items]
    return math.fsum(shares) / len(shares)


def _answer(row: KeptReply) -> Any:
    return row.found if row.found is not None else tuple(turn.reply for turn in row.turns)
