"""HumanEval as a task: what of a reply is run, and behind what."""

import gzip
import json
import os
from pathlib import Path

import pytest

from eggym.digest import digest
from eggym.envs.humaneval import whole_program
from eggym.errors import BadValue, UnknownName
from eggym.registry import load_task
from eggym.task import VerdictState

DATA = os.environ.get("EGGYM_DATA")
real = pytest.mark.skipif(not DATA, reason="set EGGYM_DATA to the folder that holds humaneval/HumanEval.jsonl.gz")

ROW = {
    "task_id": "Test/0",
    "prompt": (
        "from typing import List\nimport math\n\n\ndef double(x: int) -> int:\n    return 2 * x\n\n\n"
        "def roots(xs: List[float]) -> List[float]:\n    ''' The roots. '''\n"
    ),
    "canonical_solution": "    return [math.sqrt(x) for x in xs]\n",
    "entry_point": "roots",
    "test": "def check(candidate):\n    assert candidate([4.0, 9.0]) == [double(1), 3]\n    assert not candidate([])\n",
}
BODY = "    return [math.sqrt(x) for x in xs]\n"
WHOLE = f"def roots(xs: List[float]):\n{BODY}"
REPLIES = {  # reply: state
    f"Here:\n```python\n{WHOLE}```\nIt works.": "correct",
    WHOLE: "correct",
    f"import math\nfrom typing import List\n\n{WHOLE}": "correct",
    "from __future__ import annotations\n\ndef roots(xs: Unknown):\n    return [x ** 0.5 for x in xs]\n": "correct",
    "roots = lambda xs: [double(x) // 2 and x ** 0.5 for x in xs]": "correct",
    "async def roots(xs):\n    return []": "wrong",
    BODY: "correct",
    BODY.strip(): "correct",  # a model's first blanks are often lost
    f"{BODY}\n\ndef other():\n    return": "correct",
    f"```\n{BODY}```": "correct",
    f"{BODY}\nroots = None\n": "correct",  # a body ends where it is no longer indented
    "    return xs\n": "wrong",
    f"def root(xs):\n{BODY}": "unparsed",
    "I cannot do that.": "unparsed",
    "": "unparsed",
    "#" * (1 << 20) + "x": "refused",
}


@pytest.fixture
def task(box_level):
    box_level("landlock")
    return load_task("humaneval", data=[ROW])


def test_prompt_and_truth_of_a_row(task):
    item = task.item("test", 0)
    asked, _, code = item.prompt.partition("\n\n```python\n")
    assert asked.startswith("Complete this Python function.") and code == f"{ROW['prompt'].strip()}\n```"
    assert item.truth["before"] == ROW["prompt"].partition("def roots")[0]
    assert item.meta == {"task_id": "Test/0"}
    assert load_task("humaneval", data=[ROW], form="raw").item("test", 0).prompt == ROW["prompt"]


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: repr(reply[:30]))
def test_verdicts(task, reply):
    verdict = task.score(task.item("test", 0), reply)
    assert (verdict.state, verdict.reward) == (REPLIES[reply], float(REPLIES[reply] == "correct")), verdict.why


def test_a_batch_is_judged_as_one_by_one_and_twice_alike(task):
    item = task.item("test", 0)
    together = task.score_all([item] * len(REPLIES), list(REPLIES))
    assert [verdict.state for verdict in together] == list(REPLIES.values())
    assert together == task.score_all([item] * len(REPLIES), list(REPLIES))


def test_text_of_a_model_is_not_parsed_in_this_process(task, monkeypatch):
    import ast
    import builtins

    item = task.item("test", 0)
    check = task.work(item, WHOLE)

    def refuse(code, *_, **__):
        assert "(((" not in str(code)

    monkeypatch.setattr(ast, "parse", lambda code, *_, **__: refuse(code) or ast.Module([], []))
    monkeypatch.setattr(builtins, "compile", refuse)
    assert task.work(item, "(((" + WHOLE).names == check.names


def test_a_definition_is_found_by_its_name_alone():
    truth = {"entry_point": "f", "before": "BEFORE\n", "prompt": "PROMPT\n"}
    for code in ("def f(x):\n  pass", "x = 1\ndef  f (x): pass", "f = abs", "f: object = abs", "async def f(): pass"):
        assert whole_program(code, truth) == f"BEFORE\n{code}"
    for code in (
        "def ff(x): pass",
        "  def f(x): pass",
        "class A:\n  def f(x): pass",
        "f(3)",
        "print(f)",
        "\n\n   f = 3",
    ):
        assert whole_program(code, truth).startswith("PROMPT\n    " if code[0] not in " \n" else "PROMPT\n  ")


def test_rows_of_one_split_are_test_and_a_folder_may_add_train(tmp_path):
    path = tmp_path / "HumanEval.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(ROW).encode()))
    for data in (str(path), str(tmp_path)):
        task = load_task("humaneval", data=data)
        assert [task.n_items(split) for split in ("train", "validation", "test")] == [0, 0, 1]
    other = ROW | {"prompt": ROW["prompt"].replace("The roots", "All roots")}
    path.rename(tmp_path / "test.jsonl.gz")
    (tmp_path / "train.jsonl").write_text(json.dumps(other))
    task = load_task("humaneval", data=str(tmp_path))
    assert task.n_items("test") == 1 and task.n_items("train") + task.n_items("validation") == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test": " "}, "row 0 of test: its test is empty"),
        ({"entry_point": None}, "its field 'entry_point' is null"),
        ({"entry_point": "other"}, "its prompt defines no function 'other'"),
        ({"prompt": "def (:"}, "its code is no Python: 'def "),
    ],
)
def test_an_odd_row_is_named(change, message):
    with pytest.raises(BadValue, match=message):
        load_task("humaneval", data=[ROW | change]).item("test", 0)


def test_odd_options_are_refused_and_others_change_the_digest(box_level):
    box_level("landlock")
    with pytest.raises(UnknownName, match="no form of a prompt of HumanEval 'talk'"):
        load_task("humaneval", data=[ROW], form="talk")
    with pytest.raises(UnknownName, match="no reward of a task on programs 'half'"):
        load_task("humaneval", data=[ROW], reward="half")
    tasks = [load_task("humaneval", data=[ROW], **options) for options in ({}, {"form": "raw"}, {"reward": "share"})]
    assert len({digest(task) for task in tasks}) == 3
    assert [task.label for task in tasks][1:] == ["eggym/humaneval-v0@form=raw", "eggym/humaneval-v0@reward=share"]


@pytest.fixture(scope="module")
def whole():
    task = load_task("humaneval", data=str(Path(DATA) / "humaneval"))
    return task, [task.item("test", index) for index in range(164)]


WAYS = {
    "the whole function in a block": lambda task, item: task.oracle(item),
    "the body alone": lambda task, item: item.truth["canonical_solution"],
    "the function without imports and helpers": lambda task, item: (
        item.truth["prompt"] + item.truth["canonical_solution"]
    ).removeprefix(item.truth["before"]),
}


@real
@pytest.mark.parametrize("way", WAYS)
def test_all_reference_solutions_are_right(box_level, whole, way):
    box_level("landlock")
    task, items = whole
    verdicts = task.score_all(items, [WAYS[way](task, item) for item in items])
    assert task.n_items("test") == 164
    missed = {item.meta["task_id"]: each.why for item, each in zip(items, verdicts, strict=True) if each.reward != 1}
    assert missed == {}


CONSTANTS = ("None", "True", "False", "0", "1", "-1", "''", "[]")


@real
@pytest.mark.slow
def test_the_floor_is_what_constants_earn(box_level, whole):
    box_level("landlock")
    task, items = whole
    for constant in CONSTANTS:
        replies = [f"{item.truth['entry_point']} = lambda *_, **__: {constant}" for item in items]
        verdicts = task.score_all(items, replies)
        assert sum(verdict.reward for verdict in verdicts) == task.floor == 0
        assert {verdict.state for verdict in verdicts} <= {VerdictState.WRONG}
