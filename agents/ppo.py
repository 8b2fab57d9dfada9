"""Proximal policy optimisation with a value head on the policy's own trunk (Schulman et al. 2017, arXiv 1707.06347).

A step: values of all episodes; generalised advantages over action tokens, which skip what the environment said; then
epochs over minibatches of episodes, with the clipped objective of `eggym.agents.objective` and a clipped value loss.
The reward of a turn comes with its last token. A reply that could not be judged is left out.

Deviations from the common implementations: one model holds policy and critic; the value head has an optimizer and a
gradient clip of its own; no KL in the reward; ``target_kl`` is looked at before every optimizer step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from eggym.episode import EpisodeBatch
from eggym.policy import Policy
from eggym.start_model import StartModel
from eggym.views import ParameterSpace, PolicyViews

from .batch import Floats, Outcome, Sample, Tally, batch_objective, mean, minibatches
from .checkpointing import checkpointing
from .critic import Critic, explained_variance, gae, token_rewards
from .descent import Descent
from .options import PpoOptions
from .scoring import start_logprobs
from .traces import Trace, groups, returns_P_G

_EPS = 1e-8  # beside the standard deviation of the advantages


class Ppo:
    """The learner."""

    def __init__(self, policy: Policy, space: ParameterSpace, seed: int, options: PpoOptions) -> None:
        """Prepare for one run; ``seed`` is of the order of episodes in minibatches."""
        self._policy, self._seed, self._options = policy, seed, options
        self._descent = Descent(policy, space, options)
        self._critic = Critic(policy, options)
        self._start = StartModel(policy.model, space.select(policy.model)) if options.kl_loss > 0 else None
        self._n_steps = 0

    def ask(self, step: int) -> PolicyViews:
        """Return the policy itself."""
        return PolicyViews(self._options.items, self._options.replies, self._options.temperature)

    def tell(self, batch: EpisodeBatch) -> Mapping[str, float]:
        """Update policy and critic.

        Metrics beside those of `PolicyGradient`: explained_variance (of the values that the advantages were made from),
        value_loss, and updates (optimizer steps, fewer than planned after an early stop).
        """
        options = self._options
        found = groups(batch, options.truncated, options.penalty, options.length, options.overlong)
        returns = returns_P_G(found)
        traces = [one for group in found for one in group]
        traces = [one for one in traces if one.known and not (one.truncated and options.truncated == "drop")]
        samples = self._samples(traces)
        differ = [bool(np.nanmin(row) < np.nanmax(row)) for row in returns if np.isfinite(row).any()]
        metrics = self._update(samples, batch.step)
        self._n_steps += 1
        return {"informative": mean(differ), **metrics}

    def state_dict(self) -> dict[str, Any]:
        """Return masters, value head, both optimizers' states, and the number of steps."""
        return {**self._descent.state_dict(), "critic": self._critic.state_dict(), "n_steps": self._n_steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self._descent.load_state_dict(state)
        self._critic.load_state_dict(state["critic"])
        self._n_steps = state["n_steps"]

    def _samples(self, traces: Sequence[Trace]) -> list[Sample]:
        options = self._options
        if not traces:
            return []
        values, last = self._critic.observe(self._policy, traces)
        references = start_logprobs(
            self._policy, self._start, [one.segments for one in traces], options.temperature, options.tokens_per_pass
        )
        samples = []
        for one, values_T, end, reference_T in zip(traces, values, last, references, strict=True):
            bootstrap = end if one.truncated and options.bootstrap else 0.0
            advantages_T = gae(token_rewards(one), values_T, bootstrap, options.gamma, options.gae_lambda)
            samples.append(Sample(one.segments, advantages_T, reference_T, values_T, advantages_T + values_T))
        return whitened(samples) if options.whiten else samples

    def _update(self, samples: Sequence[Sample], step: int) -> dict[str, float]:
        options, tally = self._options, Tally()
        objectives, norms, losses, drift = [], [], [], 0.0
        parts = minibatches(len(samples), options.epochs, options.minibatches, self._seed, step)
        for number, chosen in enumerate(parts):
            found = self._objective([samples[index] for index in chosen])
            drift = found.tally.max_dlogp if number == 0 else drift
            tally.add(found.tally)
            if options.target_kl and found.tally.means().get("kl_old", 0.0) > options.target_kl:
                self._critic.forget()
                break
            objectives.append(found.objective)
            losses.append(self._critic.loss)
            self._critic.step()
            if found.gradients:
                norms.append(self._descent.step(found.gradients))
        metrics = {"objective": mean(objectives), "grad_norm": mean(norms), "max_dlogp": drift, **tally.means()}
        if self._start is not None and tally.n_tokens:
            metrics["kl_start"] = tally.kl_start / tally.n_tokens
        told = {"value_loss": mean(losses), "explained_variance": _explained(samples), "updates": float(len(losses))}
        return metrics | told

    def _objective(self, samples: Sequence[Sample]) -> Outcome:
        """Return the objective of a minibatch; while the critic warms up, nothing flows into the policy."""
        warming = self._n_steps < self._options.critic_warmup
        parameters = {} if warming else self._descent.parameters
        with checkpointing(self._policy.model, self._options.gradient_checkpointing and not warming):
            found = batch_objective(self._policy, parameters, samples, self._options, self._critic.term)
        self._critic.join()
        return found


def whitened(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples with advantages of mean 0 and standard deviation 1 over all their tokens; 0 if all agree."""
    every = np.concatenate([one.advantages_T for one in samples])
    if not len(every) or every.min() == every.max():
        return [replace(one, advantages_T=np.zeros(one.n_tokens)) for one in samples]
    centre, spread = float(every.mean()), float(every.std()) + _EPS
    return [replace(one, advantages_T=(one.advantages_T - centre) / spread) for one in samples]


def _explained(samples: Sequence[Sample]) -> float:
    values: list[Floats] = [one.values_T for one in samples if one.values_T is not None]
    returns: list[Floats] = [one.returns_T for one in samples if one.returns_T is not None]
    return explained_variance(np.concatenate([*values, np.zeros(0)]), np.concatenate([*returns, np.zeros(0)]))
