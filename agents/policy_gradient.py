"""Critic-free policy gradients on the engine that evolution strategies use: GRPO and its relatives.

A step: episodes in groups; advantages over the group; a token objective and a reduction; AdamW on float32 masters. What
the relatives differ in are settings (`eggym.agents.presets`). With one epoch and one minibatch the update is on-policy:
the ratio is 1 but for rounding between decoding and scoring (``max_dlogp``), and the clip is inert.

Under ``dynamic``, groups that teach nothing are dropped and as many items asked again, until there are ``items`` groups
or the refills are used up; the policy does not change in between (DAPO, section 3.2). The groups that wait are part of
the state. Deviation: a refill asks for what is missing, not for a whole batch of which some is thrown away.

Not here: truncated sampling (the engine has no top-k and no top-p), episodes of an older policy.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from eggym.episode import EpisodeBatch
from eggym.policy import Policy
from eggym.start_model import StartModel
from eggym.views import ParameterSpace, PolicyViews

from .advantages import advantages, returns_to_go, turn_advantages
from .batch import Floats, Sample, Tally, batch_objective, mean, minibatches
from .checkpointing import checkpointing
from .descent import Descent
from .options import PolicyGradientOptions
from .scoring import start_logprobs
from .traces import Group, Trace, groups, informative, pack, returns_P_G, unpack


class PolicyGradient:
    """The learner."""

    def __init__(self, policy: Policy, space: ParameterSpace, seed: int, options: PolicyGradientOptions) -> None:
        """Prepare for one run; ``seed`` is of the order of episodes in minibatches: the engine keys the sampling."""
        self._policy, self._seed, self._options = policy, seed, options
        self._descent = Descent(policy, space, options)
        self._start = StartModel(policy.model, space.select(policy.model)) if options.kl_loss > 0 else None
        self._held: list[Group] = []  # informative groups that wait for more
        self._refills = 0

    @property
    def n_held(self) -> int:
        """Episodes of the groups that wait."""
        return len(self._held) * self._options.replies

    def ask(self, step: int) -> PolicyViews:
        """Return the policy itself, for as many items as are missing."""
        return PolicyViews(self._options.items - len(self._held), self._options.replies, self._options.temperature)

    def tell(self, batch: EpisodeBatch) -> Mapping[str, float]:
        """Update, or under ``dynamic`` perhaps only keep what is informative.

        Metrics: informative share of the groups, objective, grad_norm (before clipping), max_dlogp (of sampling to
        scoring), and over tokens clip_fraction, entropy, kl_old (k3 of the old policy to the new), kl_start.
        """
        options = self._options
        found = groups(batch, options.truncated, options.penalty, options.length, options.overlong)
        metrics = {"informative": float(np.mean([informative(group, self._earned) for group in found]))}
        if options.dynamic:
            self._held += [group for group in found if informative(group, self._earned)]
            if len(self._held) < options.items and self._refills < options.refills:
                self._refills += 1
                return metrics | {"held": float(len(self._held)), "updated": 0.0}
            found, self._held, self._refills = self._held, [], 0
            metrics |= {"held": 0.0, "updated": float(bool(found))}
        return metrics | self._update(self._samples(found), batch.step)

    def state_dict(self) -> dict[str, Any]:
        """Return masters, optimizer state, and the groups that wait."""
        return {**self._descent.state_dict(), "held": pack(self._held), "refills": self._refills}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self._descent.load_state_dict(state)
        self._held, self._refills = unpack(state["held"]), state["refills"]

    def _earned(self, one: Trace) -> Hashable:
        """Return that in which the replies of a group have to differ, or all of their advantages are 0."""
        options = self._options
        if options.credit == "episode":
            return np.float32(one.reward)
        if options.advantage == "zscore":  # whose spread is that of whole returns, however the turns differ
            return float(returns_to_go(one.turn_rewards, options.gamma)[0])
        n_earning = max((k for k, reward in enumerate(one.turn_rewards, start=1) if reward), default=0)
        return one.turn_rewards[:n_earning]  # turns without a reward behind the last one with it are no difference

    def _samples(self, found: Sequence[Group]) -> list[Sample]:
        """Return the episodes of the loss with the advantages of their tokens."""
        options = self._options
        if not found:
            return []
        kept = [
            (one, advantages_T)
            for one, advantages_T in zip(
                [one for group in found for one in group], self._advantages(found), strict=True
            )
            if not (one.truncated and options.truncated == "drop")
        ]
        references = start_logprobs(
            self._policy, self._start, [one.segments for one, _ in kept], options.temperature, options.tokens_per_pass
        )
        return [
            Sample(one.segments, advantages_T, reference_T)
            for (one, advantages_T), reference_T in zip(kept, references, strict=True)
        ]

    def _advantages(self, found: Sequence[Group]) -> list[Floats]:
        options = self._options
        if options.credit == "episode":
            each = advantages(returns_P_G(found), options.advantage).flatten()
            traces = [one for group in found for one in group]
            return [np.full(one.n_tokens, advantage) for one, advantage in zip(traces, each, strict=True)]
        rewards_P_G_K = [[one.turn_rewards for one in group] for group in found]
        of_turns = turn_advantages(rewards_P_G_K, options.advantage, options.gamma)
        return [
            np.repeat(advantages_K, one.turn_tokens)
            for group, found_G in zip(found, of_turns, strict=True)
            for one, advantages_K in zip(group, found_G, strict=True)
        ]

    def _update(self, samples: Sequence[Sample], step: int) -> dict[str, float]:
        options, tally = self._options, Tally()
        objectives, norms, drift = [], [], 0.0
        for number, chosen in enumerate(
            minibatches(len(samples), options.epochs, options.minibatches, self._seed, step)
        ):
            with checkpointing(self._policy.model, options.gradient_checkpointing):
                found = batch_objective(self._policy, self._descent.parameters, [samples[i] for i in chosen], options)
            if found.gradients:
                norms.append(self._descent.step(found.gradients))
            objectives.append(found.objective)
            drift = found.tally.max_dlogp if number == 0 else drift
            tally.add(found.tally)
        metrics = {"objective": mean(objectives), "grad_norm": mean(norms), "max_dlogp": drift, **tally.means()}
        if self._start is not None and tally.n_tokens:
            metrics["kl_start"] = tally.kl_start / tally.n_tokens
        return metrics
