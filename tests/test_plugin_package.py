"""A package of somebody else's, installed by pip, brings a task by its entry point to the command line."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PROJECT = """
    [build-system]
    requires = ["setuptools"]
    build-backend = "setuptools.build_meta"

    [project]
    name = "eggym-doubles"
    version = "0.1"

    [project.entry-points."eggym.plugins"]
    doubles = "eggym_doubles"

    [tool.setuptools]
    packages = ["eggym_doubles"]
"""
TABLE = """
    TASKS = {"me/doubles-v0": ("eggym_doubles.tasks:Doubles", "double a number")}
"""
TASK = """
    from eggym import Item, SingleTurnTask


    class Doubles(SingleTurnTask):
        max_new_tokens = 8

        def generate(self, rng, largest=9999):
            number = rng.randint(0, largest)
            return Item(f"double {number}:", truth=str(2 * number))

        def score(self, item, reply):
            return float(reply.strip() == item.truth)

        def oracle(self, item):
            return item.truth
"""


@pytest.fixture(scope="module")
def eggym(tmp_path_factory):
    """Install the package beside eggym; return what runs a command there."""
    folder = tmp_path_factory.mktemp("plugin")
    package = folder / "source" / "eggym_doubles"
    package.mkdir(parents=True)
    (folder / "source" / "pyproject.toml").write_text(textwrap.dedent(PROJECT))
    (package / "__init__.py").write_text(textwrap.dedent(TABLE))
    (package / "tasks.py").write_text(textwrap.dedent(TASK))
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(folder / "site")]
    install = [sys.executable, "-m", "pip", "install", *options, str(folder / "source")]
    done = subprocess.run(install, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder / "site"), str(ROOT)])}

    def run(*words):
        done = subprocess.run(
            [sys.executable, "-m", "eggym", *words], cwd=folder, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    return run


@pytest.mark.slow
def test_it_is_listed_with_its_summary(eggym):
    listed = {task["id"]: task["summary"] for task in eggym("list", "--json")["tasks"]}
    assert listed["me/doubles-v0"] == "double a number" and "eggym/guess-v0" in listed


@pytest.mark.slow
def test_it_passes_every_rule_in_this_process_and_in_another(eggym):
    report = eggym("check", "me/doubles-v0", "--json")["me/doubles-v0"]
    assert report["ok"], report
    (detail,) = [one["detail"] for one in report["findings"] if one["rule"] == "another process agrees"]
    assert detail.startswith("items and rewards are the same in another process")


@pytest.mark.slow
def test_it_is_evaluated_with_options(eggym):
    found = eggym("eval", "--task", "me/doubles-v0@largest=5000", "--items", "8", "--json")
    score = found["me/doubles-v0@largest=5000"]["greedy"]
    assert (score["n_items"], score["n_replies"]) == (8, 8) and "error" not in score["states"]
