import json
from collections import Counter

import pytest

from eggym.envs.box_terms import Check
from eggym.envs.program_inputs import edge_inputs, random_inputs
from eggym.envs.program_mutants import _outcome
from eggym.envs.program_steps import spelt, value_of
from eggym.envs.programs import GIVEN, KINDS, LEVELS, OPS, Programs, _test, hidden_inputs, hidden_tests
from eggym.errors import BadValue, UnknownName
from eggym.seeding import stream
from eggym.task import Item, VerdictState

TRUTH = {"steps": [["above", 3], ["times", 2], ["largest", None]], "function": "f", "argument": "v", "shown": [[1, 2]]}
ITEM = Item("any", TRUTH)
GOLDEN = {
    "def f(v):\n    return max((2 * x for x in v if x > 3), default=0)": 1.0,
    "Sure.\n```python\nf = lambda v: max([2 * x for x in v if x > 3] or [0])\n```\nDone.": 1.0,
    "def f(v): return max(2 * x for x in v if x > 3)": 0.0,  # fails where nothing is left
    "def f(v): return max((2 * x for x in v if x >= 3), default=0)": 0.0,
    "def f(v): return max((2 * x for x in v if 2 * x > 3), default=0)": 0.0,  # another order
    "def f(v): return max((2.0 * x for x in v if x > 3), default=0)": 0.0,  # another type
    "def g(v): return max((2 * x for x in v if x > 3), default=0)": 0.0,  # another name
    "n = []\ndef f(v):\n    n.append(v)\n    return max((2 * x for x in v if x > 3), default=0) + (v in n[:-1])": 0.0,
    "def f(v): return 0": 0.0,
    "": 0.0,
}  # fmt: skip
BY_HAND = {  # step, its number, an input: what the words say
    ("above", 3): ([3, 4, 5], [4, 5]),
    ("at least", 3): ([2, 3, 4], [3, 4]),
    ("until", 6): ([1, 5, 1, 0], [1, 5]),  # 1 + 5 + 1 is more than 6: all the rest is dropped
    ("drop smallest", None): ([2, 1, 3, 1], [2, 3, 1]),
    ("rotate", 3): ([1, 2], [2, 1]),  # three times one place
    ("sort by size", None): ([3, -2, 2, -1], [-1, -2, 2, 3]),
    ("sort by digit", None): ([25, -13, 30, 5], [30, -13, 25, 5]),
    ("peaks", None): ([9, 1, 3, 2, 2, 5], [3]),
    ("running largest", None): ([-2, -5, 1], [-2, -2, 1]),
    ("branch on parity", None): ([4, 3, -1], [2, 10, -2]),
    ("branch on size", 3): ([2, 3], [1, 6]),
    ("second largest", None): ([5, 5, 3], 3),
    ("mode", None): ([4, 2, 4, 2, 9], 2),
    ("longest equal", None): ([1, 1, 2, 2, 2, 1], 3),
    ("longest rise", None): ([1, 2, 2, 3, 4], 3),
    ("balance", None): ([-5, 3, -1], 2),
    ("best stretch", None): ([4, -9, 3, -1, 3], 5),
    ("alternating", None): ([5, 2, 1], 4),
    ("place of largest", None): ([1, 7, 7], 1),
    ("backwards number", None): (-120, -21),
    ("remainder", 5): (-12, 3),
    ("halvings", None): (-5, [5, 2, 1]),
    ("divisors", None): (12, [1, 2, 3, 4, 6, 12]),
    ("shift", 3): ("xyz Ab", "abc Ae"),
    ("squeeze", None): ("aabAa", "abAa"),
    ("letters only", None): ("Zoë, 42!", "Zoë"),
    ("capitals", None): ("ÉAb C", 2),
    ("letter tally", None): ("Aab!", {"a": 2, "b": 1}),
    ("without doubles", None): (["Egg", "a", "egg"], ["Egg", "a"]),
    ("by length", None): (["bb", "a", "aa"], ["a", "bb", "aa"]),
    ("commonest", None): (["b", "a", "b", "a"], "a"),
    ("count initials", None): (["Egg", "ear", "a"], {"e": 2, "a": 1}),
    ("best name", None): ({"b": 1, "a": 1}, "a"),
    ("ranking", None): ({"b": 1, "a": 1, "c": 2}, ["c", "a", "b"]),
    ("above the mean", None): ({"b": 3, "a": 2, "c": 1}, ["b"]),
    ("by number", None): ({"b": 1, "a": 1}, {1: ["a", "b"]}),
}


@pytest.mark.parametrize(("name", "number"), BY_HAND)
def test_values_worked_by_hand(name, number):
    value, result = BY_HAND[name, number]
    assert value_of(OPS, [[name, number]], value) == result


def test_golden_replies(box_level):
    box_level("landlock")
    found = Programs().score_all([ITEM] * len(GOLDEN), list(GOLDEN))
    assert [verdict.reward for verdict in found] == list(GOLDEN.values())
    assert found[-1].state == VerdictState.UNPARSED


def test_a_share_of_the_hidden_inputs_may_be_paid(box_level):
    box_level("landlock")
    wrong = "def f(v): return max(2 * x for x in v if x > 3)"
    verdict = Programs(reward="share").score(ITEM, wrong)
    assert 0 < verdict.reward < 1 and verdict.reward == verdict.parts["tests"]


@pytest.mark.parametrize("name", OPS)
def test_every_step_does_what_its_spelling_does_and_its_slips_too(name, box_level):
    box_level("landlock")
    op = OPS[name]
    number = op.choices[0] if op.choices else None
    for step in ([name, number], *([name, number, slip] for slip in range(len(op.slips)))):
        item = Item("any", TRUTH | {"steps": [step]})
        drawn = random_inputs(stream("test", name), op.takes, [step[:2]], 20)
        inputs = [value for value in drawn if _outcome(OPS, [step], value) != "failed"]
        tests = tuple(_test(item, value) for value in inputs)
        (verdict,) = Programs().grading.judge([_check(item, tests)])
        assert verdict.reward == 1.0, verdict.why


def _check(item, tests):
    return Check(spelt(OPS, item.truth["steps"], "f", "v"), tests)


@pytest.mark.parametrize("level", LEVELS)
def test_oracles_are_right_and_hidden_inputs_are_not_shown(level, box_level):
    box_level("landlock")
    for given, n_shown in GIVEN.items():
        task = Programs(level=level, given=given)
        items = [task.item("train", index) for index in range(12)]
        assert all(verdict.reward == 1.0 for verdict in task.score_all(items, list(map(task.oracle, items))))
        for item in items:
            hidden, shown = hidden_inputs(item), item.truth["shown"]
            assert len(shown) == n_shown == item.prompt.count(f"{item.truth['function']}(") - 1
            assert len(hidden) >= 10 and not any(value in shown for value in hidden)
            assert not any(f"({value!r}) ==" in item.prompt for value in hidden)
            assert (given == "examples") == (edge_inputs(OPS[item.truth["steps"][0][0]].takes)[0] in shown)


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_a_level_has_its_steps_and_thousands_of_prompts(level):
    task, (lengths, top, n_top) = Programs(level=level), LEVELS[level]
    items = [task.item("train", index) for index in range(1500)]
    for item in items[:300]:
        grades = [OPS[name].grade for name, _ in item.truth["steps"]]
        assert len(grades) in lengths and max(grades) <= top and grades.count(top) >= n_top
        assert json.loads(json.dumps(item.truth)) == item.truth and "$" not in item.prompt
    assert len({item.prompt for item in items}) > 1300
    kinds = Counter(OPS[item.truth["steps"][0][0]].takes for item in items)
    assert kinds.keys() == KINDS.keys() and min(kinds.values()) > 50


@pytest.mark.slow
def test_every_step_is_asked_for_somewhere():
    asked = {
        name for level in LEVELS for index in range(700)
        for name, _ in Programs(level=level).item("train", index).truth["steps"]
    }  # fmt: skip
    assert asked == set(OPS)


def fixed_functions():
    return [lambda v: 0, lambda v: [], lambda v: v, len, sum, sorted, lambda v: v[::-1]]


def outcome(function, value):
    try:
        return function(value)
    except (TypeError, KeyError):
        return None


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_the_floor_is_what_the_best_fixed_function_gets(level):
    n = 500
    right, shares = Counter(), Counter()
    task = Programs(level=level)
    for item in (task.item("train", index) for index in range(n)):
        steps = item.truth["steps"]
        inputs = hidden_inputs(item)
        for place, function in enumerate(fixed_functions()):
            hits = []
            for value in (*inputs, inputs[0]):
                want, found = value_of(OPS, steps, value), outcome(function, value)
                hits.append(type(want) is type(found) and want == found)
            right[place] += all(hits)
            shares[place] += sum(hits) / len(hits)
    # 3 standard errors
    assert max(right.values()) / n == pytest.approx(task.floor, abs=0.004 if level > 1 else 0.025)
    assert max(shares.values()) / n == pytest.approx(Programs(level=level, reward="share").floor, abs=0.035)


def test_bad_options_are_refused_in_one_line():
    with pytest.raises(BadValue, match="level of task 'eggym/programs-v0' must be a whole number from 1 to 5, got 6"):
        Programs(level=6)
    with pytest.raises(BadValue, match="got True"):
        Programs(level=True)
    with pytest.raises(UnknownName, match=r"no kind of specification .* 'word'; did you mean 'words'"):
        Programs(given="word")
    with pytest.raises(UnknownName, match="no reward of a task on programs"):
        Programs(reward="some")
    assert Programs(level=2).label == "eggym/programs-v0"
    assert Programs(level=3, given="both").label == "eggym/programs-v0@given=both,level=3"


def test_tests_repeat_and_the_first_input_is_asked_twice():
    item = Programs(level=3).item("test", 0)
    assert hidden_tests(item) == hidden_tests(Programs(level=3).item("test", 0))
    assert (
        hidden_tests(item)[0] == hidden_tests(item)[-1] and len(set(hidden_tests(item))) == len(hidden_tests(item)) - 1
    )
