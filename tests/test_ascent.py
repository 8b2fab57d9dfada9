"""The step of evolution strategies: exact sums, optimisers, decay, precision, resume."""

import math

import numpy as np
import pytest
import torch

from eggym.counter import grid_normals
from eggym.episode import Ending, Episode, EpisodeBatch
from eggym.errors import BadValue
from eggym.es.eggroll import SPEC as EGGROLL
from eggym.es.noise import Factors, Vectors, pair_keys
from eggym.es.openai_es import SPEC as OPENAI_ES
from eggym.es.shaping import quantise
from eggym.es.update import Tally, direction, full_rank_sum, low_rank_blocks, low_rank_sum
from eggym.policy import model_sha256
from eggym.task import Item, Verdict, VerdictState
from eggym.views import ParameterSpace

CPU = torch.device("cpu")
SPACE = ParameterSpace()
SPECS = pytest.mark.parametrize("spec", [EGGROLL, OPENAI_ES], ids=["eggroll", "openai-es"])


def build(spec, policy, **options):
    return spec.build(policy, SPACE, 7, spec.resolve("tiny", {"population": 8, "items": 3, **options}))


def batch(step, rewards_N_P):
    n_members, n_items = rewards_N_P.shape
    episodes = [
        Episode(Item("p"), m, p, 0, [], [], Verdict(float(rewards_N_P[m, p]), VerdictState.WRONG), Ending.ANSWERED)
        for m in range(n_members)
        for p in range(n_items)
    ]
    return EpisodeBatch(step, episodes, n_members, n_items, 1)


def rewards(step):
    return np.random.default_rng(step).integers(0, 5, (8, 3)) / 4


def go(learner, steps):
    found = []
    for step in steps:
        learner.ask(step)
        found.append(learner.tell(batch(step, rewards(step))))
    return found


def snapshot(policy):
    return {name: weight.clone() for name, weight in SPACE.select(policy.model).items()}


# ---- sums


def test_sums_of_workers_add_up_to_the_whole():
    values = grid_normals(pair_keys("w", 0, 0, 60, CPU), 2 * (9 + 7))
    a, b = values[:, :18].reshape(60, 2, 9), values[:, 18:].reshape(60, 2, 7)
    weights = quantise(np.random.default_rng(0).standard_normal(60))
    whole = low_rank_sum(Factors(a, b), weights)
    for n_workers in (2, 3, 7):
        parts = [
            low_rank_sum(Factors(a[w::n_workers], b[w::n_workers]), weights[w::n_workers]) for w in range(n_workers)
        ]
        assert torch.equal(sum(parts), whole)
    keys = pair_keys("v", 0, 0, 60, CPU)
    parts = [full_rank_sum(keys[w::4], weights[w::4], 50) for w in range(4)]
    assert torch.equal(sum(parts), full_rank_sum(keys, weights, 50))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("apart", [False, True])
def test_blocks_of_any_height_are_the_sum_as_it_is_stored(transposed, apart):
    values = grid_normals(pair_keys("w", 0, 0, 21, CPU), 3 * (9 + 7))
    noise = Factors(values[:, :27].reshape(21, 3, 9), values[:, 27:].reshape(21, 3, 7))
    weights = quantise(np.random.default_rng(0).standard_normal(21))
    whole = low_rank_sum(noise, weights)
    for height in (1, 2, 5, 100):
        blocks = list(low_rank_blocks(noise, Tally.of(weights, 3, CPU), transposed, apart, height))
        assert all(len(block.parts) == 1 + apart for block in blocks)
        found = torch.cat([sum(block.parts) for block in blocks])
        assert torch.equal(found, whole.t() if transposed else whole)
        assert [block.rows.start for block in blocks] == list(range(0, len(found), height))


def test_the_largest_sums_stay_exact():
    # all at their bounds, the weights alternating: a float32 sum, or one that loses an odd last bit, would show it
    n = 3001
    a = torch.full((n, 1, 2), 127, dtype=torch.int8)
    b = torch.full((n, 1, 3), -127, dtype=torch.int8)
    weights = np.where(np.arange(n) % 2 == 0, 32767, -32766).astype(np.int16)
    want = -127 * 127 * (1501 * 32767 - 1500 * 32766)
    assert low_rank_sum(Factors(a, b), weights, chunk=100).unique().tolist() == [want]
    (block,) = direction("b", Vectors(a[:, 0]), Tally.of(weights, 1, CPU), 1.0).blocks
    assert sum(block.parts).unique().tolist() == [127 * (1501 * 32767 - 1500 * 32766)]


def test_short_sums_are_the_long_ones_up_to_the_last_weight_that_they_can_hold(monkeypatch):
    # 127^2 x 1040 = 16774160 < 2^24 < 127^2 x 1041; all terms of one sign, the sum odd
    n = 65
    a, b = (torch.full((n, 1, size), 127, dtype=torch.int8) for size in (40, 50))
    for extra, short in ((0, True), (1, False)):
        weights = np.full(n, 16, dtype=np.int16)
        weights[0] += extra
        weights[1::2] *= -1
        a[1::2] = -127
        tally = Tally.of(weights, 1, CPU)
        assert tally.short is short
        (block,) = low_rank_blocks(Factors(a, b), tally)
        assert block.parts[0].dtype == (torch.float32 if short else torch.float64)
        assert block.parts[0].unique().tolist() == [127 * 127 * (1040 + extra)]
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")  # products in bfloat16
    assert not Tally.of(np.ones(4, dtype=np.int16), 1, CPU).short


def test_a_backend_that_shortens_products_shortens_no_sum():
    before = torch.backends.mkldnn.matmul.fp32_precision
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    try:
        tally = Tally.of(np.ones(4, dtype=np.int16), 1, CPU)
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = before
    assert not tally.short and Tally.of(np.ones(4, dtype=np.int16), 1, CPU).short


def test_the_type_of_the_sums_changes_no_bit_of_the_update(make_policy, monkeypatch):
    found = []
    for precision in ("highest", "high"):
        monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda precision=precision: precision)
        policy = make_policy()
        go(build(EGGROLL, policy), [0])
        found.append(snapshot(policy))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


# ---- resume, decay, schedules

KINDS = [
    {},
    {"momentum": 0.9, "schedule": "cosine", "schedule_steps": 8},
    {"optimiser": "adam", "update_rms": 0.003, "anchor": 0.05},
    {"convention": "eggroll", "lr": 0.2, "sigma_schedule": "linear", "schedule_steps": 10},
]


@SPECS
@pytest.mark.parametrize("options", KINDS, ids=["sgd", "momentum", "adam", "eggroll"])
@pytest.mark.parametrize(
    ("dtype", "rounding"),
    [
        (None, "master"),
        (torch.bfloat16, "master"),
        (torch.bfloat16, "compensated"),
        (torch.bfloat16, "stochastic"),
    ],
)
def test_ten_generations_are_five_a_save_a_load_and_five(make_policy, spec, options, dtype, rounding):
    straight = make_policy(dtype=dtype, layers=1)
    want = go(build(spec, straight, rounding=rounding, **options), range(10))
    first, second = make_policy(dtype=dtype, layers=1), make_policy(dtype=dtype, layers=1)
    before = build(spec, first, rounding=rounding, **options)
    found = go(before, range(5))
    for name, weight in SPACE.select(second.model).items():
        weight.copy_(SPACE.select(first.model)[name])
    after = build(spec, second, rounding=rounding, **options)  # built on weights that have moved already
    before.ask(5)
    after.load_state_dict(before.state_dict())
    found += go(after, range(5, 10))
    assert model_sha256(second.model) == model_sha256(straight.model)
    assert found == want
    assert all(math.isfinite(value) for metrics in found for value in metrics.values())


@SPECS
def test_the_anchor_pulls_back_even_when_fitness_is_silent(make_policy, spec):
    policy = make_policy(layers=1)
    start = snapshot(policy)
    learner = build(spec, policy, anchor=0.25)
    go(learner, range(2))
    away = snapshot(policy)
    metrics = learner.tell(batch(2, np.ones((8, 3))))
    assert metrics["informative"] == 0 and metrics["update_rms"] > 0
    for name, weight in snapshot(policy).items():
        assert torch.allclose(weight - start[name], 0.75 * (away[name] - start[name]), atol=1e-7)
        assert not torch.equal(away[name], start[name])


@SPECS
def test_silence_moves_nothing_without_anchor_or_momentum(make_policy, spec):
    policy = make_policy(layers=1)
    before = model_sha256(policy.model)
    metrics = build(spec, policy, convention="eggroll", lr=1.0).tell(batch(0, np.ones((8, 3))))
    assert model_sha256(policy.model) == before
    assert (metrics["update_rms"], metrics["applied"], metrics["agreement"], metrics["distance"]) == (0, 1, 0, 0)


def test_schedules_reach_the_views_and_the_step(make_policy):
    policy = make_policy(layers=1)
    learner = build(
        EGGROLL, policy, sigma=0.04, sigma_schedule="linear", sigma_end=0.5, schedule="linear", schedule_steps=4,
        schedule_end=0.5,
    )  # fmt: skip
    assert [learner.ask(step).sigma for step in (0, 2, 4, 9)] == pytest.approx([0.04, 0.03, 0.02, 0.02])
    found = go(learner, range(5))
    assert [one["rate"] for one in found] == pytest.approx([0.01, 0.00875, 0.0075, 0.00625, 0.005])
    assert [one["sigma"] for one in found] == pytest.approx([0.04, 0.035, 0.03, 0.025, 0.02])
    assert found[4]["update_rms"] == pytest.approx(0.005, rel=0.15)


def test_momentum_is_the_fading_sum_of_the_generations(make_policy):
    plain, moving = make_policy(layers=1), make_policy(layers=1)
    steps = []
    learner = build(EGGROLL, plain)
    for step in range(2):
        before = snapshot(plain)
        go(learner, [step])
        steps.append({name: weight - before[name] for name, weight in snapshot(plain).items()})
    start = snapshot(moving)
    go(build(EGGROLL, moving, momentum=0.6), range(2))
    for name, weight in snapshot(moving).items():  # 0.8 (g1 + (0.6 g1 + g2))
        want = start[name] + 0.8 * (1.6 * steps[0][name] + steps[1][name])
        assert torch.allclose(weight, want, atol=1e-6)


@SPECS
def test_metrics_say_what_the_step_was(make_policy, spec):
    policy = make_policy(layers=1)
    (found,) = go(build(spec, policy), range(1))
    assert found["covered"] == pytest.approx(SPACE.share(policy.model), rel=1e-5)
    assert found["applied"] == pytest.approx(1, abs=1e-3)
    assert found["distance"] == pytest.approx(found["update_rms"], rel=1e-3)
    assert found["sampling_floor"] == 0 and found["floor"] > 0 and -1 <= found["agreement"] <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum": 1.0}, "momentum must lie from 0 to below 1, got 1"),
        ({"momentum": 0.5, "optimiser": "adam"}, "momentum is of sgd, the optimiser is adam; set beta1"),
        ({"optimiser": "adamw"}, "no optimiser 'adamw'; did you mean 'adam'"),
        ({"anchor": -0.1}, "anchor must lie from 0 to below 1"),
        ({"eps": 0.0}, "eps must be above 0"),
        ({"schedule": "cosine"}, "schedule cosine needs schedule_steps"),
        ({"sigma_schedule": "linear"}, "sigma_schedule linear needs schedule_steps"),
        ({"schedule": "cos"}, "no schedule 'cos'; did you mean 'cosine'"),
        ({"sigma_end": 0.0}, "sigma_end above 0"),
        ({"schedule_factor": 1.5}, "schedule_factor must lie above 0 up to 1"),
        ({"rounding": "nearest"}, "no rounding 'nearest'"),
        ({"shaping": "rank"}, "no shaping 'rank'; did you mean 'ranks'"),
    ],
)
@SPECS
def test_settings_out_of_range_are_refused(spec, options, message):
    with pytest.raises((BadValue, KeyError), match=message):
        spec.resolve("tiny", options)
