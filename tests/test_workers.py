"""ES runs played by worker processes: the same bits for any number of them, whatever happens to them.

Real processes and signals (`faults`). Everything that a run writes is compared, its measurements left out.
"""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import faults
import pytest

from eggym import crew, train
from eggym.cli import main
from eggym.config import RunConfig, resolve
from eggym.crew import Workers
from eggym.errors import BadValue
from eggym.executor_parts import WorkersLost, kept
from eggym.files import write_json
from eggym.local_workers import LocalHand
from eggym.lock import alone as hold
from eggym.loop import Run
from eggym.patience import Patience
from eggym.record import load_measured
from eggym.replies import remove_parts
from eggym.train import identify, prepared, run_plan

TASK, LEARNER, STEPS = "eggym/tiny-programs-v0", "eggroll", 6
SETTINGS = {
    "engine.parcels": 8,
    "eggroll.population": 16,
    "eggroll.items": 4,
    "eval.items": 8,
    "eval.points": 2,
    "eval.drift": 0,
    "eval.many": 0,
    "eval.train_items": 0,
}
CONFIG = RunConfig(TASK, LEARNER, budget=f"{STEPS * 64}episodes", device="cpu", dtype="float32", set=SETTINGS)
HASTY = Patience(begin_s=120.0, first_s=60.0, times=10.0, least_s=2.0)


def quiet(event):
    """Nobody watches."""


def written(folder):
    """Return everything that a run has written, but its measurements and its lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in ("measured.json", ".lock"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What the run writes that plays its episodes itself."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    run_plan(resolve(CONFIG), folder, quiet)
    return written(folder)


def shared_run(folder, n_workers, start=LocalHand, patience=HASTY, config=CONFIG):
    """Run it with workers; return them, ended."""
    plan = resolve(config)
    identity = identify(plan)
    folder.mkdir(parents=True)
    write_json(folder / "config.json", identity)
    workers = Workers(plan, identity, folder, n_workers, start, patience)
    try:
        Run(plan, prepared(plan), folder, quiet, identity, workers).go()
    finally:
        workers.close()
        remove_parts(folder)
    return workers


@pytest.mark.parametrize(
    "n_workers", [2, pytest.param(1, marks=pytest.mark.slow), pytest.param(8, marks=pytest.mark.slow)]
)
def test_any_number_of_workers_gives_the_same_bits_and_says_little(alone, tmp_path, n_workers):
    workers = shared_run(tmp_path / "run", n_workers)
    assert written(tmp_path / "run") == alone
    tally, n_episodes = workers.executor.tally, STEPS * 64
    assert tally.events == [] and tally.items >= STEPS * 8
    assert (tally.received_bytes - workers.replies_bytes) / n_episodes <= 64
    assert tally.sent_bytes / n_workers / n_episodes <= 64
    measured = load_measured(tmp_path / "run")
    assert measured.workers == n_workers and 0 <= measured.tail_idle_share <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "at", "do", "why"),
    [
        (faults.Killed, 1, "play", "signal 9"),
        (faults.Killed, 3, "answer", "signal 9"),  # in the first evaluation
        (faults.Stopped, 4, "play", "no answer within"),
        (faults.Starved, 1, "begin", ""),  # how it ends depends on where memory runs out
        (faults.Garbled, 3, "play", "a frame was damaged"),
        (faults.Garbled, 2, "answer", "a frame was damaged"),
        (faults.Deaf, 1, "note", "is not what the others were"),
        (faults.Misinformed, 1, "note", "is not what the others were"),
        (faults.Astray, 2, "play", "it answered what it was not asked"),
        (faults.Astray, 2, "answer", "it answered what it was not asked"),
        (faults.Generous, 2, "play", "a worker told of"),
        (faults.Generous, 2, "answer", "a worker told of"),
        (faults.Vague, 2, "play", "lacks what was spent"),
        (faults.Boundless, 2, "play", "rewards without end"),
    ],
)
def test_what_happens_to_a_worker_changes_nothing(alone, tmp_path, fault, at, do, why):
    workers = shared_run(tmp_path / "run", 1, faults.faulty(fault, at, do))
    assert [why in event["why"] for event in workers.executor.tally.events] == [True], workers.executor.tally.events
    assert written(tmp_path / "run") == alone
    assert len(load_measured(tmp_path / "run").worker_events) == 1


@pytest.mark.slow
def test_a_slow_worker_changes_nothing(alone, tmp_path):
    patience = Patience(begin_s=300.0, first_s=300.0, times=100.0, least_s=100.0)
    workers = shared_run(tmp_path / "run", 2, faults.faulty(faults.Slowed, 2), patience)
    assert workers.executor.tally.events == []
    assert written(tmp_path / "run") == alone


@pytest.mark.slow
def test_replicas_are_compared_and_one_that_differs_is_replaced(alone, tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "CHECK_EVERY", 2)
    workers = shared_run(tmp_path / "same", 1)
    assert workers.executor.tally.events == []  # compared three times, and equal
    real, told = crew.model_sha256, []
    monkeypatch.setattr(crew, "model_sha256", lambda model: told.append(1) or ("?" if len(told) == 1 else real(model)))
    workers = shared_run(tmp_path / "other", 1)
    assert len(told) == 3
    assert [event["why"] for event in workers.executor.tally.events] == ["its weights differ after step 2"]
    assert written(tmp_path / "same") == written(tmp_path / "other") == alone


@pytest.mark.slow
def test_an_item_that_ends_every_worker_ends_the_run_in_one_line_and_it_goes_on_afterwards(alone, tmp_path):
    def start(number, inbox):
        return faults.KilledAtOnce(number, inbox, 1 if number else 4, "play")

    with pytest.raises(WorkersLost, match=r"ended 3 workers; the last: .* signal 9.*same command continue"):
        shared_run(tmp_path / "run", 1, start)
    run_plan(resolve(CONFIG), tmp_path / "run", quiet, workers=1)
    assert written(tmp_path / "run") == alone


@pytest.mark.slow
def test_rewards_that_no_frame_holds_are_refused_with_the_way_on(tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "MOST_BYTES", 0)
    with pytest.raises(BadValue, match=r"rewards of 1 steps .*without --workers and with --set engine.parcels=8"):
        shared_run(tmp_path / "run", 1, faults.faulty(faults.KilledAtOnce, 9))  # the first parcel of step 1


@pytest.mark.slow
def test_workers_that_cannot_be_begun_are_done_without_as_long_as_one_is_there(alone, tmp_path):
    def start(number, inbox):
        return faults.Stillborn(number, inbox) if number else LocalHand(number, inbox)

    workers = shared_run(tmp_path / "run", 2, start)
    assert [event["why"] for event in workers.executor.tally.events] == [
        *["it was ended by signal 9 (out of memory, or killed)"] * 3,
        "not replaced: 3 could not be begun",
    ]
    assert written(tmp_path / "run") == alone
    with pytest.raises(WorkersLost, match=r"3 workers in a row could not be begun; the last: it was ended by signal 9"):
        shared_run(tmp_path / "none", 1, faults.Stillborn)


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 3])
def test_a_killed_driver_leaves_no_worker_and_any_number_of_them_goes_on(alone, tmp_path, after):
    settings = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    words = ["train", "--task", TASK, "--learner", LEARNER, "--budget", CONFIG.budget, *settings]
    words += ["--device", "cpu", "--dtype", "float32", "--out", str(tmp_path / "run")]
    driver = subprocess.Popen([sys.executable, "-m", "eggym", *words, "--workers", "2"])
    try:
        wait_for(lambda: (tmp_path / f"run/episodes/{after:06d}.jsonl.gz").exists())
        workers = children(driver.pid)
        os.kill(workers[0], signal.SIGSTOP)  # it will not see that nobody speaks to it any more
    finally:
        driver.kill()
        driver.wait()
    assert len(workers) == 2
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    with pytest.raises(SystemExit) as ended:
        main([*words, "--workers", "1"])
    assert ended.value.code == 0
    assert written(tmp_path / "run") == alone


def test_a_driver_that_is_refused_leaves_the_others_parts_alone(tmp_path):
    folder = tmp_path / "run"
    part = folder / "episodes/parts/000003-000000.jsonl"
    with hold(folder):
        part.parent.mkdir(parents=True)
        part.write_text("what a worker is writing")
        with pytest.raises(BadValue, match="another process is running in"):
            run_plan(resolve(CONFIG), folder, quiet, workers=1)
        assert part.exists()
    run_plan(resolve(replace(CONFIG, budget="64episodes")), folder, quiet, force=True, workers=1)
    assert not part.exists()


@pytest.mark.slow
def test_what_is_measured_of_workers_is_of_all_sessions(tmp_path):
    class Stop(Exception):
        """Stands for a power cut."""

    def stop(event):
        if event.kind == "step" and event.step == 4:
            raise Stop

    with pytest.raises(Stop):
        run_plan(resolve(CONFIG), tmp_path, stop, workers=1)
    run_plan(resolve(CONFIG), tmp_path, quiet)
    measured = load_measured(tmp_path)
    assert measured.workers == 0 and measured.tail_idle_share is None  # of the last session
    assert measured.sessions == 2 and sum(measured.worker_items.values()) >= 1


def wait_for(what, seconds=120):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def children(pid):
    return [int(one) for path in Path(f"/proc/{pid}/task").glob("*/children") for one in path.read_text().split()]


HANGS = """
import sys, time
from pathlib import Path

from eggym.task import Item, SingleTurnTask


class Hangs(SingleTurnTask):
    id = "me/hangs-v0"
    max_new_tokens = 4

    def generate(self, rng):
        return Item(f"add {{rng.randrange(1, 100)}}, times {{rng.randrange(2, 100)}}:")

    def score(self, item, reply):
        flag = Path({flag!r})
        if "eggym.hand" in sys.orig_argv and not flag.exists():
            flag.touch()
            time.sleep(3600)
        return float(len(reply) % 2)
"""


@pytest.mark.slow
def test_a_scorer_that_hangs_in_a_worker_is_left_behind(tmp_path):
    file = tmp_path / "hangs.py"
    file.write_text(HANGS.format(flag=str(tmp_path / "flag")))
    config = replace(CONFIG, task=str(file))
    run_plan(resolve(config), tmp_path / "alone", quiet)
    workers = shared_run(tmp_path / "run", 1, config=config)
    assert (tmp_path / "flag").exists()
    assert ["no answer within" in event["why"] for event in workers.executor.tally.events] == [True]
    assert written(tmp_path / "run") == written(tmp_path / "alone")


def test_what_is_kept_of_a_worker_names_no_machine():
    assert kept("0 (process 12 on west)") == "0 (process 12)"
    assert kept("3 (process 5)") == "3 (process 5)"


def test_workers_are_refused_where_they_cannot_take_part(tmp_path):
    with pytest.raises(BadValue, match=r"dr_grpo reads more than rewards.*leave --workers out"):
        train(TASK, "dr_grpo", tmp_path / "run", workers=2)
    with pytest.raises(BadValue, match=r"reward\.kl compares replies"):
        train(TASK, LEARNER, tmp_path / "run", workers=2, set={"reward.kl": 0.1, "eggroll.temperature": 1.0})
    for number in (0, -1, 1025):
        with pytest.raises(BadValue, match=f"workers must lie from 1 to 1024, got {number}"):
            train(TASK, LEARNER, tmp_path / "run", workers=number)
    with pytest.raises(BadValue, match=r"5 workers cannot share 4 parcels of a step; give --set engine\.parcels=10"):
        train(TASK, LEARNER, tmp_path / "run", workers=5)
    assert not (tmp_path / "run").exists()
