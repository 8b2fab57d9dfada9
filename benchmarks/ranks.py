"""A step of RL and of ES by one process and by two ranks of torchrun.

Claim:  none; it reports wall seconds of a step, and CPU seconds of all processes, beside those of one process.
Work:   the embedded model on tiny-programs, float32, one thread a process: ppo with 32 items x 8 replies, its update
        included, with whole weights (ddp) and in shards (fsdp); eggroll with 256 members x 4 items in 4 parcels.
Run:    python benchmarks/ranks.py --out benchmarks/results/ranks.json       (some 10 minutes)

Every arm is a run of its own in every round, in an order drawn anew; the first step of each is left out. Evaluation,
imports and torchrun's start are not in `seconds`; `cpu_seconds` are those of the run over its steps, the two small
evaluations among them. Ratios are one process over the arm, within a round: medians with quartiles.
"""

import argparse
import itertools
import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from eggym.files import write_json
from eggym.loop import Event
from eggym.machine import describe
from eggym.record import load_measured
from eggym.seeding import stream
from eggym.torchrun import here, leave
from eggym.train import train

SETTINGS = {
    "ppo": {"ppo.items": 32, "ppo.replies": 8},
    "eggroll": {"eggroll.population": 256, "eggroll.items": 4, "engine.parcels": 4},
}
EPISODES = {"ppo": 256, "eggroll": 1024}  # of a step
ARMS = {
    "ppo, one process": ("ppo", 1, "ddp"),
    "ppo, one process again": ("ppo", 1, "ddp"),
    "ppo, 2 ranks, ddp": ("ppo", 2, "ddp"),
    "ppo, 2 ranks, fsdp": ("ppo", 2, "fsdp"),
    "eggroll, one process": ("eggroll", 1, "ddp"),
    "eggroll, 2 ranks": ("eggroll", 2, "ddp"),
}
QUIET = {"eval.items": 4, "eval.points": 1, "eval.drift": 0, "eval.many": 0, "eval.train_items": 0}


def main() -> None:
    """Measure, print and write; as a child, run one arm."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5, help="of a run; the first is left out")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child[0], Path(asked.child[1]), asked.steps)
        return
    before = describe()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ARMS}
    for number in range(asked.rounds):
        order = list(ARMS)
        stream(0, "ranks", number).shuffle(order)
        for name in order:
            found[name].append(measured(name, asked.steps))
        print(f"round {number + 1} of {asked.rounds}", file=sys.stderr)
    rows = [row(name, found) for name in ARMS]
    for one in rows:
        print(
            "  ".join(f"{name} {value:.3g}" if isinstance(value, float) else str(value) for name, value in one.items())
        )
    if asked.out:
        settings = {"rounds": asked.rounds, "steps": asked.steps, "set": SETTINGS, "episodes_per_step": EPISODES}
        machine = before | {"load_after": describe()["load"]}
        write_json(
            asked.out, {"benchmark": "ranks", "format": 1, "machine": machine, "settings": settings, "rows": rows}
        )


def row(name: str, found: dict[str, list[tuple[float, float]]]) -> dict[str, Any]:
    """Return what a step of an arm took, and the ratios of one process to it, medians with quartiles."""
    told: dict[str, Any] = {"arm": name}
    for place, what in enumerate(("seconds", "cpu_seconds")):
        own = [one[place] for one in found[name]]
        base = [one[place] for one in found[f"{ARMS[name][0]}, one process"]]
        ratios = [one / two for one, two in zip(base, own, strict=True)]
        told |= {
            what: statistics.median(own),
            f"{what}_readings": [round(one, 4) for one in own],
            f"{what}_ratio": statistics.median(ratios),
            f"{what}_quartiles": statistics.quantiles(ratios, n=4) if len(ratios) > 1 else None,
        }
    return told


def measured(name: str, n_steps: int) -> tuple[float, float]:
    """Return the median wall seconds of a step of a run of one arm, and its CPU seconds for each step."""
    _, n_ranks, _ = ARMS[name]
    with TemporaryDirectory() as folder:
        start = [sys.executable]
        if n_ranks > 1:
            start += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n_ranks)]
        words = [*start, __file__, "--steps", str(n_steps), "--child", name, folder]
        found = subprocess.run(words, capture_output=True, text=True, check=True)
        measurement = load_measured(Path(folder) / "run")
    each: list[float] = json.loads(found.stdout)
    return statistics.median(each), (measurement.cpu_s if measurement else math.nan) / n_steps


def child(name: str, folder: Path, n_steps: int) -> None:
    """Run one arm, as one process or as a rank; the one that writes prints the seconds of its steps."""
    learner, _, parallel = ARMS[name]
    torch.set_num_threads(1)
    ends: list[float] = []

    def watch(event: Event) -> None:
        if event.kind == "step":
            ends.append(time.monotonic())

    settings = {**QUIET, **SETTINGS[learner], "engine.parallel": parallel}
    budget = f"{n_steps * EPISODES[learner]}episodes"
    train(
        "tiny-programs", learner, folder / "run", force=True, watch=watch, budget=budget, device="cpu", dtype="float32",
        set=settings,
    )  # fmt: skip
    if here().rank == 0:
        print(json.dumps([late - early for early, late in itertools.pairwise(ends)]))
    leave()


if __name__ == "__main__":
    main()
