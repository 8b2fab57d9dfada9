"""Wrong programs are not paid: mutants of the oracles' texts, made without any knowledge of how a text came about."""

import ast
import copy
from collections import Counter

import pytest

from eggym.envs import program_mutants
from eggym.envs.box_terms import Check, Limits
from eggym.envs.code_grading import Grading
from eggym.envs.program_inputs import edge_inputs, random_inputs
from eggym.envs.program_steps import value_of
from eggym.envs.programs import OPS, Programs, _test, hidden_inputs
from eggym.seeding import stream

_OTHER = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.In: ast.NotIn,
          ast.Add: ast.Sub, ast.Sub: ast.Add}  # fmt: skip
_NAMES = {"min": "max", "max": "min"}


def mutated(code):
    """Yield (kind, code) of every program that differs from this one in one place."""
    tree = ast.parse(code)
    places = list(ast.walk(tree))
    for place, node in enumerate(places):
        for kind, change in _changes(node):
            other = copy.deepcopy(tree)
            change(list(ast.walk(other))[place])
            yield kind, ast.unparse(ast.fix_missing_locations(other))


def _changes(node):
    match node:
        case ast.Constant(int()):
            yield "off by one", lambda one: setattr(one, "value", one.value + 1)
            yield "off by one", lambda one: setattr(one, "value", one.value - 1)
        case ast.Compare():
            if type(node.ops[0]) in _OTHER:
                yield "another comparison", lambda one: one.ops.__setitem__(0, _OTHER[type(one.ops[0])]())
        case ast.BinOp(_, ast.Add() | ast.Sub(), _):
            yield "another sign", lambda one: setattr(one, "op", _OTHER[type(one.op)]())
        case ast.Name(name) if name in _NAMES:
            yield "smallest and largest", lambda one: setattr(one, "id", _NAMES[one.id])
        case ast.IfExp():
            yield "missed edge case", lambda one: setattr(one, "test", ast.Constant(True))
        case ast.Call() if any(keyword.arg == "default" for keyword in node.keywords):
            yield "missed edge case", lambda one: one.keywords.pop()
        case ast.FunctionDef():
            for number in range(1, len(node.body) - 1):
                yield "a line forgotten", lambda one, number=number: one.body.pop(number)
            for number in range(1, len(node.body) - 2):
                yield "wrong order", lambda one, number=number: one.body.insert(number, one.body.pop(number + 1))


def survivors(level, n_items):
    """Mutants of the oracles' texts: how many there are that differ from the oracle, and which of them are paid."""
    task = Programs(level=level)
    task.grading = Grading(limits=Limits(cpu_s=0.5))  # some mutants loop for ever
    items, codes = [], []
    for item in (task.item("train", index) for index in range(n_items)):
        code = task.oracle(item).removeprefix("```python\n").removesuffix("```")
        found = [text for _, text in mutated(code)]
        items, codes = items + [item] * len(found), codes + found
    verdicts = task.score_all(items, codes)
    paid = [(item, code) for item, code, one in zip(items, codes, verdicts, strict=True) if one.reward == 1]
    checks = [_many_tests(item, code) for item, code in paid]
    differ = [one for one, verdict in zip(paid, task.grading.judge(checks), strict=True) if verdict.reward != 1]
    return len(codes) - len(paid) + len(differ), differ


def _many_tests(item, code):
    steps = item.truth["steps"]
    kind = OPS[steps[0][0]].takes
    inputs = edge_inputs(kind) + random_inputs(stream("fresh", item.prompt), kind, steps, 200)
    return Check(code, tuple(_test(item, value) for value in inputs))


@pytest.mark.parametrize("level", [1, 3, pytest.param(5, marks=pytest.mark.slow)])
def test_a_mutant_of_a_right_program_is_not_paid(level, box_level):
    # measured over 30 items of each level: at most 1.3 % (docs/sandbox.md)
    box_level("landlock")
    n_wrong, paid = survivors(level, 5)
    assert n_wrong > 20 and len(paid) <= 0.05 * n_wrong, paid


def test_without_the_choice_of_hidden_inputs_more_mutants_would_be_paid():
    hidden, first = Counter(), Counter()
    for item in (Programs(level=4).item("train", index) for index in range(60)):
        steps, kind = item.truth["steps"], OPS[item.truth["steps"][0][0]].takes
        chosen = hidden_inputs(item)
        drawn = random_inputs(stream("programs", "inputs", item.prompt), kind, steps, 36)
        for mutant in program_mutants.mutants(OPS, steps):
            for counts, inputs in ((hidden, chosen), (first, drawn[: len(chosen)])):
                counts[_shows(steps, mutant, inputs)] += 1
    assert hidden[False] < 0.8 * first[False]


def _shows(steps, mutant, inputs):
    return any(program_mutants._outcome(OPS, mutant, v) != value_of(OPS, steps, v) for v in inputs)


def test_a_step_that_changes_nothing_and_results_that_are_mostly_equal_are_not_asked():
    inputs = [[], [3, 1], [2, 9], [4, 4, 1]]
    assert program_mutants.says_enough(OPS, [["sort", None], ["first", 3]], [[4, 3, 2, 1], [9, 1, 3, 5]])
    assert not program_mutants.says_enough(OPS, [["sort", None], ["largest", None]], inputs)
    assert not program_mutants.says_enough(OPS, [["peaks", None]], inputs)


def test_every_slip_shows_on_some_input():
    for name, op in OPS.items():
        number = op.choices[0] if op.choices else None
        inputs = edge_inputs(op.takes) + random_inputs(stream("test", name), op.takes, [[name, number]], 100)
        for slip in range(len(op.slips)):
            steps = [[name, number]], [[name, number, slip]]
            assert any(
                len({repr(program_mutants._outcome(OPS, one, value)) for one in steps}) == 2 for value in inputs
            ), name
