"""MBPP as a task: what is shown, what counts, and which row belongs where."""

import json
import os
from dataclasses import replace

import pytest

from eggym.digest import digest
from eggym.envs.box_terms import Limits
from eggym.envs.mbpp import FLOORS, Mbpp
from eggym.errors import BadValue, UnknownName
from eggym.registry import load_task

DATA = os.environ.get("EGGYM_DATA")
real = pytest.mark.skipif(not DATA, reason="set EGGYM_DATA to the folder that holds mbpp/sanitized-mbpp.json")

TESTS = ["assert twice(1) == 2", "assert twice(2) == 4", "assert twice(-3) == -6"]


def row(number, **change):
    return {
        "task_id": number,
        "prompt": f"Write a function for the double of a number, number {number}.",
        "code": "def twice(x, times=2):\n  return times * x",
        "test_imports": [],
        "test_list": TESTS,
    } | change


ROWS = [row(number) for number in (3, 10, 11, 510, 511, 600, 601, 974)]


@pytest.fixture
def make(box_level):
    box_level("landlock")
    return lambda rows=ROWS, **options: load_task("mbpp", data=rows, **options)


def test_splits_go_by_number_and_the_examples_of_published_prompts_are_left_out(make):
    task = make()
    numbers = {
        split: [task.item(split, index).meta["task_id"] for index in range(task.n_items(split))]
        for split in ("test", "validation", "train")
    }
    assert numbers == {"test": [11, 510], "validation": [511, 600], "train": [601, 974]}


@pytest.mark.parametrize(("shown", "n_shown", "n_hidden"), [(0, 0, 3), (1, 1, 2), (2, 2, 1), ("all", 3, 3)])
def test_what_is_shown_does_not_count_unless_all_is(make, shown, n_shown, n_hidden):
    item = make(shown=shown).item("test", 0)
    assert item.meta["shown"] == TESTS[:n_shown] and item.truth["test_list"] == TESTS[-n_hidden:]
    assert [test in item.prompt for test in TESTS] == [place < n_shown for place in range(3)]
    assert ("def twice(x, times=2)" in item.prompt) == (shown == 0)


def test_a_program_that_knows_what_it_was_shown_earns_nothing_for_it(make):
    knows = "def twice(x):\n    return {1: 2}[x]"
    for shown, reward in ((1, 0.0), (0, 1 / 3), ("all", 1 / 3)):
        task = make(shown=shown, reward="share")
        assert task.score(task.item("test", 0), knows).reward == pytest.approx(reward)
        assert make(shown=shown).score(task.item("test", 0), knows).reward == 0


@pytest.mark.parametrize(
    ("tests", "shown", "counting"),
    [
        ([0, 0, 1], [0], [1]),
        ([0, 1, 0], [0], [1]),
        ([0, 0, 0], [], [0, 0, 0]),
        ([0], [], [0]),
        ([0, 1, 1], [0], [1, 1]),
    ],
)
def test_a_test_that_repeats_a_shown_one_does_not_count(make, tests, shown, counting):
    item = make([row(11, test_list=[TESTS[n] for n in tests])]).item("test", 0)
    assert (item.meta["shown"], item.truth["test_list"]) == ([TESTS[n] for n in shown], [TESTS[n] for n in counting])
    assert ("def twice(" in item.prompt) == (not shown)


def test_both_names_of_the_sentence_are_read(make):
    full = [{name: value for name, value in row(11).items() if name != "prompt"} | {"text": "Double it."}]
    assert make(full).item("test", 0).prompt.startswith("Double it.\nYour code should pass this test:\n")
    assert make().item("test", 0).prompt.startswith("Write a function for the double of a number, number 11.")


def test_a_folder_gives_the_file_of_the_rows_that_are_asked_for(tmp_path):
    (tmp_path / "sanitized-mbpp.json").write_text(json.dumps([row(11), row(12)]))
    full = [{**row(n), "text": "Double it."} for n in (11, 12, 13)]
    (tmp_path / "mbpp.jsonl").write_text("\n".join(map(json.dumps, full)))
    for rows, count in (("sanitized", 2), ("full", 3)):
        task = load_task("mbpp", data=str(tmp_path), rows=rows)
        assert task.n_items("test") == count
        assert load_task("mbpp", rows=rows)._place() == f"google-research-datasets/mbpp:{rows}"
    for file, rows, other in (("mbpp.jsonl", "sanitized", "full"), ("sanitized-mbpp.json", "full", "sanitized")):
        with pytest.raises(BadValue, match=f"it is of the {other} rows: give mbpp@rows={other}"):
            load_task("mbpp", data=str(tmp_path / file), rows=rows).n_items("test")


@pytest.mark.parametrize(
    ("reply", "state", "share"),
    [
        ("Sure.\n```python\ndef twice(x):\n    return x + x\n```", "correct", 1.0),
        ("def twice(x): return x * 2 if x > 0 else x", "wrong", 0.5),
        ("def double(x): return x * 2", "wrong", 0.0),
        ("def twice(x):\n    while x != 2: pass\n    return 4", "timeout", 0.5),
        ("the double is 2x", "unparsed", 0.0),
        ("", "unparsed", 0.0),
    ],
)
def test_verdicts(make, reply, state, share):
    for reward, value in (("all", float(share == 1)), ("share", share)):
        task = make(reward=reward)
        task.grading = replace(task.grading, limits=Limits(cpu_s=0.5))
        verdict = task.score(task.item("test", 0), reply)
        assert (verdict.state, verdict.reward, verdict.parts) == (state, value, {"tests": share})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_list": []}, "its test_list is no list of asserts"),
        ({"test_list": "assert 1"}, "its test_list is no list of asserts: 'assert 1'"),
        ({"test_list": ["assert twice(1 ==", *TESTS]}, None),
        ({"test_list": [*TESTS, "assert twice(1 =="]}, "its code is no Python: 'assert twice"),
        ({"code": "def twice(x) return x"}, "its code is no Python"),
        ({"code": None}, "its field 'code' is null"),
        ({"prompt": None}, "its field 'prompt' is null"),
        ({"task_id": 975}, "a row: its task_id must be from 1 to 974, got 975"),
        ({"task_id": "11"}, "its task_id must be from 1 to 974, got '11'"),
    ],
)
def test_an_odd_row_is_refused_in_one_line(make, change, message):
    task = make([row(11, **change)])
    if message is None:
        assert task.n_items("test") == 1
        return
    with pytest.raises(BadValue, match=message) as refusal:
        task.n_items("test")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("shown", [3, -1, "some", True, 1.0, None])
def test_odd_numbers_of_shown_tests_are_refused(shown):
    with pytest.raises(BadValue, match="option shown of task 'eggym/mbpp-v0' is 0, 1, 2 or all, got"):
        Mbpp(ROWS, shown=shown)


def test_odd_options_are_refused_and_others_change_label_digest_and_floor(make):
    with pytest.raises(UnknownName, match="no rows of MBPP 'clean'"):
        make(rows=ROWS) and Mbpp(ROWS, rows="clean")
    tasks = [Mbpp(ROWS, **o) for o in ({}, {"rows": "full"}, {"shown": "all"}, {"reward": "share"}, {"shown": 2})]
    assert len({digest(task) for task in tasks}) == 5
    assert tasks[2].label == "eggym/mbpp-v0@shown=all"
    assert [task.floor for task in tasks] == [0.0272, 0.03, 0.0, 0.1018, 0.1206]
    assert Mbpp.floor == FLOORS["sanitized", "all"][1]


MISSED = {123}  # sums of divisors by trial: 1 s to 10 s, as the machine is


@real
@pytest.mark.slow
@pytest.mark.parametrize(("rows", "in_splits", "in_all"), [("sanitized", 420, 427), ("full", 964, 974)])
def test_reference_solutions_are_right_but_one_that_is_slow(box_level, rows, in_splits, in_all):
    box_level("landlock")
    task = Mbpp(os.path.join(DATA, "mbpp"), rows=rows, shown="all")
    items = [
        task.item(split, index) for split in ("train", "validation", "test") for index in range(task.n_items(split))
    ]
    assert len(items) == in_splits
    left_out = [task.read(each) for each in json_rows(rows) if each["task_id"] <= 10]
    items += left_out
    assert len(items) == in_all
    verdicts = task.score_all(items, [task.oracle(item) for item in items])
    assert {item.meta["task_id"] for item, v in zip(items, verdicts, strict=True) if v.reward != 1} <= MISSED


def json_rows(rows):
    from eggym.rows import load_rows

    name = {"sanitized": "sanitized-mbpp.json", "full": "mbpp.jsonl"}[rows]
    return load_rows(os.path.join(DATA, "mbpp", name), "tests")[""]


@real
@pytest.mark.slow
@pytest.mark.parametrize(("rows", "reward", "shown"), [(r, w, s) for r, w in FLOORS for s in (0, 1, 2)])
def test_the_floor_is_what_the_best_constant_earns(box_level, rows, reward, shown):
    box_level("landlock")
    task = Mbpp(os.path.join(DATA, "mbpp"), rows=rows, shown=shown, reward=reward)
    items = [task.item("test", index) for index in range(task.n_items("test"))]
    best = 0.0
    for constant in ("True", "False", "2"):
        names = [set(task.work(item, "x").names.values()) for item in items]
        replies = ["\n".join(f"{name} = lambda *_, **__: {constant}" for name in each) or "x" for each in names]
        best = max(best, sum(v.reward for v in task.score_all(items, replies)) / len(items))
    assert task.floor == pytest.approx(best, abs=6e-5)
