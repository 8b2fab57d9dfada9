"""A run that everything happens to: faults at random, in workers and in the driver, until there were so many.

Two workers, each of which meets a fault of `faults` at a random frame; the driver is killed at random steps, and the
same command is given again until the run is finished. Then the run is compared with one that nothing happened to: every
file to the byte, and every episode of every step counted once.

    python tests/soak.py --faults 250 --seed 0 --out benchmarks/results/soak.json

A result is added to those that the file holds. Nobody may commit to the checkout meanwhile: a record names the commit.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import faults

from eggym import loop
from eggym.config import RunConfig, resolve
from eggym.crew import Workers
from eggym.errors import EggymError
from eggym.files import read_json, write_json
from eggym.fitness import FITNESS, FitnessLog
from eggym.loop import Run
from eggym.machine import describe
from eggym.patience import Patience
from eggym.replies import read_shard, remove_parts
from eggym.train import identify, prepared, run_plan

N_EPISODES = 64  # of a step: 16 members, 4 items
SETTINGS = {
    "engine.parcels": 8, "eggroll.population": 16, "eggroll.items": 4, "eval.items": 8, "eval.points": 2,
    "eval.drift": 0, "eval.many": 0, "eval.train_items": 0,
}  # fmt: skip
PATIENCE = Patience(begin_s=120.0, first_s=60.0, times=10.0, least_s=1.5)
KINDS = (
    faults.Killed,
    faults.Stopped,
    faults.Starved,
    faults.Garbled,
    faults.Deaf,
    faults.Misinformed,
    faults.SlowedAWhile,
)
WEIGHTS = (6, 2, 1, 3, 3, 3, 2)  # a worker that was stopped costs a deadline
DRIVER_STEPS = (2, 25)  # after so many the driver is killed
CHECKPOINT_EVERY_S = 3.0  # so that each comes some way; when checkpoints fall changes nothing in the result
NOTES = (faults.Deaf, faults.Misinformed)  # happen to notes alone
FRAMES_EACH = 4.0  # before a worker meets its fault, on average
FRAMES_A_STEP = 5  # of eight items for two workers, and a note


def main() -> None:
    """Parse, soak, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=20, help="At most; a run has so many steps and eight.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="Where the result goes as JSON.")
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.drive:
        drive(asked.drive, asked.faults, asked.seed)
        return
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), asked.faults, asked.seed)
    print(json.dumps(found, indent=1))
    if asked.out:
        runs = read_json(asked.out)["runs"] if asked.out.exists() else []
        write_json(asked.out, {"format": 1, "benchmark": "soak", "runs": [*runs, found]})
    sys.exit(bool(found["differing"]))


def soak(folder: Path, n_faults: int, seed: int) -> dict:
    """Run one alone and one under faults; return what happened, and whether they are equal."""
    began, rng = time.monotonic(), random.Random(seed)
    run_plan(resolve(config(n_faults)), folder / "alone", lambda event: None)
    starts = 0
    endings: Counter[str] = Counter()
    words = [sys.executable, __file__, "--drive", str(folder), "--faults", str(n_faults)]
    while not (folder / "run/record.json").exists():
        with (folder / "said").open("w") as said:
            driver = subprocess.Popen([*words, "--seed", f"{rng.randrange(1 << 30)}"], stderr=said)
        starts += 1
        if lived(driver, folder, steps(folder) + rng.randint(*DRIVER_STEPS) if struck(folder) < n_faults else None):
            endings[ending(driver.returncode, (folder / "said").read_text())] += 1
        else:
            strike(folder, "DriverKilled")
    kinds = Counter(one["fault"] for one in struck_lines(folder))
    lost, doubled = episodes(folder / "run")
    return {
        "machine": describe(),
        "settings": {"faults": n_faults, "seed": seed, "steps": n_steps(n_faults), "episodes_of_a_step": N_EPISODES},
        "faults": dict(sorted(kinds.items())),
        "n_faults": kinds.total(),
        "driver_starts": starts,
        "driver_endings": dict(sorted(endings.items())),
        "episodes_lost": lost,
        "episodes_doubled": doubled,
        "differing": differing(folder / "run", folder / "alone"),
        "seconds": round(time.monotonic() - began, 1),
    }


def lived(driver: subprocess.Popen, folder: Path, until: int | None) -> bool:
    """Wait until a driver ends; kill it, and return False, once ``until`` steps are done."""
    while driver.poll() is None:
        if until is not None and steps(folder) >= until:
            driver.kill()
            driver.wait()
            return False
        time.sleep(0.05)
    return True


def steps(folder: Path) -> int:
    """Return how many steps are done."""
    path = folder / "run/steps.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def config(n_faults: int) -> RunConfig:
    """Return the run: long enough for so many faults."""
    budget = f"{n_steps(n_faults) * N_EPISODES}episodes"
    return RunConfig("eggym/tiny-programs-v0", "eggroll", budget=budget, device="cpu", dtype="float32", set=SETTINGS)


def n_steps(n_faults: int) -> int:
    """Return how many steps are enough: each has ten frames, eight items and two notes."""
    return 8 + n_faults


def drive(folder: Path, n_faults: int, seed: int) -> None:
    """Go on with the run in ``folder``, with workers that meet faults."""
    loop.CHECKPOINT_EVERY_S = CHECKPOINT_EVERY_S
    plan = resolve(config(n_faults))
    identity, run = identify(plan), folder / "run"
    if not run.exists():
        run.mkdir(parents=True)
    write_json(run / "config.json", identity)
    workers = Workers(plan, identity, run, 2, restless(folder, n_faults, random.Random(seed)), PATIENCE)
    try:
        Run(plan, prepared(plan), run, lambda event: None, identity, workers).go()
    except EggymError as problem:
        sys.exit(f"{type(problem).__name__}: {problem}")
    finally:
        workers.close()
        remove_parts(run)


def restless(folder: Path, n_faults: int, rng: random.Random):
    """Return how workers are made: each meets one fault, at a random frame, as long as there are some left."""

    def start(number, inbox):
        if struck(folder) >= n_faults:
            return faults.LocalHand(number, inbox)
        (kind,) = rng.choices(KINDS, WEIGHTS)
        at = int(rng.expovariate(1 / FRAMES_EACH))
        if kind in NOTES:
            return told(kind, folder)(number, inbox, 1 + at // FRAMES_A_STEP, "note")
        return told(kind, folder)(number, inbox, 2 + at)

    return start


def told(kind, folder: Path):
    """Return a fault that is written down when it happens."""

    class Told(kind):
        def strike(self, data):
            strike(folder, kind.__name__)
            return super().strike(data)

    return Told


def strike(folder: Path, kind: str) -> None:
    """Write a fault down."""
    with (folder / "faults.jsonl").open("a") as file:
        file.write(json.dumps({"fault": kind}) + "\n")


def struck_lines(folder: Path) -> list[dict]:
    """Return all faults so far."""
    path = folder / "faults.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def struck(folder: Path) -> int:
    """Return how many there were."""
    return len(struck_lines(folder))


def ending(code: int, said: str) -> str:
    """Return how a driver ended by itself."""
    if code == 0:
        return "finished"
    last = said.strip().splitlines()[-1] if said.strip() else ""
    return f"code {code}: {last.partition(':')[0]}"


def episodes(run: Path) -> tuple[int, int]:
    """Return how many episodes are missing from the log or a shard, and how many are there twice."""
    lost = doubled = 0
    for entry in FitnessLog(run / FITNESS).read():
        lost += N_EPISODES - entry.rewards_N_P_G.size
        there = Counter((line["member"], line["item"], line["sample"]) for line in read_shard(run, entry.step))
        lost += N_EPISODES - len(there)
        doubled += there.total() - len(there)
    return lost, doubled


def differing(one: Path, other: Path) -> list[str]:
    """Return the names of files that are not the same bytes in both."""
    a, b = written(one), written(other)
    return sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))


def written(folder: Path) -> dict[str, bytes]:
    """Return everything that a run has written, but its measurements and its lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in ("measured.json", ".lock"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
