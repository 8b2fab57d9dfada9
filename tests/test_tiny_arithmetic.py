import random

import pytest

from eggym.envs.tiny_arithmetic import TinyArithmetic
from eggym.task import Item, VerdictState

TASK = TinyArithmetic()
ITEM = Item("474+439?", truth=913, meta={"a": 474, "b": 439})


def test_the_working_of_a_known_sum():
    # by hand: 4+9=13, carry 1; 7+3+1=11, carry 1; 4+4+1=9
    assert TASK.oracle(ITEM) == "4+9=13 7+3+1=11 4+4+1=09#913"


@pytest.mark.parametrize(
    ("reply", "reward", "state", "found"),
    [
        ("4+9=13 7+3+1=11 4+4+1=09#913", 1.0, "correct", "913"),
        ("#913", 1.0, "correct", "913"),  # the working is free
        (" 1+1=3#913 \n", 1.0, "correct", "913"),  # and not judged
        ("#914", 0.0, "wrong", "914"),
        ("#9130", 0.0, "wrong", "9130"),  # contains the answer
        ("#0913", 0.0, "wrong", "0913"),  # a known loss
        ("#912#913", 0.0, "unparsed", None),  # hedges
        ("#913 or so", 0.0, "unparsed", None),
        ("# 913", 0.0, "unparsed", None),  # a known loss
        ("913", 0.0, "unparsed", None),
        ("", 0.0, "unparsed", None),
        ("#", 0.0, "unparsed", None),
        ("#٩١٣", 0.0, "unparsed", None),  # Arabic digits
    ],
)
def test_golden_replies(reply, reward, state, found):
    verdict = TASK.score(ITEM, reply)
    assert (verdict.reward, verdict.state, verdict.found) == (reward, state, found)
    assert verdict.why


@pytest.mark.parametrize("reply", ["\0", "\ud800", "#" * 10**6, "9" * 10**6, "(" * 10**5, "#" + "1" * 10**6, "ж" * 50])
def test_hostile_replies_are_judged_without_an_error(reply):
    verdict = TASK.score(ITEM, reply)
    assert verdict.reward == 0.0
    assert verdict.state in (VerdictState.UNPARSED, VerdictState.REFUSED)


def test_items_are_short_solvable_and_differ():
    items = [TASK.item("test", index) for index in range(1000)]
    assert all(TASK.score(item, TASK.oracle(item)).reward == 1.0 for item in items)
    assert max(len(item.prompt) for item in items) <= 24
    # every reply and its end token fit the limit, and a carry everywhere needs all of it
    assert max(len(TASK.oracle(item)) for item in items) + 1 == TASK.max_new_tokens
    # 32,040 prompts in the split: 1,000 draws repeat about 1000**2 / 2 / 32040 = 16
    assert len({item.prompt for item in items}) > 970


def test_splits_share_no_prompt():
    train, held_out = ({TASK.item(split, index).prompt for index in range(500)} for split in ("train", "test"))
    assert not train & held_out


def test_the_floor_is_the_most_frequent_sum():
    # by hand: 999 = a + b with 100 <= a <= 899 has 800 pairs; sum s has s - 199, over s = 200..999 that is 320,400
    counts = [total - 199 for total in range(200, 1000)]
    assert TASK.floor == max(counts) / sum(counts)


def test_the_habit_skips_the_working_and_is_wrong_in_one_digit():
    rng = random.Random(0)
    for index in range(300):
        item = TASK.item("train", index)
        habit = TASK.habit(item, rng)
        assert TASK.score(item, habit).state == VerdictState.WRONG
        assert len(habit) == 4 and habit[0] == "#"
        assert sum(one != two for one, two in zip(habit[1:], str(item.truth), strict=True)) == 1


def test_the_habit_covers_seven_of_ten_kinds():
    assert {TASK.kind(TASK.item("train", index)) for index in range(300)} == set("0123456789")
    assert len(TASK.habit_kinds) == 7
