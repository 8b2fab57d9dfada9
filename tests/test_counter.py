import json
from importlib import resources

import numpy as np
import pytest
import torch
from scipy import stats

from eggym import counter
from eggym.seeding import key


def keys(*names):
    return torch.tensor([counter.as_key(key(name)) for name in names])


def splitmix(x):
    # the published finaliser, in Python's unbounded integers
    mask = (1 << 64) - 1
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


@pytest.mark.parametrize("count", [0, 1, 7, 2**40])
def test_bits_equal_the_published_mixer_in_exact_integers(count):
    one = key("a")
    want = splitmix(one ^ splitmix((count * 0x9E3779B97F4A7C15) % 2**64))
    got = counter.bits(keys("a"), torch.tensor([count])).item() % 2**64
    assert got == want


def test_uniforms_are_uniform_and_never_touch_the_ends():
    u = counter.uniforms(keys("a", "b"), torch.arange(50_000)).flatten().numpy()
    assert u.min() > 0 and u.max() < 1
    assert stats.kstest(u, "uniform").pvalue > 0.01
    extremes = counter._unit(torch.tensor([0, -1]))
    assert extremes.tolist() == [2.0**-53, 1 - 2.0**-53]


def test_gumbels_follow_their_law():
    g = counter.gumbels_each(keys("a"), torch.arange(50_000)[None]).flatten().numpy()
    assert stats.kstest(g, "gumbel_r").pvalue > 0.01


def test_the_logarithm_agrees_with_libm_to_an_ulp_or_two():
    x = torch.cat([torch.rand(10_000, dtype=torch.float64), torch.tensor([2.0**-53, 1 - 2.0**-53, 36.7, 1.5])])
    assert torch.allclose(counter._log(x), torch.log(x), rtol=5e-16, atol=2e-16)


def test_grid_normals_are_normal_on_multiples_of_a_32nd():
    z = counter.grid_normals(keys("a", "b", "c"), 40_001)
    assert z.shape == (3, 40_001) and z.dtype == torch.int8
    values = z.double().flatten().numpy() / 32
    assert abs(values.mean()) < 0.01
    assert values.var() == pytest.approx(counter.grid_variance(), rel=0.02)
    assert stats.kurtosis(values) == pytest.approx(0, abs=0.05)
    assert np.abs(values).max() < 4


def test_the_shipped_table_is_the_rounded_normal():
    counts = json.loads(resources.files("eggym").joinpath("data", "grid_normal.json").read_text())["counts"]
    assert counts[0] + 2 * sum(counts[1:]) == 65536 and len(counts) == 128
    edges = (np.arange(129) - 0.5) / 32
    edges[-1] = np.inf  # the last cell holds the tail
    assert np.abs(np.diff(stats.norm.cdf(edges)) * 65536 - counts).max() < 1
    # by hand: the variance of rounding to a grid of width h is h^2/12 above that of the normal
    assert counter.grid_variance() == pytest.approx(1 + 1 / 12 / 1024, abs=2e-3)


def test_streams_do_not_depend_on_company_and_do_not_correlate():
    together = counter.grid_normals(keys("a", "b"), 10_000)
    alone = counter.grid_normals(keys("b"), 10_000)
    assert torch.equal(together[1:], alone)
    longer = counter.grid_normals(keys("b"), 20_000)
    assert torch.equal(longer[:, :10_000], alone)
    a, b = together.double()
    assert abs(torch.corrcoef(torch.stack([a, b]))[0, 1]) < 4 / 100
    assert abs(torch.corrcoef(torch.stack([b[1:], b[:-1]]))[0, 1]) < 4 / 100


def test_neighbouring_keys_share_nothing():
    near = torch.arange(1000)  # the worst keys: not even hashed
    words = counter.bits(near, torch.arange(100)).flatten()
    assert len(torch.unique(words)) == len(words)
