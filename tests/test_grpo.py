"""Group-relative policy gradients: algebra, the gradient's way, learning from nothing else."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eggym.agents.grpo import DR_GRPO, GRPO, Grpo
from eggym.agents.objective import advantages, clipped_objective, token_weights
from eggym.agents.scoring import action_logprobs, micro_batches
from eggym.budget import FlopModel, Meter
from eggym.engine import Engine
from eggym.episode import Ending, Episode, EpisodeBatch, Segment
from eggym.errors import BadValue
from eggym.policy import Prompting, model_sha256
from eggym.registry import load_task
from eggym.rollout import Rollout
from eggym.task import Item, Verdict, VerdictState
from eggym.views import ParameterSpace, PolicyViews

SPACE = ParameterSpace()
groups = st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=4, max_size=4)


def learner(policy, spec=DR_GRPO, **overrides):
    return Grpo(policy, SPACE, 0, spec.resolve("tiny", {"items": 2, "replies": 3, **overrides}))


def segment(ids, n_prompt, logprobs=None, env=()):
    actions = [place >= n_prompt and place not in env for place in range(len(ids))]
    return Segment(list(ids), actions, list(logprobs or [0.0] * len(ids)))


def batch(segments, rewards):
    episodes = [
        Episode(Item("p"), 0, i // 3, i % 3, [s], [], Verdict(r, VerdictState.WRONG), Ending.ANSWERED)
        for i, (s, r) in enumerate(zip(segments, rewards, strict=True))
    ]
    return EpisodeBatch(0, episodes, 1, 2, 3)


SEGMENTS = [
    segment([1, 10, 11, 40, 41, 2], 3), segment([1, 10, 11, 42, 2], 3), segment([1, 10, 11, 50, 51, 52, 53, 2], 3),
    segment([1, 20, 21, 22, 60, 2], 4), segment([1, 20, 21, 22, 61, 62, 2], 4),
    segment([1, 20, 21, 22, 63, 5, 6, 64, 2], 4, env=(5, 6)),
]  # fmt: skip
REWARDS = [1.0, 0.0, 0.5, 0.0, 1.0, 0.0]


def test_advantages_worked_by_hand():
    # group 1, 0, 0.5: mean 1/2, std (ddof 1) 1/2
    returns = np.array([[1.0, 0.0, 0.5]], dtype=np.float32)
    assert advantages(returns, "mean").tolist() == [[0.5, -0.5, 0.0]]
    assert advantages(returns, "zscore")[0].tolist() == pytest.approx([0.5 / 0.5001, -0.5 / 0.5001, 0])


@given(groups)
def test_advantages_of_a_group_sum_to_zero_and_ignore_a_shift(group):
    returns = np.array([group], dtype=np.float32)
    found = advantages(returns, "mean")
    assert found.sum() == pytest.approx(0, abs=1e-12)
    assert np.allclose(advantages(returns + 4, "mean"), found)
    assert np.allclose(advantages(2 * returns, "mean"), 2 * found)
    assert np.allclose(advantages(returns[:, ::-1], "mean"), found[:, ::-1])
    if len(set(group)) > 1:
        leave_one_out = [value - (sum(group) - value) / 3 for value in group]
        assert np.allclose(np.array(leave_one_out) * 3 / 4, found)  # Dr. GRPO = (G-1)/G x RLOO


def test_a_group_that_agrees_gets_exactly_nothing():
    assert not advantages(np.full((2, 8), 0.1, dtype=np.float32), "zscore").any()


def test_a_missing_return_leaves_the_baseline():
    found = advantages(np.array([[1.0, np.nan, 0.0]], dtype=np.float32), "mean")
    assert found.tolist() == [[0.5, 0.0, -0.5]]


def test_the_clip_bounds_what_a_token_can_gain():
    # ratios 2 and 1/2: with A > 0 the first is clipped to 1.28, with A < 0 the second to 0.8
    logprobs = torch.tensor([math.log(2.0), math.log(0.5)] * 2)
    gain = clipped_objective(logprobs, torch.zeros(4), torch.tensor([1.0, 1.0, -1.0, -1.0]), 0.2, 0.28)
    assert gain.tolist() == pytest.approx([1.28, 0.5, -2.0, -0.8])


def test_token_weights_of_both_reductions():
    lengths = np.array([2, 4])
    assert token_weights(lengths, "constant", 10).tolist() == [1 / 20, 1 / 20]
    assert token_weights(lengths, "sequence_mean", 10).tolist() == [1 / 4, 1 / 8]


def naive_loss(policy, spec, segments, rewards):
    """The objective as a plain loop over tokens."""
    returns = np.array(rewards).reshape(2, 3)
    total = torch.zeros(())
    for i, one in enumerate(segments):
        group = returns[i // 3]
        if len(set(group.tolist())) == 1:
            continue
        advantage = group[i % 3] - group.mean()
        if spec is GRPO:
            advantage /= group.std(ddof=1) + 1e-4
        logprobs = policy.model(torch.tensor([one.ids])).logits[0].log_softmax(-1)
        places = [place for place, action in enumerate(one.actions) if action]
        weight = 1 / (6 * 32) if spec is DR_GRPO else 1 / (6 * len(places))
        for place in places:
            new = logprobs[place - 1, one.ids[place]]
            ratio = (new - one.logprobs[place]).exp()
            clipped = ratio.clamp(0.8, 1.2 if spec is GRPO else 1.28)
            total = total + weight * torch.minimum(ratio * advantage, clipped * advantage)
    return total


@pytest.mark.parametrize("spec", [DR_GRPO, GRPO])
@pytest.mark.parametrize("tokens_per_pass", [16, 10_000])
def test_value_and_gradient_equal_a_plain_loop_whatever_the_micro_batches(fresh_policy, spec, tokens_per_pass):
    with torch.no_grad():  # stale log-probabilities, so that ratios and clips matter
        segments = []
        for one in SEGMENTS:
            logprobs = fresh_policy.model(torch.tensor([one.ids])).logits[0].log_softmax(-1)
            old = [0.0] + [logprobs[p - 1, one.ids[p]].item() + 0.3 * (-1) ** p for p in range(1, len(one.ids))]
            segments.append(Segment(one.ids, one.actions, old))
    parameters = SPACE.select(fresh_policy.model)
    for weight in parameters.values():
        weight.requires_grad_(True)
    want = naive_loss(fresh_policy, spec, segments, REWARDS)
    (-want).backward()
    gradients = {name: weight.grad.clone() for name, weight in parameters.items()}
    subject = learner(fresh_policy, spec, tokens_per_pass=tokens_per_pass)
    samples, informative = subject._samples(batch(segments, REWARDS))
    objective, _ = subject._backward(samples)
    assert objective == pytest.approx(float(want.detach()), rel=1e-5)
    for name, weight in parameters.items():
        assert torch.allclose(weight.grad, gradients[name], atol=1e-5 * float(gradients[name].abs().max()))
    assert informative == 1.0


def test_gradient_flows_through_action_tokens_only(fresh_policy):
    subject = learner(fresh_policy)
    changed = [
        Segment(list(s.ids), s.actions, [math.nan if not a else p for p, a in zip(s.logprobs, s.actions, strict=True)])
        for s in SEGMENTS
    ]
    samples, _ = subject._samples(batch(changed, REWARDS))
    objective, drift = subject._backward(samples)
    assert math.isfinite(objective) and math.isfinite(drift)


def test_sampled_logprobs_are_those_that_are_trained(policy):
    task = load_task("eggym/guess-v0")
    meter = Meter(FlopModel.of(policy.model))
    run = Rollout(Engine(policy, meter), task, Prompting.of(task, {}), 0)
    for temperature in (1.0, 0.7):
        found = run.run(PolicyViews(2, 8, temperature), [task.item("train", i) for i in range(2)], 0)
        segments = [e.segments[0] for e in found.episodes]
        with torch.no_grad():
            new = action_logprobs(policy, segments, temperature)
        old = [p for s in segments for p, action in zip(s.logprobs, s.actions, strict=True) if action]
        assert new.tolist() == pytest.approx(old, abs=2e-5)
        assert any(len(e.turns) > 1 for e in found.episodes)


def test_groups_that_agree_cost_nothing_and_move_nothing(fresh_policy):
    meter = Meter(FlopModel.of(fresh_policy.model))
    before = model_sha256(fresh_policy.model)
    with meter.watch(fresh_policy.model):
        metrics = learner(fresh_policy).tell(batch(SEGMENTS, [1.0] * 3 + [0.0] * 3))
    assert meter.spend.learner_flops == 0 and metrics["informative"] == 0
    assert model_sha256(fresh_policy.model) == before


def test_a_step_raises_the_probability_of_what_was_better(fresh_policy):
    subject = learner(fresh_policy, lr=1e-3)
    with torch.no_grad():
        before = action_logprobs(fresh_policy, SEGMENTS, 1.0).split([sum(s.actions) for s in SEGMENTS])
        old = [
            Segment(s.ids, s.actions, [0.0] * (len(s.ids) - len(b)) + b.tolist())
            for s, b in zip(SEGMENTS, before, strict=True)
        ]
    subject.tell(batch(old[:5] + SEGMENTS[5:], [*REWARDS[:5], 0.0]))
    with torch.no_grad():
        after = action_logprobs(fresh_policy, SEGMENTS, 1.0).split([sum(s.actions) for s in SEGMENTS])
    assert after[0].sum() > before[0].sum() and after[1].sum() < before[1].sum()
    assert not any(weight.requires_grad for weight in fresh_policy.model.parameters())


def test_bf16_weights_follow_their_float32_masters(make_policy):
    policy = make_policy(dtype=torch.bfloat16)
    before = {name: weight.clone() for name, weight in SPACE.select(policy.model).items()}
    subject = learner(policy, lr=1e-5)  # below the last bit of most weights
    for _ in range(3):
        subject.tell(batch(SEGMENTS, REWARDS))
    moved = {name: master - before[name].float() for name, master in subject._weights.masters.items()}
    assert all(change.abs().max() > 5e-6 for change in moved.values())
    for name, weight in SPACE.select(policy.model).items():
        assert torch.equal(weight, subject._weights.masters[name].bfloat16())
    assert any(not torch.equal(weight, before[name]) for name, weight in SPACE.select(policy.model).items())


def test_micro_batches_cover_all_and_respect_the_limit():
    found = list(micro_batches(SEGMENTS, 20))
    assert sorted(index for one in found for index in one) == list(range(6))
    assert all(max(len(SEGMENTS[i].ids) for i in one) * len(one) <= 20 for one in found)


def test_optimizer_state_survives_saving(make_policy):
    straight, broken = make_policy(), make_policy()
    one, two = learner(straight), learner(broken)
    for _ in range(2):
        one.tell(batch(SEGMENTS, REWARDS))
    two.tell(batch(SEGMENTS, REWARDS))
    again = learner(broken)
    again.load_state_dict(two.state_dict())
    again.tell(batch(SEGMENTS, REWARDS))
    assert model_sha256(straight.model) == model_sha256(broken.model)


@pytest.mark.parametrize("options", [{"replies": 1}, {"lr": 0.0}, {"centring": "median"}, {"temperature": -1.0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(BadValue):
        DR_GRPO.resolve("tiny", options)
