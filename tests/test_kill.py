"""SIGKILL, again and again, and the same command: the same bytes as if nothing had happened."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from eggym.files import sha256_file
from eggym.record import find_runs, load_measured
from eggym.result import deterministic_files

TINY = [
    "duel", "--task", "tiny-programs", "--learner", "eggroll", "--learner", "dr_grpo", 
    "--seeds", "1", "--budget", "1200episodes",
    "--set", "eval.items=16", "--set", "eval.points=6", "--set", "eggroll.population=8", "--set", "eggroll.items=4",
    "--set", "dr_grpo.items=4", "--set", "dr_grpo.replies=4",
    "--set", "eval.many=2", "--set", "eval.many_items=4", "--set", "eval.train_items=4",
]  # fmt: skip


def start(words, out):
    # a session of its own: only the command itself is killed, its workers have to notice
    return subprocess.Popen(
        [sys.executable, "-m", "eggym", *words, "--out", str(out)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def finish(words, out):
    began = time.monotonic()
    assert start(words, out).wait() == 0
    return time.monotonic() - began


def fingerprint(out):
    return {
        str(run.relative_to(out)): {
            name: sha256_file(run / name) for name in [*deterministic_files(run), "record.json"]
        }
        for run in find_runs(out)
    }


def kill_and_continue(words, tmp_path, n_kills, seed, share):
    took = finish(words, tmp_path / "whole")
    rng = random.Random(seed)
    for _ in range(n_kills):
        process = start(words, tmp_path / "broken")
        try:
            process.wait(rng.uniform(0, took * share))  # the kills that come after its end cost nothing
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    finish(words, tmp_path / "broken")
    whole = fingerprint(tmp_path / "whole")
    assert whole and fingerprint(tmp_path / "broken") == whole
    return [load_measured(run).sessions for run in find_runs(tmp_path / "broken")]


@pytest.mark.slow
def test_a_killed_duel_continues_to_the_same_bytes(tmp_path):
    kill_and_continue(TINY, tmp_path, n_kills=3, seed=0, share=1)


@pytest.mark.slow
def test_a_duel_of_real_size_killed_up_to_twenty_times_continues_to_the_same_bytes(tmp_path):
    # Each kill falls in the first third of what a whole duel takes: some six of them until it has ended.
    words = ["duel", "--task", "tiny-orders", "--task", "guess"]
    sessions = kill_and_continue(words, tmp_path, n_kills=20, seed=1, share=1 / 3)
    assert sum(sessions) >= len(sessions) + 3  # runs that were under way when a kill came


def children_of(pid):
    return subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()


def until(is_so, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not is_so():
        time.sleep(0.05)
    return is_so()


@pytest.mark.slow
def test_workers_end_with_the_command_that_started_them(tmp_path):
    process = start(TINY, tmp_path)
    try:
        assert until(lambda: len(children_of(process.pid)) == 2, 60)
        children = children_of(process.pid)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children), 20)
