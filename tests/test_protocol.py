"""docs/protocol.md and docs/rl.md name files and tests: they are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = "\n".join((ROOT / "docs" / name).read_text() for name in ("protocol.md", "rl.md"))
TESTS = {
    name for path in (ROOT / "tests").glob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(?:[^`]*: )?(test_\w+)`", PAGE))))
def test_every_test_that_the_pages_name_is_there(name):
    assert name in TESTS


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:eggym|agents|es|tests)/\w+\.py)", PAGE))))
def test_every_file_that_the_pages_name_is_there(path):
    assert (ROOT / path).is_file()


def test_the_pages_name_many():
    assert len(re.findall(r"`(?:[^`]*: )?(test_\w+)`", PAGE)) > 40
