import math

import numpy as np
import pytest
import torch

from eggym.counter import grid_normals
from eggym.es.diagnostics import SAMPLED, Agreement, Footprints, dealt_floor, rounded, sampling_floor
from eggym.es.noise import Factors, Vectors, pair_keys
from eggym.es.shaping import quantise, shape
from eggym.es.update import (
    Tally,
    direction,
    full_rank_blocks,
    gram_halves,
    low_rank_blocks,
    low_rank_sum,
)
from eggym.views import ParameterSpace
from eggym.weights import Weights

CPU = torch.device("cpu")


def factors(n_pairs, rank, n_out, n_in, name="w"):
    values = grid_normals(pair_keys(name, 0, 0, n_pairs, CPU), rank * (n_out + n_in))
    split = rank * n_out
    return Factors(values[:, :split].reshape(n_pairs, rank, n_out), values[:, split:].reshape(n_pairs, rank, n_in))


def weights_of(n_pairs):
    return quantise(np.random.default_rng(0).standard_normal(n_pairs))


# ---- floors


def test_the_floor_of_dealt_rewards_by_hand_and_by_dealing():
    # one item, rewards 1 0 0 0: variance (ddof 1) (9/16 + 3/16) / 3 = 1/4; floor sqrt(1/8)
    assert dealt_floor(np.array([[0.75], [-0.25], [-0.25], [-0.25]])) == pytest.approx(math.sqrt(1 / 8))
    rng = np.random.default_rng(0)
    rewards = rng.random((8, 5)).astype(np.float32)
    found = shape(rewards[:, :, None])
    dealt = [shape(rng.permuted(rewards, axis=0)[:, :, None]).spread ** 2 for _ in range(4000)]
    assert dealt_floor(found.centred_N_P) == pytest.approx(math.sqrt(np.mean(dealt)), rel=0.03)


def test_the_floor_of_sampling_by_hand_and_by_sampling():
    # two members, one item, replies (1, 0) and (1, 1): variances 1/2 and 0, mean 1/4 over 2 replies: 1/8; halved 1/16
    rewards = np.array([[[1, 0]], [[1, 1]]], dtype=np.float32)
    assert sampling_floor(rewards, "independent", 1.0) == pytest.approx(0.25)
    rng = np.random.default_rng(0)
    pure = [(rng.random((8, 5, 4)) < 0.3).astype(np.float32) for _ in range(6000)]
    spreads = [shape(one).spread ** 2 for one in pure]
    floors = [sampling_floor(one, "independent", 1.0) ** 2 for one in pure]
    assert np.mean(spreads) == pytest.approx(np.mean(floors), rel=0.03)  # a standard error is 0.01


def test_where_the_floor_of_sampling_is_zero_or_cannot_be_known():
    single = np.ones((4, 3, 1), dtype=np.float32)
    assert sampling_floor(single, "shared", 1.0) == 0  # members that do not differ give the same replies
    assert sampling_floor(single, "independent", 0.0) == 0
    assert sampling_floor(single, "independent", 1.0) is None
    nearly = np.full((4, 3, 2), np.nan, dtype=np.float32)
    nearly[:, :, 0] = 1
    assert sampling_floor(nearly, "independent", 1.0) is None


# ---- agreement of halves


def explicit_cosine(sums):
    even, odd = (torch.cat([one.flatten() for one in half]) for half in zip(*sums, strict=True))
    return float(torch.nn.functional.cosine_similarity(even, odd, dim=0))


@pytest.mark.parametrize("rank", [1, 3])
def test_halves_by_gram_matrices_are_those_of_explicit_sums(rank):
    weights = weights_of(11)
    weights[[3, 4, 8]] = 0  # of pairs that do not count, none may shift the halves of the others
    found, sums = Agreement(), []
    for name, shape_ in (("a", (7, 1100)), ("b", (20, 30))):
        noise = factors(11, rank, *shape_, name)
        found.take(gram_halves(noise, Tally.of(weights, rank, CPU)), 1.0)
        halves = [
            low_rank_sum(Factors(noise.a_P_K_O[p::2], noise.b_P_K_I[p::2]), weights[p::2]).double() for p in (0, 1)
        ]
        sums.append(halves)
    assert found.cosine() == pytest.approx(explicit_cosine(sums), rel=1e-9, abs=1e-12)


def test_both_ways_to_the_halves_agree_and_the_cheaper_one_is_taken():
    weights = weights_of(6)
    small, large = factors(6, 2, 10, 10), factors(6, 2, 200, 150)
    tally = Tally.of(weights, 2, CPU)
    assert direction("w", small, tally, 1.0).halves is None
    chosen = direction("w", large, tally, 1.0)
    apart = Agreement()
    for block in low_rank_blocks(large, tally, apart=True, height=17):
        apart.take_block(block, 1.0)
    by_gram = Agreement()
    by_gram.take(chosen.halves, 1.0)
    assert apart.cosine() == pytest.approx(by_gram.cosine(), rel=1e-9)
    assert torch.equal(
        torch.cat([block.parts[0] for block in chosen.blocks]),
        torch.cat([block.parts[0] + block.parts[1] for block in low_rank_blocks(large, tally, apart=True)]),
    )


def test_halves_that_vote_alike_agree_and_silence_is_zero():
    noise = factors(2, 1, 5, 4)
    twice = Factors(noise.a_P_K_O[[0, 0]], noise.b_P_K_I[[0, 0]])
    for weights, cosine in (([5, 5], 1.0), ([5, -5], -1.0), ([0, 0], 0.0), ([5, 0], 0.0)):
        found = Agreement()
        found.take(gram_halves(twice, Tally.of(np.array(weights, dtype=np.int16), 1, CPU)), 1.0)
        assert found.cosine() == pytest.approx(cosine)


# ---- footprints


def linear(rows, columns):
    model = torch.nn.Linear(columns, rows, bias=False).requires_grad_(False)
    model.weight.normal_(generator=torch.Generator().manual_seed(0))
    return model


@pytest.mark.parametrize(("rows", "columns", "rel"), [(40, 30, 1e-6), (300, 701, 0.02)])
def test_footprints_measure_what_was_meant_and_what_was_done(rows, columns, rel):
    model = linear(rows, columns)
    start = model.weight.clone()
    weights = Weights(model, ParameterSpace(".*"))
    subject = Footprints(weights)
    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        subject.before()
        change = torch.randn(rows, columns, generator=generator) * 0.01
        for first in range(0, rows, 11):  # the places of the sample are then no multiples of a block's start
            part = slice(first, min(first + 11, rows))
            subject.intend("weight", change[part], part)
            weights.add("weight", change[part] / 2, part)  # half of what was meant
        found = subject.after()
    moved = (model.weight - start).double()
    assert found["update_rms"] == pytest.approx(float(change.double().square().mean().sqrt()), rel=rel)
    assert found["applied"] == pytest.approx(0.5, rel=1e-4)
    assert found["distance"] == pytest.approx(float(moved.square().mean().sqrt()), rel=rel)
    assert found["relative_distance"] == pytest.approx(float(moved.norm() / start.double().norm()), rel=rel)
    assert (rows * columns > SAMPLED) == (rel > 1e-3)


def test_rounding_to_nearest_would_show_as_a_share_of_the_change_that_was_applied():
    # 1e-5 on weights of 0.02 in bfloat16: measured elsewhere, a cosine of 0.46; the energy is right on average
    model = linear(100, 100).to(torch.bfloat16)
    model.weight.mul_(0.02)
    for rounding, low, high in (("master", 0.999, 1.001), ("compensated", 0.999, 1.001), ("stochastic", 0.5, 1.5)):
        weights = Weights(model, ParameterSpace(".*"), rounding)
        subject = Footprints(weights)
        subject.before()
        change = torch.full((100, 100), 1e-5)
        subject.intend("weight", change, slice(None))
        weights.add("weight", change)
        assert low < subject.after()["applied"] < high
    # 1e-6 on 0.02, a thirtieth of the last bit: what nearest applies is nothing
    model.weight.fill_(0.02)
    weights = Weights(model, ParameterSpace(".*"), "stochastic")
    subject = Footprints(weights)
    subject.before()
    subject.intend("weight", torch.full((100, 100), 1e-6), slice(None))
    weights.parameters["weight"].data.add_(1e-6)
    assert subject.after()["applied"] == 0.0


def test_full_rank_and_vector_sums_come_in_halves_too():
    keys, weights = pair_keys("w", 0, 0, 5, CPU), weights_of(5)
    noise = grid_normals(keys, 12).double()
    scaled = torch.from_numpy(weights.astype(float))[:, None] * noise
    (block,) = full_rank_blocks(keys, weights, torch.Size([3, 4]))
    assert torch.equal(block.parts[0].flatten(), scaled[0::2].sum(0))
    assert torch.equal(block.parts[1].flatten(), scaled[1::2].sum(0))
    (vector,) = direction("b", Vectors(grid_normals(keys, 12)), Tally.of(weights, 1, CPU), 1.0).blocks
    assert torch.equal(vector.parts[0], scaled[0::2].sum(0)) and torch.equal(vector.parts[1], scaled[1::2].sum(0))


def test_metrics_keep_six_digits():
    assert rounded({"a": 1 / 3, "b": 0.0}) == {"a": 0.333333, "b": 0.0}
