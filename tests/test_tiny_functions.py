import random
from collections import Counter

import pytest

from eggym.envs import code_grading, tiny_functions
from eggym.envs.tiny_function_steps import RULES, spelt, value_of
from eggym.envs.tiny_functions import TinyFunctions
from eggym.errors import UnknownName
from eggym.seeding import stream
from eggym.task import Item, VerdictState

TASK = TinyFunctions()
ITEM = Item("s: flip, first 3, caps:", truth=[["flip"], ["first", 3], ["caps"]])
BY_HAND = {  # subject, steps: expression, an input, its value
    ("s", "flip,first 3,caps"): ("s[::-1][:3].upper()", "abcDe", "EDC"),
    ("s", "twice,last 4,low"): ("(s*2)[-4:].lower()", "AbC", "cabc"),
    ("s", "skip 2,twice,len"): ("len(s[2:]*2)", "abcDe", 6),
    ("s", "len,sub 3,times 2"): ("(len(s)-3)*2", "abcDe", 4),
    ("a", "sort,last 2,sum"): ("sum(sorted(a)[-2:])", [5, -1, 9], 14),
    ("a", "skip 1,max,add 4"): ("max(a[1:])+4", [5, -1, 9], 13),
    ("a", "flip,twice"): ("a[::-1]*2", [1, 2], [2, 1, 2, 1]),
    ("a", "min,abs"): ("abs(min(a))", [5, -7, 9], 7),
    ("x", "add 3,times 2,sub 1"): ("(x+3)*2-1", 4, 13),
    ("x", "times 2,add 3,abs"): ("abs(x*2+3)", -4, 5),
    ("x", "sub 3,abs,times 2"): ("abs(x-3)*2", 1, 4),
}


def steps_of(text):
    return [[part.split()[0], *map(int, part.split()[1:])] for part in text.split(",")]


@pytest.mark.parametrize(("subject", "steps"), BY_HAND)
def test_values_and_spellings_worked_by_hand(subject, steps):
    expression, value, result = BY_HAND[subject, steps]
    assert spelt(subject, steps_of(steps)) == expression
    assert value_of(steps_of(steps), value) == result


def test_every_word_is_worked_by_hand():
    assert {step[0] for _, steps in BY_HAND for step in steps_of(steps)} == set(RULES)


GOLDEN = {
    "s[::-1][:3].upper()": 1.0,
    " s.upper()[:-4:-1] \n": 1.0,  # another spelling
    "''.join(reversed(s[-3:])).upper()": 1.0,
    "(lambda t: t[:3].upper())(s[::-1])": 1.0,
    "s[::-1][:3]": 0.0,  # the habit
    "s[:3][::-1].upper()": 0.0,  # another order
    "s": 0.0,
    "1/0": 0.0,
    "a[::-1]": 0.0,  # no such name
    "exit()": 0.0,
    "type('E',(str,),{'__eq__':lambda *_:True})('')": 0.0,  # equal to everything
}


def test_golden_replies(box_level):
    box_level("landlock")
    found = TASK.score_all([ITEM] * len(GOLDEN), list(GOLDEN))
    assert [verdict.reward for verdict in found] == list(GOLDEN.values())
    assert {verdict.state for verdict in found} == {VerdictState.CORRECT, VerdictState.WRONG}


@pytest.mark.parametrize(
    "reply",
    ["", "s)+(s", "s)\n    return (s", "x = s", "return s", "s#", "s s", "\0", "s\ns", "(" * 60, "import os", "s;s",
     "-" * 64, "'", "yield s", "2s"],
)  # fmt: skip
def test_what_is_no_expression_is_not_run(reply, monkeypatch):
    monkeypatch.setattr(code_grading.box, "check_solutions", None)
    assert TASK.score(ITEM, reply).state == VerdictState.UNPARSED


@pytest.mark.parametrize("reply", ["s" * 65, "(" * 10**6, "\ud800" * 65, "s\n" * 10**5 + "s"])
def test_what_is_too_long_is_not_looked_at(reply, monkeypatch):
    monkeypatch.setattr(tiny_functions.ast, "parse", None)
    assert TASK.score(ITEM, reply).state == VerdictState.REFUSED


def test_a_share_of_the_hidden_inputs_may_be_paid(box_level):
    box_level("landlock")
    item = next(item for item in map(TASK.item, ["test"] * 500, range(500)) if item.truth == [["abs"]] or is_sum(item))
    values = tiny_functions._inputs(item.prompt)
    wrong_once = f"0 if x=={values[0]} else {TASK.oracle(item)}"
    (verdict,) = TinyFunctions(reward="share").score_all([item], [wrong_once])
    assert (verdict.reward, TASK.score(item, wrong_once).reward) == (0.75, 0.0)
    with pytest.raises(UnknownName, match="no reward of a task on programs 'most'"):
        TinyFunctions(reward="most")


def is_sum(item):
    return item.prompt.startswith("x: add") and len(item.truth) == 2


@pytest.mark.slow
def test_items_are_short_solvable_and_differ_and_the_habit_is_wrong(box_level):
    box_level("landlock")
    items = [TASK.item("test", index) for index in range(200)]
    assert all(verdict.reward == 1.0 for verdict in TASK.score_all(items, [TASK.oracle(item) for item in items]))
    habits = [TASK.habit(item, random.Random(0)) for item in items]
    assert not any(verdict.reward for verdict in TASK.score_all(items, habits))
    many = [TASK.item("test", index) for index in range(3000)]
    assert max(len(item.prompt) for item in many) == tiny_functions.LONGEST_PROMPT
    assert max(len(TASK.oracle(item)) for item in many) < TASK.max_new_tokens <= 28
    assert len({item.prompt for item in many}) > 1200  # two-step prompts without numbers are few, and come often
    assert all(item.prompt.isascii() and item.prompt.isprintable() for item in many)


def test_every_step_matters_and_no_constant_is_right():
    for index in range(500):
        item = TASK.item("train", index)
        values = tiny_functions._inputs(item.prompt)
        found = [value_of(item.truth, value) for value in values]
        assert len(set(map(repr, found))) > 1
        assert [value_of(item.truth[:-1], value) for value in values] != found
    assert not tiny_functions._all_matter([["flip"], ["len"]], ["abc", "de"])
    assert not tiny_functions._all_matter([["caps"], ["low"]], ["abc", "De"])  # equal to low alone
    assert not tiny_functions._all_matter([["skip", 4], ["min"]], [[1, 2], [3]])  # of nothing
    assert not tiny_functions._all_matter([["first", 2], ["len"]], ["abc", "cde"])
    assert tiny_functions._all_matter([["flip"], ["caps"]], ["abc", "cde"])


def test_the_floor_is_what_the_best_fixed_expression_gets():
    probes = {subject: tiny_functions._inputs(f"{subject}: any") for subject in "sax"}
    counts, n = Counter(), 8000
    for index in range(n):
        item = TASK.generate(stream("floor", index))
        values = probes[item.prompt[0]]
        counts[item.prompt[0], repr([value_of(item.truth, value) for value in values])] += 1
    assert 0.5 * TASK.floor < max(counts.values()) / n < 1.5 * TASK.floor


def test_splits_share_no_prompt():
    train, held_out = ({TASK.item(split, index).prompt for index in range(2000)} for split in ("train", "test"))
    assert not train & held_out


def test_the_habit_covers_about_seven_tenths_of_the_prompts():
    kinds = [TASK.kind(TASK.item("train", index)) for index in range(2000)]
    assert set(RULES) == set(kinds) >= TASK.habit_kinds
    assert sum(kind in TASK.habit_kinds for kind in kinds) / len(kinds) == pytest.approx(0.717, abs=0.03)


def test_options_and_identity_are_those_of_programs(box_level):
    box_level("landlock")
    assert TASK.difficulty == {} and TinyFunctions(reward="share").label == "eggym/tiny-functions-v0@reward=share"
    assert TASK.identity().startswith("box ") and TASK.host()["sandbox"] in ("landlock", "namespaces")
