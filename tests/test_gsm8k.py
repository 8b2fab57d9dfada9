import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from eggym.envs.gsm8k import Gsm8k, read_answer
from eggym.errors import BadValue
from eggym.registry import load_task
from eggym.splits import normalise
from eggym.task import Item, VerdictState

DATA = os.environ.get("EGGYM_DATA")
real = pytest.mark.skipif(not DATA, reason="set EGGYM_DATA to the folder that holds gsm8k/train.jsonl and test.jsonl")


@pytest.fixture
def folder(tmp_path):
    def row(n):
        return {"question": f"Ann has {n} apples and buys {n} more. How many?", "answer": f"{n}+{n}\n#### {2 * n:,}"}

    for name, numbers in (("train", range(40)), ("test", range(600, 610))):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps(row(n)) for n in numbers))
    return str(tmp_path)


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("6 * 12 = 72\n#### 72", "72"),
        ("#### 72.", "72"),
        ("####72", "72"),
        ("#### 1,234", "1234"),
        ("#### 1,234,567.50", "1234567.50"),
        ("#### -3", "-3"),
        ("#### 72\nI hope this helps, in 3 ways.", "72"),
        ("#### 5\nno, wait\n#### 72", "72"),  # the last one counts
        ("72", None),
        ("", None),
        ("####", None),
        ("####\n72", None),  # not on its line
        ("#### $72", None),
        ("#### 72 apples", None),
        ("#### 72 or 73", None),
        ("#### 1,23", None),  # no thousands separator
        ("#### seventy-two", None),
        ("#### 72\n#### ", None),  # the last one is empty
        ("#### 1e2", None),
        ("#### \u0667\u0662", None),  # digits of another script
    ],
)
def test_golden_replies(reply, found):
    assert read_answer(reply) == (None if found is None else Decimal(found))


@pytest.mark.parametrize(
    ("reply", "reward", "state"),
    [
        ("#### 72.0", 1.0, VerdictState.CORRECT),
        ("#### 720", 0.0, VerdictState.WRONG),
        ("The answer is 72.", 0.0, VerdictState.UNPARSED),
    ],
)
def test_verdicts(reply, reward, state):
    verdict = Gsm8k().score(Item("?", "72"), reply)
    assert (verdict.reward, verdict.state) == (reward, state)


def test_prompt_truth_and_solution_of_a_row(folder):
    item = load_task("gsm8k", data=folder).item("test", 0)
    question, how = item.prompt.split("\n")
    assert question == "Ann has 600 apples and buys 600 more. How many?"
    assert "####" in how
    assert item.truth == "1200"
    assert item.meta == {"solution": "600+600\n#### 1,200"}


def test_test_is_the_official_test_and_validation_comes_from_train(folder):
    task = load_task("gsm8k", data=folder)
    assert task.n_items("test") == 10
    assert task.n_items("train") + task.n_items("validation") == 40
    assert 0 < task.n_items("validation") < 15


def test_a_solution_without_a_number_is_named(tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps({"question": "How many?", "answer": "#### none"}))
    with pytest.raises(BadValue, match="no number behind #### in the solution of 'How many"):
        load_task("gsm8k", data=str(tmp_path / "rows.jsonl")).item("train", 0)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": None, "answer": "#### 1"}, "its field 'question' is null"),
        ({"question": "How many?", "answer": None}, "its field 'answer' is null"),
        ({"question": " ", "answer": "#### 1"}, "its question is empty"),
    ],
)
def test_a_row_without_question_or_answer_is_named_by_file_and_line(tmp_path, row, message):
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    with pytest.raises(BadValue, match=rf"task 'eggym/gsm8k-v0': line 1 of .*rows\.jsonl: {message}"):
        load_task("gsm8k", data=str(tmp_path / "rows.jsonl")).item("train", 0)


def test_without_hub_and_data_the_way_out_is_named(monkeypatch):
    import datasets

    def load(name, config):
        assert (name, config) == ("openai/gsm8k", "main")
        raise ConnectionError("offline")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(BadValue, match=r"'eggym/gsm8k-v0' cannot load 'openai/gsm8k' from the hub .* with --data"):
        load_task("gsm8k").item("train", 0)


@real
def test_the_reference_solutions_are_right_on_all_real_rows():
    task = load_task("gsm8k", data=str(Path(DATA) / "gsm8k"))
    assert task.n_items("test") == 1319 and task.n_items("train") + task.n_items("validation") == 7473
    for split in ("train", "validation", "test"):
        items = [task.item(split, index) for index in range(task.n_items(split))]
        assert {task.score(item, task.oracle(item)).reward for item in items} == {1.0}


@real
def test_no_real_prompt_stands_in_two_splits():
    task = load_task("gsm8k", data=str(Path(DATA) / "gsm8k"))
    sides = [
        {normalise(task.item(split, index).prompt) for index in range(task.n_items(split))}
        for split in ("train", "validation", "test")
    ]
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]


@real
def test_the_floor_is_the_best_constant_answer():
    # "#### 5" is right on 40 of 1319 test problems: 3.03 %
    task = load_task("gsm8k", data=str(Path(DATA) / "gsm8k"))
    truths = [task.item("test", index).truth for index in range(1319)]
    best = max(set(truths), key=truths.count)
    assert (best, truths.count(best)) == ("5", 40)
    assert task.floor == pytest.approx(40 / 1319, abs=1e-4)
