"""The checkpoint rule: which weights of a run count, those of the last point or of the one that was best on validation.

With ``eval.checkpoint=best`` every point is also evaluated greedily on the validation split, whose items are no items
of the evaluation, and the weights of the first best point are kept. Choosing by the evaluation itself would flatter
whoever varies most.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from eggym.budget import Meter
from eggym.checkpoint import copy_into
from eggym.config import Plan
from eggym.errors import BadValue
from eggym.evaluate import first_items, score_of
from eggym.held_out import VALIDATION, Alone, Player, Question
from eggym.learner import Chooser, Learner, Prompter
from eggym.score import Score
from eggym.splits import check_split
from eggym.task import Item

SPLIT = VALIDATION


def validation_items(plan: Plan) -> list[Item]:
    """Return the items that the rule "best" chooses by; none under the rule "last".

    Raises:
        BadValue: the task has none, or the run trains or is evaluated on them.
    """
    if plan.evaluation.checkpoint == "last":
        return []
    for what, split in (("evaluated", plan.evaluation.split), ("trained", plan.config.split)):
        if check_split(split) == SPLIT:
            raise BadValue(
                f"eval.checkpoint=best chooses on the split {SPLIT!r}, on which this run is {what}; use another split "
                "for that, or --set eval.checkpoint=last"
            )
    found = first_items(plan.task, SPLIT, plan.evaluation.validation_items)
    if not found:
        raise BadValue(
            f"eval.checkpoint=best chooses on the split {SPLIT!r}, of which task {plan.task.id!r} has no items; "
            "use --set eval.checkpoint=last"
        )
    return found


class Choice:
    """Follows one run."""

    def __init__(
        self, plan: Plan, meter: Meter, parameters: Mapping[str, nn.Parameter], player: Player | None = None
    ) -> None:
        """Draw the items; ``meter`` counts evaluation; ``parameters`` are what the run may change."""
        self._meter, self._player = meter, player or Alone(plan)
        self._parameters = {name: weight.data for name, weight in parameters.items()}
        self._items = validation_items(plan)
        self._best: float | None = None  # None: no point could be judged so far
        self._weights: dict[str, Tensor] = {}
        self.step: int | None = None  # of the point that counts; None: the last one does

    def look(self, step: int, learner: Learner | None = None) -> Score | None:
        """Evaluate the present weights and keep them if they are the best so far; None under the rule "last".

        Of a ``learner`` that changes no weight but its prompt, or its choice among replies, the last point counts.
        """
        if not self._items or isinstance(learner, Prompter | Chooser):
            return None
        batch = self._player.answer(self._meter, Question(VALIDATION, 0.0, 1), self._items, learner, step)
        score = score_of(0.0, batch)
        better = score.mean is not None and (self._best is None or score.mean > self._best)
        if self.step is None or better:
            self.step, self._best = step, score.mean
            self._weights = {name: weight.to("cpu", copy=True) for name, weight in self._parameters.items()}
        return score

    def take(self) -> None:
        """Put the weights that count into the model."""
        copy_into(self._parameters, self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Return everything, for a checkpoint."""
        return {"step": self.step, "best": self._best, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.step, self._best, self._weights = state["step"], state["best"], dict(state["weights"])
