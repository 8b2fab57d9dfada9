"""docs/stability.md says what stays: the lists on the page are those of the code."""

import json
import re
from pathlib import Path

import pytest
import typer

import eggym
from eggym import plugins
from eggym.cli import app
from eggym.leaderboards.schemas import MODELS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "stability.md").read_text(encoding="utf-8")

# A name that goes is a break for somebody: it is deprecated first, and taken away here and on the page at once.
NAMES = [
    "ChatObservation", "DatasetTask", "Item", "MultiTurnTask", "SingleTurnTask", "Task", "TextEnv", "TextVectorEnv",
    "Verdict", "VerdictState", "check_task", "dataset_task", "duel", "evaluate", "export_verifiers", "gym_task",
    "load_task", "probe", "register", "replay", "train", "trl_dataset", "trl_reward",
]  # fmt: skip
VERBS = ["list", "check", "play", "eval", "train", "duel", "compare", "probe", "replay", "export", "bake", "bench"]
VERBS += ["doctor", "board", "status", "runs", "track"]
BOARD_VERBS = ["list", "run", "add", "verify", "withdraw", "build", "serve", "publish", "card", "pin"]


def listed(mark):
    (body,) = re.findall(rf"<!-- {mark} -->\n(.*?)<!-- end -->", PAGE, re.DOTALL)
    return re.findall(r"`([^`]+)`", body)


def test_the_public_names_are_those_that_are_promised():
    assert sorted(eggym.__all__) == sorted(NAMES) == sorted(listed("names"))


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_says_what_it_is(name):
    assert (getattr(eggym, name).__doc__ or "").strip()


def test_the_verbs_are_those_that_are_promised():
    verbs = typer.main.get_command(app).commands
    assert sorted(VERBS) == sorted(listed("verbs")) == sorted(verbs)  # one that waits for its promise is named here too
    below = verbs["board"].commands
    assert sorted(BOARD_VERBS) == sorted(listed("verbs of board")) and set(BOARD_VERBS) <= below.keys()


def test_every_schema_stands_on_the_page_with_its_number():
    rows = re.findall(r"\| (\d+) \| \[([\w.-]+)\.json\]", PAGE)
    assert sorted(name for _, name in rows) == sorted(name.removesuffix(".json") for name in MODELS)
    assert all(name.endswith(f"-{number}") for number, name in rows)


def test_the_tables_of_plugins_are_as_named():
    for name in ("TASKS", "LEARNERS", "FAMILIES"):
        assert f"`{name}`" in PAGE
    assert plugins.GROUP == "eggym.plugins" and "`eggym.plugins`" in PAGE


def test_the_version_stands_in_one_place():
    assert re.fullmatch(r"\d+\.\d+\.\d+", eggym.__version__)
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()
    schema = json.loads((ROOT / "leaderboards" / "schema" / "record-1.json").read_text())
    assert schema["properties"]["schema"]["const"] == 1
