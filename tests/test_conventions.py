"""What others call a learning rate, as the step it makes."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from eggym.counter import GRID, grid_variance
from eggym.es.ascent import Ascent
from eggym.es.conventions import nominal_rms
from eggym.es.eggroll import SPEC, Options
from eggym.es.noise import Factors
from eggym.es.update import Tally, direction
from eggym.views import ParameterSpace


@pytest.mark.parametrize(
    ("convention", "lr", "sigma", "population", "rms"),
    [
        ("eggroll", 0.125, 7e-4, 256, 8.75e-5),  # Countdown, 1.5 B: 0.125 * 7e-4
        ("eggroll", 0.06, 2e-3, 512, 1.2e-4),  # GSM8K, 7 B
        ("es_at_scale", 5e-4, 1e-3, 30, 9.13e-5),  # 5e-4 / sqrt 30
        ("es_at_scale", 1e-3, 1e-3, 2048, 2.21e-5),  # eggroll-vllm, table 3
        ("es_at_scale", 1e-3, 1e-3, 256, 6.25e-5),
        ("es_at_scale", 2e-4, 1e-3, 1024, 6.25e-6),  # eggroll-vllm's script
        ("openai_es", 1e-6, 1e-3, 100, 1e-4),  # 1e-6 / (1e-3 * 10)
        ("update_rms", 5e-5, 1e-3, 64, 5e-5),
    ],
)
def test_published_settings_as_rms_per_step(convention, lr, sigma, population, rms):
    assert nominal_rms(convention, lr, sigma, population) == pytest.approx(rms, rel=2e-3)


class Told:
    step = 0

    def __init__(self, rewards):
        self._rewards = rewards

    def rewards_N_P_G(self):
        return self._rewards.astype(np.float32)


def moved(rewards_N_P_G, **options):
    """The change of a 6 x 5 matrix by one generation, and its directions with entries of variance 1."""
    model = nn.Linear(5, 6, bias=False).requires_grad_(False)
    model.weight.zero_()
    n_pairs = len(rewards_N_P_G) // 2
    generator = torch.Generator().manual_seed(0)
    a, b = (
        torch.randint(-60, 61, (n_pairs, options.get("rank", 1), n), generator=generator, dtype=torch.int8)
        for n in (6, 5)
    )
    ascent = Ascent(model, ParameterSpace(".*"), 0, Options(population=2 * n_pairs, **options))
    told = Told(rewards_N_P_G)
    shaped = ascent.shape(told)
    tally = Tally.of(shaped.weights_D, a.shape[1], a.device)
    found = direction("weight", Factors(a, b), tally, grid_variance())
    metrics = ascent.climb(told, shaped, [found], "shared")
    e = torch.einsum("pko,pki->poi", a.double(), b.double())
    return model.weight.double(), e / (GRID**2 * grid_variance() * math.sqrt(a.shape[1])), metrics


REWARDS = {
    "unlike twins": np.random.default_rng(1).random((8, 3, 2)),
    "opposite twins": np.random.default_rng(2).random((4, 1, 1, 1)) * np.array([1.0, -1.0])[None, :, None, None],
    "nearly equal twins": np.random.default_rng(3).random((4, 1, 1, 1)) + np.array([0.0, 0.01])[None, :, None, None],
}


@pytest.mark.parametrize("twins", REWARDS)
@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize(
    ("convention", "factor"),
    [  # of mean_i(f_i s_i E_i), from the sources, with lr 0.3 and sigma 0.02
        ("eggroll", lambda n: 0.3 * math.sqrt(n) * 0.02),
        ("es_at_scale", lambda n: 0.3),
        ("openai_es", lambda n: 0.3 / 0.02),
    ],
)
def test_the_step_is_the_authors_to_the_rounding_of_weights(convention, factor, rank, twins):
    rewards = REWARDS[twins].reshape(8, -1, REWARDS[twins].shape[-1])
    found, e, _ = moved(rewards, rank=rank, sigma=0.02, lr=0.3, convention=convention)
    scores = rewards.astype(np.float32).astype(float).mean((1, 2))
    f = (scores - scores.mean()) / scores.std()  # z-score over the population
    signs = np.array([1.0, -1.0] * 4)
    want = factor(8) * sum(f[i] * signs[i] * e[i // 2] for i in range(8)) / 8
    assert torch.allclose(found, want, rtol=0, atol=1e-4 * float(want.abs().max()))


def test_the_strength_depends_on_what_twins_do_and_ours_does_not():
    # by hand: opposite twins w = f, sum w^2 = P = N / 2, strength sqrt 2; our step has one length always
    lengths = {}
    for twins in ("opposite twins", "nearly equal twins"):
        rewards = REWARDS[twins].reshape(8, 1, 1)
        for convention, options in (("eggroll", {"lr": 0.5, "sigma": 0.02}), ("update_rms", {"update_rms": 0.01})):
            lengths[twins, convention] = moved(rewards, convention=convention, **options)[0].norm()
    assert lengths["opposite twins", "eggroll"] > 20 * lengths["nearly equal twins", "eggroll"]
    ours = lengths["opposite twins", "update_rms"], lengths["nearly equal twins", "update_rms"]
    assert 0.3 < ours[0] / ours[1] < 3
    opposite = REWARDS["opposite twins"].reshape(8, 1, 1)
    plain = moved(opposite, update_rms=0.01)[0]
    theirs = moved(opposite, convention="eggroll", lr=0.5, sigma=0.02)[0]
    assert torch.allclose(theirs, math.sqrt(2) * plain, rtol=1e-4)


def test_published_settings_can_be_pasted_in():
    options = SPEC.resolve("tiny", {"sigma": 7e-4, "lr": 0.125, "convention": "eggroll"})
    assert options.rate_at(0) == pytest.approx(8.75e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.1}, "lr 0.1 has no meaning of its own; set convention"),
        ({"convention": "eggroll"}, "convention eggroll reads the step from lr, which must be above 0, got 0"),
        ({"convention": "egroll", "lr": 1.0}, "no convention 'egroll'; did you mean 'eggroll'"),
        ({"convention": "eggroll", "lr": 1.0, "optimiser": "adam"}, "about plain steps, not adam"),
    ],
)
def test_a_learning_rate_that_could_be_misread_is_refused(options, message):
    with pytest.raises((ValueError, KeyError), match=message):
        SPEC.resolve("pretrained", options)
