import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from eggym.errors import BadValue
from eggym.stats import (
    area_under,
    clustered_mean,
    item_means,
    mean_t,
    on_grid,
    paired,
    paired_items,
    seeds_needed,
    t_test,
    time_to_target,
)

NAN = math.nan
finite = st.floats(-10, 10)


def ends(found):
    return found.mean, found.low, found.high, found.n


def test_the_t_interval_of_a_known_sample():
    # 1, 2, 3: mean 2, sd 1, SE 1/sqrt(3); t(2 degrees, 97.5 %) = 4.302653
    half = 4.302653 / math.sqrt(3)
    assert ends(mean_t([1, 2, 3])) == pytest.approx((2, 2 - half, 2 + half, 3), rel=1e-6)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], (None, None, None, 0)),
        ([None, NAN], (None, None, None, 0)),
        ([0.5], (0.5, None, None, 1)),
        ([0.0, 1.0], (0.5, None, None, 2)),
        ([0.0, None, 1.0, NAN], (0.5, None, None, 2)),  # what is missing does not count towards the three
        ([0.5, 0.5, 0.5], (0.5, 0.5, 0.5, 3)),
    ],
)
def test_degenerate_samples(values, expected):
    assert ends(mean_t(values)) == expected


def test_an_infinite_value_is_refused():
    with pytest.raises(BadValue, match=r"finite numbers, got .*inf"):
        mean_t([1.0, math.inf])


def test_a_level_outside_0_and_1_is_refused():
    with pytest.raises(BadValue, match="level must lie between 0 and 1, got 95"):
        mean_t([1, 2, 3], level=95)


@given(st.lists(finite, min_size=3, max_size=8), finite, st.floats(0.1, 10))
def test_the_interval_moves_and_scales_with_its_values(values, shift, scale):
    found, moved = mean_t(values), mean_t([scale * value + shift for value in values])
    assert found.low <= found.mean <= found.high
    for before, after in zip(ends(found)[:3], ends(moved)[:3], strict=True):
        assert after == pytest.approx(scale * before + shift, abs=1e-6)


@pytest.mark.parametrize("n_seeds", [3, 5])
def test_intervals_cover_the_truth_as_often_as_they_say(n_seeds):
    draws = np.random.default_rng(7).normal(0.4, 0.1, size=(4000, n_seeds))
    found = [mean_t(row.tolist()) for row in draws]
    coverage = np.mean([one.low <= 0.4 <= one.high for one in found])
    assert coverage == pytest.approx(0.95, abs=0.012)  # 3.5 standard errors of 4000 trials


def test_clustered_errors_cover_where_naive_ones_do_not():
    # 200 items of beta-distributed difficulty, 8 replies each: the replies to one item are not independent
    rng = np.random.default_rng(8)
    clustered, naive = [], []
    for _ in range(400):
        replies = (rng.random((200, 8)) < rng.beta(0.5, 0.5, size=(200, 1))).astype(float)
        mean, error = clustered_mean(replies.tolist())
        clustered.append(abs(mean - 0.5) < 1.96 * error)
        naive.append(abs(mean - 0.5) < 1.96 * replies.std(ddof=1) / math.sqrt(replies.size))
    assert np.mean(clustered) == pytest.approx(0.95, abs=0.035)
    assert np.mean(naive) < 0.8


def test_the_clustered_error_of_known_items():
    # item means 1/2, 1, 0: mean 1/2, sd 1/2, SE 1/2/sqrt(3); replies that could not be judged leave their item
    mean, error = clustered_mean([[1.0, 0.0], [1.0, None], [0.0], [None, NAN]])
    assert (mean, error) == pytest.approx((0.5, 0.5 / math.sqrt(3)))
    assert item_means([[1.0, 0.0], 0.25, [None], None]) == [0.5, 0.25, None, None]
    assert clustered_mean(np.array([[1.0, 0.0], [1.0, 1.0]])) == (0.75, 0.25)


def test_one_item_has_no_error_and_none_has_no_mean():
    assert clustered_mean([[1.0, 0.0]]) == (0.5, None)
    assert clustered_mean([[None], None]) == (None, None)


@given(st.lists(finite, min_size=1, max_size=30), st.randoms())
def test_the_order_of_items_does_not_change_a_bit(rewards, random):
    shuffled = random.sample(rewards, len(rewards))
    assert clustered_mean(shuffled) == clustered_mean(rewards)


def test_a_known_paired_difference():
    # differences 0.1, 0.2, 0.3: mean 0.2, SE 0.1/sqrt(3), half width 4.302653 * 0.057735 = 0.24841: zero is inside
    found = paired({1: 0.5, 2: 0.7, 3: 0.9}, {3: 0.6, 2: 0.5, 1: 0.4, 9: 0.0})
    assert found.per_seed == pytest.approx({1: 0.1, 2: 0.2, 3: 0.3})
    assert (found.difference, found.low, found.n, found.resolved) == (
        pytest.approx(0.2),
        pytest.approx(-0.04841, abs=1e-4),
        3,
        None,
    )
    assert found.detectable == pytest.approx(0.24841, abs=1e-4)


def test_the_t_test_is_scipys_and_agrees_with_the_interval():
    values = [0.1, 0.2, 0.3, 0.45]
    assert t_test(values) == pytest.approx(scipy_stats.ttest_1samp(values, 0).pvalue, rel=1e-12)
    # 0.1, 0.2, 0.3: t = 0.2 / 0.057735 = 3.4641 with 2 degrees: p = 1 - t / sqrt(t^2 + 2) = 1 - sqrt(12 / 14)
    assert paired({1: 0.1, 2: 0.2, 3: 0.3}, {1: 0, 2: 0, 3: 0}).p == pytest.approx(1 - math.sqrt(12 / 14))
    assert t_test([0.1, 0.2]) is None
    assert [t_test([value] * 3) for value in (0.25, 0.2, 0.0, 1e-12)] == pytest.approx([0, 0, 1, 1], abs=1e-12)


@given(st.lists(finite, min_size=3, max_size=8))
def test_p_is_below_5_percent_where_the_interval_excludes_zero(values):
    found = mean_t(values)
    if min(abs(found.low), abs(found.high)) > 1e-6:
        assert (t_test(values) < 0.05) == (found.low > 0 or found.high < 0)


def test_pairing_resolves_what_the_spread_of_seeds_hides():
    a, b = {1: 0.1, 2: 0.5, 3: 0.9}, {1: 0.05, 2: 0.46, 3: 0.84}
    assert paired(a, b).resolved == "a"
    assert paired(b, a).resolved == "b"
    assert mean_t(a.values()).low < mean_t(b.values()).high


@pytest.mark.parametrize(
    ("a", "b", "difference", "resolved"),
    [
        ({}, {1: 0.5}, None, None),  # no seed in common
        ({1: 1.0, 2: 1.0}, {1: 0.0, 2: 0.0}, 1.0, None),  # two seeds never resolve anything
        ({1: 1.0, 2: 1.0, 3: None}, {1: 0.0, 2: 0.0, 3: 0.0}, 1.0, None),
        ({1: 1.0, 2: 1.0, 3: 1.0}, {1: 0.0, 2: 0.0, 3: 0.0}, 1.0, "a"),
        ({1: 0.5, 2: 0.5, 3: 0.5}, {1: 0.5, 2: 0.5, 3: 0.5}, 0.0, None),
        ({1: 0.1 + 0.2, 2: 0.1 + 0.2, 3: 0.1 + 0.2}, {1: 0.3, 2: 0.3, 3: 0.3}, 0.0, None),  # 5e-17 is rounding
    ],
)
def test_degenerate_comparisons(a, b, difference, resolved):
    found = paired(a, b)
    assert found.difference == pytest.approx(difference, abs=1e-12)
    assert found.resolved == resolved


def test_paired_items_of_known_rewards():
    # differences by item, averaged over the two seeds: 1, 1/2, 0 (the second seed lacks item 2)
    a = [[1.0, 1.0, 0.5], [1.0, 0.0, None]]
    b = [[0.0, 0.0, 0.5], [0.0, 0.0, 1.0]]
    half = 4.302653 * 0.5 / math.sqrt(3)
    assert ends(paired_items(a, b)) == pytest.approx((0.5, 0.5 - half, 0.5 + half, 3), rel=1e-6)


def test_items_that_do_not_match_are_refused():
    with pytest.raises(BadValue, match="got 1 x 2 and 1 x 3"):
        paired_items([[1.0, 0.0]], [[1.0, 0.0, 1.0]])


def test_the_seeds_needed_are_the_first_that_resolve():
    # mean 0.2, sd 0.1: 3 seeds give a half width of 0.2484, 4 give 3.1824 * 0.05 = 0.159
    assert seeds_needed([0.1, 0.2, 0.3]) == 4
    assert seeds_needed([0.2, 0.2]) == 3
    assert seeds_needed([0.2]) is None
    assert seeds_needed([-0.1, 0.1]) is None
    assert seeds_needed([0.0, 0.0001, -0.00009]) is None  # beyond a thousand


def test_a_curve_is_read_as_steps_and_never_extrapolated():
    read = on_grid([1, 2, 4], [10, 20, 40], [0, 1, 1.9, 2, 3, 4, 4.1])
    np.testing.assert_array_equal(read, [NAN, 10, 10, 20, 20, 40, NAN])
    np.testing.assert_array_equal(on_grid([], [], [0, 1]), [NAN, NAN])


def test_the_area_under_a_known_curve():
    # 0.2 over one unit, 0.5 over two, 1.0 over the last: (0.2 + 1.0 + 1.0) / 4
    assert area_under([0, 1, 3, 4], [0.2, 0.5, 1.0, 0.0], 4) == pytest.approx(2.2 / 4)
    # cut at 2: (0.2 + 0.5) / 2
    assert area_under([0, 1, 3, 4], [0.2, 0.5, 1.0, 0.0], 2) == pytest.approx(0.35)
    # ends at 4 of 10: averaged over what there is
    assert area_under([0, 1, 3, 4], [0.2, 0.5, 1.0, 0.0], 10) == pytest.approx(2.2 / 4)
    # the stretch without a value is left out: (0.2 + 1.0) / 2
    assert area_under([0, 1, 3, 4], [0.2, NAN, 1.0, 0.0], 4) == pytest.approx(0.6)
    assert area_under([0], [0.2], 4) is None
    assert area_under([0, 1], [NAN, 0.2], 4) is None


def test_the_time_to_a_target_is_the_first_evaluation_at_or_above_it():
    x, y = [0, 10, 20, 30], [0.2, NAN, 0.5, 0.4]
    assert [time_to_target(x, y, goal) for goal in (0.1, 0.5, 0.51)] == [0, 20, None]
    assert time_to_target([], [], 0.5) is None


def test_a_curve_out_of_order_is_refused():
    with pytest.raises(BadValue, match="places in order"):
        area_under([1, 0], [0.0, 0.0], 1)
    with pytest.raises(BadValue, match="as many values as places"):
        on_grid([0, 1], [0.0], [0])
