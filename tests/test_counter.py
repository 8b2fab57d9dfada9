import json
import shutil
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


def test_blocks_of_drawing_do_not_change_a_bit(monkeypatch):
    names = keys("a", "b", "c")
    whole = counter.grid_normals(names, 4099), counter.grid_signs(names, 4099)
    for block in (1, 7, 600):
        monkeypatch.setattr(counter, "_CPU_BLOCK", block)
        assert torch.equal(counter.grid_normals(names, 4099), whole[0])
        assert torch.equal(counter.grid_signs(names, 4099), whole[1])


def test_normals_and_signs_are_read_from_the_words_lowest_part_first():
    # by hand, in Python's integers: place by place through the table, bit by bit for signs
    half = json.loads(resources.files("eggym").joinpath("data", "grid_normal.json").read_text())["counts"]
    ascending = [step for step in range(-127, 128) for _ in range(half[abs(step)])]
    words = [word % 2**64 for word in counter.bits(keys("a"), torch.arange(3))[0].tolist()]
    assert counter.grid_normals(keys("a"), 10)[0].tolist() == [
        ascending[(words[i // 4] >> (16 * (i % 4))) & 0xFFFF] for i in range(10)
    ]
    assert counter.grid_signs(keys("a"), 130)[0].tolist() == [
        32 if (words[i // 64] >> (i % 64)) & 1 else -32 for i in range(130)
    ]


def test_signs_are_fair_and_independent():
    signs = counter.grid_signs(keys("a", "b"), 40_000).double() / 32
    assert signs.mean().abs() < 4 / np.sqrt(80_000)
    for lag in (1, 8, 64):
        assert (signs[:, lag:] * signs[:, :-lag]).mean().abs() < 4 / np.sqrt(80_000)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")  # torch says so to itself
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_words_have_the_bits_of_eager_ones():
    compiled = torch.compile(counter.bits, dynamic=True)
    names = keys("a", "b", "c")
    assert torch.equal(compiled(names, torch.arange(1000)), counter.bits(names, torch.arange(1000)))
