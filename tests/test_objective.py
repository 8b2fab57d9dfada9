"""Objective, reduction and KL: golden values; value and gradient of every preset against a plain loop over tokens."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from eggym.agents.batch import Sample, batch_objective, old_logprobs
from eggym.agents.objective import (
    ESTIMATORS,
    OBJECTIVES,
    REDUCTIONS,
    kl_penalty,
    kl_terms,
    token_objective,
    token_weights,
)
from eggym.agents.options import PolicyGradientOptions
from eggym.agents.presets import CISPO, DAPO, DR_GRPO, GRPO, GSPO, REINFORCE_PP, RLOO
from eggym.agents.scoring import action_logprobs, micro_batches
from eggym.episode import Segment
from eggym.policy import Policy
from eggym.views import ParameterSpace

SPACE = ParameterSpace()
PRESETS = {spec.name: spec for spec in (CISPO, DAPO, DR_GRPO, GRPO, GSPO, REINFORCE_PP, RLOO)}
LN2 = math.log(2)


def segment(ids, n_prompt, env=()):
    actions = [place >= n_prompt and place not in env for place in range(len(ids))]
    return Segment(list(ids), actions, [0.0] * len(ids))


EPISODES = [
    [segment([1, 10, 11, 40, 41, 2], 3)],
    [segment([1, 10, 11, 42, 2], 3)],
    [segment([1, 10, 11, 50, 51, 52, 53, 2], 3), segment([1, 12, 33, 2], 2)],  # a fresh context for its second turn
    [segment([1, 20, 21, 22, 60, 2], 4)],
    [segment([1, 20, 21, 22, 61, 62, 2], 4), segment([1, 9], 2)],  # its last context has no action
    [segment([1, 20, 21, 22, 63, 5, 6, 64, 2], 4, env=(5, 6))],
]
ADVANTAGES = [0.7, -0.4, -0.3, 0.0, 1.1, -0.6]


def count(segments):
    return sum(sum(one.actions) for one in segments)


def stale(policy, seed=0):
    """The episodes with log-probabilities of an older policy, advantages by token, and those of a reference."""
    rng, samples = np.random.default_rng(seed), []
    for segments, advantage in zip(EPISODES, ADVANTAGES, strict=True):
        old = []
        for one in segments:
            with torch.no_grad():
                table = policy.model(torch.tensor([one.ids])).logits[0].log_softmax(-1)
            known = [table[place - 1, token].item() if place else 0.0 for place, token in enumerate(one.ids)]
            shifted = [p + rng.normal(0, 0.3) if act else 0.0 for p, act in zip(known, one.actions, strict=True)]
            old.append(dataclasses.replace(one, logprobs=shifted))
        n = count(segments)
        advantages_T = advantage + (rng.normal(0, 0.2, n) if advantage else np.zeros(n))
        samples.append(Sample(old, advantages_T, np.concatenate([old_logprobs(one) for one in old]) + 0.1))
    return samples


def naive(policy, samples, options):
    """The whole objective, one token after the other, straight from the papers' formulas."""
    lengths = [one.n_tokens for one in samples]
    total = torch.zeros(())
    for sample in samples:
        if not sample.n_tokens:
            continue
        new, old = [], []
        entropies = []
        for one in sample.segments:
            table = (policy.model(torch.tensor([one.ids])).logits[0] / options.temperature).log_softmax(-1)
            for place, act in enumerate(one.actions):
                if act:
                    new.append(table[place - 1, one.ids[place]])
                    old.append(one.logprobs[place])
                    entropies.append(-(table[place - 1].exp() * table[place - 1]).sum())
        logs = [a - b for a, b in zip(new, old, strict=True)]
        low, high = 1 - options.clip_low, 1 + options.clip_high
        values = []
        for t, advantage in enumerate(sample.advantages_T.tolist()):
            if options.objective == "cispo":
                values.append(min(math.exp(logs[t].item()), options.clip_high) * advantage * new[t])
                continue
            log_ratio = {"clip": logs[t], "gspo": sum(logs) / len(logs), "rloo": sum(logs)}[options.objective]
            ratio = log_ratio.exp()
            value = torch.min(ratio * advantage, ratio.clamp(low, high) * advantage)
            values.append(value / len(logs) if options.objective == "rloo" else value)
        for t in range(len(values)):
            d = new[t] - sample.reference_T[t]
            k3 = (-d).exp() - 1 + d
            kl = {"k2": d * d / 2, "k3": k3, "k3_ratio": k3 * logs[t].exp()}[options.kl_estimator]
            value = values[t] - options.kl_loss * kl + options.entropy_bonus * entropies[t]
            weight = {
                "sequence_mean": 1 / (len(samples) * len(values)),
                "token_mean": 1 / sum(lengths),
                "constant": 1 / (len(samples) * options.length),
                "sequence_sum": 1 / len(samples),
            }[options.reduction]
            total = total + weight * value
    return total


def gradient_of(policy, value):
    parameters = SPACE.select(policy.model)
    found = torch.autograd.grad(value, list(parameters.values()))
    return dict(zip(parameters, found, strict=True))


def agree(policy, samples, options):
    parameters = SPACE.select(policy.model)
    for weight in parameters.values():
        weight.requires_grad_(True)
    want = naive(policy, samples, options)
    gradients = gradient_of(policy, -want)
    found = batch_objective(policy, parameters, samples, options)
    assert found.objective == pytest.approx(float(want.detach()), rel=1e-5, abs=1e-6)
    for name in parameters:
        scale = float(gradients[name].abs().max())
        assert torch.allclose(found.gradients[name], gradients[name], atol=2e-5 * scale), name
    assert not any(weight.requires_grad or weight.grad is not None for weight in policy.model.parameters())


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("tokens_per_pass", [16, 10_000])
def test_every_preset_equals_a_plain_loop_whatever_the_micro_batches(fresh_policy, name, tokens_per_pass):
    options = PRESETS[name].resolve("tiny", {"tokens_per_pass": tokens_per_pass})
    agree(fresh_policy, stale(fresh_policy), options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_objective_and_reduction_combine_freely(fresh_policy, objective, reduction):
    high = 1.1 if objective == "cispo" else 0.05
    options = PolicyGradientOptions(objective=objective, reduction=reduction, clip_low=0.05, clip_high=high, length=9)
    agree(fresh_policy, stale(fresh_policy, 1), options)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_kl_entropy_and_temperature_enter_as_declared(fresh_policy, estimator):
    options = PolicyGradientOptions(
        kl_loss=0.3, kl_estimator=estimator, entropy_bonus=0.2, temperature=0.7, tokens_per_pass=20
    )
    agree(fresh_policy, stale(fresh_policy, 2), options)


def test_what_is_no_action_is_never_looked_at(fresh_policy):
    samples = stale(fresh_policy)
    poisoned = [
        dataclasses.replace(
            sample,
            segments=[
                Segment(
                    one.ids,
                    one.actions,
                    [p if act else math.nan for p, act in zip(one.logprobs, one.actions, strict=True)],
                )
                for one in sample.segments
            ],
        )
        for sample in samples
    ]
    parameters, options = SPACE.select(fresh_policy.model), PolicyGradientOptions()
    one, two = (batch_objective(fresh_policy, parameters, each, options) for each in (samples, poisoned))
    assert one.objective == two.objective and math.isfinite(two.tally.max_dlogp)
    assert all(torch.equal(one.gradients[name], two.gradients[name]) for name in parameters)


def test_what_the_policy_predicts_where_it_did_not_act_has_no_gradient(fresh_policy):
    # left-padded rows without their last token: what stands before an action is kept, the head says NaN of the rest
    segments = [one for sample in stale(fresh_policy) for one in sample.segments if any(one.actions)]
    longest = max(len(one.ids) for one in segments)
    act_R_T = torch.tensor([[False] * (longest - len(one.ids)) + one.actions for one in segments])
    before_R_T = act_R_T.roll(-1, 1)
    assert act_R_T[:, 0].sum() == 0 < before_R_T.sum() < act_R_T.numel() / 2

    def spoil(module, args, logits):
        return logits.where(before_R_T[:, :-1][:, -logits.shape[1] :, None], math.nan)

    found = []
    parameters = SPACE.select(fresh_policy.model)
    for weight in parameters.values():
        weight.requires_grad_(True)
    for hook in (None, spoil):
        handle = hook and fresh_policy.model.get_output_embeddings().register_forward_hook(hook)
        logprobs_M = action_logprobs(fresh_policy, segments, 1.0)
        found.append([logprobs_M.detach(), *gradient_of(fresh_policy, logprobs_M.sum()).values()])
        if handle:
            handle.remove()
    assert len(found[0][0]) == act_R_T.sum() and all(map(torch.equal, *found))


def test_padding_and_what_it_holds_change_nothing(fresh_policy, monkeypatch):
    # a row alone has no padding; among longer ones it has
    samples, options = stale(fresh_policy), PolicyGradientOptions(tokens_per_pass=1)
    parameters = SPACE.select(fresh_policy.model)
    alone = batch_objective(fresh_policy, parameters, samples, options)
    together = batch_objective(fresh_policy, parameters, samples, dataclasses.replace(options, tokens_per_pass=4096))
    assert together.objective == pytest.approx(alone.objective, rel=1e-5)
    for name in parameters:
        scale = float(alone.gradients[name].abs().max())
        assert torch.allclose(together.gradients[name], alone.gradients[name], atol=2e-5 * scale)
    monkeypatch.setattr(Policy, "pad_id", 77)  # a token like any other
    other = batch_objective(fresh_policy, parameters, samples, dataclasses.replace(options, tokens_per_pass=4096))
    assert other.objective == together.objective
    assert all(torch.equal(other.gradients[name], together.gradients[name]) for name in parameters)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_batch_without_action_tokens_moves_nothing(fresh_policy, objective, reduction):
    options = PolicyGradientOptions(objective=objective, reduction=reduction, kl_loss=0.1)
    nothing = [Sample([segment([1, 5, 6], 3)], np.zeros(0), np.zeros(0))] * 2
    found = batch_objective(fresh_policy, SPACE.select(fresh_policy.model), nothing, options)
    assert (found.objective, found.gradients, found.tally.means()) == (0.0, {}, {})


def test_the_clip_bounds_what_a_token_can_gain():
    # ratios 2 and 1/2: with A > 0 the first is clipped to 1.28, with A < 0 the second to 0.8
    logprobs = torch.tensor([LN2, -LN2] * 2)
    gain, held = token_objective(logprobs, torch.zeros(4), torch.tensor([1.0, 1, -1, -1]), "clip", 0.2, 0.28)
    assert gain.tolist() == pytest.approx([1.28, 0.5, -2.0, -0.8])
    assert held.tolist() == [True, False, False, True]


def test_cispo_never_silences_a_token():
    # ratios 8 and 1/2 under the absolute bound 5: gradients of log pi are 5 A and A / 2
    logprobs = torch.tensor([3 * LN2, -LN2], requires_grad=True)
    value, held = token_objective(logprobs, torch.zeros(2), torch.tensor([-1.0, 1.0]), "cispo", 0.2, 5.0)
    assert torch.autograd.grad(value.sum(), logprobs)[0].tolist() == pytest.approx([-5.0, 0.5])
    assert held.tolist() == [True, False]


def test_ratios_of_whole_sequences_worked_by_hand():
    # log ratios ln 2, ln 2 and -ln 2: sequence 0 has mean ln 2 and sum 2 ln 2, sequence 1 has -ln 2 for both
    logprobs, zero, ones = torch.tensor([LN2, LN2, -LN2]), torch.zeros(3), torch.ones(3)
    sequences = torch.tensor([0, 0, 1])
    gspo, _ = token_objective(logprobs, zero, ones, "gspo", 9.0, 9.0, sequences)
    rloo, _ = token_objective(logprobs, zero, ones, "rloo", 9.0, 9.0, sequences)
    assert gspo.tolist() == pytest.approx([2.0, 2.0, 0.5])
    assert rloo.tolist() == pytest.approx([4 / 2, 4 / 2, 0.5])


def test_token_weights_of_every_reduction():
    lengths = np.array([2, 4])
    assert token_weights(lengths, "constant", 10).tolist() == [1 / 20, 1 / 20]
    assert token_weights(lengths, "sequence_mean", 10).tolist() == [1 / 4, 1 / 8]
    assert token_weights(lengths, "token_mean", 10).tolist() == [1 / 6, 1 / 6]
    assert token_weights(lengths, "sequence_sum", 10).tolist() == [1 / 2, 1 / 2]


def tabular(seed):
    return torch.tensor(np.random.default_rng(seed).normal(size=5), dtype=torch.float64, requires_grad=True)


def test_kl_estimators_over_all_tokens_of_two_known_policies():
    here, there = tabular(0).log_softmax(0), tabular(1).detach().log_softmax(0)
    kl = float((here.exp() * (here - there)).sum().detach())
    mean = {name: float((here.exp() * kl_terms(here, there, name)).sum().detach()) for name in ("k1", "k2", "k3")}
    assert mean["k1"] == pytest.approx(kl) and mean["k3"] == pytest.approx(kl)  # unbiased
    assert mean["k2"] != pytest.approx(kl, rel=0.01)
    assert (kl_terms(here, there, "k3") >= 0).all() and (kl_terms(here, there, "k1") < 0).any()
    assert not any(kl_terms(here, here, name).any() for name in ("k1", "k2", "k3"))


@pytest.mark.parametrize(("estimator", "toward"), [("k3", "reference"), ("k2", "policy"), ("k3_ratio", "policy")])
def test_the_expected_gradient_of_a_kl_penalty_is_that_of_a_known_kl(estimator, toward):
    theta, there = tabular(2), tabular(3).detach().log_softmax(0)
    here = theta.log_softmax(0)
    penalty = kl_penalty(here, here.detach(), there, estimator)
    found = torch.autograd.grad((here.detach().exp() * penalty).sum(), theta, retain_graph=True)[0]
    a, b = (there, here) if toward == "reference" else (here, there)
    exact = torch.autograd.grad((a.exp() * (a - b)).sum(), theta)[0]
    assert torch.allclose(found, exact)


def test_micro_batches_cover_all_and_respect_the_limit():
    units = [[one] for episode in EPISODES for one in episode]
    found = list(micro_batches(units, 20))
    assert sorted(index for one in found for index in one) == list(range(len(units)))
    assert all(max(len(units[i][0].ids) for i in one) * len(one) <= 20 for one in found)
