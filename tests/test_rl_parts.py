"""What surrounds the objective: the start policy, recomputed activations, groups that wait, controls that shuffle."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from eggym.agents.batch import Sample, batch_objective
from eggym.agents.checkpointing import checkpointing
from eggym.agents.controls import RandomReward
from eggym.agents.options import PolicyGradientOptions
from eggym.agents.policy_gradient import PolicyGradient
from eggym.agents.presets import DR_GRPO
from eggym.agents.scoring import action_logprobs, start_logprobs
from eggym.agents.traces import Trace, informative, overlong_penalty, pack, unpack
from eggym.budget import FlopModel, Meter
from eggym.checkpoint import load_checkpoint, save_checkpoint
from eggym.episode import Ending, Episode, EpisodeBatch, Segment, Turn
from eggym.errors import BadValue
from eggym.policy import model_sha256
from eggym.start_model import StartModel
from eggym.task import Item, Verdict, VerdictState
from eggym.views import ParameterSpace

SPACE = ParameterSpace()


def segment(ids, n_prompt):
    return Segment(list(ids), [place >= n_prompt for place in range(len(ids))], [0.0] * len(ids))


SEGMENTS = [
    segment([1, 10, 11, 40, 41, 2], 3), segment([1, 10, 11, 42, 2], 3), segment([1, 10, 11, 50, 51, 52, 53, 2], 3),
]  # fmt: skip
REWARDS = [1.0, 0.0, 0.5]


def batch():
    episodes = [
        Episode(Item("p"), 0, 0, i, [s], [], Verdict(r, VerdictState.WRONG), Ending.ANSWERED)
        for i, (s, r) in enumerate(zip(SEGMENTS, REWARDS, strict=True))
    ]
    return EpisodeBatch(0, episodes, 1, 1, 3)


def learner(policy, **overrides):
    return PolicyGradient(policy, SPACE, 0, DR_GRPO.resolve("tiny", {"items": 1, "replies": 3, **overrides}))


# -- the start policy ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rank", [0, 2])
def test_the_start_policy_stays_where_it_was(make_policy, rank):
    policy, space = make_policy(), ParameterSpace(adapter_rank=rank)
    space.install(policy.model)
    start = StartModel(policy.model, space.select(policy.model))
    with torch.no_grad():
        before = [action_logprobs(policy, [one], 1.0) for one in SEGMENTS]
        for weight in space.select(policy.model).values():
            weight.add_(0.05)
        moved = model_sha256(policy.model)
        after = [action_logprobs(policy, [one], 1.0) for one in SEGMENTS]
    found = start_logprobs(policy, start, [[one] for one in SEGMENTS], 1.0, 10)
    for one, two, now in zip(found, before, after, strict=True):
        assert np.allclose(one, two.numpy(), atol=1e-5) and not torch.allclose(two, now, atol=1e-3)
    assert model_sha256(policy.model) == moved


def test_at_the_start_the_kl_is_nothing_and_then_it_pulls_back(make_policy):
    free, held = make_policy(), make_policy()
    one, two = learner(free, lr=5e-3), learner(held, lr=5e-3, kl_loss=20.0)
    told = batch()
    for step in range(12):
        one.tell(told)
        metrics = two.tell(told)
        assert step or metrics["kl_start"] == pytest.approx(0, abs=1e-6)
    assert metrics["kl_start"] > 0
    with torch.no_grad():
        far, near = ((action_logprobs(p, SEGMENTS, 1.0) - action_logprobs(make_policy(), SEGMENTS, 1.0)).abs().sum()
                     for p in (free, held))  # fmt: skip
    assert near < far / 3


def test_passes_of_the_start_policy_are_counted_as_the_learners(fresh_policy):
    spent = {}
    for kl_loss in (0.0, 0.1):
        subject, meter = learner(fresh_policy, lr=1e-9, kl_loss=kl_loss), Meter(FlopModel.of(fresh_policy.model))
        with meter.watch(fresh_policy.model):
            subject.tell(batch())
        spent[kl_loss] = meter.spend.learner_flops
    # reward 1/2 is the mean: without a KL its episode is left out of forward and backward; with one, it is not, and
    # the start policy reads all three
    assert spent == {0.0: 3 * cost(fresh_policy, SEGMENTS[:2]), 0.1: 4 * cost(fresh_policy, SEGMENTS)}


def cost(policy, segments):
    """FLOPs of one forward pass: the last token of a row is not read, logits are at rows x longest reply positions."""
    lengths = [len(one.ids) - 1 for one in segments]
    n_logits = len(segments) * max(sum(one.actions) for one in segments)
    return FlopModel.of(policy.model).forward(sum(lengths), sum(n * (n + 1) // 2 for n in lengths), n_logits)


# -- recomputed activations ------------------------------------------------------------------------------------------
def stale(policy):
    with torch.no_grad():
        known = [action_logprobs(policy, [one], 1.0).tolist() for one in SEGMENTS]
    found = [
        dataclasses.replace(one, logprobs=[0.0] * (len(one.ids) - len(own)) + [p + 0.05 for p in own])
        for one, own in zip(SEGMENTS, known, strict=True)
    ]
    return [Sample([one], np.full(sum(one.actions), a)) for one, a in zip(found, (0.5, -0.7, 0.2), strict=True)]


@pytest.mark.parametrize("rank", [0, 2])
def test_recomputing_changes_neither_value_nor_gradient_and_leaves_the_model_as_it_was(make_policy, rank):
    policy, space = make_policy(), ParameterSpace(adapter_rank=rank)
    space.install(policy.model)
    if rank:
        with torch.no_grad():
            for weight in space.select(policy.model).values():
                weight.add_(0.01)
    samples, parameters, options = stale(policy), space.select(policy.model), PolicyGradientOptions()
    plain = batch_objective(policy, parameters, samples, options)
    before = {name: module.training for name, module in policy.model.named_modules()}
    with checkpointing(policy.model, True):
        again = batch_objective(policy, parameters, samples, options)
    assert again.objective == pytest.approx(plain.objective, rel=1e-6)
    for name, gradient in plain.gradients.items():
        assert torch.allclose(again.gradients[name], gradient, atol=1e-6 * float(gradient.abs().max()))
    assert {name: module.training for name, module in policy.model.named_modules()} == before
    assert not any(getattr(module, "gradient_checkpointing", False) for module in policy.model.modules())


def test_a_recomputed_forward_is_counted_once_and_really_made(fresh_policy):
    samples, parameters = stale(fresh_policy), SPACE.select(fresh_policy.model)
    options, counted, computed = PolicyGradientOptions(), {}, {}
    for wanted in (False, True):
        meter = Meter(FlopModel.of(fresh_policy.model))
        counter = FlopCounterMode(display=False)
        with meter.watch(fresh_policy.model), checkpointing(fresh_policy.model, wanted), counter:
            batch_objective(fresh_policy, parameters, samples, options)
        counted[wanted], computed[wanted] = meter.spend.learner_flops, counter.get_total_flops()
        assert meter.spend.computed_flops == pytest.approx(counter.get_total_flops(), rel=0.12)
    lengths = [len(one.ids) - 1 for one in SEGMENTS]
    body = meter.flop_model.forward(sum(lengths), sum(n * (n + 1) // 2 for n in lengths), 0)
    assert counted[True] - counted[False] == body
    assert computed[True] - computed[False] == pytest.approx(body, rel=0.35)  # pads of the batch are really computed
    assert counted[False] == 3 * cost(fresh_policy, SEGMENTS)


def test_a_prompt_that_replies_share_costs_as_in_sampling_and_is_computed_once(fresh_policy):
    prompt, meter = list(range(5, 35)), Meter(FlopModel.of(fresh_policy.model))
    actions = [False] * 30 + [True] * 4
    group = [Segment([*prompt, *[40 + place] * 4], actions, [0.0] * 30 + [-1.0] * 4) for place in range(6)]
    samples = [Sample([one], np.full(4, place - 2.5)) for place, one in enumerate(group)]
    with meter.watch(fresh_policy.model), FlopCounterMode(display=False) as counter:
        batch_objective(fresh_policy, SPACE.select(fresh_policy.model), samples, PolicyGradientOptions())
    assert meter.spend.learner_flops == 3 * cost(fresh_policy, group) == 3 * sum(map(meter.flop_model.segment, group))
    assert meter.spend.computed_flops == pytest.approx(counter.get_total_flops(), rel=0.12)
    assert meter.spend.computed_flops < 0.35 * meter.spend.learner_flops  # 30 + 6 x 3 positions of 6 x 33


def test_a_learner_that_recomputes_takes_the_same_steps(make_policy):
    plain, again = make_policy(), make_policy()
    one, two = learner(plain), learner(again, gradient_checkpointing=True)
    for _ in range(2):
        one.tell(batch())
        two.tell(batch())
    for name, weight in SPACE.select(plain.model).items():
        assert torch.allclose(weight, SPACE.select(again.model)[name], atol=1e-6)


def test_dropout_of_a_model_stays_off_where_activations_are_recomputed(fresh_policy):
    for module in fresh_policy.model.modules():
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.5
    samples, parameters, options = stale(fresh_policy), SPACE.select(fresh_policy.model), PolicyGradientOptions()
    plain = batch_objective(fresh_policy, parameters, samples, options)
    with checkpointing(fresh_policy.model, True):
        assert batch_objective(fresh_policy, parameters, samples, options).objective == plain.objective


def test_a_model_that_cannot_recompute_is_named():
    from types import SimpleNamespace

    model = torch.nn.Linear(2, 2)
    model.config = SimpleNamespace(model_type="line")
    with (
        pytest.raises(BadValue, match="model of type 'line' has no layers that can be recomputed"),
        checkpointing(model, True),
    ):
        pass


# -- groups that are kept --------------------------------------------------------------------------------------------
def test_groups_survive_a_checkpoint_to_the_bit(tmp_path):
    one = Trace((SEGMENTS[0], Segment([1, 7], [False, True], [0.0, -0.1])), 0.3, (0.1, 0.2), (3, 1), True)
    two = Trace((SEGMENTS[1],), math.pi / 7, (math.pi / 7,), (2,), False)
    groups = [(one, two), (two,), (two, one, one)]
    save_checkpoint(tmp_path, 0, {"held": pack(groups)})
    assert unpack(load_checkpoint(tmp_path)["held"]) == groups
    save_checkpoint(tmp_path, 1, {"held": pack([])})
    assert unpack(load_checkpoint(tmp_path)["held"]) == []


def test_what_is_informative():
    def group(*rewards):
        return tuple(Trace((), sum(one), one, (1,) * len(one), False) for one in rewards)

    def whole(one):
        return one.reward

    def by_turn(one):
        return one.turn_rewards

    assert informative(group((0.0,), (1.0,)), whole) and not informative(group((1.0,), (1.0,)), whole)
    assert not informative(group((math.nan,), (1.0,)), whole)  # what could not be judged says nothing
    early, late = (1.0, 0.0), (0.0, 1.0)
    assert informative(group(early, late), by_turn) and not informative(group(early, late), whole)


@pytest.mark.parametrize(("n", "lost"), [(5, 0.0), (6, 0.0), (7, 0.25), (9, 0.75), (10, 1.0), (99, 1.0)])
def test_the_penalty_for_length_worked_by_hand(n, lost):
    assert overlong_penalty(n, 10, 4) == lost
    assert overlong_penalty(n, 10, 0) == 0.0


# -- the control -----------------------------------------------------------------------------------------------------
def test_shuffled_rewards_do_not_leak_through_the_turns():
    told = []

    class Listener:
        def tell(self, batch):
            told.extend(batch.episodes)
            return {}

    verdicts = [Verdict(float(i), VerdictState.WRONG) for i in range(8)]
    episodes = [
        Episode(Item("p"), 0, 0, i, [], [Turn("o", "r", i - 1.0, 1), Turn("o", "r", 1.0, 1)], verdict, Ending.ANSWERED)
        for i, verdict in enumerate(verdicts)
    ]
    RandomReward(Listener(), 0).tell(EpisodeBatch(0, episodes, 1, 1, 8))
    assert [[turn.reward for turn in one.turns] for one in told] == [[0.0, one.reward] for one in told]
    assert [turn.reward for turn in episodes[3].turns] == [2.0, 1.0]  # what was told to others is left alone
    assert [one.reward for one in told] != [one.reward for one in episodes]
