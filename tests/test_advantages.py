"""Advantages: golden values, algebra, and that credit by turn neither leaks nor charges for time."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eggym.agents.advantages import ADVANTAGES, advantages, returns_to_go, turn_advantages

groups = st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=4, max_size=4)
BY_SPREAD = ("zscore", "batch", "whiten", "mean_whiten")


def of(rows, mode):
    return advantages(np.array(rows, dtype=np.float32), mode)


def over(variance, *rows):
    return [[value / (math.sqrt(variance) + 1e-4) for value in row] for row in rows]


@pytest.mark.parametrize(
    ("mode", "found"),
    [
        # groups 1, 0, 1/2 and 1, 1, 0: means 1/2 and 2/3, stds (ddof 1) 1/2 and sqrt(1/3)
        ("mean", [[1 / 2, -1 / 2, 0], [1 / 3, 1 / 3, -2 / 3]]),
        ("zscore", [[0.5 / 0.5001, -0.5 / 0.5001, 0], [x / (math.sqrt(1 / 3) + 1e-4) for x in (1 / 3, 1 / 3, -2 / 3)]]),
        # means of the others: 1/4, 3/4, 1/2 and 1/2, 1/2, 1
        ("leave_one_out", [[3 / 4, -3 / 4, 0], [1 / 2, 1 / 2, -1]]),
        # all six: mean 7/12, squares about it 3 (25/144) + 2 (49/144) + 1/144 = 174/144, over 5
        ("batch", over(174 / 720, (1 / 2, -1 / 2, 0), (1 / 3, 1 / 3, -2 / 3))),
        ("whiten", over(174 / 720, (5 / 12, -7 / 12, -1 / 12), (5 / 12, 5 / 12, -7 / 12))),
        # centred: squares 1/2 + 2/3, over 5
        ("mean_whiten", over(7 / 30, (1 / 2, -1 / 2, 0), (1 / 3, 1 / 3, -2 / 3))),
    ],
)  # fmt: skip
def test_advantages_worked_by_hand(mode, found):
    assert np.allclose(of([[1, 0, 0.5], [1, 1, 0]], mode), found, atol=1e-12)


@pytest.mark.parametrize("mode", ADVANTAGES)
@given(st.lists(groups, min_size=2, max_size=2))
def test_the_algebra_of_every_mode(mode, rows):
    found, returns = of(rows, mode), np.array(rows)
    assert np.allclose(of(returns + 4, mode), found, atol=1e-9)  # a shift means nothing
    assert np.allclose(of(returns[:, ::-1], mode), found[:, ::-1])  # nor does the order
    assert np.allclose(of(returns[::-1], mode), found[::-1])
    if mode in BY_SPREAD:
        assert np.allclose(of(64 * returns, mode), found, atol=5e-3)  # but for the 1e-4 beside the spread
    else:
        assert np.allclose(of(2 * returns, mode), 2 * found)
    sums = found.sum() if mode == "whiten" else found.sum(1)
    assert np.allclose(sums, 0, atol=1e-9)


@given(groups)
def test_leave_one_out_is_the_centred_advantage_times_a_factor(group):
    others = [value - (sum(group) - value) / 3 for value in group]
    assert np.allclose(of([group], "leave_one_out"), others)
    assert np.allclose(of([group], "mean") * 4 / 3, others)


@pytest.mark.parametrize("mode", ADVANTAGES)
def test_a_group_that_agrees_gets_exactly_nothing(mode):
    assert not of(np.full((2, 8), 0.1), mode).any()
    mixed = of([[0.1] * 3, [0.0, 1.0, 0.0]], mode)
    assert mode == "whiten" or not mixed[0].any()
    assert mixed[1].all()


@pytest.mark.parametrize("mode", ADVANTAGES)
def test_a_missing_return_gets_nothing_and_leaves_every_statistic(mode):
    found = of([[1, math.nan, 0, 0.5], [1, 1, 0, math.nan]], mode)
    assert np.allclose(found[0, [0, 2, 3]], of([[1, 0, 0.5], [1, 1, 0]], mode)[0])
    assert found[0, 1] == found[1, 3] == 0


@pytest.mark.parametrize("mode", [mode for mode in ADVANTAGES if mode != "whiten"])
def test_who_is_alone_has_nobody_to_compare_with(mode):
    assert not of([[1, math.nan], [0, math.nan]], mode).any()


def test_returns_to_go_worked_by_hand():
    assert returns_to_go([1.0, 0.0, 4.0], 0.5).tolist() == [2.0, 2.0, 4.0]
    assert returns_to_go([1.0, 0.0, 4.0], 1.0).tolist() == [5.0, 4.0, 4.0]


@pytest.mark.parametrize("mode", ADVANTAGES)
def test_where_only_the_end_is_rewarded_credit_by_turn_is_credit_by_episode(mode):
    rewards = [[[0.0, 1.0], [0.0], [0.0, 0.0, 0.5]], [[1.0], [0.0, 0.0], [0.0, 1.0]]]
    whole = of([[sum(one) for one in group] for group in rewards], mode)
    for p, group in enumerate(turn_advantages(rewards, mode, 1.0)):
        for g, found in enumerate(group):
            assert found.tolist() == [whole[p, g]] * len(rewards[p][g])  # to the bit


def test_turn_advantages_worked_by_hand():
    # returns-to-go (3, 2), (1), (2, 2); of the first: the others' mean is 3/2
    found = turn_advantages([[[1.0, 2.0], [1.0], [0.0, 2.0]]], "leave_one_out", 1.0)
    assert [one.tolist() for one in found[0]] == [[1.5, 0.5], [-1.5], [0.0, 0.0]]


def test_the_baseline_of_a_turn_depends_on_nothing_its_own_episode_did():
    # the same return-to-go after other first rewards, and after other numbers of turns: the same advantage
    others = [[0.0, 1.0], [3.0]]
    ends = [
        turn_advantages([[own, *others]], "leave_one_out", 1.0)[0][0][-1] for own in ([2.0], [9.0, 2.0], [0, 0, 2.0])
    ]
    assert ends == pytest.approx([0.0, 0.0, 0.0])


def test_statistics_are_of_episodes_however_many_turns_they_have():
    # flattened to turns, the long episode would pull the mean to 1/4
    long, short = turn_advantages([[[0.0, 0.0, 0.0], [1.0]]], "mean", 1.0)[0]
    assert long.tolist() == [-0.5] * 3 and short.tolist() == [0.5]


def test_an_episode_that_could_not_be_judged_leaves_the_baseline_of_turns_too():
    found = turn_advantages([[[1.0, math.nan], [1.0], [0.0]]], "leave_one_out", 1.0)[0]
    assert [one.tolist() for one in found] == [[0.0, 0.0], [1.0], [-1.0]]
