"""Many runs, tasks and claims: values worked by hand, and scipy where it has the same."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from eggym.errors import BadValue
from eggym.many import (
    holm,
    interquartile_mean,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    wilson,
)

scores = st.lists(st.floats(0, 1), min_size=3, max_size=8)


def test_the_interquartile_mean_drops_a_quarter_at_each_end():
    # of 8 values two at each end: (3 + 4 + 5 + 6) / 4; of 6 one (a quarter is 1.5, rounded down): (2 + 3 + 4 + 5) / 4
    assert interquartile_mean([8, 1, 2, 7, 3, 4, 5, 6]) == 4.5
    assert interquartile_mean([100, 2, 3, 4, 5, -100]) == 3.5
    assert interquartile_mean([0, 0, 3]) == 1  # below 4 values nothing is dropped
    assert interquartile_mean([None, math.nan]) is None


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30))
def test_the_interquartile_mean_is_scipys(values):
    assert interquartile_mean(values) == pytest.approx(scipy_stats.trim_mean(values, 0.25), abs=1e-12)


def test_the_optimality_gap_of_known_scores():
    # seeds fall short by (0.5 + 0.1)/2, (0.3 + 0)/2, (0.4 + 0.1)/2 = 0.3, 0.15, 0.25; what lies above 1 is no credit
    found = optimality_gap([[0.5, 0.9], [0.7, 1.2], [0.6, 0.9]])
    half = 4.302653 * np.std([0.3, 0.15, 0.25], ddof=1) / math.sqrt(3)
    assert (found.mean, found.n) == (pytest.approx(0.7 / 3), 3)
    assert found.high - found.mean == pytest.approx(half, rel=1e-6)


def test_a_seed_without_one_of_its_tasks_is_left_out_of_the_gap():
    assert optimality_gap([[0.5, 0.5], [0.5, None], [0.7, 0.7]]).n == 2


def test_the_probability_of_improvement_of_known_runs():
    # first task: 2 beats 1 and ties with 2, 3 beats both: 3.5 of 4 pairs; second task: none of 4
    found = probability_of_improvement([[2, 3], [0, 0]], [[1, 2], [1, 1]])
    assert (found.mean, found.low, found.n) == (pytest.approx((3.5 / 4 + 0) / 2), None, 2)  # 2 runs: no interval


@given(scores, scores)
def test_the_probability_of_improvement_is_mann_whitneys(x, y):
    u = scipy_stats.mannwhitneyu(x, y, method="asymptotic").statistic
    found = probability_of_improvement([x], [y])
    assert found.mean == pytest.approx(u / (len(x) * len(y)))
    assert 0 <= found.low <= found.mean <= found.high <= 1
    other = probability_of_improvement([y], [x])
    assert (other.low, other.high) == pytest.approx((1 - found.high, 1 - found.low), abs=1e-9)


def test_three_runs_that_all_win_do_not_prove_much():
    # by hand, Newcombe's edge for U = 1, m = n = 3: 1 - p = 1.96 sqrt(p (1 - p) (1 + 2 ((1-p)/(2-p) + p/(1+p))) / 9)
    found = probability_of_improvement([[7, 8, 9]], [[1, 2, 3]])
    p = found.low
    assert 1 - p == pytest.approx(1.959964 * math.sqrt(p * (1 - p) * (1 + 2 * ((1 - p) / (2 - p) + p / (1 + p))) / 9))
    assert p == pytest.approx(0.50102, abs=1e-4)
    assert found.high == 1
    twice = probability_of_improvement([[7, 8, 9]] * 2, [[1, 2, 3]] * 2)
    assert twice.low > p  # a second task says more


def test_both_sides_have_the_same_tasks():
    with pytest.raises(BadValue, match="the same tasks, got 1 and 2"):
        probability_of_improvement([[1.0]], [[1.0], [2.0]])


def test_a_profile_counts_what_lies_above():
    found = performance_profile([0.2, 0.5, 0.5, 0.9, None], [0.0, 0.5, 0.95])
    assert [one.mean for one in found] == [1.0, 0.25, 0.0]
    assert found[1].n == 4
    assert performance_profile([], [0.5])[0].mean is None


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_interval_is_scipys(counted):
    count, n = counted
    there = scipy_stats.binomtest(count, n).proportion_ci(method="wilson")
    found = wilson(count, n)
    assert (found.low, found.high) == pytest.approx((there.low, there.high), abs=1e-12)


def test_more_than_all_is_no_rate():
    with pytest.raises(BadValue, match="from 0 to n, got 4 of 3"):
        wilson(4, 3)
    with pytest.raises(BadValue, match="level must lie between 0 and 1, got 95"):
        wilson(1, 3, level=95)


def test_holms_adjustment_of_known_values():
    # 0.01 x 4; 0.02 x 3; 0.03 x 2 = 0.06; 0.9 x 1; what was no test does not count
    found = holm({"a": 0.9, "b": 0.01, "c": 0.03, "d": 0.02, "e": None})
    assert found == pytest.approx({"b": 0.04, "d": 0.06, "c": 0.06, "a": 0.9})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_a_value_nor_changes_the_order(values):
    named = {str(place): value for place, value in enumerate(values)}
    found = holm(named)
    assert all(found[name] >= value for name, value in named.items())
    assert [found[name] for name in sorted(named, key=named.get)] == sorted(found.values())
    assert all(found[name] <= min(1, len(values) * value) for name, value in named.items())  # Bonferroni is no better
