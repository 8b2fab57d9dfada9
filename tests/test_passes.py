"""pass@k by hand, and what of several replies counts."""

import math
from itertools import combinations

import pytest

from eggym.episode import Ending, Episode, EpisodeBatch, Turn
from eggym.errors import BadValue
from eggym.evaluate import score_of
from eggym.passes import distinct, pass_at, passes
from eggym.task import Item, Verdict, VerdictState


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [
        (4, 1, 1, 1 / 4),
        (4, 1, 2, 1 / 2),  # 1 - C(3,2)/C(4,2) = 1 - 3/6
        (5, 2, 2, 7 / 10),  # 1 - C(3,2)/C(5,2) = 1 - 3/10
        (8, 3, 4, 13 / 14),  # 1 - C(5,4)/C(8,4) = 1 - 5/70
        (4, 0, 4, 0.0),
        (4, 1, 4, 1.0),
        (4, 3, 2, 1.0),  # two wrong ones are not to be had
        (1, 1, 1, 1.0),
    ],
)
def test_pass_at_k_worked_by_hand(n, c, k, expected):
    assert pass_at(n, c, k) == pytest.approx(expected, abs=1e-12)


def test_pass_at_k_is_the_share_of_selections_with_a_right_reply():
    for n in range(1, 8):
        for c in range(n + 1):
            for k in range(1, n + 1):
                chosen = list(combinations([True] * c + [False] * (n - c), k))
                assert pass_at(n, c, k) == pytest.approx(sum(map(any, chosen)) / len(chosen), abs=1e-12)


def test_pass_at_k_of_very_many_replies_is_finite():
    assert pass_at(100_000, 50, 1000) == pytest.approx(1 - 0.99**50, rel=0.01) and math.isfinite(pass_at(10**5, 1, 1))


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 1, 0), (4, 1, 5), (0, 0, 1)])
def test_impossible_counts_are_refused(n, c, k):
    with pytest.raises(BadValue, match=r"pass@k needs 1 <= k <= n and 0 <= c <= n, got n="):
        pass_at(n, c, k)


RIGHT, WRONG, LOST = VerdictState.CORRECT, VerdictState.WRONG, VerdictState.ERROR


def batch(*items):
    """Items as lists of (state, reward, found, replies)."""
    episodes = [
        Episode(Item(str(slot)), 0, slot, sample, [], [Turn("", text) for text in texts], verdict, Ending.ANSWERED)
        for slot, replies in enumerate(items)
        for sample, (verdict, texts) in enumerate((Verdict(r, s, f), t) for s, r, f, t in replies)
    ]
    return EpisodeBatch(0, episodes, 1, len(items), len(items[0]))


def test_the_state_decides_what_passes_and_k_goes_up_by_doubling():
    slow = (RIGHT, 0.7, None, ["a"])  # right, and paid less than the most
    near = (WRONG, 0.9, None, ["b"])
    found = passes(batch([slow, near, near, near], [slow, slow, near, near]))
    # pass@1: 1/4 and 2/4; pass@2: 1/2 and 1 - 1/6; pass@4: both
    assert found == {"1": 0.375, "2": pytest.approx((1 / 2 + 5 / 6) / 2), "4": 1.0}
    assert list(passes(batch([slow] * 3))) == ["1", "2"]


def test_a_reply_that_could_not_be_judged_is_neither_tried_nor_passed():
    lost, right, wrong = (LOST, None, None, ["x"]), (RIGHT, 1.0, None, ["y"]), (WRONG, 0.0, None, ["z"])
    found = passes(batch([right, wrong, lost, lost], [wrong] * 4))
    assert found == {"1": 0.25, "2": 0.5, "4": 0.0}  # of four there is one item alone
    assert passes(batch([lost, lost])) == {}


def test_answers_differ_by_what_was_found_or_else_by_what_was_said():
    one, same, other = (RIGHT, 1.0, "7", ["so 7"]), (RIGHT, 1.0, "7", ["7!"]), (WRONG, 0.0, "8", ["8"])
    said, again, longer = (WRONG, 0.0, None, ["7"]), (WRONG, 0.0, None, ["7"]), (WRONG, 0.0, None, ["7", "more"])
    assert distinct(batch([one, same, other, other])) == 0.5
    assert distinct(batch([said, again, longer, one])) == 0.75
    assert distinct(batch([one, same], [one, other])) == 0.75


def test_a_score_tells_them_where_there_are_several_replies():
    right, wrong = (RIGHT, 1.0, None, ["y"]), (WRONG, 0.0, None, ["z"])
    score = score_of(1.0, batch([right, wrong], [wrong, wrong]))
    assert score.pass_at == {"1": 0.25, "2": 0.5} and score.distinct == 0.75
    single = score_of(0.0, batch([right], [wrong]))
    assert single.pass_at == {} and single.distinct is None
