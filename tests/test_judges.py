"""Reward workers: processes that judge, of any learner; the same bytes as without, whatever happens to them."""

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import faults
import pytest
from test_workers import CONFIG, HANGS, HASTY, SETTINGS, TASK, quiet, wait_for, written

from eggym import train
from eggym.config import RunConfig, resolve
from eggym.errors import BadValue
from eggym.executor_parts import WorkersLost
from eggym.judges import Judges
from eggym.local_workers import LocalHand
from eggym.record import load_measured
from eggym.task import Exchange
from eggym.train import run_plan

PLAN = RunConfig("eggym/tiny-programs-v0", "frozen", device="cpu", dtype="float32")
EVALUATION = {name: value for name, value in SETTINGS.items() if name.startswith("eval")}
RL = RunConfig(TASK, "dr_grpo", budget="1536episodes", device="cpu", dtype="float32", set=EVALUATION)


@pytest.fixture(scope="module")
def plan():
    return resolve(PLAN)


def some_states(plan, n=40):
    """Replies right and wrong, some of them twice."""
    items = [plan.task.item("train", index) for index in range(n // 4)]
    replies = [reply for item in items for reply in (plan.task.oracle(item), "", "?", plan.task.oracle(item))]
    return [
        Exchange(item, reply) for item, reply in zip((one for one in items for _ in range(4)), replies, strict=True)
    ]


@pytest.mark.slow
def test_verdicts_are_those_of_the_task_and_each_distinct_reply_is_judged_once(plan):
    states = some_states(plan)
    with closing(Judges(plan, 2, LocalHand, HASTY)) as judges:
        found = judges.judge_all(plan.task, states)
        assert found == plan.task.judge_all(states)
        assert {verdict.reward for verdict in found} == {0.0, 1.0}
        assert judges.executor.tally.items == 4 and judges.executor.tally.events == []
        assert judges.judge_all(plan.task, []) == []
        pieces = [judges.executor.tally.items]
        judges._n_workers = 1  # whoever is there, a scorer of many replies is given the same of them together
        assert judges.judge_all(plan.task, states) == found
        assert judges.executor.tally.items == 2 * pieces[0]
        sent = judges.executor.tally.sent_bytes
        other = resolve(replace(PLAN, task="tiny-orders")).task  # of retention, say: judged here
        asked = [Exchange(other.item("train", 0), "x")]
        assert judges.judge_all(other, asked) == other.judge_all(asked)
        assert judges.executor.tally.sent_bytes == sent


@pytest.mark.slow
@pytest.mark.parametrize("config", [CONFIG, RL], ids=["es", "rl"])
def test_a_run_writes_the_same_bytes_whoever_judges(tmp_path, config):
    run_plan(resolve(config), tmp_path / "alone", quiet)
    run_plan(resolve(config), tmp_path / "run", quiet, reward_workers=2)
    assert written(tmp_path / "run") == written(tmp_path / "alone")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "why"),
    [(faults.KilledAtOnce, "signal 9"), (faults.Stopped, "no answer within"), (faults.Garbled, "a frame was damaged")],
)
def test_what_happens_to_a_reward_worker_changes_no_verdict(plan, fault, why):
    states = some_states(plan)
    with closing(Judges(plan, 1, faults.faulty(fault, 2, "judge"), HASTY)) as judges:
        judges.judge_all(plan.task, states[:4])  # after which it is known how long an item takes
        assert judges.judge_all(plan.task, states) == plan.task.judge_all(states)
        assert [why in event["why"] for event in judges.executor.tally.events] == [True]


@pytest.mark.slow
def test_a_grader_that_hangs_is_left_behind(tmp_path):
    file = tmp_path / "hangs.py"
    file.write_text(HANGS.format(flag=str(tmp_path / "flag")))
    plan = resolve(replace(PLAN, task=str(file)))
    states = [Exchange(plan.task.item("train", index), "x" * (index % 3)) for index in range(12)]
    (tmp_path / "flag").touch()
    with closing(Judges(plan, 1, LocalHand, replace(HASTY, first_s=4.0))) as judges:
        (tmp_path / "flag").unlink()
        assert judges.judge_all(plan.task, states) == plan.task.judge_all(states)
        assert ["no answer within" in event["why"] for event in judges.executor.tally.events] == [True]


@pytest.mark.slow
def test_a_task_that_changed_meanwhile_is_refused_and_a_deadly_reply_ends_the_run_in_one_line(tmp_path, plan):
    file = tmp_path / "other.py"
    file.write_text(HANGS.format(flag=str(tmp_path / "flag")))
    (tmp_path / "flag").touch()
    other = resolve(replace(PLAN, task=str(file)))
    with closing(Judges(other, 1, LocalHand, HASTY)) as judges:
        file.write_text(file.read_text().replace("% 2", "% 3"))
        with pytest.raises(BadValue, match="another task than its driver"):
            judges.judge_all(other.task, [Exchange(other.task.item("train", 0), "x")])

    def start(number, inbox):
        return faults.KilledAtOnce(number, inbox, 1, "judge")

    with (
        closing(Judges(plan, 1, start, HASTY)) as judges,
        pytest.raises(WorkersLost, match=r"ended 3 workers; the last: .* signal 9.*same command continue"),
    ):
        judges.judge_all(plan.task, some_states(plan)[:1])


def test_reward_workers_are_refused_where_they_cannot_judge(tmp_path):
    for number in (0, 1025):
        with pytest.raises(BadValue, match=f"reward workers must lie from 1 to 1024, got {number}"):
            train(TASK, "dr_grpo", tmp_path / "run", reward_workers=number)
    with pytest.raises(BadValue, match=r"guess.*judges more than one reply.*leave --reward-workers out"):
        train("guess", "dr_grpo", tmp_path / "run", reward_workers=1)
    with pytest.raises(BadValue, match="workers judge what they play; leave --reward-workers out"):
        train(TASK, "eggroll", tmp_path / "run", workers=1, reward_workers=1)
    for processes in ({"workers": 1}, {"reward_workers": 1}):
        with pytest.raises(BadValue, match="budget 5cpu-s counts the processes of this machine"):
            train(TASK, "eggroll", tmp_path / "run", budget="5cpu-s", executor="ray", **processes)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_tells_of_its_reward_workers(tmp_path, monkeypatch):
    monkeypatch.setattr("eggym.transports.LocalHand", faults.faulty(faults.KilledAtOnce, 2, "judge"))
    told = []
    run_plan(resolve(RL), tmp_path / "run", told.append, reward_workers=1)
    measured = load_measured(tmp_path / "run")
    assert (measured.workers, measured.reward_workers) == (0, 1)
    assert ["signal 9" in event["why"] for event in measured.worker_events] == [True]
    assert ["signal 9" in event.note for event in told if event.kind == "worker"] == [True]


STARTS = """
import multiprocessing, os, subprocess, time

from eggym.task import Item, SingleTurnTask


class Starts(SingleTurnTask):
    id = "me/starts-v0"
    max_new_tokens = 4

    def generate(self, rng):
        return Item(f"say {{rng.randrange(1000)}}:")

    def score(self, item, reply):
        if reply == "program":  # it reads what it is given, which is nothing
            return float(subprocess.run(["wc", "-c"], capture_output=True, timeout=20).stdout == b"0\\n")
        if reply == "fork":
            with multiprocessing.get_context("fork").Pool(1) as pool:
                return pool.apply(float, (1,))
        if reply == "left" and not os.fork():
            open({flag!r}, "a").write(f"{{os.getpid()}}\\n")
            time.sleep(3600)
        return 1.0
"""


@pytest.mark.slow
def test_what_a_grader_starts_holds_nothing_of_a_workers(tmp_path):
    file, flag = tmp_path / "starts.py", tmp_path / "pids"
    file.write_text(STARTS.format(flag=str(flag)))
    plan = resolve(replace(PLAN, task=str(file)))
    item = plan.task.item("train", 0)
    with closing(Judges(plan, 1, LocalHand, replace(HASTY, first_s=60.0, least_s=60.0))) as judges:
        found = judges.judge_all(plan.task, [Exchange(item, reply) for reply in ("program", "fork", "left")])
        assert [verdict.reward for verdict in found] == [1.0, 1.0, 1.0]
        (seat,) = judges.executor._seats.values()
        began = time.monotonic()
        seat.hand.process.kill()  # the process that the grader left holds no pipe, and ends with it
        assert judges.judge_all(plan.task, [Exchange(item, "x")])[0].reward == 1.0
        assert time.monotonic() - began < 40 and "signal 9" in judges.executor.tally.events[0]["why"]
    (pid,) = flag.read_text().split()
    wait_for(lambda: not alive(pid))


def alive(pid):
    """Whether a process goes on; one that has ended may still be in the table."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
