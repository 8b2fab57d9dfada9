"""What a run changed beside its reward on held-out items.

Before the first update and after the last, on the same items with the same random numbers:

- ``many``: several replies to an item of the evaluation at temperature 1: pass@k, and how many answers differ;
- ``train``: greedy on the first items of the training stream, against held-out ones: the gap between the two;
- ``retention``: greedy on other tasks, each prompted in its own way: what was forgotten, or gained, elsewhere.

At the end also how far the weights have moved, and the KL from the start. Where the weights that count are those of the
start, the end is the start and nothing is computed twice.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import nn

from eggym.budget import Meter
from eggym.check import preflight
from eggym.config import Plan
from eggym.errors import BadValue
from eggym.evaluate import SAMPLED_TEMPERATURE, first_items, score_of
from eggym.policy import Prompting
from eggym.rollout import Rollout
from eggym.score import Beyond, Change, Point, Score, Strict
from eggym.task import Item, Task
from eggym.training_items import first_training_items
from eggym.views import PolicyViews
from eggym.weight_change import StartWeights


class Side(Strict):
    """One of the two evaluations: before training, or after it."""

    many: Score | None
    train: Score | None
    retention: dict[str, Score]


class Sides:
    """Both evaluations of one run."""

    def __init__(self, plan: Plan, meter: Meter, parameters: Mapping[str, nn.Parameter]) -> None:
        """Keep the start weights, which the policy must hold; ``meter`` counts evaluation."""
        self._plan, self._meter = plan, meter
        self._weights = StartWeights(plan.policy.model, parameters)
        self._start: Side | None = None

    def begin(self) -> None:
        """Evaluate before the first update."""
        self._start = self._measure()

    def end(self, point: Point) -> Beyond:
        """Evaluate the weights that count, which the policy must hold; ``point`` is theirs."""
        start = self._start or Side(many=None, train=None, retention={})
        end = start if point.step == 0 else self._measure()
        return Beyond(
            weight_change=self._weights.change(),
            kl_base=point.kl_base,
            train=_change(start.train, end.train),
            many=_change(start.many, end.many),
            retention={name: Change(start=score, end=end.retention[name]) for name, score in start.retention.items()},
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs: the start weights are there again when a run is resumed."""
        return {"start": self._start.model_dump() if self._start else None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        self._start = Side.model_validate(state["start"]) if state["start"] else None

    def _measure(self) -> Side:
        plan, asked = self._plan, self._plan.evaluation
        many = train = None
        if asked.many:
            items = first_items(plan.task, asked.split, asked.many_items)
            many = _score(plan.rollout(self._meter, "many"), items, SAMPLED_TEMPERATURE, asked.many)
        if asked.train_items:
            train = _score(plan.rollout(self._meter, "training-items"), first_training_items(plan, asked.train_items))
        others = {
            task.label: _score(_elsewhere(plan, task, self._meter), retention_items(plan, task))
            for task in plan.retention
        }
        return Side(many=many, train=train, retention=others)


def retention_items(plan: Plan, task: Task) -> list[Item]:
    """Return the first different items of another task, of the split that the run is evaluated on."""
    return first_items(task, plan.evaluation.split, plan.evaluation.retention_items)


def refuse_unreadable(plan: Plan, meter: Meter) -> None:
    """Try the tasks of ``eval.retention`` before a run starts.

    Raises:
        EggymError: one does not work, has no items, or cannot be read by the model; by its name.
    """
    for task in plan.retention:
        preflight(task, plan.evaluation.split)
        rollout, items = _elsewhere(plan, task, meter), retention_items(plan, task)
        try:
            prompts_P = [plan.policy.prompt_ids(rollout.prompting, item.prompt) for item in items]
            rollout.room(PolicyViews(len(items), 1, 0.0), prompts_P)
        except BadValue as problem:
            raise BadValue(f"eval.retention: {task.label} does not fit this run: {problem}") from problem


def n_episodes(plan: Plan) -> int:
    """Return how many episodes one of the two evaluations has at most."""
    asked = plan.evaluation
    return asked.many * asked.many_items + asked.train_items + asked.retention_items * len(plan.retention)


def _elsewhere(plan: Plan, task: Task, meter: Meter) -> Rollout:
    return dataclasses.replace(plan.rollout(meter, "retention"), task=task, prompting=Prompting.of(task, {}))


def _score(rollout: Rollout, items: list[Item], temperature: float = 0.0, n_replies: int = 1) -> Score:
    return score_of(temperature, rollout.run(PolicyViews(len(items), n_replies, temperature), items, step=0))


def _change(start: Score | None, end: Score | None) -> Change | None:
    return Change(start=start, end=end) if start is not None and end is not None else None
