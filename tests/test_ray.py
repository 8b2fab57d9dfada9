"""Workers on a Ray cluster: one of this machine, and one of two hosts. Real Ray, real namespaces, real signals."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import hosts
import pytest
from test_workers import CONFIG, LEARNER, SETTINGS, TASK, quiet, wait_for, written

from eggym import train
from eggym.config import resolve
from eggym.errors import BadValue, EggymError
from eggym.record import load_measured
from eggym.train import run_plan

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'eggym[ray]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of Ray's own sockets and files
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What the run writes that plays its episodes itself."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    run_plan(resolve(CONFIG), folder, quiet)
    return written(folder)


@pytest.fixture(autouse=True)
def ray_folder(monkeypatch):
    """A folder of Ray's own for each test, so that none finds the cluster of another; its name must be short."""
    folder = tempfile.mkdtemp(prefix="eggym-", dir="/tmp")
    monkeypatch.setenv("RAY_TMPDIR", folder)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    yield
    shutil.rmtree(folder, ignore_errors=True)


def words(folder, *more, settings=SETTINGS):
    """Return the command that makes the run with Ray."""
    given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    asked = ["--task", TASK, "--learner", LEARNER, "--budget", CONFIG.budget, "--device", "cpu", "--dtype", "float32"]
    return [sys.executable, "-m", "eggym", "train", *asked, *given, "--out", str(folder), "--executor", "ray", *more]


def ray_processes(folder):
    """Return the processes that know Ray's folder."""
    found = subprocess.run(["pgrep", "-f", folder], capture_output=True, text=True, check=False).stdout.split()
    return [pid for pid in found if int(pid) != os.getpid()]


def test_a_cluster_of_this_machine_gives_the_same_bits_and_is_gone_afterwards(alone, tmp_path):
    done = subprocess.run(words(tmp_path / "run", "--workers", "2"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all("%" in line for line in done.stderr.splitlines()), done.stderr  # its progress, and no word of Ray
    assert written(tmp_path / "run") == alone
    measured = load_measured(tmp_path / "run")
    n_steps, n_points = len(list((tmp_path / "run/episodes").glob("*.gz"))), 3  # each in 8 pieces, points greedy too
    assert sum(measured.worker_items.values()) == n_steps * 8 + n_points * 2 * 8
    assert measured.worker_events == []
    wait_for(lambda: not ray_processes(os.environ["RAY_TMPDIR"]))


def actor_pids(folder):
    """Return the processes of actors of the cluster in ``folder``."""
    found = subprocess.run(["pgrep", "-f", r"ray::Actor"], capture_output=True, text=True, check=False).stdout.split()
    with_folder = []
    for pid in found:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            if folder.encode() in file.read():
                with_folder.append(int(pid))
    return with_folder


def test_a_killed_actor_changes_nothing(alone, tmp_path):
    driver = subprocess.Popen(words(tmp_path / "run", "--workers", "1"))
    wait_for(lambda: (tmp_path / "run/episodes/000001.jsonl.gz").exists())
    for pid in actor_pids(os.environ["RAY_TMPDIR"]):
        os.kill(pid, signal.SIGKILL)
    assert driver.wait(300) == 0
    assert written(tmp_path / "run") == alone
    (event,) = load_measured(tmp_path / "run").worker_events
    assert event["why"].startswith("Ray: "), event


def test_a_killed_driver_leaves_no_cluster_and_the_same_command_goes_on(alone, tmp_path):
    driver = subprocess.Popen(words(tmp_path / "run", "--workers", "2"))
    wait_for(lambda: (tmp_path / "run/episodes/000001.jsonl.gz").exists())
    driver.kill()
    driver.wait()
    wait_for(lambda: not actor_pids(os.environ["RAY_TMPDIR"]))
    run_plan(resolve(CONFIG), tmp_path / "run", quiet, workers=1)
    assert written(tmp_path / "run") == alone


def test_what_ray_cannot_give_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with pytest.raises(BadValue, match="executor ray is where workers live; give --workers"):
        train(TASK, LEARNER, folder, executor="ray")
    with pytest.raises(EggymError, match=r"no executor 'rai'; did you mean 'ray'"):
        train(TASK, LEARNER, folder, workers=1, executor="rai")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(BadValue, match=r"no Ray cluster at '127\.0\.0\.1:1' \(RAY_ADDRESS\)"):
        train(TASK, LEARNER, folder, workers=1, executor="ray")
    monkeypatch.delenv("RAY_ADDRESS")
    more = (os.cpu_count() or 1) + 1
    with pytest.raises(BadValue, match=rf"{more} workers take {more} CPUs, the Ray cluster has {more - 1}; give"):
        train(TASK, LEARNER, folder, workers=more, executor="ray", set={"engine.parcels": more})
    monkeypatch.setenv("RAY_ADDRESS", "ray://head")
    with pytest.raises(BadValue, match=r"no Ray cluster at 'ray://head'.*give HOST:PORT of its head"):
        train(TASK, LEARNER, folder, workers=1, executor="ray")
    assert not list(folder.glob("*"))


two_hosts = pytest.mark.skipif(hosts.why_not() is not None, reason=str(hosts.why_not()))


@pytest.fixture
def pair(request, tmp_path):
    """Two hosts; with a parameter, west does not see the folder of runs."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    made = hosts.Pair(tmp_path, hidden if getattr(request, "param", False) else None)
    yield made
    made.end()


@two_hosts
def test_two_hosts_that_share_a_folder(alone, tmp_path, pair):
    assert pair.east.start(*words(tmp_path / "run", "--workers", "2")).wait(300) == 0
    assert written(tmp_path / "run") == alone
    played = load_measured(tmp_path / "run").worker_items
    # each host has room for one; what is kept of a run, and may be published, names no machine
    assert len(played) == 2 and not any(host.name in name for name in played for host in (pair.east, pair.west))


@two_hosts
@pytest.mark.parametrize("pair", [True], indirect=True)
def test_two_hosts_that_share_nothing_but_the_wire(tmp_path, pair):
    folder = tmp_path / "hidden" / "run"
    done = subprocess.run(
        pair.east.command(*words(folder, "--workers", "2")),
        env=pair.east.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and f"does not see {folder}" in done.stderr.splitlines()[-1], done.stderr
    shutil.rmtree(folder)
    settings = {**SETTINGS, "engine.replies": "digests"}
    assert pair.east.start(*words(folder, "--workers", "2", settings=settings)).wait(300) == 0
    there = written(folder)
    parts = {name for name in there if "parts" in name}  # of those that east played
    run_plan(resolve(CONFIG.__class__(**{**vars_of(CONFIG), "set": settings})), tmp_path / "alone", quiet)
    here = written(tmp_path / "alone")
    assert {name: data for name, data in here.items() if name in there} == there
    assert all("parts" in name for name in here.keys() - there.keys())
    assert 0 < len(parts) < len([name for name in here if "parts" in name])  # west keeps its own


def vars_of(config):
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


@two_hosts
def test_a_host_that_is_unreachable_for_a_minute_changes_nothing(alone, tmp_path, pair):
    driver = pair.east.start(*words(tmp_path / "run", "--workers", "2"))
    wait_for(lambda: (tmp_path / "run/episodes/000001.jsonl.gz").exists())
    pair.connect(pair.west, False)
    began = time.monotonic()
    with contextlib.suppress(subprocess.TimeoutExpired):
        driver.wait(60)
    while time.monotonic() - began < 60:
        time.sleep(1)
    pair.connect(pair.west, True)
    assert driver.wait(300) == 0
    assert written(tmp_path / "run") == alone
    assert any("no answer within" in event["why"] or "Ray" in event["why"]
               for event in load_measured(tmp_path / "run").worker_events)  # fmt: skip
