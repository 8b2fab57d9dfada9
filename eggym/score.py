"""The parts of a record that hold numbers: what was spent, what was scored, and what else changed.

Fields with a default were added later: records that were written before lack them, and stay readable.
"""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from eggym.files import sha256_json
from eggym.stats import clustered_mean

Mode = Literal["greedy", "sampled"]
Count = Annotated[int, Field(ge=0)]


def same(told: float | None, found: float | None) -> bool:
    """Return whether two numbers agree to within rounding; None is none."""
    if told is None or found is None:
        return told is found
    return math.isclose(told, found, rel_tol=1e-9, abs_tol=1e-12)


class Strict(BaseModel):
    """No coercion, no unknown keys, no change after the fact, no NaN."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, validate_by_name=True, validate_by_alias=True
    )


class Spent(Strict):
    """What was used up, on every axis at once."""

    episodes: Count
    prompt_tokens: Count  # given to the policy at the start of an episode
    action_tokens: Count  # sampled by the policy
    env_tokens: Count  # later observations of the environment
    rollout_flops: Count  # by the budget formula: every position once
    learner_flops: Count  # by the hooks on the policy
    backward_flops: Count = 0  # of these, what backward passes took
    flops: Count  # rollout_flops + learner_flops: the budget axis
    computed_flops: Count  # really computed: with pads, refill waste, low-rank terms and the update
    reward_calls: Count

    @property
    def tokens(self) -> int:
        """All tokens of all episodes: prompts, replies and observations."""
        return self.prompt_tokens + self.action_tokens + self.env_tokens

    @model_validator(mode="after")
    def _sum(self) -> Self:
        if self.flops != self.rollout_flops + self.learner_flops:
            raise ValueError(f"flops is {self.flops}, not rollout_flops + learner_flops")
        return self


class Score(Strict):
    """One evaluation of one policy on one fixed list of items."""

    temperature: Annotated[float, Field(ge=0)]
    mean: float | None  # over the items that could be judged
    se: Annotated[float, Field(ge=0)] | None  # standard error of the mean, clustered by item
    n_items: Count
    n_replies: Count  # over all items
    states: dict[str, Count]  # how many replies ended in which verdict state
    parts: dict[str, float] = {}  # mean of each named part of the verdicts; "true" is that of a proxy
    rewards: list[float | None]  # mean reward per item, in the order of the items; None: no reply could be judged
    pass_at: dict[str, float] = {}  # k -> unbiased pass@k, mean over items; where it was asked for
    distinct: float | None = None  # mean over items of distinct answers / replies; None: one reply to an item

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if len(self.rewards) != self.n_items:
            raise ValueError(f"n_items is {self.n_items}, but there are {len(self.rewards)} rewards")
        if sum(self.states.values()) != self.n_replies:
            raise ValueError(f"n_replies is {self.n_replies}, but the states count {sum(self.states.values())}")
        return self

    @model_validator(mode="after")
    def _follows(self) -> Self:
        mean, error = clustered_mean(self.rewards)
        for name, told, found in (("mean", self.mean, mean), ("se", self.se, error)):
            if not same(told, found):
                raise ValueError(f"{name} is {told}, but the rewards give {found}")
        return self


class Point(Strict):
    """One point of the learning curve."""

    step: Count  # updates made before it; 0 is the start
    fraction: Annotated[float, Field(ge=0)]  # share of the budget spent; the last update may end above 1
    spent: Spent  # training only
    greedy: Score
    sampled: Score
    validation: Score | None = None  # greedy, on the validation split: what the rule "best" chooses by
    kl_base: Annotated[float, Field(ge=0)] | None = None  # KL(start || now) per reply token, on held-out prompts


class Change(Strict):
    """The same evaluation before and after training."""

    start: Score
    end: Score


class Beyond(Strict):
    """What a run changed beside its reward on held-out items."""

    weight_change: dict[str, float]  # norm of change / norm of start, by layer; "all": over all that may change
    kl_base: Annotated[float, Field(ge=0)] | None = None  # at the end
    train: Change | None = None  # greedy, on items of the training stream: against held-out ones, the gap
    many: Change | None = None  # several replies to an item at temperature 1: pass@k and how many answers differ
    retention: dict[str, Change] = {}  # greedy, by task: what was forgotten, or gained, elsewhere


class Trial(Strict):
    """One setting that was tried before the runs."""

    options: dict[str, Any]  # what was set, by name of the option
    score: float | None  # mean primary reward on the validation split at the end; None: diverged, or nothing was judged
    run: str  # id of its record, or the reason why there is none
    flops: Count  # of its training


class Tuning(Strict):
    """How the options of a run were chosen: as many trials for every learner."""

    task: str  # label of the task that was tuned on
    split: str  # that decided
    budget: str | None = None  # of each trial
    items: Count | None = None  # that judged a trial; None: made before this was kept
    space: dict[str, list[Any]]  # option -> the values that were declared
    trials: list[Trial]
    chosen: Count  # place among the trials

    @model_validator(mode="after")
    def _among(self) -> Self:
        if self.chosen >= len(self.trials):
            raise ValueError(f"chosen is {self.chosen}, but there are {len(self.trials)} trials")
        return self

    @property
    def flops(self) -> int:
        """What all trials took."""
        return sum(trial.flops for trial in self.trials)

    def brief(self) -> dict[str, Any]:
        """Return what identifies it, as plain values: the main facts, and a hash of the whole."""
        facts = {"task": self.task, "split": self.split, "budget": self.budget, "trials": len(self.trials)}
        whole = self.model_dump()
        if self.items is None:
            del whole["items"]  # or the hash in an older record would no longer be its own
        else:
            facts["items"] = self.items
        return {**facts, "chosen": self.chosen, "sha256": sha256_json(whole)}
