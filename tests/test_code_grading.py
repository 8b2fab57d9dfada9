"""From the sandbox's verdict on a program to the task's verdict on a reply."""

import pytest

from eggym.cli import main
from eggym.config import RunConfig, resolve
from eggym.digest import digest
from eggym.envs import box_levels, code_grading
from eggym.envs.box_levels import host_of
from eggym.envs.box_terms import Check, Limits
from eggym.envs.code_grading import Grading
from eggym.errors import BadValue, UnknownName
from eggym.record import load_measured, load_record
from eggym.registry import load_task
from eggym.train import run_plan

TESTS = ("assert f(1) == 2", "assert f(2) == 3", "assert f(3) == 4", "assert f(4) == 5")
SHORT = Limits(cpu_s=0.5)
CASES = {  # code: state, reward of all, reward of share
    "def f(x): return x + 1": ("correct", 1.0, 1.0),
    "def f(x): return x + 1 if x < 4 else 0": ("wrong", 0.0, 0.75),
    "def f(x): return x + 1 if x < 3 else f(x)": ("wrong", 0.0, 0.5),
    "def f(x):\n    while x > 1: pass\n    return 2": ("timeout", 0.0, 0.25),
    "def f(x) return x": ("unparsed", 0.0, 0.0),
    "  x = 1\n y = 2": ("unparsed", 0.0, 0.0),
    "def f(x): raise SyntaxError('me')": ("wrong", 0.0, 0.0),
    "1 / 0": ("wrong", 0.0, 0.0),
    "import os\nos._exit(0)": ("wrong", 0.0, 0.0),
    "": ("wrong", 0.0, 0.0),
}


def test_every_end_has_its_state_and_both_rewards(box_level):
    box_level("landlock")
    checks = [Check(code, TESTS, limits=SHORT) for code in CASES]
    for reward, place in (("all", 1), ("share", 2)):
        for expected, verdict in zip(CASES.values(), Grading(reward).judge(checks), strict=True):
            assert (str(verdict.state), verdict.reward) == (expected[0], expected[place])
            assert verdict.parts == {"tests": expected[2]}


def test_the_first_failing_test_is_told(box_level):
    box_level("landlock")
    (verdict,) = Grading().judge([Check("def f(x): return x + (x < 3)", TESTS)])
    assert verdict.why == "2 of 4 tests passed; first failure: AssertionError"


def test_no_program_too_long_a_program_and_broken_tests_run_nothing(box_level):
    box_level("landlock")
    long, broken, sound = "#" * 2**20 + "x", Check("def f(x): return x", ("assert (",)), Check("f = abs", ("f(1)",))
    found = Grading().judge([None, Check(long, TESTS), broken, sound])
    assert [str(verdict.state) for verdict in found] == ["unparsed", "refused", "error", "correct"]
    assert [verdict.reward for verdict in found] == [0.0, 0.0, None, 1.0]


def test_nothing_to_judge_starts_no_process(monkeypatch):
    monkeypatch.setattr(code_grading.box, "check_solutions", None)
    assert Grading().judge([]) == [] and Grading().judge([None])[0].reward == 0.0


def test_a_host_that_is_too_weak_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr(box_levels, "probe", lambda: host_of({"Landlock": "old kernel"}))
    with pytest.raises(BadValue, match="allow_unsafe_execution='rlimits'"):
        Grading().identity()
    assert Grading(allow_unsafe_execution="rlimits").host() == {"sandbox": "rlimits"}
    assert Grading(allow_unsafe_execution="rlimits").options() == {"allow_unsafe_execution": "rlimits"}


def test_options_are_those_that_differ():
    assert Grading().options() == {} and Grading("share").options() == {"reward": "share"}
    with pytest.raises(UnknownName, match="no reward of a task on programs 'some'"):
        Grading("some")


def test_the_record_of_a_run_tells_the_level_and_the_digest_does_not_depend_on_it(box_level, tmp_path, monkeypatch):
    level = box_level("landlock") and box_levels.probe().level
    words = ["train", "--task", "tiny-functions", "--model", "embedded-v2", "--learner", "frozen", "--budget"]
    with pytest.raises(SystemExit) as stop:
        main(
            [
                *words,
                "8episodes",
                "--set",
                "eval.items=8",
                "--set",
                "eval.many=0",
                "--out",
                str(tmp_path / "run"),
                "--force",
            ]
        )
    assert stop.value.code == 0
    assert load_record(tmp_path / "run").task.host == {"sandbox": str(level)}
    before = digest(load_task("tiny-functions"))
    monkeypatch.setattr(box_levels, "probe", lambda: host_of({"a private root": "none"}))
    assert digest(load_task("tiny-functions")) == before


def test_the_programs_that_training_ran_are_measured_those_of_evaluation_are_not(box_level, tmp_path):
    box_level("landlock")
    settings = {
        "eval.items": 4, "eval.points": 1, "eval.drift": 0, "eval.many": 2, "eval.many_items": 2, "eval.train_items": 2,
        "dr_grpo.items": 2, "dr_grpo.replies": 4,
    }  # fmt: skip
    for learner, n_steps in (("dr_grpo", 3), ("frozen", 0)):
        config = RunConfig("tiny-functions", learner, "embedded-v2", budget="24episodes", set=settings)
        record = run_plan(resolve(config), tmp_path / learner, lambda event: None, force=True)
        measured = load_measured(tmp_path / learner)
        ran = record.n_steps * 8 - record.training_states.get("unparsed", 0)  # equal replies are run once
        assert record.n_steps == n_steps and (0 < measured.sandbox_calls <= ran) == (n_steps > 0)
        assert (measured.sandbox_s > 0) == (n_steps > 0)
        assert ("grading" in measured.phases) == (n_steps > 0)
