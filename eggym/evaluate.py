"""Evaluation: fixed held-out items, greedy and at temperature 1, the same for every learner of a comparison."""

import math
from dataclasses import dataclass
from typing import Any

from eggym.budget import FlopModel, Meter
from eggym.config import Plan, RunConfig, refuse_unknown_fields, resolve
from eggym.episode import EpisodeBatch
from eggym.errors import BadValue
from eggym.files import sha256_json
from eggym.held_out import EVALUATION, Alone, Player, Question
from eggym.learner import Chooser, Learner
from eggym.passes import distinct, passes
from eggym.replies import evaluation_lines
from eggym.score import Score
from eggym.stats import clustered_mean
from eggym.task import Item, Task

SAMPLED_TEMPERATURE = 1.0
MOST_DRAWS = 20  # for each item that is wanted, where a split is endless


@dataclass(frozen=True)
class Evaluated:
    """One evaluation of one policy."""

    greedy: Score
    sampled: Score
    lines: list[dict[str, Any]]  # every reply, as `eggym.replies` keeps it


class Evaluator:
    """Evaluates the present weights of a policy, again and again, on the same items with the same random numbers."""

    def __init__(self, plan: Plan, meter: Meter, player: Player | None = None) -> None:
        """Draw the items; ``meter`` counts evaluation alone; ``player`` answers, or this process does."""
        self._plan, self._meter, self._player = plan, meter, player or Alone(plan)
        self.items = evaluation_items(plan)

    def run(self, point: int, learner: Learner | None = None, step: int = 0) -> Evaluated:
        """Evaluate the weights after ``step`` steps; ``point`` numbers the place on the learning curve.

        A ``learner`` that has a prompt of its own, or chooses among replies, does so.
        """
        questions = [
            Question(EVALUATION, 0.0, 1),
            Question(EVALUATION, SAMPLED_TEMPERATURE, self._plan.evaluation.replies),
        ]
        greedy, sampled = (self._player.answer(self._meter, one, self.items, learner, step) for one in questions)
        if isinstance(learner, Chooser):
            greedy, sampled = learner.choose(greedy, sampled)
        lines = evaluation_lines(point, "greedy", greedy) + evaluation_lines(point, "sampled", sampled)
        return Evaluated(score_of(0.0, greedy), score_of(SAMPLED_TEMPERATURE, sampled), lines)


def evaluation_items(plan: Plan) -> list[Item]:
    """Return the first different items of the evaluation split: fewer where the split holds fewer.

    Raises:
        BadValue: the split is empty.
    """
    split = plan.evaluation.split
    found = first_items(plan.task, split, plan.evaluation.items)
    if not found:
        raise BadValue(
            f"task {plan.task.id!r} has no items in split {split!r}; choose another with --set eval.split=..."
        )
    return found


def first_items(task: Task, split: str, wanted: int) -> list[Item]:
    """Return the first different items of a split, at most ``wanted``.

    A problem that comes twice would count as two in an error over items, which it is not.
    """
    available = task.n_items(split)
    found: dict[str, Item] = {}
    for index in range(MOST_DRAWS * wanted if available is None else available):
        item = task.item(split, index)
        found.setdefault(problem_of(item), item)
        if len(found) == wanted:
            break
    return list(found.values())


def problem_of(item: Item) -> str:
    """Return what is the same for two items that ask the same and want the same."""
    return sha256_json([item.prompt, item.truth])


def evaluate(
    task: str, model: str = "embedded-v0", seed: int = 0, items: int | None = None, **settings: Any
) -> Evaluated:
    """Evaluate a model on a task.

    Args:
        task: id, ``module:name`` or file.
        model: ``embedded-v0``, a folder or a hub id.
        seed: of the random numbers at temperature 1.
        items: how many; None: 200.
        settings: other fields of `eggym.config.RunConfig`, such as ``data``, ``device`` or ``set``.
    """
    refuse_unknown_fields(RunConfig, settings)
    if items is not None:
        settings["set"] = {"eval.items": items, **settings.get("set", {})}
    plan = resolve(RunConfig(task, "frozen", model, seed, **settings))
    meter = Meter(FlopModel.of(plan.policy.model))
    with meter.watch(plan.policy.model):
        return Evaluator(plan, meter).run(0)


def _parts(batch: EpisodeBatch) -> dict[str, float]:
    """Return the mean of each part of the verdicts, over the replies that have it and could be judged."""
    found: dict[str, list[float]] = {}
    for episode in batch.episodes:
        for name, value in episode.verdict.parts.items() if episode.reward is not None else ():
            found.setdefault(name, []).append(value)
    return {name: math.fsum(values) / len(values) for name, values in sorted(found.items())}


def score_of(temperature: float, batch: EpisodeBatch) -> Score:
    """Return what the episodes of one evaluation add up to; with several replies to an item, pass@k too."""
    by_item: list[list[float | None]] = [[] for _ in range(batch.n_items)]
    states: dict[str, int] = {}
    for episode in batch.episodes:
        by_item[episode.slot].append(episode.reward)
        states[episode.verdict.state.value] = states.get(episode.verdict.state.value, 0) + 1
    known = [[reward for reward in rewards if reward is not None] for rewards in by_item]
    mean, error = clustered_mean(by_item)
    return Score(
        temperature=temperature,
        mean=mean,
        se=error,
        n_items=batch.n_items,
        n_replies=len(batch.episodes),
        states=states,
        parts=_parts(batch),
        rewards=[sum(rewards) / len(rewards) if rewards else None for rewards in known],
        pass_at=passes(batch) if batch.n_replies > 1 else {},
        distinct=distinct(batch) if batch.n_replies > 1 else None,
    )
