"""Supervised fine-tuning on the task's own best replies: what a gym could teach without any reward.

Objective: minus the mean of log pi(a_t | a_<t, prompt) over the action tokens of a batch, at temperature 1; end tokens
are actions. One AdamW step on float32 masters for each batch and epoch. The oracle sees the truth of training items,
which no other learner does. Replies that the scorer does not call correct are dropped and counted.
Left out: packing, warm-up and decay of the learning rate, and masks over parts of a reply.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from eggym.asking import OracleViews
from eggym.episode import EpisodeBatch, Segment
from eggym.errors import BadValue
from eggym.learner import MOST, LearnerSpec
from eggym.policy import Policy
from eggym.ranks import sum_numbers
from eggym.verdict import VerdictState
from eggym.views import ParameterSpace

from .descent import Descent
from .gradients import gradients, idle_pass, own_batches
from .scoring import action_logprobs


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of `Sft`."""

    items: int = 32  # replies in a batch
    lr: float = 1e-5
    epochs: int = 1  # optimizer steps on the same batch
    max_grad_norm: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.0
    tokens_per_pass: int = 16384  # rows x positions of one forward and backward pass

    @property
    def forwards(self) -> int:
        """Passes over a demonstration in one step: forward and backward in every epoch."""
        return 3 * self.epochs

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name in ("items", "epochs", "tokens_per_pass"):
            if getattr(self, name) < 1:
                raise BadValue(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.items > MOST:
            raise BadValue(f"items must be at most {MOST}, got {self.items}")
        if not self.lr > 0 or not self.max_grad_norm > 0:
            raise BadValue(f"lr and max_grad_norm must be above 0, got {self.lr} and {self.max_grad_norm}")
        if not 0 <= self.beta1 < 1 or not 0 <= self.beta2 < 1 or self.weight_decay < 0:
            raise BadValue("beta1 and beta2 must lie from 0 to below 1, weight_decay from 0")


class Sft:
    """The learner."""

    def __init__(self, policy: Policy, space: ParameterSpace, seed: int, options: Options) -> None:
        """Prepare for one run; ``seed`` is not used, for nothing is random here."""
        self._policy, self._options = policy, options
        self._descent = Descent(policy, space, options)

    def ask(self, step: int) -> OracleViews:
        """Return views that the oracle answers."""
        return OracleViews(self._options.items, 1)

    def tell(self, batch: EpisodeBatch) -> Mapping[str, float]:
        """Take ``epochs`` optimizer steps; metrics of the last.

        dropped: replies that are not correct; loss: nats per action token, before the step; grad_norm: before clipping.
        """
        kept = [one for one in batch.episodes if one.verdict.state is VerdictState.CORRECT]
        found = {"dropped": float(len(batch.episodes) - len(kept)), "loss": 0.0, "grad_norm": 0.0}
        segments = [segment for one in kept for segment in one.segments]
        for _ in range(self._options.epochs if segments else 0):
            found["loss"], gradients = self.gradient(segments)
            found["grad_norm"] = self._descent.step(gradients)
        return found

    def gradient(self, segments: list[Segment]) -> tuple[float, dict[str, Tensor]]:
        """Return the loss and its gradient by parameter; micro-batches change nothing but the last bits."""
        parameters = self._descent.parameters
        n_tokens = sum(sum(segment.actions) for segment in segments)
        loss, units = 0.0, [[segment] for segment in segments]
        with gradients(self._policy, parameters) as found:
            for indices in own_batches(units, self._options.tokens_per_pass, self._policy):
                if not indices:
                    idle_pass(self._policy, segments[0], hidden=False)
                    continue
                part = -action_logprobs(self._policy, [segments[index] for index in indices], 1.0).sum() / n_tokens
                part.backward()  # type: ignore[no-untyped-call]
                loss += float(part.detach())
        return sum_numbers(self._policy.ranks, [loss])[0], found

    def state_dict(self) -> dict[str, Any]:
        """Return masters and optimizer state."""
        return self._descent.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self._descent.load_state_dict(state)


SPEC = LearnerSpec(
    "sft",
    "baseline",
    Options,
    Sft,
    {"tiny": {"lr": 5e-4}, "pretrained": {}},
    {
        "tiny": {"lr": (2e-4, 5e-4, 1e-3, 2e-3), "items": (16, 32)},
        "pretrained": {"lr": (3e-6, 1e-5, 3e-5, 1e-4), "items": (16, 32)},
    },
    shares_passes=True,
    note="learns from the task's own best replies, which no other learner sees",
)
