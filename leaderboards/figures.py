"""L0: numbers of a record that its board has fixed, or that follow from others of the record.

A submitter writes every number, so each one that a score, a rank or an axis rests on is held to something here: the
scale of a task and the size of an evaluation to what was pinned, the budget and the point that counts to the settings,
and how many replies were not judged to what a run would have stopped at. Whether replies earn what they are said to
have earned is L2's question.
"""

import re
from collections.abc import Iterator
from typing import Any

from eggym.arena import FROZEN
from eggym.budget import Budget
from eggym.record import Record
from eggym.rollout import MAX_ERROR_SHARE
from eggym.score import Mode, Point, Score, same

from .pinned import Facts

_LARGEST = 1e27  # FLOPs of the largest runs there are have two digits less
_NUMBERS, _HOLDERS = (int, float), (dict, list, tuple)
_TEMPERATURES: dict[Mode, float] = {"greedy": 0.0, "sampled": 1.0}


def figure_faults(facts: Facts, record: Record) -> list[str]:
    """Return which numbers of a record are not the board's or do not follow, each as a sentence.

    Args:
        facts: of its task.
        record: whose configuration is the board's.
    """
    return [
        *_fixed(facts, record),
        *_points(record),
        *_counting(record),
        *(fault for place, point in enumerate(record.points) for fault in _scores(facts, record, place, point)),
        *_beyond(facts, record),
        *_large(record),
    ]


def _fixed(facts: Facts, record: Record) -> Iterator[str]:
    budget = Budget.parse(record.config["budget"])
    pairs = (
        ("budget.axis", record.budget.axis, budget.axis),
        ("budget.limit", record.budget.limit, budget.limit),
        ("primary", record.primary, record.config["eval"]["primary"]),
        ("task.floor", record.task.floor, facts.floor),
        ("task.reward_range", record.task.reward_range, facts.reward_range),
        ("model.n_parameters", record.model.n_parameters, facts.n_parameters),
        ("model.n_trainable", record.model.n_trainable, facts.n_trainable),
    )
    for name, told, wanted in pairs:
        if wanted is not None and told != wanted:
            yield f"{name} is {told!r}, the board wants {wanted!r}"
    if not re.fullmatch("[0-9a-f]{64}", record.weights_sha256):
        yield f"weights_sha256 is {record.weights_sha256!r:.70}, which is no SHA-256"
    if record.learner.name == FROZEN and (record.n_steps or record.weights_sha256 != record.model.sha256):
        yield f"it is said to be {FROZEN}, and has {record.n_steps} updates or other weights than the model"


def _points(record: Record) -> Iterator[str]:
    """Evaluations lie where the settings ask for them: none may be left out because it went badly."""
    first, last = record.points[0], record.points[-1]
    if first.step or any(first.spent.model_dump().values()):
        yield "its curve does not begin before training"
    if last.step != record.n_steps:
        yield "it was not evaluated at its end"
    if any(getattr(record.spent, name) < value for name, value in last.spent.model_dump().items()):
        yield "it spent less than its last evaluation says"


def _counting(record: Record) -> Iterator[str]:
    """The evaluation that counts is the one of the checkpoint rule, and not the best of all."""
    if record.config["eval"]["checkpoint"] == "last" or all(point.validation is None for point in record.points):
        if record.chosen is not None:
            yield f"the point of step {record.chosen} is said to count, and by the board the last one does"
        return
    means = [point.validation.mean if point.validation else None for point in record.points]
    known = [mean for mean in means if mean is not None]
    best = means.index(max(known)) if known else 0
    if None in [point.validation for point in record.points] or record.chosen != record.points[best].step:
        yield f"the point of step {record.chosen} is said to count, and is not the first best on validation"


def _scores(facts: Facts, record: Record, place: int, point: Point) -> Iterator[str]:
    sampled = record.config["eval"]["replies"]
    # who chooses among replies to an item answers it once
    counts: dict[Mode, set[int]] = {"greedy": {1}, "sampled": {sampled, 1} if _baseline(record) else {sampled}}
    scores: dict[Mode, Score] = {"greedy": point.greedy, "sampled": point.sampled}
    for mode, score in scores.items():
        where = f"the {mode} evaluation of point {place}"
        if score.temperature != _TEMPERATURES[mode]:
            yield f"{where} has temperature {score.temperature:g}"
        if score.n_items != facts.n_items:
            yield f"{where} has {score.n_items} items, the board wants {facts.n_items}"
        elif score.n_replies not in {n * score.n_items for n in counts[mode]}:
            yield f"{where} has {score.n_replies} replies to {score.n_items} items"
        low, high = facts.reward_range
        if any(one is not None and not (low <= one <= high or same(one, high)) for one in score.rewards):
            yield f"{where} has rewards outside those of the task, {low:g} to {high:g}"
        missing = sum(one is None for one in score.rewards)
        if missing > MAX_ERROR_SHARE * score.n_replies:
            yield f"{where} has {missing} items without a reward; a run stops above {MAX_ERROR_SHARE:.0%} of replies"


def _baseline(record: Record) -> bool:
    return record.learner.kind == "baseline"


def _beyond(facts: Facts, record: Record) -> Iterator[str]:
    """What was asked for beside the reward is told, good or bad, of as many items and in the way that was asked."""
    asked, beyond = record.config["eval"], record.beyond
    if beyond is None:
        yield "it tells nothing of what else changed"
        return
    wanted = set(record.config.get("retention_digests", {}))
    if (beyond.many is None, beyond.train is None) != (asked["many"] == 0, asked["train_items"] == 0) or (
        set(beyond.retention) != wanted
    ):
        yield "beside the reward it does not tell what the board asks for: many replies, training items, other tasks"
    if beyond.kl_base != record.counted.kl_base or any(value < 0 for value in beyond.weight_change.values()):
        yield "its change of weights is below zero, or its KL is not that of the point that counts"
    told = [(beyond.many, 1.0, asked["many"], min(asked["many_items"], facts.n_items))]
    told += [(beyond.train, 0.0, 1, asked["train_items"])]
    told += [(change, 0.0, 1, asked["retention_items"]) for change in beyond.retention.values()]
    for change, temperature, n_replies, most in told:
        for score in (change.start, change.end) if change else ():
            if not _asked_like_this(score, temperature, n_replies, most):
                yield "what it tells beside the reward is not of the items, replies and temperature that were asked for"
                return


def _asked_like_this(score: Score, temperature: float, n_replies: int, most: int) -> bool:
    sized = 0 < score.n_items <= most and score.n_replies == n_replies * score.n_items
    shares = [*score.pass_at.values(), *([] if score.distinct is None else [score.distinct])]
    return score.temperature == temperature and sized and all(0 <= share <= 1 for share in shares)


def too_large(value: Any) -> Any:
    """Return a number in a plain value that no run has, and that would end in an infinity somewhere; None: there is
    none."""
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else (value,):
        if isinstance(one, _NUMBERS):  # a record holds thousands: no call for each of them
            if abs(one) > _LARGEST:
                return one
        elif isinstance(one, _HOLDERS) and (found := too_large(one)) is not None:
            return found
    return None


def _large(record: Record) -> Iterator[str]:
    found = too_large(record.model_dump(exclude={"config"}))
    if found is not None:
        yield f"it holds the number {float(found) if abs(found) < 1e300 else 'beyond 1e300'}, which no run has"
