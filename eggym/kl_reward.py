"""KL in the reward: the one form of staying near the start that evolution strategies and RL can share.

A learner is told reward - beta sum_t (log pi(a_t) - log pi_start(a_t)) over the action tokens of an episode: k1, whose
expectation under pi is the KL of the sampled distributions (RLOO, arXiv 2402.14740, section 2; J. Schulman,
"Approximating KL Divergence", 2020). Both are log-probabilities at the temperature of sampling: pi's were kept when
the token was drawn, by the member that drew it; the start's take one more pass, which the hooks of the meter count as
the learner's. One episode is single, so k1 may be negative.

Verdicts stay as they were. What a learner is told is what ``fitness.bin`` holds, so that an ES run can be replayed.
Left out: greedy replies, which have no log-probabilities (refused), those of an oracle, which nobody sampled, and those
of learners that never leave the start (`eggym.asking.UNTRAINED`), where it is 0 and no pass is spent on it.
"""

import math

import numpy as np
from numpy.typing import NDArray

from eggym.asking import UNTRAINED, OracleViews
from eggym.config import Plan
from eggym.drift import passes, reply_logits
from eggym.episode import Episode, EpisodeBatch, Segment
from eggym.errors import BadValue
from eggym.policy import Policy
from eggym.sampling import Draw
from eggym.shares import spread
from eggym.start_model import StartModel
from eggym.views import Views

KL_REWARD, TOLD_REWARD = "kl_reward", "told_reward"  # their names among the metrics of a step


class KlReward:
    """The penalty of one run."""

    def __init__(self, plan: Plan) -> None:
        """Keep the start; the policy must hold its start weights."""
        self._policy, self._name, self.beta = plan.policy, plan.spec.name, plan.reward.kl
        self._start = StartModel(plan.policy.model, plan.space.select(plan.policy.model))

    def apply(self, views: Views, batch: EpisodeBatch) -> dict[str, float]:
        """Set each episode's penalty, and take it off its last turn; return the means over the judged episodes.

        kl_reward: nats of an episode, before beta; told_reward: what the learner is told. Where it does not
        apply: nothing.

        Raises:
            BadValue: the replies are greedy.
        """
        if not applies(views):
            return {}
        refuse_greedy(self._name, views)
        apart = log_ratios(self._policy, self._start, batch.episodes, views.temperature)
        for episode, nats in zip(batch.episodes, apart, strict=True):
            episode.penalty = self.beta * nats
            episode.turns[-1].reward -= episode.penalty
        known = [(nats, one.told) for nats, one in zip(apart, batch.episodes, strict=True) if one.told is not None]
        if not known:
            return {KL_REWARD: 0.0}
        means = [math.fsum(values) / len(known) for values in zip(*known, strict=True)]
        return {KL_REWARD: means[0], TOLD_REWARD: means[1]}


def applies(views: Views) -> bool:
    """Say whether replies of these views are sampled from weights that may have moved."""
    return not isinstance(views, (OracleViews, *UNTRAINED))


def refuse_greedy(learner: str, views: Views) -> None:
    """Refuse members without log-probabilities.

    Raises:
        BadValue: naming the setting that would give them some.
    """
    if views.temperature == 0:
        bare = learner.removeprefix("random-reward:")
        raise BadValue(
            f"reward.kl needs log-probabilities, and {learner} asks for greedy replies, which have none; sample them "
            f"with --set {bare}.temperature=1"
        )


def log_ratios(policy: Policy, start: StartModel, episodes: list[Episode], temperature: float) -> list[float]:
    """Return sum_t (log pi(a_t) - log pi_start(a_t)) of each episode, in nats, over all its segments."""
    found = spread(
        policy.ranks,
        len(episodes),
        lambda chosen: _log_ratios(policy, start, [episodes[place] for place in chosen], temperature),
    )
    return [float(one[0]) for one in found]


def _log_ratios(
    policy: Policy, start: StartModel, episodes: list[Episode], temperature: float
) -> list[NDArray[np.float64]]:
    placed = [(place, segment) for place, one in enumerate(episodes) for segment in one.segments]
    placed.sort(key=lambda pair: -len(pair[1].ids))  # stable: long ones are read with long ones
    told: list[list[float]] = [[] for _ in episodes]
    owners = iter(placed)
    for rows in passes(policy, [segment for _, segment in placed]):
        logits_M_V, tokens_M = reply_logits(policy, rows, start)
        then = iter(Draw(temperature, False).logprobs(logits_M_V, tokens_M).tolist())
        for segment in rows:
            place, _ = next(owners)
            told[place] += [now - next(then) for now in _drawn(segment)]
    return [np.array([math.fsum(values)]) for values in told]


def _drawn(segment: Segment) -> list[float]:
    return [logprob for logprob, action in zip(segment.logprobs, segment.actions, strict=True) if action]
