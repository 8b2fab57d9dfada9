"""`eggym bench envs`: that it measures what its rows say. No time is asserted."""

import importlib.util
import json
import os
from pathlib import Path

import pytest

from eggym import bench_envs, bench_exam, bench_rates
from eggym.bench_answers import HOSTILE, algebra, clean_batch, functions, hostile_batch, plain_numbers
from eggym.bench_rates import Rate, Settings, rates_of
from eggym.cli import main
from eggym.envs.answer_terms import read_term
from eggym.envs.answers import judge_answers, last_box
from eggym.errors import BadValue

HAS_PEER = importlib.util.find_spec("reasoning_gym") is not None


def nobody(number):
    pass


@pytest.fixture
def clock(monkeypatch):
    """CPU seconds that move only where a test says so."""
    now = [0.0]
    monkeypatch.setattr(bench_rates, "family_cpu_s", lambda: now[0])
    return now


def test_a_rate_is_units_over_seconds_and_preparing_is_free(clock):
    calls = []

    def work():
        calls.append("work")
        clock[0] += 0.5

    def prepare():
        calls.append("prepare")
        clock[0] += 100.0

    (found,) = rates_of([Rate("thing", 40, work, 79.0, prepare)], Settings((), rounds=3), nobody)["rates"].values()
    assert (found["median"], found["q1"], found["q3"], found["again"]) == (80.0, 80.0, 80.0, 80.0)
    assert (found["target"], found["met"], found["n"]) == (79.0, True, 40)
    assert calls.count("prepare") > 0 and calls[0] == "prepare"


@pytest.mark.parametrize(("target", "met"), [(80.0, True), (80.1, False), (None, None)])
def test_an_aim_is_met_missed_or_not_there(clock, target, met):
    def work():
        clock[0] += 0.5

    found = rates_of([Rate("thing", 40, work, target)], Settings((), rounds=1), nobody)["rates"]["thing"]
    assert found["met"] is met


def rewards(pairs):
    return [verdict.reward for verdict in judge_answers(pairs)]


def test_pairs_are_as_right_as_their_names_say():
    assert rewards(plain_numbers(200)) == [1.0, 0.0] * 100
    for make in (algebra, functions):
        assert rewards(make(True, 20)) == [1.0] * 20
        assert rewards(make(False, 20)) == [0.0] * 20
    assert rewards(clean_batch(20)) == [1.0] * 10 + [0.0] * 10


def test_pairs_take_the_way_that_their_row_names():
    quick, slow = (
        [read_term(last_box(reply).replace(" ", "")) is not None for _, reply in make(True, 50)]
        for make in (algebra, functions)
    )
    assert all(quick) and not any(slow)


def test_one_in_ten_of_the_hostile_batch_is_hostile_and_none_of_them_right():
    batch, clean = hostile_batch(200), clean_batch(200)
    assert [place for place in range(200) if batch[place] != clean[place]] == list(range(0, 200, 10))
    assert {batch[place] for place in range(0, 200, 10)} == set(HOSTILE)
    assert not any(rewards([HOSTILE[0], HOSTILE[1], HOSTILE[8]]))


def test_the_plain_environment_is_one_that_gymnasium_accepts_and_pays_for_the_sum():
    import re
    import warnings

    from gymnasium.utils.env_checker import check_env

    from eggym.bench_answers import Sums

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(Sums(), skip_render_check=True)
    env = Sums()
    question, _ = env.reset(seed=0)
    total = sum(map(int, re.findall(r"\d+", question)))
    assert env.step(str(total))[1:4] == (1.0, True, False)
    assert env.step("7")[1] == 0.0


def test_the_parts_run_and_every_row_is_there(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bench_envs, "SLOTS", 16)
    monkeypatch.setattr(bench_envs, "PEER_ENVS", 4)
    file = tmp_path / "envs.json"
    options = [
        "--rounds",
        "1",
        *(word for part in ("vector", "countdown", "ifeval") for word in ("--part", part)),
        "--out",
        str(file),
    ]
    with pytest.raises(SystemExit) as stop:
        main(["bench", "envs", *options])
    assert stop.value.code == 0
    result = json.loads(file.read_text())
    assert result["benchmark"] == "envs" and result["settings"]["rounds"] == 1
    parts = result["parts"]
    assert set(parts["vector"]["rates"]) == {
        "episodes, 8 rows to an item", "episodes, each with its own item", "items", "make_vec of Gymnasium, sync, 256",
    }  # fmt: skip
    assert ("the same by reasoning-gym" in parts["countdown"]["rates"]) is HAS_PEER
    assert parts["ifeval"] == {"skipped": "needs --data, a file of the public data set"}
    shown = capsys.readouterr().out
    assert "countdown: items made and right answers scored" in shown and "not measured" in shown


@pytest.mark.skipif("EGGYM_DATA" not in os.environ, reason="needs the prompts of IFEval (EGGYM_DATA)")
def test_instructions_are_measured_on_the_file_that_is_given():
    data = str(Path(os.environ["EGGYM_DATA"]) / "ifeval" / "input_data.jsonl")
    found = bench_envs.run(Settings(("ifeval",), 1, data=data))["parts"]["ifeval"]
    assert found["rates"]["replies, all types, strict"]["n"] == 541


def test_the_share_of_an_exam_is_that_of_the_same_replies(monkeypatch):
    whole, alone = bench_exam.exam_rollout(2, 1, 0)
    assert 0 < alone < whole
    monkeypatch.setattr(bench_envs, "exam_rollout", lambda turns, n_items, step: (10.0, 1.0 + step))
    value = bench_envs.exam_part(Settings((), rounds=3), nobody)["values"]["environment's share of a rollout, H = 64"]
    assert value["value"] == pytest.approx(0.3)  # the largest


def test_wrong_settings_are_one_line(capsys):
    with pytest.raises(BadValue, match="rounds must be at least 1, got 0"):
        Settings((), rounds=0)
    for what, part, known in (("envs", "exams", "exam"), ("sandbox", "humanevl", "humaneval")):
        with pytest.raises(SystemExit):
            main(["bench", what, "--part", part])
        assert f"no part of the benchmark '{what}' '{part}'; did you mean '{known}'" in capsys.readouterr().err
