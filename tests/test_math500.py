import json
import os
import random
from pathlib import Path

import pytest

from eggym.digest import digest
from eggym.envs.answers import judge_answer
from eggym.envs.math500 import Math500
from eggym.errors import BadValue, EggymError, UnknownName
from eggym.registry import load_task
from eggym.task import VerdictState

DATA = os.environ.get("EGGYM_DATA")
real = pytest.mark.skipif(not DATA, reason="set EGGYM_DATA to the folder that holds math500/test.jsonl")


def row(n):
    return {
        "problem": f"What is ${n} + {n}$?",
        "solution": rf"Twice ${n}$ is $\boxed{{{2 * n}}}$.",
        "answer": str(2 * n),
        "level": 1,
    }


@pytest.fixture
def folder(tmp_path):
    for name, numbers in (("train", range(40)), ("test", range(600, 610))):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps(row(n)) for n in numbers))
    return str(tmp_path)


@pytest.fixture
def task(folder):
    return load_task("math500", data=folder)


def test_prompt_truth_and_solution_of_a_row(task):
    item = task.item("test", 0)
    question, how = item.prompt.split("\n")
    assert question == "What is $600 + 600$?" and "\\boxed{}" in how
    assert item.truth == "1200"
    assert item.meta == {"solution": r"Twice $600$ is $\boxed{1200}$.", "level": 1}


def test_test_is_the_official_test_and_validation_comes_from_train(task):
    assert task.n_items("test") == 10
    assert task.n_items("train") + task.n_items("validation") == 40
    assert 0 < task.n_items("validation") < 15


@pytest.mark.parametrize(
    ("reply", "reward", "state"),
    [
        (r"\boxed{1,200}", 1.0, VerdictState.CORRECT),
        (r"\boxed{\frac{2400}{2}}", 1.0, VerdictState.CORRECT),
        (r"\boxed{1201}", 0.0, VerdictState.WRONG),
        (r"\boxed{600+600}", 0.0, VerdictState.REFUSED),
        (r"\boxed{1200 \text{ or } 1201}", 0.0, VerdictState.REFUSED),
        ("The answer is 1200.", 0.0, VerdictState.UNPARSED),
        ("", 0.0, VerdictState.UNPARSED),
    ],
)
def test_verdicts(task, reply, reward, state):
    verdict = task.score(task.item("test", 0), reply)
    assert (verdict.reward, verdict.state) == (reward, state)


def test_a_batch_is_judged_as_one_by_one(task):
    items = [task.item("test", index) for index in range(10)]
    replies = [task.oracle(item) if index % 2 else "none" for index, item in enumerate(items)]
    assert task.score_all(items, replies) == [task.score(*pair) for pair in zip(items, replies, strict=True)]
    states = [task.begin(item, random.Random(0)) for item in items]
    for state, reply in zip(states, replies, strict=True):
        task.step(state, reply)
    assert [verdict.reward for verdict in task.judge_all(states)] == [0, 1] * 5


def test_the_lenient_profile_must_be_asked_for_and_changes_the_digest(task, folder):
    lenient = load_task("math500", data=folder, profile="lenient")
    item = task.item("test", 0)
    assert lenient.score(item, "I doubt that it is 1200.").reward == 1
    assert task.score(item, "I doubt that it is 1200.").reward == 0
    assert digest(lenient) != digest(task) == digest(Math500(folder))
    with pytest.raises(UnknownName, match="no profile of the answer checker 'lax'"):
        load_task("math500", data=folder, profile="lax")


def test_the_identity_names_rows_rules_and_libraries(task):
    rows, profile, *libraries = task.identity().split()
    assert len(rows) == 64 and profile == "strict" and "math-verify" in libraries


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": " "}, "its answer is empty"),
        ({"problem": ""}, "its problem is empty"),
        ({"answer": None}, "its field 'answer' is null"),
        ({"answer": "1" * 600}, "its answer '1+ is longer than 512 characters, more than the checker reads"),
    ],
)
def test_an_odd_row_is_named_by_file_and_line(tmp_path, change, message):
    (tmp_path / "test.jsonl").write_text(json.dumps(row(1) | change))
    with pytest.raises(BadValue, match=rf"task 'eggym/math500-v0': line 1 of .*test\.jsonl: {message}"):
        load_task("math500", data=str(tmp_path)).item("test", 0)


def test_without_problems_to_train_on_it_says_so_in_one_line(tmp_path):
    (tmp_path / "test.jsonl").write_text(json.dumps(row(1)))
    task = load_task("math500", data=str(tmp_path))
    assert [task.n_items(split) for split in ("train", "validation", "test")] == [0, 0, 1]
    with pytest.raises(EggymError, match="task 'eggym/math500-v0' has 0 items in 'train'; there is no index 0"):
        task.item("train", 0)


@pytest.fixture(scope="module")
def whole():
    task = load_task("math500", data=str(Path(DATA) / "math500"))
    return task, [task.item("test", index) for index in range(500)]


@real
def test_all_reference_solutions_are_right(whole):
    task, items = whole
    assert task.n_items("test") == 500
    verdicts = task.score_all(items, [task.oracle(item) for item in items])
    assert [item.truth for item, verdict in zip(items, verdicts, strict=True) if verdict.reward != 1] == []


@real
def test_another_problems_answer_is_right_only_where_it_is_equal(whole):
    # one random pairing; those that are equal were compared by eye: the same text, and 90^\circ with 90
    task, items = whole
    others = random.Random(0).choices(items, k=500)
    verdicts = task.score_all(items, [rf"\boxed{{{other.truth}}}" for other in others])
    equal = [
        (item.truth, other.truth)
        for item, other, verdict in zip(items, others, verdicts, strict=True)
        if verdict.reward == 1 and item.truth != other.truth
    ]
    same = sum(item.truth == other.truth for item, other in zip(items, others, strict=True))
    assert {verdict.reward for verdict in verdicts} == {0.0, 1.0}
    assert (equal, same) == ([], 7)


@real
def test_the_floor_is_the_best_constant_answer(whole):
    # "3" is right on 19 of 500: 3.8 %
    task, items = whole
    counts = {
        guess: sum(judge_answer(item.truth, rf"\boxed{{{guess}}}").reward for item in items)
        for guess in {item.truth for item in items if item.truth.isdigit()}
    }
    best = max(counts, key=counts.get)
    assert (best, counts[best]) == ("3", 19)
    assert task.floor == pytest.approx(19 / 500)
