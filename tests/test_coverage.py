"""Intervals hold the truth as often as they say: by simulation, and in the committed results."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("benchmark_coverage", FOLDER / "coverage.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def held(script, row):
    """At least 93 %, and at most 97 % save where the row says that it errs on the safe side."""
    return script.LOWEST <= row["coverage"] <= (1 if row.get("at_least") else script.HIGHEST)


def test_the_committed_results_hold_the_claim(script):
    found = json.loads((FOLDER / "results" / "coverage.json").read_text())
    assert found["settings"]["draws"] == script.DRAWS and len(found["rows"]) == 29
    assert [row for row in found["rows"] if not held(script, row)] == []
    few = [row for row in found["rows"] if row["case"].startswith("3 seeds") and "bootstrap" in row["avoided"]]
    assert few and all(row["naive"] < 0.93 for row in few)


@pytest.mark.slow
def test_every_interval_covers(script, monkeypatch):
    monkeypatch.setattr(script, "NAIVE_DRAWS", 50)
    committed = {(row["interval"], row["case"]): row for row in json.loads(
        (FOLDER / "results" / "coverage.json").read_text()
    )["rows"]}  # fmt: skip
    for row in script.rows(1500):
        # five standard errors of 1500 draws beside those of 4000
        assert row["coverage"] == pytest.approx(committed[row["interval"], row["case"]]["coverage"], abs=0.033)


def test_an_interval_that_is_too_narrow_is_seen(script, monkeypatch):
    monkeypatch.setattr(script, "mean_t", lambda values: _normal(script, values))
    assert script.over_seeds(3, 400)["coverage"] < 0.9


def _normal(script, values):
    found = sum(values) / len(values)
    error = (sum((one - found) ** 2 for one in values) / (len(values) - 1) / len(values)) ** 0.5
    return script.Interval(found, found - 1.96 * error, found + 1.96 * error, len(values))
