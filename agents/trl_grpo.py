"""`trl-grpo`: TRL's own `GRPOTrainer` learns from the episodes of eggym's engine, for those who trust its loss alone.

Items, sampler, grader, budget and evaluation are those of every other learner; advantages, loss, backward pass,
gradient clipping and AdamW are TRL's. Its trainer runs in a thread that is awake during `tell` only: its
``rollout_func`` waits for a batch, and an optimizer step later it waits again. While it waits, the model is as the
engine needs it: in evaluation mode, without gradients, with its own forward pass and special tokens.

Source: TRL 1.16, ``GRPOTrainer``; GRPO, arXiv 2402.03300. What is equal to the learners of the house and what is not
stands in ``docs/trl.md``.
"""

import importlib.util
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from eggym.episode import Episode, EpisodeBatch
from eggym.errors import BadValue
from eggym.learner import MOST, LearnerSpec, check_temperature
from eggym.policy import Policy
from eggym.seeding import key
from eggym.views import ParameterSpace, PolicyViews

from .trl_trainer import REWARD, Worker

LOSSES = ("grpo", "bnpo", "dr_grpo", "dapo", "cispo")
_METRICS = {"loss": "loss", "grad_norm": "grad_norm", "entropy": "entropy"}  # ours -> as TRL logs it


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of `TrlGrpo`, as `trl.GRPOConfig` calls them where the house has no word of its own."""

    items: int = 32  # prompts per step
    replies: int = 8  # per prompt: num_generations
    lr: float = 1e-6  # constant
    temperature: float = 1.0
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo", "cispo"] = "dapo"
    scale_rewards: Literal["group", "batch", "none"] = "group"
    length: int = 1024  # max_completion_length: what dr_grpo divides by
    epsilon: float = 0.2
    epsilon_high: float = 0.2
    max_grad_norm: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 0.0
    episodes_per_pass: int = 0  # per_device_train_batch_size; 0: all of a step at once
    gradient_checkpointing: bool = False  # TRL's default is True; its second forward pass is in no count of FLOPs

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        if not 1 <= self.items <= MOST or not 2 <= self.replies <= MOST:
            raise BadValue(
                f"items must be at least 1, replies at least 2, and both at most {MOST}, "
                f"got {self.items} and {self.replies}"
            )
        if not 0 <= self.beta1 < 1 or not 0 <= self.beta2 < 1 or self.weight_decay < 0:
            raise BadValue("beta1 and beta2 must lie from 0 to below 1, weight_decay from 0")
        check_temperature(self.temperature)
        for name in ("lr", "length", "epsilon", "epsilon_high", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise BadValue(f"{name} must be above 0, got {getattr(self, name)}")
        if self.loss_type not in LOSSES or self.scale_rewards not in ("group", "batch", "none"):
            raise BadValue(
                f"loss_type is one of {', '.join(LOSSES)}, scale_rewards group, batch or none; "
                f"got {self.loss_type!r} and {self.scale_rewards!r}"
            )
        if self.episodes_per_pass < 0 or self.items * self.replies % (self.episodes_per_pass or 1):
            raise BadValue(
                f"episodes_per_pass must divide items x replies = {self.items * self.replies} (0: all), "
                f"got {self.episodes_per_pass}"
            )


class TrlGrpo:
    """The learner; nothing of TRL is loaded before the first `tell`."""

    def __init__(self, policy: Policy, space: ParameterSpace, seed: int, options: Options) -> None:
        """Prepare for one run; ``seed`` orders the episodes within a step.

        Raises:
            BadValue: TRL is not installed.
        """
        if importlib.util.find_spec("trl") is None:
            raise BadValue('the learner trl-grpo needs TRL, which is not installed: pip install "eggym[trl]"')
        self._policy, self._space, self._seed, self._options = policy, space, seed, options
        self._worker: Worker | None = None
        self._saved: Mapping[str, Any] = {}

    def ask(self, step: int) -> PolicyViews:
        """Return the policy itself."""
        return PolicyViews(self._options.items, self._options.replies, self._options.temperature)

    def tell(self, batch: EpisodeBatch) -> Mapping[str, float]:
        """Let TRL take one optimizer step; metrics: informative groups, loss, gradient norm, entropy.

        Raises:
            BadValue: an episode of several contexts, which TRL cannot hold.
        """
        fields = rollout_fields(batch.episodes)
        if self._worker is None:
            self._worker = Worker(self._policy, self._space, self._options, self._saved)
            weakref.finalize(self, self._worker.end)
        logged = self._worker.step(key(self._seed, "trl-grpo", batch.step), fields)
        metrics = {name: float(logged[theirs]) for name, theirs in _METRICS.items()}
        return {"informative": 1.0 - float(logged["frac_reward_zero_std"]), **metrics}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of TRL's optimizer; its schedule is constant and has none, the weights are the run's."""
        return dict(self._saved) if self._worker is None else {"optimizer": self._worker.optimizer_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state, with a trainer of its own."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None
        self._saved = dict(state)


def rollout_fields(episodes: list[Episode]) -> dict[str, list[Any]]:
    """Return what a ``rollout_func`` of TRL returns, an entry for each episode.

    The prompt ends before the first sampled token; ``env_mask`` is 1 for sampled tokens and 0 for what the environment
    said in between. A missing reward stays None: TRL leaves it out of its group's mean.

    Raises:
        BadValue: an episode of several contexts.
    """
    fields: dict[str, list[Any]] = {name: [] for name in ("prompt_ids", "completion_ids", "logprobs", "env_mask")}
    for episode in episodes:
        if len(episode.segments) != 1:
            raise BadValue(
                "TRL holds an episode as one prompt and one completion, and this task opens a fresh context at every "
                "turn; use the learner dr_grpo or grpo"
            )
        segment = episode.segments[0]
        first = segment.actions.index(True)
        fields["prompt_ids"].append(segment.ids[:first])
        fields["completion_ids"].append(segment.ids[first:])
        fields["logprobs"].append(segment.logprobs[first:])
        fields["env_mask"].append([int(action) for action in segment.actions[first:]])
    return {**fields, REWARD: [episode.reward for episode in episodes]}


_TINY = {"lr": 5e-4, "length": 32}
TRL_GRPO = LearnerSpec("trl-grpo", "rl", Options, TrlGrpo, {"tiny": _TINY, "pretrained": {}})
