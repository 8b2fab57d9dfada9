"""A disk that is full, wherever a run writes: one line, nothing lost, and the same command goes on to the same bytes.

The disk is a small file system in memory, which takes root to mount; elsewhere those tests are skipped by name, and a
limit on the size of a file stands in for it.
"""

import contextlib
import os
import resource
import shutil
import subprocess
import sys
import time

import pytest

from eggym.checkpoint import Keep
from eggym.config import RunConfig, resolve
from eggym.errors import EggymError
from eggym.record import load_measured
from eggym.train import run_plan

PAGE = 4096
TASK, BUDGET = "eggym/tiny-programs-v0", "96episodes"
SETTINGS = {
    "engine.parcels": 4,
    "eggroll.population": 8,
    "eggroll.items": 2,
    "eval.items": 8,
    "eval.points": 3,
    "eval.drift": 0,
    "eval.many": 0,
    "eval.train_items": 0,
}
N_STEPS = 6


def run(folder, watch=lambda event: None, keep=None):
    config = RunConfig(TASK, "eggroll", budget=BUDGET, device="cpu", dtype="float32", set=SETTINGS)
    return run_plan(resolve(config), folder, watch, keep=keep)


def written(folder):
    """Return everything that a run has written, but its measurements and its lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in ("measured.json", ".lock"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What the run writes where there is room, and how large a checkpoint's tensors are."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder / "run")
    run(folder / "kept", keep=Keep(1))
    (tensors,) = (folder / "kept").glob("checkpoint-*/state.safetensors")
    return written(folder / "run"), tensors.stat().st_size


@pytest.fixture
def disk(tmp_path):
    """A disk of 16 MiB that takes 200 files."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m,nr_inodes=200", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as problem:
        pytest.skip(f"NOT RUN: no file system can be mounted here ({problem})")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk, leave=0):
    """Leave so many bytes, rounded up to pages."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    # unbuffered: where somebody else writes meanwhile, what fits is written
    with (disk / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        file.write(bytes(max(0, free // PAGE - pages(leave)) * PAGE))


def pages(n_bytes):
    return -(-n_bytes // PAGE)


def fails_at(disk, kind, step, leave):
    """Run until an event, fill the disk but for some bytes; return the line with which the run ends."""

    def watch(event):
        if event.kind == kind and event.step == step:
            fill(disk, leave)

    with pytest.raises(EggymError) as ended:
        run(disk / "run", watch)
    return str(ended.value)


# after the event ``kind`` of ``step`` there is room for ``before`` of what comes next, and for ``n`` pages
CASES = {
    "evaluations": ("start", 0, (), 0, "evaluations.jsonl"),
    "tensors of the first checkpoint": ("start", 0, ("evaluations.jsonl",), 3, "checkpoint.part/state.safetensors"),
    "state of the first checkpoint": ("start", 0, ("evaluations.jsonl", "T"), 0, "checkpoint.part/state.json"),
    "fitness log": ("point", 0, (), 0, "fitness.bin"),
    "shard": ("point", 0, (), 1, "episodes/000000.jsonl.gz"),
    "steps": ("point", 0, (), 2, "steps.jsonl"),
    "tensors of a later checkpoint": ("step", 3, ("T",), -2, "checkpoint.part/state.safetensors"),
    "state of a later checkpoint": ("step", 3, ("T",), 0, "checkpoint.part/state.json"),
    "weights": ("point", N_STEPS, ("weights.safetensors",), -9, "weights.safetensors"),
    "curve": ("point", N_STEPS, ("weights.safetensors",), 0, "curve.csv"),
    "measurements": ("point", N_STEPS, ("weights.safetensors",), 1, "measured.json"),
    "record": ("point", N_STEPS, ("weights.safetensors",), 2, "record.json"),
}
QUICK = ("fitness log", "tensors of a later checkpoint")


@pytest.mark.parametrize(
    "case", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_wherever_it_comes_the_run_ends_in_one_line_and_goes_on(whole, disk, monkeypatch, case):
    monkeypatch.setattr(sys.modules["eggym.loop"], "CHECKPOINT_EVERY_S", 0.0)
    files, tensors = whole
    kind, step, before, n, name = CASES[case]
    room = sum(pages(tensors if one == "T" else len(files[one])) for one in before)
    if kind == "start":
        room -= pages(len(files["evaluations.jsonl"])) - 1 if before else 0  # of its first point
    line = fails_at(disk, kind, step, (room + n) * PAGE)
    path = disk / "run" / name
    assert line == f"no space left while writing {path}; free some, then give the same command again"
    assert not list((disk / "run").glob("checkpoint.part")) and not list((disk / "run").rglob(".*.part"))
    n_whole = len(list((disk / "run").glob("checkpoint-*")))
    assert n_whole == {"start": 0, "point": min(1 + step, 2), "step": 2}[kind]
    (disk / "ballast").unlink()
    run(disk / "run")
    assert written(disk / "run") == files
    assert load_measured(disk / "run").checkpoint_events == []


@pytest.mark.slow
def test_a_disk_that_is_full_from_the_start(whole, disk):
    fill(disk)
    with pytest.raises(EggymError, match=r"^no space left while writing .*config\.json; free some"):
        run(disk / "run")
    (disk / "ballast").unlink()
    run(disk / "run")
    assert written(disk / "run") == whole[0]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), [(None, ""), ("start", "/evaluations.jsonl"), ("point", "/fitness.bin")])
def test_a_disk_that_takes_no_more_files(whole, disk, kind, name):
    (disk / "many").mkdir()

    def crowd(event):
        if event is None or event.kind == kind:
            with contextlib.suppress(OSError):
                for number in range(1000):
                    (disk / f"many/{number}").touch()

    if kind is None:
        crowd(None)
    with pytest.raises(EggymError, match=r"^no space left while writing ") as ended:
        run(disk / "run", crowd)
    assert str(ended.value).split("; ")[0].endswith(f"{disk}/run{name}")
    shutil.rmtree(disk / "many")
    run(disk / "run")
    assert written(disk / "run") == whole[0]


# -- the command -----------------------------------------------------------------------------------------------------
@pytest.fixture
def start():
    """Return how the command is started; what still runs in the end is killed."""
    with contextlib.ExitStack() as stack:

        def begin(folder, *more):
            process = stack.enter_context(command(folder, *more))
            stack.callback(process.kill)
            return process

        yield begin


def command(folder, *more):
    sets = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    words = ["train", "--task", TASK, "--learner", "eggroll", "--budget", BUDGET, *sets, "--device", "cpu"]
    words += ["--dtype", "float32", "--out", str(folder), *more]
    return subprocess.Popen([sys.executable, "-m", "eggym", *words], stderr=subprocess.PIPE, text=True)


def until(what, seconds=120):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def ended(process, code=2):
    """Return the lines in which it says why."""
    said = process.communicate(timeout=120)[1]
    assert process.returncode == code, said
    assert "Traceback" not in said
    return [line for line in said.splitlines() if line.startswith("eggym: ")]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
def test_the_command_ends_with_one_line_and_the_same_command_goes_on(whole, disk, start, workers):
    process = start(disk / "run", *workers)
    until(lambda: (disk / "run/episodes/000000.jsonl.gz").exists())
    fill(disk)
    (line,) = ended(process)
    assert "no space left while writing " in line and line.endswith("; free some, then give the same command again")
    assert len(list((disk / "run").glob("checkpoint-*"))) >= 1
    (disk / "ballast").unlink()
    assert ended(start(disk / "run", *workers), 0) == []
    assert written(disk / "run") == whole[0]


@pytest.mark.slow
def test_a_checkpoint_that_meets_a_limit_leaves_the_older_one_and_the_same_command_goes_on(whole, tmp_path, start):
    process = start(tmp_path / "run")
    until(lambda: (tmp_path / "run/checkpoint-00000000").exists())
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (256 * 1024, 256 * 1024))  # the logs are smaller
    (line,) = ended(process)
    assert "cannot write " in line and "checkpoint.part/state.safetensors: File too large" in line
    assert len(list((tmp_path / "run").glob("checkpoint-*"))) == 1
    assert ended(start(tmp_path / "run"), 0) == []
    assert written(tmp_path / "run") == whole[0]
