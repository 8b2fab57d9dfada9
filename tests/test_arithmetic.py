from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eggym.check_sample import HOSTILE
from eggym.envs import arithmetic
from eggym.envs.arithmetic import LEVELS, Arithmetic, chosen, expression
from eggym.envs.expressions import evaluate
from eggym.errors import BadValue
from eggym.seeding import stream
from eggym.splits import normalise
from eggym.task import Item, VerdictState

TASK = Arithmetic()


def asked(prompt):
    """The expression in a prompt."""
    text = prompt.removesuffix(" Put the answer in \\boxed{}.")
    for before, after in arithmetic._OPENERS:
        if text.startswith(before) and text.endswith(after):
            return text[len(before) : -len(after)]
    raise AssertionError(prompt)


@pytest.mark.parametrize(
    ("reply", "reward", "state"),
    [
        ("60 + 38 = 98. \\boxed{98}", 1.0, "correct"),
        ("\\boxed{ 98 }", 1.0, "correct"),
        ("\\boxed{98.0}", 1.0, "correct"),
        ("\\boxed{1} no, \\boxed{98}", 1.0, "correct"),  # the last box counts
        ("\\boxed{98} no, \\boxed{1}", 0.0, "wrong"),
        ("\\boxed{89}", 0.0, "wrong"),
        ("\\boxed{-98}", 0.0, "wrong"),
        ("\\boxed{60+38}", 0.0, "refused"),  # the problem restated
        ("\\boxed{98, 99}", 0.0, "refused"),  # sprayed
        ("98", 0.0, "unparsed"),
        ("\\boxed{}", 0.0, "unparsed"),
        ("\\boxed{98", 0.0, "unparsed"),
        ("", 0.0, "unparsed"),
    ],
)
def test_golden_replies(reply, reward, state):
    verdict = TASK.score(Item("?", "98"), reply)
    assert (verdict.reward, str(verdict.state)) == (reward, state)


@pytest.mark.parametrize(
    ("reply", "reward"),
    [
        ("\\boxed{-\\frac{5}{4}}", 1.0),
        ("\\boxed{-5/4}", 1.0),
        ("\\boxed{-1.25}", 1.0),
        ("\\boxed{-\\frac{10}{8}}", 1.0),
        ("\\boxed{5/4}", 0.0),
        ("\\boxed{-5}", 0.0),
        ("\\boxed{-1.2500001}", 0.0),
    ],
)
def test_a_fraction_is_right_in_any_exact_form(reply, reward):
    assert TASK.score(Item("?", "-5/4"), reply).reward == reward


@pytest.mark.parametrize("level", LEVELS)
def test_the_truth_is_the_value_of_the_expression(level):
    task = Arithmetic(level=level)
    for index in range(200):
        item = task.item("train", index)
        value = evaluate(asked(item.prompt))
        assert Fraction(item.truth) == Fraction(value.numerator, value.denominator), item.prompt
        assert task.score(item, task.oracle(item)).reward == 1.0
        assert task.score(item, item.prompt).reward == 0.0


@settings(max_examples=150)
@given(
    st.integers(0, 10**9),
    st.sampled_from([1, 4, 5]),
    st.integers(2, 9),
    st.integers(2, 6),
    st.sets(st.sampled_from("+-*/"), min_size=1),
)
def test_values_are_right_whatever_the_options(seed, level, digits, terms, operations):
    found = chosen(level, None if level == 5 else digits, terms, "".join(operations))
    truth, text = expression(found, stream("test", seed).random)
    fractions = eval(_as_fractions(text), {"Fraction": Fraction})  # texts of ours; Python's grammar, exact numbers
    assert Fraction(truth) == fractions
    assert level == 5 or "/" not in truth
    if level == 1:
        assert set(text) & set("+-*/") <= operations


def _as_fractions(text):
    import re

    return re.sub(r"\d+", r"Fraction(\g<0>)", text)


def test_levels_ask_what_they_say():
    texts = {level: [asked(Arithmetic(level=level).item("train", i).prompt) for i in range(150)] for level in LEVELS}
    assert all(len(evaluate(text).numbers) == 2 for text in texts[1] + texts[2])
    assert {sign for text in texts[1] for sign in "+-*/" if sign in text} == {"+", "-"}
    assert {sign for text in texts[2] for sign in "+-*/" if sign in text} == {"*", "/"}
    assert {len(evaluate(text).numbers) for text in texts[3]} == {3, 4} and not any("(" in text for text in texts[3])
    assert any("(" in text for text in texts[4])
    assert all("/" in text for text in texts[5])
    assert all(int(Arithmetic(level=1).item("train", index).truth) >= 0 for index in range(150))


def test_options_replace_what_the_level_says():
    task = Arithmetic(level=1, terms=[3, 5], digits=4, operations="+")
    texts = [asked(task.item("test", index).prompt) for index in range(60)]
    assert {text.count("+") for text in texts} == {2, 3, 4} and not any(set("-*/(") & set(text) for text in texts)
    assert max(max(evaluate(text).numbers) for text in texts) > 999


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 0}, "level of arithmetic must be 1, 2, 3, 4 or 5"),
        ({"level": True}, "level of arithmetic"),
        ({"level": "3"}, "level of arithmetic"),
        ({"digits": 1}, "digits of arithmetic must be a whole number from 2 to 9"),
        ({"digits": 2.0}, "digits of arithmetic"),
        ({"level": 5, "digits": 3}, "says nothing about the fractions"),
        ({"terms": 1}, "terms of arithmetic must be a whole number or a range"),
        ({"terms": [2, 9]}, "terms of arithmetic"),
        ({"operations": ""}, "operations of arithmetic must be some of"),
        ({"operations": "+^"}, "operations of arithmetic"),
        ({"hard": 1}, "has no option 'hard'"),
    ],
)
def test_options_out_of_range_are_refused_by_name(options, message):
    with pytest.raises(BadValue, match=message):
        Arithmetic(**options)


@pytest.mark.parametrize("level", LEVELS)
def test_the_floor_is_the_most_frequent_value(level):
    # 8,000 draws: the share of the best value has a standard error of 0.1 % at most, and is the largest of many
    draw = stream("floor", level).random
    counts = Counter(expression(LEVELS[level], draw)[0] for _ in range(8000))
    assert max(counts.values()) / 8000 == pytest.approx(Arithmetic(level=level).floor, abs=0.003)


def test_the_floor_of_options_is_measured():
    # by hand: 2-digit sums a + b with a, b from 1 to 99: the most frequent sum, 100, has 99 of 9,801 pairs: 1 %
    assert Arithmetic(level=1, digits=2, operations="+").floor == pytest.approx(99 / 9801, abs=0.006)


def test_prompts_differ_and_splits_share_none():
    for level in LEVELS:
        task = Arithmetic(level=level)
        sides = [{normalise(task.item(split, index).prompt) for index in range(200)} for split in ("train", "test")]
        assert min(map(len, sides)) > 195 and not sides[0] & sides[1]


def test_hostile_replies_are_judged_and_not_paid():
    item = TASK.item("train", 0)
    for reply in (*HOSTILE, *(f"\\boxed{{{each}}}" for each in HOSTILE)):
        if reply.isascii() and item.truth in reply:
            continue
        verdict = TASK.score(item, reply)
        assert verdict.reward == 0.0 and verdict.state != VerdictState.ERROR, reply[:40]


def test_a_batch_is_judged_like_its_members():
    items = [TASK.item("train", index % 7) for index in range(40)]
    replies = [f"\\boxed{{{items[(index * 3) % 40].truth}}}" if index % 5 else "\\boxed{1+1}" for index in range(40)]
    assert list(TASK.score_all(items, replies)) == [TASK.score(*pair) for pair in zip(items, replies, strict=True)]
