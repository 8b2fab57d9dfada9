"""Boards as data: what a file must say, what follows from it, and what is asked of whoever wants to be on it."""

import json
import os
import re
import shutil

import boards
import pytest
import yaml

from eggym.config import resolve
from eggym.errors import BadValue, EggymError, UnknownName
from eggym.leaderboards.board import commit, read_board
from eggym.leaderboards.pinned import read_pinned
from eggym.leaderboards.pinning import pin
from eggym.leaderboards.place import SHIPPED, Place
from eggym.leaderboards.protocol import asked_for
from eggym.leaderboards.rules import controls_for


@pytest.fixture
def file(small_place, tmp_path):
    """The board of the small place, on its own, to be changed."""
    shutil.copytree(small_place.root / "boards", tmp_path / "boards")
    return tmp_path / "boards" / "small.yaml"


def rewrite(file, **changes):
    rules = yaml.safe_load(file.read_text())
    rules = {name: value for name, value in {**rules, **changes}.items() if value is not ...}
    file.write_text(yaml.safe_dump(rules))
    return file


SHIPPED_FILES = sorted(SHIPPED.glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED_FILES, ids=lambda path: path.stem)
def test_a_shipped_board_is_what_it_was_pinned_to(path, tmp_path):
    board, data = read_board(path), None
    if board.name == "gsm8k":
        if "EGGYM_DATA" not in os.environ:
            pytest.skip("the board gsm8k needs real data: set EGGYM_DATA")
        data = os.path.join(os.environ["EGGYM_DATA"], "gsm8k")
    (tmp_path / path.name).write_bytes(path.read_bytes())
    again = pin(tmp_path / path.name, data)  # a task or model that was changed since is refused here
    assert json.loads(again.read_text())["runs"] == read_pinned(path, board).runs


def test_three_boards_are_shipped():
    assert {path.stem for path in SHIPPED_FILES} >= {"tiny-default", "long-horizon", "gsm8k"}
    assert read_board(SHIPPED / "tiny-default.yaml").labels == [
        f"eggym/tiny-{name}-v0" for name in ("arithmetic", "orders", "programs")
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"schema": 2}, "schema 2, this eggym reads 1; install a newer eggym"),
        ({"name": "other"}, "file and board have one name"),
        ({"budget": "10min"}, "which repeat; got '10min'"),
        ({"budget": "much"}, "budget 'much'"),
        ({"seeds": [1, 1]}, "seeds must differ"),
        ({"seeds": []}, "seeds"),
        ({"controls": ["frozen"]}, "random-reward is missing"),
        ({"split": "train:x"}, "no split 'train:x'"),
        ({"split": ...}, "needs a split, or the commitment to one"),
        ({"commitment": commit("test:other")}, "is not what the board is committed to"),
        ({"model": {"name": "embedded-v0"}}, "a named model needs its sha256"),
        ({"model": {"name": "any", "sha256": "0" * 64}}, "a model that is `any` has none"),
        ({"set": {"eval.split": "test"}}, "the split stands under `split`"),
        ({"prize": 5}, "prize"),
        ({"tasks": [{"task": "eggym/tiny-orders-v0"}]}, "digest"),
        ({"opened": "yesterday"}, "opened"),
        ({"target": 1.5}, "target"),
    ],
)
def test_a_board_that_breaks_a_rule_is_refused(file, changes, told):
    with pytest.raises(BadValue) as refused:
        read_board(rewrite(file, **changes))
    assert told in str(refused.value) and "small.yaml" in str(refused.value)


def test_a_split_may_be_committed_to_before_it_is_revealed(file):
    board = read_board(rewrite(file, split=..., commitment=commit("test:secret")))
    assert not board.open
    with pytest.raises(BadValue, match="not revealed yet"):
        board.duel(["frozen"])
    assert read_board(rewrite(file, split="test:secret", commitment=commit("test:secret"))).open


def test_a_board_of_another_task_or_model_is_not_pinned(file):
    rules = yaml.safe_load(file.read_text())
    real = rules["tasks"][0]["digest"]
    rules["tasks"][0]["digest"] = "a" * 64
    with pytest.raises(BadValue, match=f"{rules['tasks'][0]['task']} is {real}"):
        pin(rewrite(file, tasks=rules["tasks"]))
    rules["tasks"][0]["digest"] = real
    with pytest.raises(BadValue, match="embedded-v0 is "):
        pin(rewrite(file, tasks=rules["tasks"], model={"name": "embedded-v0", "sha256": "b" * 64}))


def test_a_board_without_what_follows_from_it_is_refused_with_the_way_out(file):
    shutil.rmtree(file.parent / "pinned")
    with pytest.raises(BadValue, match="eggym board pin"):
        read_pinned(file, read_board(file))
    pin(file)
    board = read_board(rewrite(file, version=2))
    with pytest.raises(BadValue, match="another version"):
        read_pinned(file, board)


def test_what_is_run_for_a_board_is_what_it_says(small_place, tmp_path):
    asked = asked_for(small_place, "small", ["eggroll@mine"], settings={"eggroll@mine.sigma": 0.1}, out=str(tmp_path))
    config = asked.config
    assert config.task == boards.TASKS and config.seeds == boards.SEEDS and config.budget == "32episodes"
    assert config.set["eval.split"] == "test:small" and config.set["eggroll@mine.sigma"] == 0.1
    assert config.learner == ("eggroll@mine", "random-reward:eggroll@mine")  # frozen stands on the board
    assert "dr_grpo.items" not in config.set  # of a learner that takes no part


def test_without_records_all_controls_are_run(file):
    asked = asked_for(Place(file.parent.parent), "small", ["dr_grpo", "sft"])
    assert asked.config.learner == ("dr_grpo", "sft", "frozen", "random-reward:dr_grpo")
    alone = asked_for(Place(file.parent.parent), "small", ["dr_grpo"], with_controls=False)
    assert alone.config.learner == ("dr_grpo",)


def test_a_learner_from_a_file_gets_its_control_from_there_too(file, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(
        "import dataclasses\nfrom eggym.agents import presets\nSPEC = dataclasses.replace(presets.RLOO, name='own')\n"
    )
    with pytest.raises(BadValue, match=r"no settings of its own; give --set own@x\.OPTION=VALUE"):
        asked_for(Place(file.parent.parent), "small", [f"{mine}@x"])
    asked = asked_for(Place(file.parent.parent), "small", [f"{mine}@x"], settings={"own@x.lr": 1.0})
    assert asked.config.learner == (f"{mine}@x", "frozen", f"random-reward:{mine}@x")
    plan = resolve(asked.config.run(boards.TASKS[0], asked.config.learner[2], 0))
    assert plan.label == "random-reward:own@x"


def test_only_options_of_learners_are_a_submitters_own(small_place):
    for fixed in ("eval.items", "seeds", "budget"):
        with pytest.raises(BadValue, match=f"board 'small' has fixed {re.escape(fixed)}; only options of the learners"):
            asked_for(small_place, "small", ["eggroll"], settings={fixed: 3})
    with pytest.raises(BadValue, match="starts from embedded-v0, not from other"):
        asked_for(small_place, "small", ["eggroll"], model="other")
    with pytest.raises(BadValue, match="give it with --model"):
        asked_for(small_place, "gsm8k", ["eggroll"])
    with pytest.raises(UnknownName, match="did you mean 'small'"):
        asked_for(small_place, "smal", ["eggroll"])


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("es", ["frozen", "random-reward:x"]),
        ("rl", ["frozen", "random-reward:x"]),
        ("baseline", ["frozen"]),
        ("control", []),
    ],
)
def test_controls_follow_from_the_kind(small_place, kind, wanted):
    board, _ = small_place.board("small")
    assert controls_for(board, "x", kind) == wanted


def test_a_name_with_a_folder_in_it_is_no_board(small_place):
    with pytest.raises(EggymError):
        small_place.board("../boards/small")
