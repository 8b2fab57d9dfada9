"""The gradient itself: over everything that can happen, the mean estimate is the gradient of the expected return.

The policy is a table of next tokens, small enough to go through all episodes and all groups of them.
"""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from eggym.agents.batch import Sample, batch_objective
from eggym.agents.options import PolicyGradientOptions, PpoOptions
from eggym.agents.policy_gradient import PolicyGradient
from eggym.agents.ppo import Ppo
from eggym.agents.traces import Trace
from eggym.episode import Segment
from eggym.ranks import ALONE

A, B, STOP, GO, X, Y, PROMPT, NEXT = range(8)


class Table(nn.Module):
    """Logits that depend on the last token alone; only some tokens may follow each."""

    def __init__(self, follows, seed=0):
        super().__init__()
        self.table = nn.Parameter(torch.randn(8, 8, generator=torch.Generator().manual_seed(seed)), requires_grad=False)
        self.head = nn.Embedding(8, 8)
        allowed = torch.full((8, 8), -torch.inf)
        for last, nexts in follows.items():
            allowed[last, nexts] = 0.0
        allowed[[last for last in range(8) if last not in follows]] = 0.0
        self.register_buffer("allowed", allowed)

    def forward(self, input_ids, attention_mask, position_ids, use_cache, logits_to_keep):
        return SimpleNamespace(logits=(self.table + self.allowed)[input_ids[:, -logits_to_keep:]])

    def get_output_embeddings(self):
        return self.head


class OnlyTheTable:
    """The parameter space: the table."""

    def select(self, model):
        return {"table": model.table}


def policy_of(model):
    return SimpleNamespace(model=model, pad_id=0, device=torch.device("cpu"), ranks=ALONE, shards=None)


def logprob(model, ids, actions):
    table = (model.table + model.allowed).log_softmax(-1)
    return sum(table[ids[place - 1], ids[place]] for place in range(1, len(ids)) if actions[place])


class World:
    """All episodes: ids, which of them are actions, rewards by turn, action tokens by turn."""

    def __init__(self, follows, episodes):
        self.model, self.episodes = Table(follows), episodes

    def probability(self, episode):
        ids, actions, _, _ = episode
        return logprob(self.model, ids, actions).exp()

    def exact(self):
        self.model.table.requires_grad_(True)
        expected = sum(self.probability(one) * sum(one[2]) for one in self.episodes)
        (gradient,) = torch.autograd.grad(expected, self.model.table)
        self.model.table.requires_grad_(False)
        return gradient

    def trace(self, episode, truncated=False):
        ids, actions, rewards, tokens = episode
        table = (self.model.table + self.model.allowed).log_softmax(-1)
        old = [table[ids[p - 1], ids[p]].item() if act else 0.0 for p, act in enumerate(actions)]
        return Trace((Segment(list(ids), list(actions), old),), sum(rewards), tuple(rewards), tuple(tokens), truncated)

    def mean_estimate(self, learner, update, size):
        """The gradient of the learner's objective, over all groups, weighted by their probability."""
        total = torch.zeros_like(self.model.table)
        for group in itertools.product(self.episodes, repeat=size):
            weight = torch.stack([self.probability(one) for one in group]).prod()
            found = update(learner, [self.trace(one) for one in group])
            if "table" in found.gradients:
                total -= weight * found.gradients["table"]
        return total


def update(learner, traces):
    samples = learner._samples([tuple(traces)] if isinstance(learner, PolicyGradient) else traces)
    return batch_objective(learner._policy, {"table": learner._policy.model.table}, samples, learner._options)


def learner_of(world, **options):
    return PolicyGradient(
        policy_of(world.model), OnlyTheTable(), 0, PolicyGradientOptions(items=1, replies=3, **options)
    )


def episode(*turns):
    """Turns of (what is read, what is answered, reward)."""
    ids, actions = [], []
    for read, reply, _ in turns:
        ids += [*read, *reply]
        actions += [False] * len(read) + [True] * len(reply)
    return ids, actions, tuple(reward for _, _, reward in turns), tuple(len(reply) for _, reply, _ in turns)


# One turn: A or B, then X or Y, or STOP at once; two lengths.
BANDIT = World(
    {PROMPT: [A, B, STOP], A: [X, Y], B: [X, Y]},
    [
        episode(([PROMPT], [STOP], 0.3)),
        *(episode(([PROMPT], [a, x], r)) for a, x, r in ((A, X, 1.0), (A, Y, 0.0), (B, X, 0.2), (B, Y, 0.7))),
    ],
)
# Two turns: stop with what one has, or go on, be told NEXT, and get more or less. Every turn has its reward.
STOP_OR_GO = World(
    {PROMPT: [STOP, GO], NEXT: [X, Y]},
    [
        episode(([PROMPT], [STOP], 0.5)),
        episode(([PROMPT], [GO], 0.2), ([NEXT], [X], 0.9)),
        episode(([PROMPT], [GO], 0.2), ([NEXT], [Y], -0.4)),
    ],
)
WORLDS = {"bandit": BANDIT, "stop-or-go": STOP_OR_GO}
UNBIASED = {"advantage": "leave_one_out", "reduction": "sequence_sum"}


def close(found, want):
    assert want.abs().max() > 0.02
    assert torch.allclose(found, want, atol=2e-6)


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("objective", ["clip", "cispo", "rloo"])
def test_the_mean_estimate_is_the_exact_gradient(name, objective):
    world = WORLDS[name]
    high = 5.0 if objective == "cispo" else 0.28
    found = world.mean_estimate(learner_of(world, objective=objective, clip_high=high, **UNBIASED), update, 3)
    close(found, world.exact())


@pytest.mark.parametrize("name", WORLDS)
def test_centring_and_a_constant_length_are_known_factors(name):
    world = WORLDS[name]
    found = world.mean_estimate(learner_of(world, advantage="mean", reduction="constant", length=7), update, 3)
    close(found * 7 * 3 / 2, world.exact())  # G / (G - 1), and the constant


def test_credit_by_turn_is_unbiased_though_the_policy_decides_when_to_stop():
    found = STOP_OR_GO.mean_estimate(learner_of(STOP_OR_GO, credit="turn", **UNBIASED), update, 3)
    close(found, STOP_OR_GO.exact())


def test_centring_each_turn_on_its_own_would_be_biased():
    # what turn credit must not do (verl issue 7244): the reward of each turn less the mean of that turn in the group
    def biased(learner, traces):
        means = [np.mean([one.turn_rewards[k] for one in traces if len(one.turn_rewards) > k] or [0]) for k in (0, 1)]
        samples = []
        for one in traces:
            centred = [reward - mean for reward, mean in zip(one.turn_rewards, means, strict=False)]
            samples.append(Sample(one.segments, np.cumsum(centred[::-1])[::-1].copy() * 1.5))
        return batch_objective(learner._policy, {"table": learner._policy.model.table}, samples, learner._options)

    found = STOP_OR_GO.mean_estimate(learner_of(STOP_OR_GO, credit="turn", **UNBIASED), biased, 3)
    assert not torch.allclose(found, STOP_OR_GO.exact(), atol=1e-2)


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("gae_lambda", [0.95, 1.0])
def test_ppo_with_a_fresh_critic_is_the_exact_gradient_of_the_discounted_credit(name, gae_lambda):
    # V = 0 everywhere: lambda 1 is plain REINFORCE, unbiased; below 1 it is not, unless all reward comes at once
    world = WORLDS[name]
    options = PpoOptions(items=1, replies=2, whiten=False, reduction="sequence_sum", gae_lambda=gae_lambda)
    learner = Ppo(policy_of(world.model), OnlyTheTable(), 0, options)
    learner._critic.observe = lambda policy, traces: ([np.zeros(t.n_tokens) for t in traces], [0.0] * len(traces))
    found = world.mean_estimate(learner, update, 2)
    assert torch.allclose(found, world.exact(), atol=2e-6) == (gae_lambda == 1.0)
