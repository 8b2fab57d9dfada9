"""Whole programs that read and print: rows in all their forms, what is shown, and how outputs are compared."""

import json
from dataclasses import replace

import pytest

from eggym.envs.box_terms import Limits
from eggym.envs.code_printing import Printing, check_printings
from eggym.envs.contest_rows import pairs_of, solution_of
from eggym.envs.stdin_stdout import StdinStdout
from eggym.errors import BadValue
from eggym.registry import load_task

TESTS = [("1 2\n", "3\n"), ("5 5\n", "10\n"), ("-1 1\n", "0\n"), ("7 0\n", "7\n")]
LISTS = {"inputs": [given for given, _ in TESTS], "outputs": [expected for _, expected in TESTS]}
PAIRS = [{"input": given, "output": expected} for given, expected in TESTS]
ROW = {
    "question": "Add two numbers.",
    "input_output": json.dumps(LISTS),
    "solution": "print(sum(map(int, input().split())))",
}
RIGHT = f"```python\n{ROW['solution']}\n```"


def task(row=None, level=None, **options):
    return StdinStdout([ROW if row is None else row], **options)


def first(task):
    split = next(split for split in ("train", "validation", "test") if task.n_items(split))
    return task.item(split, 0)


FORMS = {  # of the same row
    "APPS and TACO": {"input_output": json.dumps(LISTS)},
    "an object of lists": {"input_output": LISTS},
    "a list of tests": {"tests": PAIRS},
    "test_cases, in a text": {"test_cases": json.dumps(PAIRS)},
    "CodeContests": {"private_tests": {"input": LISTS["inputs"][:2], "output": LISTS["outputs"][:2]},
                     "generated_tests": {"input": LISTS["inputs"][1:], "output": LISTS["outputs"][1:]}},
    "LiveCodeBench": {"private_test_cases": json.dumps([pair | {"testtype": "stdin"} for pair in PAIRS])},
    "lists of lines": {"tests": [{"input": [line.strip(), ""], "output": [out.strip(), ""]} for line, out in TESTS]},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_tests_is_read_alike(form):
    item = first(task({"question": "Add.", **FORMS[form]}))
    assert item.meta["shown"] == [list(TESTS[0])] and item.truth == [list(test) for test in TESTS[1:]]


@pytest.mark.parametrize("name", ["question", "prompt", "description", "question_content"])
def test_every_name_of_the_statement_is_read(name):
    assert first(task({name: " Add. ", "tests": PAIRS})).prompt.startswith(
        "Add.\n\nExample input:\n1 2\nExample output:\n3\n\n"
    )


@pytest.mark.parametrize("name", ["examples", "public_tests", "public_test_cases"])
def test_examples_of_the_row_are_shown_and_never_count(name):
    item = first(task(ROW | {name: PAIRS[1:3]}, shown=0))
    assert item.meta["shown"] == [list(test) for test in TESTS[1:3]]
    assert item.truth == [list(TESTS[0]), list(TESTS[3])]


def test_without_examples_the_first_tests_are_shown_and_never_count():
    for shown in (0, 1, 3):
        item = first(task(shown=shown))
        assert item.truth == [list(test) for test in TESTS[shown:]]
        assert item.prompt.count("Example input:") == shown


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"solution": "a"}, "a"),
        ({"solutions": '["a", "b"]'}, "a"),
        ({"solutions": ["a"]}, "a"),
        ({"solutions": {"language": [2, 1, 3, 3], "solution": ["c++", "old", "a", "b"]}}, "a"),
        ({"solutions": {"language": [2], "solution": ["c++"]}}, None),
        ({"solutions": ""}, None),
        ({"solutions": None}, None),
        ({}, None),
    ],
)
def test_a_reference_solution_is_found_where_there_is_one(given, found):
    assert solution_of(given) == found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"question": None},
            "it has no statement in one of the fields question, prompt, description, question_content",
        ),
        ({"question": " "}, "it has no statement"),
        (
            {"input_output": None},
            "it has 0 tests, .* they stand in input_output, tests",
        ),
        (
            {"input_output": {"inputs": ["1"], "outputs": ["1"]}},
            "it has 1 tests, .* give stdin-stdout@shown=0",
        ),
        ({"input_output": {"inputs": ["1"], "outputs": []}}, "no lists of inputs and outputs of the same length"),
        ({"input_output": {"inputs": "1", "outputs": "1"}}, "no lists of inputs and outputs"),
        ({"input_output": {**LISTS, "fn_name": "add"}}, r"it asks for a function \(input_output.fn_name\)"),
        ({"tests": [PAIRS[0] | {"testtype": "functional"}]}, r"it asks for a function \(tests.testtype\)"),
        ({"private_test_cases": "eJxrYJmaxwABsQ=="}, "is a text that is no JSON: 'eJxr.*unpack it first"),
        ({"tests": [{"input": "1"}]}, "a test in its field 'tests' is no object with input and output"),
        ({"tests": 3}, "its field 'tests' is no list of tests: 3"),
        ({"tests": [{"input": 1, "output": "1"}]}, "an input or output in its field 'tests' is no text: 1"),
    ],
)
def test_an_odd_row_is_refused_in_one_line(change, message):
    with pytest.raises(BadValue, match=message) as refusal:
        first(task(ROW | change))
    assert "\n" not in str(refusal.value) and "task 'eggym/stdin-stdout-v0': row 0" in str(refusal.value)


@pytest.mark.parametrize("shown", [-1, 9, True, "all", 0.5])
def test_odd_numbers_of_examples_are_refused(shown):
    with pytest.raises(BadValue, match="option shown of task 'eggym/stdin-stdout-v0' is a whole number from 0 to 8"):
        task(shown=shown)


REPLIES = {  # reply: state, share of the three hidden tests
    RIGHT: ("correct", 1.0),
    "a, b = map(int, input().split())\nprint(a + b, ' ')\nprint()": ("correct", 1.0),
    "print(sum(map(int, input().split())))\nraise SystemExit": ("correct", 1.0),
    "print(3)": ("wrong", 0.0),
    "print(7)": ("wrong", 1 / 3),
    "print(' 7')": ("wrong", 0.0),
    "print(7)\nprint(7)": ("wrong", 0.0),
    "a = int(input().split()[0])\nprint(10 // (a + 1) if a < 0 else a * 2 if a == 5 else a)": ("wrong", 2 / 3),
    "a = int(input().split()[0])\nwhile a < 0: pass\nprint(10 if a == 5 else 7)": ("timeout", 1 / 3),
    "print(sum(map(int, input().split()))": ("unparsed", 0.0),
    "I do not know": ("unparsed", 0.0),
    " ": ("unparsed", 0.0),
}


def test_verdicts_alone_together_and_twice(box_level):
    box_level("landlock")
    judge, share = task(), task(reward="share")
    for each in (judge, share):
        each.grading = replace(each.grading, limits=Limits(cpu_s=0.5))
    item = first(judge)
    together = share.score_all([item] * len(REPLIES), list(REPLIES))
    assert [(verdict.state, verdict.reward) for verdict in together] == list(REPLIES.values())
    assert [verdict.reward for verdict in judge.score_all([item] * len(REPLIES), list(REPLIES))] == [
        float(passed == 1) for _, passed in REPLIES.values()
    ]
    assert [share.score(item, reply) for reply in list(REPLIES)[:5]] == together[:5]


def test_a_program_that_left_a_limit_is_not_asked_about_later_tests_however_they_are_run(box_level):
    box_level("landlock")
    slow = "n = int(input())\nwhile n == 2: pass\nprint(n)"
    tests = tuple((f"{n}\n", f"{n}\n") for n in range(7))
    (verdict,) = check_printings([Printing(slow, tests, Limits(cpu_s=0.5))])
    assert [test.passed for test in verdict.tests] == [True, True, *[False] * 5]
    assert verdict.tests[2].fault == "took more than 0.5 s of CPU" and verdict.tests[2].given == "2\n"


def test_a_program_that_hangs_is_run_once(box_level, monkeypatch):
    from eggym.envs import code_printing

    box_level("landlock")
    counts, run = [], code_printing.box.run_programs
    monkeypatch.setattr(
        code_printing.box, "run_programs", lambda works, **o: counts.append(len(works)) or run(works, **o)
    )
    tests = tuple((f"{n}\n", f"{n}\n") for n in range(7))
    check_printings([Printing("while 1: pass", tests, Limits(cpu_s=0.3)), Printing("print(input())", tests)])
    assert counts == [2, 2, 4]


def test_expected_outputs_do_not_enter_the_process(box_level, monkeypatch):
    from eggym.envs import code_printing

    box_level("landlock")
    sent, run = [], code_printing.box.run_programs
    monkeypatch.setattr(code_printing.box, "run_programs", lambda works, **o: sent.extend(works) or run(works, **o))
    task().score(first(task()), "print(3)")
    assert [(each.code, each.stdin) for each in sent] == [("print(3)", given) for given, _ in TESTS[1:]]


def test_splits_of_a_field_of_rows_and_of_a_folder(tmp_path):
    rows = [ROW | {"question": f"Add {n}.", "split": split} for n, split in enumerate(("test", "train", "validation"))]
    assert [StdinStdout(rows).n_items(split) for split in ("train", "validation", "test")] == [1, 1, 1]
    for name, row in zip(("test", "train", "valid"), rows, strict=True):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row))
    folder = StdinStdout(str(tmp_path))
    assert [folder.item(split, 0).prompt[:6] for split in ("test", "train", "validation")] == [
        "Add 0.",
        "Add 1.",
        "Add 2.",
    ]


def test_a_missing_file_is_told_in_one_line():
    with pytest.raises(BadValue, match="no data at 'nowhere' for task 'eggym/stdin-stdout-v0'; give a JSONL file"):
        StdinStdout("nowhere").n_items("test")


# -- the house's own problems ---------------------------------------------------------------------------------------
CONSTANTS = ("", "0", "1", "-1", "2", "3", "a", "nobody", "unbalanced", "0 0", "1 6", "abc")


@pytest.fixture(scope="module")
def house():
    judge = load_task("stdin-stdout", reward="share")
    return judge, [judge.item(s, n) for s in ("train", "validation", "test") for n in range(judge.n_items(s))]


def test_the_houses_problems_are_twelve_with_six_hidden_tests_each(house):
    judge, items = house
    assert [judge.n_items(split) for split in ("train", "validation", "test")] == [6, 2, 4]
    assert len({item.meta["id"] for item in items}) == 12
    for item in items:
        assert len(item.truth) >= 6 and len({given for given, _ in item.truth}) == len(item.truth)
        assert not {given for given, _ in item.meta["shown"]} & {given for given, _ in item.truth}


def test_their_reference_solutions_are_right_and_constants_earn_the_floor_at_most(box_level, house):
    box_level("landlock")
    judge, items = house
    assert {v.reward for v in judge.score_all(items, [judge.oracle(item) for item in items])} == {1.0}
    tests, best = [item for item in items if item.split == "test"], 0.0
    for constant in CONSTANTS:
        verdicts = judge.score_all(tests, [f"print({constant!r})"] * len(tests))
        assert not any(verdict.reward == 1 for verdict in verdicts)
        best = max(best, sum(verdict.reward for verdict in verdicts) / len(tests))
    assert best == pytest.approx(judge.floor, abs=1e-3) and load_task("stdin-stdout").floor == 0


def test_repeats_of_tests_count_once():
    assert pairs_of({"tests": PAIRS, "private_tests": PAIRS}, ("tests", "private_tests")) == TESTS
