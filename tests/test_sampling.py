import pytest
import torch
from scipy import stats

from eggym.counter import as_key
from eggym.sampling import Draw, gumbel_choice, inverse_cdf
from eggym.seeding import key


def keys(n, name="place"):
    return torch.tensor([as_key(key(name, i)) for i in range(n)])


def drawn(shared, n=20_000, temperature=1.0):
    logits = torch.log(torch.tensor([0.5, 0.25, 0.125, 0.125, 0.0]))
    return Draw(temperature, shared).tokens(logits.expand(n, 5), keys(n), torch.full((n,), 3))


@pytest.mark.parametrize("shared", [True, False])
def test_frequencies_match_the_softmax(shared):
    counts = torch.bincount(drawn(shared), minlength=5)
    assert counts[4] == 0  # a token of probability 0 is never drawn
    assert stats.chisquare(counts[:4], [10_000, 5_000, 2_500, 2_500]).pvalue > 0.01


@pytest.mark.parametrize("shared", [True, False])
def test_temperature_sharpens(shared):
    # at T = 1/2 the probabilities are squared: 16, 4, 1, 1 of 22
    counts = torch.bincount(drawn(shared, temperature=0.5), minlength=5)[:4]
    assert stats.chisquare(counts, [20_000 * share / 22 for share in (16, 4, 1, 1)]).pvalue > 0.01


def test_greedy_is_argmax_and_certain():
    logits = torch.tensor([[0.0, 2.0, 1.0]])
    draw = Draw(0.0, False)
    assert draw.tokens(logits, keys(1), torch.tensor([0])).tolist() == [1]
    assert draw.logprobs(logits, torch.tensor([1])).tolist() == [0.0]


def test_rows_that_share_a_place_draw_alike_and_others_do_not():
    logits = torch.zeros(6, 50)
    draw, keys_R = Draw(1.0, True), keys(2)[[0, 1, 0, 1, 0, 1]]
    a, b, *rest = draw.tokens(logits, keys_R, torch.zeros(6, dtype=torch.int64)).tolist()
    assert rest == [a, b, a, b]
    positions = [tuple(draw.tokens(logits, keys_R, torch.full((6,), at))[:2].tolist()) for at in range(5)]
    assert len(set(positions)) == 5
    # rows of one key at different places of their turn
    mixed = draw.tokens(logits, keys_R, torch.tensor([3, 4, 2, 1, 3, 4])).tolist()
    assert mixed == [
        *positions[3][:1],
        positions[4][1],
        positions[2][0],
        positions[1][1],
        positions[3][0],
        positions[4][1],
    ]


@pytest.mark.slow
def test_members_that_differ_little_mostly_agree_under_a_shared_gumbel():
    # total variation of the two softmaxes is a lower bound of disagreement; a shared Gumbel comes close to it
    torch.manual_seed(0)
    base = torch.randn(1, 1000) * 3
    other = base + 0.05 * torch.randn(1, 1000)
    n = 4000
    draw, at = Draw(1.0, True), torch.zeros(n, dtype=torch.int64)
    same = draw.tokens(base.expand(n, -1), keys(n), at) == draw.tokens(other.expand(n, -1), keys(n), at)
    disagree = 1 - same.float().mean()
    variation = (base.softmax(-1) - other.softmax(-1)).abs().sum() / 2
    assert variation * 0.5 < disagree < 3 * variation


def test_the_edges_of_the_uniform_stay_inside_the_vocabulary():
    logits = torch.tensor([[-1e9, 0.0, 0.0, -1e9]]).expand(2, 4)
    assert inverse_cdf(logits, torch.tensor([2.0**-53, 1 - 2.0**-53], dtype=torch.float64)).tolist() == [1, 2]


def test_logprobs_are_those_of_the_scaled_softmax():
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    draw = Draw(0.5, False)
    want = torch.log_softmax(logits / 0.5, -1)[0, 2]
    assert draw.logprobs(logits, torch.tensor([2])).item() == pytest.approx(want.item(), abs=1e-6)


def test_a_subset_of_rows_draws_what_it_drew_in_company():
    torch.manual_seed(0)
    logits = torch.randn(8, 11)
    rows, at = torch.tensor([5, 2]), torch.full((8,), 4)
    for draw in (Draw(1.0, False), Draw(1.0, True)):
        few = draw.tokens(logits[rows], keys(8)[rows], at[rows])
        assert torch.equal(few, draw.tokens(logits, keys(8), at)[rows])


def test_gumbel_choice_of_known_numbers():
    assert gumbel_choice(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.5, 0.0]])).tolist() == [0]


def test_uniforms_drawn_ahead_are_those_of_each_position():
    draw, at_R = Draw(1.0, False), torch.tensor([0, 3, 500, 2])
    ahead_R_C = draw.ahead(keys(4), at_R, 16)
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    for step in range(16):
        assert torch.equal(ahead_R_C[:, step], draw.ahead(keys(4), at_R + step, 1)[:, 0])
        alone = draw.tokens(logits, keys(4), at_R + step)
        assert torch.equal(draw.tokens(logits, keys(4), at_R + step, ahead_R_C[:, step]), alone)
