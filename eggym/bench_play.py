"""The parts of `eggym bench engine` that play episodes of a task: a generation end to end, and refill.

The arms of the generation play the same replies, token by token: what the population says at its first step is written
down, and whoever draws later says it again. Otherwise longer replies in one arm would look like slowness.

Axes in names: _R rows of the batch, _D replies, _L tokens of a reply, _V vocabulary.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from eggym.bench_arms import SIGMA, FixedRows, learner, nobody, random_policy
from eggym.bench_parts import CLOCKS, TWICE, Figures, Protocol, plain
from eggym.budget import FlopModel, Meter
from eggym.engine import Engine
from eggym.episode import EpisodeBatch, Segment
from eggym.files import sha256_json
from eggym.policy import EMBEDDED, Policy, Prompting, load_policy
from eggym.registry import load_task
from eggym.rollout import Rollout
from eggym.sampling import Draw
from eggym.timing import Arm
from eggym.views import Views

GENERATION_CLAIM = 0.85  # of pure inference, end to end
GENERATION_TASK = "tiny-arithmetic"
GENERATION_SIGMA = 4 * SIGMA  # at which the embedded model learns
SKEW_MEAN, SKEW_MOST = 32, 256  # tokens of a reply: exponential lengths, cut off


def generation_part(n_members: int, n_items: int, compiled: bool, protocol: Protocol) -> Figures:
    """Measure ask, rollout with scoring, and tell on a task of the embedded model, against the rollout alone."""
    policy = load_policy(EMBEDDED[0], "cpu", "float32")
    own = {name: weight.data.clone() for name, weight in policy.model.named_parameters()}
    said: dict[str, str] = {}

    def note(name: str) -> Any:
        return lambda batch: said.setdefault(name, sha256_json(_replies(batch)))

    @contextmanager
    def fresh() -> Iterator[Any]:
        try:
            yield learner(policy, n_members, n_items, sigma=GENERATION_SIGMA, coupling="independent")
        finally:
            for name, weight in policy.model.named_parameters():
                weight.data.copy_(own[name])

    with fresh() as es:
        views = es.ask(0)
    stage = _Stage.of(policy, views, compiled)

    def off(es: Any) -> EpisodeBatch:
        return stage.play(nobody(like=views))

    def on(es: Any) -> EpisodeBatch:
        batch = stage.play(es.ask(0))
        es.tell(batch)
        return batch

    arms = [Arm(name, fresh, off, note(name)) for name in TWICE] + [Arm("generation", fresh, on, note("generation"))]
    timing = protocol.time(arms)
    return {
        "arms": timing.as_dict(),
        "ratios": [plain(timing.ratio("generation", "pure", TWICE, GENERATION_CLAIM, clock)) for clock in CLOCKS],
        "tokens": {"pure says what the population does": said["pure"] == said["generation"]},
        "replies": len(stage.script.keys_D),
        "action_tokens": stage.script.n_tokens,
    }


@dataclass(frozen=True, slots=True)
class Script(Draw):
    """Draws, and then says what is written; a row finds its reply by the key of its random numbers."""

    keys_D: Tensor  # int64, ascending
    tokens_D_L: Tensor  # int64, filled up with zeros
    n_tokens: int  # of all replies

    def tokens(
        self, logits_R_V: Tensor, keys_R: Tensor, positions_R: Tensor, uniforms_R: Tensor | None = None
    ) -> Tensor:
        """Return the written tokens, int64 (R,); the draw is made too, for it is part of the work."""
        Draw.tokens(self, logits_R_V, keys_R, positions_R, uniforms_R)
        return self.tokens_D_L[torch.searchsorted(self.keys_D, keys_R), positions_R]


@dataclass(frozen=True, slots=True)
class _Stage:
    """A task on which episodes are played by a script."""

    rollout: Rollout
    script: Script

    @classmethod
    def of(cls, policy: Policy, views: Views, compiled: bool) -> "_Stage":
        """Write the script: what these views say."""
        task = load_task(GENERATION_TASK)
        engine = Engine(policy, Meter(FlopModel.of(policy.model)), compiled=compiled)
        rollout = Rollout(engine, task, Prompting.of(task, {}), 0)
        batch = rollout.run(views, [task.item("train", number) for number in range(views.n_items)], 0)
        by_key = sorted(
            (rollout.key(views, (one.member, one.slot, one.sample), 0, 0), reply)
            for one, reply in zip(batch.episodes, _replies(batch), strict=True)
        )
        replies = [reply for _, reply in by_key]
        tokens_D_L = torch.zeros(len(replies), max(map(len, replies)) + 1, dtype=torch.int64)
        for place, reply in enumerate(replies):
            tokens_D_L[place, : len(reply)] = torch.tensor(reply)
        keys_D = torch.tensor([key for key, _ in by_key])
        script = Script(views.temperature, False, keys_D, tokens_D_L, sum(map(len, replies)))
        return cls(dataclasses.replace(rollout, draw=lambda temperature, shared: script), script)

    def play(self, views: Views) -> EpisodeBatch:
        """Play the script with these views laid over the model."""
        model, task = self.rollout.engine.policy.model, self.rollout.task
        with self.rollout.engine.meter.watch(model):
            return self.rollout.run(views, [task.item("train", number) for number in range(views.n_items)], 0)


def _replies(batch: EpisodeBatch) -> list[list[int]]:
    """Return the sampled tokens of every episode, which has one turn."""
    return [_sampled(one.segments[0]) for one in batch.episodes]


def _sampled(segment: Segment) -> list[int]:
    return [token for token, sampled in zip(segment.ids, segment.actions, strict=True) if sampled]


def refill_part(n_rows: int, n_requests: int) -> Figures:
    """Count decoded rows over replies of exponential lengths: a random model in which some tokens end a reply."""
    policy = Skewed.of(random_policy(64, 1, 100))
    meter = Meter(FlopModel.of(policy.model))
    engine = FixedRows(policy, meter)
    engine.n_rows = n_rows
    n_members = max(2, n_rows // 8 * 2)  # four rows each
    n_items = n_requests // n_members
    task = load_task(GENERATION_TASK)
    prompting = Prompting.of(task, {"max_new_tokens": SKEW_MOST, "stop": ()})
    items = [task.item("train", number) for number in range(n_items)]
    # Drawn at random and each row by itself: greedy members would all go on to the limit, or all end alike.
    views = learner(policy, n_members, n_items, temperature=1.0, coupling="independent").ask(0)
    batch = Rollout(engine, task, prompting, 0).run(views, items, 0)
    n_all, n_useful = meter.row_steps
    lengths = [episode.n_action_tokens for episode in batch.episodes]
    useful = sum(lengths) - len(lengths)  # the first token of a reply comes from the prompt's logits
    locked = sum(
        len(lengths[start : start + n_rows]) * (max(lengths[start : start + n_rows]) - 1)
        for start in range(0, len(lengths), n_rows)
    )
    return {
        "rows": n_rows,
        "requests": len(lengths),
        "mean_length": sum(lengths) / len(lengths),
        "longest": max(lengths),
        "row_steps": n_all,
        "useful_share": n_useful / n_all,
        "lock_step_share": useful / locked,
    }


class Skewed(Policy):
    """A policy in which one token in `SKEW_MEAN` ends the reply."""

    @classmethod
    def of(cls, policy: Policy) -> "Skewed":
        """Make all predictions of a random model alike, so that lengths are nearly exponential."""
        for weight in policy.model.parameters():
            weight.data.mul_(0.1)
        return cls(policy.model, policy.tokenizer, "skewed")

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """The first tokens of the vocabulary."""
        return tuple(range(round(self.model.config.vocab_size / SKEW_MEAN)))
