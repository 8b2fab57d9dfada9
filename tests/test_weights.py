import math

import pytest
import torch
from torch import nn

from eggym.errors import UnknownName
from eggym.views import ParameterSpace
from eggym.weights import ROUNDINGS, Weights, stochastically

SPACE = ParameterSpace(".*")


def model(dtype=torch.bfloat16, scale=0.02, rows=40, columns=30):
    found = nn.Linear(columns, rows, bias=False).requires_grad_(False)
    found.weight.normal_(0, scale, generator=torch.Generator().manual_seed(0))
    return found.to(dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_a_hundred_small_steps_add_up(rounding, dtype):
    subject = model(dtype)
    subject.weight.fill_(0.02)
    start = subject.weight.float().clone()
    weights = Weights(subject, SPACE, rounding)
    for step in range(100):
        weights.add("weight", torch.full_like(start, 1e-6), step=step)
    drift = (weights.values("weight") - start).mean()
    assert drift == pytest.approx(1e-4, rel=0.05)
    # the drift is 0.8 of a bfloat16 weight's last bit, which shows what the model got: the nearest value, or on average
    assert (subject.weight.float() - start).mean() == pytest.approx(1e-4, abs=6.2e-5)


def test_rounding_to_nearest_loses_all_of_it():
    weight = torch.full((5,), 0.02, dtype=torch.bfloat16)
    for _ in range(100):
        weight += torch.full((5,), 1e-6, dtype=torch.bfloat16)
    assert torch.equal(weight, torch.full((5,), 0.02, dtype=torch.bfloat16))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_compensated_pair_is_the_master_in_four_bytes(dtype):
    plain, paired = model(dtype), model(dtype)
    master, compensated = Weights(plain, SPACE), Weights(paired, SPACE, "compensated")
    generator = torch.Generator().manual_seed(1)
    for _ in range(50):
        change = torch.randn(40, 30, generator=generator) * 3e-5
        master.add("weight", change)
        compensated.add("weight", change)
    apart = (master.values("weight") - compensated.values("weight")).abs()
    # a unit of the residual is 2^-16 of a bfloat16's last bit, which is 2^-8 of the weight at most
    assert float(apart.max()) < 50 * 2.0**-24 * 0.1
    assert (plain.weight == paired.weight).float().mean() > 0.999
    kept = compensated.state_dict()["weight"]
    assert kept.dtype == torch.int16 and kept.abs().max() > 1000


def test_stochastic_rounding_goes_to_a_neighbour_and_is_right_on_average():
    # by hand: bfloat16 has 7 bits after the leading one, so neighbours of 1 + 1/512 are 1 and 1 + 1/128: up with 1/4
    value = torch.full((65536,), 1 + 1 / 512)
    every = torch.arange(65536, dtype=torch.float64) / 65536  # all 16-bit random numbers, once each
    found = stochastically(value, torch.bfloat16, every).double()
    assert set(found.tolist()) == {1.0, 1 + 1 / 128}
    assert float(found.mean()) == 1 + 1 / 512
    assert float(stochastically(-value, torch.bfloat16, every).double().mean()) == -(1 + 1 / 512)
    # and float16: 10 bits; a subnormal's last bit is 2^-24
    tiny = torch.full((65536,), 2.0**-24 * 5.25)
    found = stochastically(tiny, torch.float16, every).double()
    assert set(found.tolist()) == {2.0**-24 * 5, 2.0**-24 * 6} and float(found.mean()) == 2.0**-24 * 5.25


def test_random_bits_are_keyed_by_seed_name_and_step_and_not_by_blocks():
    def moved(seed=0, step=3, height=40):
        subject = model(columns=31)  # rows do not start at multiples of four
        weights = Weights(subject, SPACE, "stochastic", seed)
        for start in range(0, 40, height):
            rows = slice(start, min(start + height, 40))
            weights.add("weight", torch.full_like(subject.weight[rows], 1e-5, dtype=torch.float32), rows, step)
        return subject.weight

    whole = moved()
    assert all(torch.equal(moved(height=height), whole) for height in (1, 7))
    assert not torch.equal(moved(step=4), whole) and not torch.equal(moved(seed=1), whole)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_rows_and_samples_are_parts_of_the_whole(rounding):
    weights = Weights(model(), SPACE, rounding)
    weights.add("weight", torch.full((40, 30), 3e-5), step=1)
    whole = weights.values("weight")
    assert torch.equal(weights.values("weight", slice(3, 7)), whole[3:7])
    assert torch.equal(weights.sample("weight", 7), whole.flatten()[::7])


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_a_saved_state_continues_to_the_same_bits(rounding):
    def go(weights, steps):
        for step in steps:
            change = torch.full((40, 30), 1e-5 * math.sin(step + 1))
            weights.add("weight", change, step=step)

    straight = Weights(model(), SPACE, rounding)
    go(straight, range(10))
    first = Weights(model(), SPACE, rounding)
    go(first, range(5))
    fresh = model()
    second = Weights(fresh, SPACE, rounding)
    fresh.weight.copy_(first.parameters["weight"])
    second.load_state_dict(first.state_dict())
    go(second, range(5, 10))
    assert torch.equal(second.values("weight"), straight.values("weight"))
    assert torch.equal(fresh.weight, straight.parameters["weight"])


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_a_float32_model_is_its_own_master_whatever_the_rounding(rounding):
    subject = model(torch.float32)
    weights = Weights(subject, SPACE, rounding)
    want = subject.weight + 1e-6
    weights.add("weight", torch.full_like(want, 1e-6))
    assert torch.equal(subject.weight, want) and weights.state_dict() == {}


def test_an_unknown_rounding_is_refused():
    with pytest.raises(UnknownName, match="no rounding 'stochastc'; did you mean 'stochastic'"):
        Weights(model(), SPACE, "stochastc")
