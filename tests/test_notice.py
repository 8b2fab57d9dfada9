"""NOTICE says where everything comes from: what is shipped is ours, and no row of others' data is."""

import gzip
import json
import os
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTICE = " ".join((ROOT / "NOTICE").read_text(encoding="utf-8").split())
OURS = (  # files in packages that are no code: by the authors, or made by eggym; those with a * are named in NOTICE
    "eggym/py.typed", "eggym/templates/*", "eggym/data/embedded_card.md", "leaderboards/boards/*.yaml",
    "leaderboards/boards/pinned/*.json", "leaderboards/schema/*.json", "leaderboards/templates/*",
    "leaderboards/records/*", "leaderboards/README.md", "leaderboards/ledger.jsonl",
)  # fmt: skip
NAMED = ("eggym/data/embedded-*", "eggym/data/grid_normal.json", "envs/stdin_problems.jsonl", "envs/rg_table.json")
ROWS = {  # what a data set holds, by its file
    "ifeval/input_data.jsonl": ("prompt",),
    "gsm8k/train.jsonl": ("question",),
    "gsm8k/test.jsonl": ("question",),
    "math500/test.jsonl": ("problem", "solution"),
    "mbpp/mbpp.jsonl": ("text", "code"),
    "humaneval/HumanEval.jsonl.gz": ("prompt", "canonical_solution"),
}
QUOTED = 60  # characters of a row that nobody writes twice
BINARY = (".png", ".xz", ".safetensors")


def tracked():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name]


def test_every_shipped_file_is_ours_or_named():
    packages = ("eggym/", "envs/", "es/", "agents/", "leaderboards/")
    data = [name for name in tracked() if name.startswith(packages) and not name.endswith(".py")]
    assert len(data) > 40
    assert [name for name in data if not any(fnmatch(name, pattern) for pattern in OURS + NAMED)] == []


@pytest.mark.parametrize("pattern", NAMED)
def test_what_is_named_stands_in_notice(pattern):
    assert pattern in NOTICE


@pytest.mark.parametrize(
    ("task", "licence"),
    [("ifeval", "CC BY 4.0"), ("mbpp", "CC BY 4.0"), ("gsm8k", "MIT"), ("humaneval", "MIT"), ("math500", "MIT")],
)
def test_the_data_set_of_a_task_is_told_with_its_licence(task, licence):
    head = " ".join((ROOT / "envs" / f"{task}.py").read_text(encoding="utf-8").split('"""')[1].split())
    assert licence in head, "the task's own docstring says it"
    (entry,) = re.findall(rf"- (?:(?! - ).)*Task {task}\.", NOTICE)
    assert licence in entry
    assert "CC BY" not in licence or "https://creativecommons.org/licenses/by/4.0/" in NOTICE


def texts(place):
    body = place.read_bytes()
    yield from map(json.loads, (gzip.decompress(body) if place.suffix == ".gz" else body).splitlines())


def plain(text):
    return " ".join(text.replace("\\n", " ").replace('\\"', '"').split())


@pytest.mark.slow
@pytest.mark.skipif("EGGYM_DATA" not in os.environ, reason="EGGYM_DATA names no folder with data sets")
def test_no_row_of_a_data_set_is_in_the_tree():
    folder = Path(os.environ["EGGYM_DATA"])
    rows = {plain(row[key]) for name, keys in ROWS.items() for row in texts(folder / name) for key in keys}
    begins = {row[:QUOTED] for row in rows if len(row) >= QUOTED}
    assert len(begins) > 8000
    names = [name for name in tracked() if not name.endswith(BINARY) and not name.startswith("leaderboards/records/")]
    found = []
    for name in names:
        text = plain((ROOT / name).read_text(encoding="utf-8", errors="replace"))
        windows = {text[i : i + QUOTED] for i in range(len(text) - QUOTED + 1)}
        found += [(name, one) for one in windows & begins]
    assert found == []
