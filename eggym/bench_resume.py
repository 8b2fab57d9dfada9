"""The part `resume` of `eggym bench scale`: how soon a killed run does something new.

Real processes of ``eggym train``, with worker processes and without, on a run that has done many small steps. Each is
killed by SIGKILL a random time after its first new step, and started again by the same command: what is timed is the
start, until a step beyond the checkpoint is done. Taken off is what a process takes to load the model and what it
trains on, and nothing else: that arm is measured twice.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from eggym.bench_rates import Figures, Settings, Watch
from eggym.checkpoint import load_checkpoint
from eggym.errors import EggymError
from eggym.result import STEPS
from eggym.seeding import stream
from eggym.timing import Clock, Meters, Quartiles, Reading, Timing
from eggym.usage import process_cpu_s

N_STEPS = 500  # before the checkpoint from which all go on
AIM_S = 5.0
LOADED, AGAIN = "model loaded", "model loaded again"
RESUMED = {"resumed": 0, "resumed, two workers": 2}  # worker processes
_LOOK_S, _PATIENCE_S, _LONGEST_PAUSE_S = 0.002, 600.0, 1.0
_SETTINGS = {
    "engine.parcels": 2, "eggroll.population": 4, "eggroll.items": 1, "eval.items": 16, "eval.points": 2,
    "eval.drift": 0, "eval.many": 0, "eval.train_items": 0,
}  # fmt: skip
_LOAD = """
import sys
from eggym import cli, train
from eggym.config import RunConfig, resolve
from eggym.flags import one_thread
one_thread()
resolve(RunConfig("eggym/tiny-programs-v0", "eggroll", device="cpu", dtype="float32"))
print("loaded", flush=True)
sys.stdin.read()
"""


def resume_part(settings: Settings, watch: Watch) -> Figures:
    """Measure starts in rounds, in random order; wall seconds, and CPU seconds of the process and its children."""
    rng = stream(settings.seed, "resume")
    readings: dict[str, list[Reading]] = {name: [] for name in (LOADED, AGAIN, *RESUMED)}
    with TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        n_bytes = _prepare(run)
        for number in range(settings.rounds):
            names = list(readings)
            rng.shuffle(names)
            for name in names:
                running = Meters().running()
                cpu_s, wall_s = _resumed(run, RESUMED[name], rng) if name in RESUMED else _loaded()
                readings[name].append(Reading(cpu_s, wall_s, running))
            watch(number + 1)
    timing = Timing(readings, dict.fromkeys(readings, ()), dict.fromkeys(readings, 1.0))
    told = {"steps": N_STEPS, "bytes_of_logs": n_bytes, "crowded": timing.crowded()}
    return {"arms": timing.as_dict(), "values": _values(timing), **told}


def _values(timing: Timing) -> Figures:
    def beyond(name: str, clock: Clock) -> list[float]:
        pairs = zip(timing.seconds(name, clock), timing.seconds(LOADED, clock), strict=True)
        return [one - base for one, base in pairs]

    values = {}
    doubt = ", CROWDED: others wanted the cores" * timing.crowded()
    for name in (AGAIN, *RESUMED):
        wall, cpu = Quartiles.of(beyond(name, "wall")), Quartiles.of(beyond(name, "cpu"))
        aim = f"aim {AIM_S:g}" if name in RESUMED else "the control"
        beside = f"{wall.q1:.2f} to {wall.q3:.2f}, CPU s {cpu.median:.2f}, {aim}{doubt}"
        values[f"{name}, s beyond loading"] = {"value": wall.median, "beside": beside}
    starts = [seconds for name in RESUMED for seconds in beyond(name, "wall")]
    values["longest, s beyond loading"] = {"value": max(starts), "beside": f"of {len(starts)} starts{doubt}"}
    loaded = Quartiles.of(timing.seconds(LOADED, "wall"))
    values["model loaded, s"] = {"value": loaded.median, "beside": f"{loaded.q1:.2f} to {loaded.q3:.2f}{doubt}"}
    return values


def _prepare(run: Path) -> int:
    """Let a run come to the checkpoint of its half, and a little further; return the bytes that a start looks at."""
    process = _train(run, 0)
    _until(lambda: _n_lines(run) > N_STEPS + 5, process)
    _kill(process)
    state = load_checkpoint(run)
    if state is None or state["step"] != N_STEPS:
        raise EggymError(f"the run to go on from has no checkpoint of step {N_STEPS}")
    return sum(path.stat().st_size for path in run.rglob("*.*") if path.suffix in (".bin", ".jsonl", ".gz"))


def _resumed(run: Path, n_workers: int, rng: Random) -> tuple[float, float]:
    """Start the run, time its first new step, and kill it a random time later."""
    before = (run / STEPS).stat().st_size
    whole = (load_checkpoint(run) or {})["written"][STEPS]["length"]
    cut = before == whole  # what came after the checkpoint goes first
    began = time.perf_counter()
    process = _train(run, n_workers)

    def is_new() -> bool:
        nonlocal cut
        size = (run / STEPS).stat().st_size
        cut = cut or size < before
        return cut and size > whole

    _until(is_new, process)
    took = process_cpu_s(process.pid), time.perf_counter() - began
    time.sleep(rng.uniform(0.0, _LONGEST_PAUSE_S))
    _kill(process)
    return took


def _loaded() -> tuple[float, float]:
    began = time.perf_counter()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", _LOAD], **pipes) as process:  # type: ignore[call-overload]
        process.stdout.readline()
        took = process_cpu_s(process.pid), time.perf_counter() - began
        process.kill()
    return took


def _train(run: Path, n_workers: int) -> "subprocess.Popen[bytes]":
    words = ["train", "--task", "tiny-programs", "--learner", "eggroll", "--budget", f"{2 * N_STEPS * 4}episodes"]
    for name, value in _SETTINGS.items():
        words += ["--set", f"{name}={value}"]
    words += ["--device", "cpu", "--dtype", "float32", "--out", str(run)]
    words += ["--workers", str(n_workers)] if n_workers else []
    return subprocess.Popen(
        [sys.executable, "-m", "eggym", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _until(is_so: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    end = time.perf_counter() + _PATIENCE_S
    while not is_so():
        if process.poll() is not None or time.perf_counter() > end:
            _kill(process)
            raise EggymError(f"a run that was to be timed ended with code {process.returncode}")
        time.sleep(_LOOK_S)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def _n_lines(run: Path) -> int:
    return (run / STEPS).read_bytes().count(b"\n") if (run / STEPS).exists() else 0
