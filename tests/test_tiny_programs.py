import random
import time
from collections import Counter

import pytest

from eggym.envs.tiny_programs import SHAPES, TinyPrograms
from eggym.seeding import stream
from eggym.task import Item, VerdictState

TASK = TinyPrograms()
ITEM = Item("add 3, times 2:", truth=[["add", 3], ["times", 2]])


@pytest.mark.parametrize(
    ("reply", "reward"),
    [
        ("(x+3)*2", 1.0),
        (" ( x + 3 ) * 2 \n", 1.0),
        ("2*x+6", 1.0),  # the same values
        ("x+x+7-1", 1.0),
        ("--2*(x+3)", 1.0),
        ("x+3*2", 0.0),  # the habit
        ("(x+3)*2+x*0+1", 0.0),
        ("8", 0.0),  # right at x=1 alone
    ],
)
def test_golden_replies(reply, reward):
    verdict = TASK.score(ITEM, reply)
    assert (verdict.reward, verdict.found) == (reward, reply.strip())


def test_values_worked_by_hand_for_every_shape():
    by_hand = {
        (("sub", 3), ("times", 2)): "(x-3)*2",
        (("times", 2), ("add", 3)): "x*2+3",
        (("add", 1), ("times", 2), ("sub", 3)): "(x+1)*2-3",
        (("add", 1), ("sub", 2), ("times", 3)): "(x+1-2)*3",
        (("times", 2), ("add", 3), ("times", 4)): "(x*2+3)*4",
        (("add", 3), ("times", 2), ("times", 4)): "(x+3)*2*4",
    }
    for steps, expression in by_hand.items():
        item = Item("any", truth=[list(step) for step in steps])
        assert TASK.oracle(item) == expression
        assert TASK.score(item, expression).reward == 1.0


@pytest.mark.parametrize(
    "reply",
    ["", "y+3", "2x+6", "(x+3)(2)", "x**2", "x//1", "(x+3", "f(x)", "x+3.0", "x=1", "0x3", "007", "1_0",
     "x if x else x", "+x", "(x+3)*2 or x", "x,x", "__import__", "(x+3)*2;x", "(x+3)*2#", "ж+3", "x+٣", "(\n"],
)  # fmt: skip
def test_what_is_no_such_expression_is_unparsed(reply):
    assert TASK.score(ITEM, reply).state == VerdictState.UNPARSED


@pytest.mark.parametrize("reply", ["\0", "\ud800", "(" * 10**5, "x" * 10**6, "-" * 10**5 + "x", "9" * 10**6, "(" * 32])
def test_hostile_replies_are_judged_quickly_without_an_error(reply):
    started = time.perf_counter()
    verdict = TASK.score(ITEM, reply)
    assert verdict.reward == 0.0
    assert verdict.state in (VerdictState.UNPARSED, VerdictState.REFUSED)
    assert time.perf_counter() - started < 0.5


def test_the_largest_values_that_fit_are_computed():
    # 32 factors x and 64 characters at most: at most about 10**192
    assert TASK.score(ITEM, "x*" * 31 + "x").state == VerdictState.WRONG
    assert TASK.score(ITEM, "-" * 63 + "x").state == VerdictState.WRONG
    assert TASK.score(ITEM, "(" * 31 + "x" + ")" * 31).state == VerdictState.WRONG


def test_items_are_short_solvable_and_differ():
    items = [TASK.item("test", index) for index in range(2000)]
    assert all(TASK.score(item, TASK.oracle(item)).reward == 1.0 for item in items)
    assert max(len(item.prompt) for item in items) == 24
    assert max(len(TASK.oracle(item)) for item in items) + 1 == TASK.max_new_tokens  # with the end token
    # the four smaller shapes, 30 % of the draws, repeat some; the larger two have over 30,000 prompts in the split
    assert len({item.prompt for item in items}) > 1750


def test_splits_share_no_prompt():
    train, held_out = ({TASK.item(split, index).prompt for index in range(2000)} for split in ("train", "test"))
    assert not train & held_out


def test_the_floor_is_what_the_best_fixed_expression_gets():
    counts = Counter()
    for index in range(20_000):
        steps = TASK.generate(stream("floor", index)).truth
        slope, start = 1, 0
        for name, number in steps:
            slope, start = (slope * number, start * number) if name == "times" else (slope, start + number)
            start -= 2 * number if name == "sub" else 0
        counts[slope, start] += 1
    assert max(counts.values()) / 20_000 <= 2 * TASK.floor  # the best of many counts lies above its expectation


def test_the_habit_forgets_parentheses_which_most_prompts_need():
    rng = random.Random(0)
    items = [TASK.item("train", index) for index in range(600)]
    assert all("(" not in TASK.habit(item, rng) for item in items)
    right = sum(TASK.score(item, TASK.habit(item, rng)).reward for item in items) / len(items)
    assert right == pytest.approx(SHAPES["TA"], abs=0.04)  # only times-then-add needs none; 3 standard errors


def test_the_habit_covers_seven_of_ten_kinds():
    assert {TASK.kind(TASK.item("train", index)) for index in range(300)} == set("0123456789")
    assert len(TASK.habit_kinds) == 7
