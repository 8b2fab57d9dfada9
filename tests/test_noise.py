"""The noise of a generation: golden values, laws, and that no two directions share a stream."""

import itertools
import math

import pytest
import torch
from scipy import stats
from torch import nn

from eggym.counter import GRID, as_key, bits, grid_variance
from eggym.errors import UnknownName
from eggym.es.noise import LAWS, draw, draw_factors, draw_vectors, pair_keys, values, variance
from eggym.es.targets import Target
from eggym.seeding import key

CPU = torch.device("cpu")
# of seed 0, generation 0, two pairs, in units of 1/32; a change of these is a change of every run
GOLDEN = {
    "b": [[22, -13, 16, -60, 38], [51, 12, -11, -1, 30]],
    "a": [[9, 52, 3], [27, 5, -33]],
    "signs": [[32, -32, -32, -32], [-32, -32, -32, -32]],
}


def matrix(name="w", n_out=40, n_in=24):
    return Target(name, "matrix", n_out, n_in, False, torch.float32, ())


def vector(name="b", n=40):
    return Target(name, "vector", n, 1, False, torch.float32, ())


def correlation(a, b):
    return abs(float(torch.corrcoef(torch.stack([a.flatten().double(), b.flatten().double()]))[0, 1]))


def test_golden_first_values():
    factors = draw_factors(matrix("w", 3, 5), 0, 0, 2, 1, CPU)
    assert factors.b_P_K_I.flatten(1).tolist() == GOLDEN["b"]
    assert factors.a_P_K_O.flatten(1).tolist() == GOLDEN["a"]
    assert draw_vectors(vector("b", 4), 0, 0, 2, CPU, "rademacher").z_P_n.tolist() == GOLDEN["signs"]


def test_a_pairs_key_is_one_hash_and_one_mixing():
    # by the published formulas: the key of a pair is the word of its number under the hashed key of the parameter
    start = as_key(key(3, "noise", "w", 5))
    want = bits(torch.tensor([start]), torch.arange(4))[0]
    assert torch.equal(pair_keys("w", 3, 5, 4, CPU), want)


def test_no_two_directions_share_a_key():
    names, seeds, generations = ["w", "w2", "v"], [0, 1, 2], range(20)
    drawn = [pair_keys(*place, 500, CPU) for place in itertools.product(names, seeds, generations)]
    every = torch.cat(drawn)
    assert len(every) == 90_000 and len(torch.unique(every)) == len(every)


def test_more_pairs_leave_the_first_ones_as_they_are():
    some, more = (draw_factors(matrix(), 7, 2, n_pairs, 2, CPU) for n_pairs in (4, 9))
    assert torch.equal(some.a_P_K_O, more.a_P_K_O[:4]) and torch.equal(some.b_P_K_I, more.b_P_K_I[:4])


@pytest.mark.parametrize("law", LAWS)
def test_layers_of_one_shape_neighbouring_seeds_and_generations_are_uncorrelated(law):
    first = draw_factors(matrix("layers.0.w", 500, 300), 7, 2, 4, 1, CPU, law)
    others = [
        draw_factors(matrix("layers.1.w", 500, 300), 7, 2, 4, 1, CPU, law),
        draw_factors(matrix("layers.0.w", 500, 300), 8, 2, 4, 1, CPU, law),
        draw_factors(matrix("layers.0.w", 500, 300), 7, 3, 4, 1, CPU, law),
    ]
    for other in others:
        assert correlation(first.a_P_K_O, other.a_P_K_O) < 4 / math.sqrt(first.a_P_K_O.numel())
        assert correlation(first.b_P_K_I, other.b_P_K_I) < 4 / math.sqrt(first.b_P_K_I.numel())
    assert correlation(first.a_P_K_O[0], first.a_P_K_O[1]) < 4 / math.sqrt(500)
    assert correlation(first.a_P_K_O[:, :, :300], first.b_P_K_I) < 4 / math.sqrt(1200)


def directions(rank, law, n_pairs=20_000):
    factors = draw_factors(matrix("w", 4, 4), 0, 0, n_pairs, rank, CPU, law)
    a, b = factors.a_P_K_O.double() / GRID, factors.b_P_K_I.double() / GRID
    return torch.einsum("pko,pki->poi", a, b) / (variance(law) * math.sqrt(rank))


@pytest.mark.parametrize("rank", [1, 2, 4])
@pytest.mark.parametrize("law", LAWS)
def test_directions_have_the_covariance_and_kurtosis_of_theory(law, rank):
    e = directions(rank, law)
    covariance = torch.cov(e.flatten(1).t())
    # standard error of a variance: sqrt((kurtosis - 1) / n), at most 0.02 here; 136 entries are looked at
    assert (covariance - torch.eye(16)).abs().max() < 0.1
    want = 3 + 6 / rank if law == "normal" else 3 - 2 / rank
    assert stats.kurtosis(e.flatten().numpy(), fisher=False) == pytest.approx(want, rel=0.1)


def test_every_rademacher_direction_of_rank_one_has_the_same_norm():
    norms = directions(1, "rademacher", 50).flatten(1).norm(dim=1)
    assert torch.equal(norms, torch.full((50,), 4.0, dtype=torch.float64))


@pytest.mark.parametrize("law", LAWS)
def test_vectors_have_unit_variance(law):
    z = draw_vectors(vector("b", 5000), 0, 0, 4, CPU, law).z_P_n.double().numpy() / GRID / math.sqrt(variance(law))
    assert z.var() == pytest.approx(1, abs=4 * math.sqrt(2 / z.size))
    assert abs(z.mean()) < 4 / math.sqrt(z.size)


def test_the_variances_are_exact():
    signs = values(torch.tensor([5]), 10_000, "rademacher")
    assert set(signs.flatten().tolist()) == {-GRID, GRID} and variance("rademacher") == 1.0
    assert variance("normal") == grid_variance()


def test_a_kind_of_parameter_gets_its_kind_of_noise():
    assert torch.equal(draw(vector(), 1, 2, 3, 4, CPU).z_P_n, draw_vectors(vector(), 1, 2, 3, CPU).z_P_n)
    assert draw(matrix(), 1, 2, 3, 4, CPU).a_P_K_O.shape == (3, 4, 40)
    assert draw(matrix(), 1, 2, 3, 4, CPU).b_P_K_I.shape == (3, 4, 24)


def test_an_unknown_law_names_its_neighbour():
    with pytest.raises(UnknownName, match="did you mean 'normal'"):
        values(torch.tensor([1]), 3, "normals")


def test_tied_weights_draw_once():
    from eggym.es.targets import find_targets

    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Tanh(), nn.Linear(4, 4, bias=False))
    model[2].weight = model[0].weight
    (target,) = find_targets(model, dict(model.named_parameters()))
    assert target.name == "0.weight" and len(target.sites) == 2
