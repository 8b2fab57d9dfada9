"""The clock on the wall may jump, forward or back: a run, its deadlines and its bytes know nothing of it.

A small library put before the system's own (LD_PRELOAD) makes every look at the wall clock jump; it takes a C compiler,
and without one the test is skipped by name.
"""

import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from eggym.record import load_measured

JUMPS = r"""
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long jump(void) {  /* a day ahead, ten years back, an hour ahead, and so on */
    static const long jumps[] = {86400, -315360000, 3600, -86400, 315360000};
    static int looks;
    return jumps[__atomic_fetch_add(&looks, 1, __ATOMIC_RELAXED) % 5];
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += jump();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec found;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &found);
    now->tv_sec = found.tv_sec;
    now->tv_usec = found.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (now) *now = found.tv_sec;
    return found.tv_sec;
}
"""
SETTINGS = {
    "engine.parcels": 4,
    "eggroll.population": 8,
    "eggroll.items": 2,
    "eval.items": 8,
    "eval.points": 2,
    "eval.drift": 0,
    "eval.many": 0,
    "eval.train_items": 0,
}


@pytest.fixture(scope="module")
def jumping(tmp_path_factory):
    """The environment of a process whose wall clock jumps at every look."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("NOT RUN: no C compiler for Linux here")
    folder = tmp_path_factory.mktemp("clock")
    (folder / "jumps.c").write_text(JUMPS)
    words = [compiler, "-O1", "-shared", "-fPIC", "-o", str(folder / "jumps.so"), str(folder / "jumps.c")]
    subprocess.run(words, check=True)
    environment = {**os.environ, "LD_PRELOAD": str(folder / "jumps.so")}
    looks = "import time; looks = [time.time() for _ in range(5)]; print(max(looks) - min(looks) > 6e8)"
    said = subprocess.run([sys.executable, "-c", looks], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == "True\n"
    return environment


def train(folder, environment, *more):
    sets = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    words = ["train", "--task", "tiny-programs", "--learner", "eggroll", "--budget", "96episodes", *sets]
    words += ["--device", "cpu", "--dtype", "float32", "--out", str(folder), *more]
    return subprocess.Popen(
        [sys.executable, "-m", "eggym", *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def written(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in ("measured.json", ".lock"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def finish(process):
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said


@pytest.mark.slow
def test_a_wall_clock_that_jumps_changes_nothing(jumping, tmp_path):
    finish(train(tmp_path / "calm", dict(os.environ)))
    process = train(tmp_path / "run", jumping)
    with process:  # killed and begun anew, for what is read of the first start
        end = time.monotonic() + 120
        while not (tmp_path / "run/episodes/000001.jsonl.gz").exists():
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.01)
        process.kill()
    finish(train(tmp_path / "run", jumping, "--workers", "2"))
    assert written(tmp_path / "run") == written(tmp_path / "calm")
    measured = load_measured(tmp_path / "run")
    assert measured.worker_events == [] and measured.sessions == 2
    assert 0 < measured.wall_s < 1000 and all(0 <= seconds < 1000 for seconds in measured.wall_s_at_points)
    away = [
        abs((datetime.fromisoformat(at) - datetime.now(UTC)).total_seconds())
        for at in (measured.started, measured.finished)
    ]
    assert min(away) > 3000  # the clock did jump
