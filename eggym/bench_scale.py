"""`eggym bench scale`: what worker processes gain an ES run, what dealing work out costs, and where that ends.

workers     one step of the embedded model, 1,024 episodes played and their replies kept: by one worker, the same again,
            two, and this process alone
ray         the same step by two actors of a Ray cluster on this machine, and by two processes
dealing     CPU seconds of the driver for a work item whose answer costs nothing, and how long an answer is under way
simulation  a step on many workers: items as long as they were measured here, dealt out as the executor deals them
resume      how soon a killed run does something new (`eggym.bench_resume`)

All workers are there all the time; those that have nothing to do take nothing.
"""

import heapq
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from eggym.askable import prepared
from eggym.bench import ratio_line
from eggym.bench_parts import plain
from eggym.bench_rates import Figures, Settings, Watch
from eggym.bench_ray import ray_part
from eggym.bench_resume import resume_part
from eggym.bench_step import plan_of, step_arm
from eggym.budget import FlopModel, Meter
from eggym.crew import Here, Workers
from eggym.executor import Executor
from eggym.frames import Frame
from eggym.local_workers import LocalHand
from eggym.machine import describe
from eggym.parcels import DEFAULT_PARCELS, cut
from eggym.seeding import stream
from eggym.timing import Meters, Quartiles, measure
from eggym.train import identify
from eggym.training_items import training_item
from eggym.usage import family_cpu_s, keep_memory

PARTS = ("workers", "ray", "dealing", "simulation", "resume")
FORMAT = 1
CLAIM = 1.9  # times as fast in wall time with two workers as with one
ONE, AGAIN, TWO, HERE, WHOLE = "one worker", "one worker again", "two workers", "here, in parcels", "here, whole"
N_ECHOES = 2_000
N_WORKERS, PER_WORKER = (8, 64, 1_000), 8  # of the simulation: members for each worker
LONGER = (1, 10, 100)  # times as long as here, for larger models
__all__ = ["PARTS", "Settings", "lines", "run"]


def run(settings: Settings, say: Callable[[str], None] = lambda line: None) -> Figures:
    """Measure, and return machine, settings and the figures of every part as plain JSON values."""
    before = describe()
    keep_memory()  # as a run does
    found: Figures = {}
    for part in settings.parts:
        say(part)
        watch = lambda number, part=part: say(f"{part}: round {number} of {settings.rounds}")  # noqa: E731
        found[part] = _MEASURES[part](settings, watch)
    return {
        "format": FORMAT,
        "benchmark": "scale",
        "machine": before | {"load_after": describe()["load"]},
        "settings": {"parts": list(settings.parts), "rounds": settings.rounds, "seed": settings.seed},
        "parts": found,
    }


def lines(result: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Return a result as rows of a table: what, its value, and how sure it is."""
    machine = result["machine"]
    yield machine["cpu"], f"{machine['cores']} cores", f"load {machine['load'][0]}" if machine["load"] else ""
    for part, figures in result["parts"].items():
        if "skipped" in figures:
            yield part, "not measured", figures["skipped"]
        for ratio in figures.get("ratios", ()):
            yield ratio_line(part, ratio)
        for name, value in figures.get("values", {}).items():
            yield f"{part}: {name}", f"{value['value']:.4g}", value["beside"]


# -- the parts --------------------------------------------------------------------------------------------------------
def workers_part(settings: Settings, watch: Watch) -> Figures:
    """Measure one step, played by whoever is there."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        shared, whole = plan_of(DEFAULT_PARCELS), plan_of(1)
        crews: dict[str, Any] = {HERE: Here(shared), WHOLE: Here(whole)}
        for name, n_workers in ((ONE, 1), (AGAIN, 1), (TWO, 2)):
            crews[name] = Workers(shared, identify(shared), folder / name, n_workers)
            stack.callback(crews[name].close)
        arms = [step_arm(name, whole if name == WHOLE else shared, crew, folder / name) for name, crew in crews.items()]
        timing = measure(arms, settings.rounds, settings.seed, watch, Meters(cpu=family_cpu_s))
    ratios = [
        timing.ratio(TWO, ONE, (ONE, AGAIN), CLAIM, "wall"),
        timing.ratio(TWO, ONE, (ONE, AGAIN), None, "cpu"),
        timing.ratio(ONE, HERE, None, None, "cpu"),
        timing.ratio(HERE, WHOLE, None, None, "cpu"),
    ]
    return {"arms": timing.as_dict(), "ratios": [plain(one) for one in ratios]}


def dealing_part(settings: Settings, watch: Watch) -> Figures:
    """Measure items that cost nothing, with two workers."""
    executor = Executor(LocalHand, 2, lambda: Frame({"do": "begin", "role": "echo"}))
    costs, waits = [], []
    try:
        list(executor.map([Frame({"do": "echo"})] * 10, lambda number, frame: number))
        for number in range(settings.rounds):
            cpu, wall = time.process_time(), time.perf_counter()
            list(executor.map([Frame({"do": "echo"}, bytes(400))] * N_ECHOES, lambda number, frame: number))
            costs.append((time.process_time() - cpu) / N_ECHOES)
            waits.append((time.perf_counter() - wall) / N_ECHOES * 2)
            watch(number + 1)
    finally:
        executor.stop()
    cost, wait = Quartiles.of(costs), Quartiles.of(waits)
    return {
        "values": {
            "driver's CPU ms an item": {
                "value": 1e3 * cost.median,
                "beside": f"{1e3 * cost.q1:.3g} to {1e3 * cost.q3:.3g}, aim 1",
            },
            "ms from item to answer": {
                "value": 1e3 * wait.median,
                "beside": f"{1e3 * wait.q1:.3g} to {1e3 * wait.q3:.3g}",
            },
        },
        "readings": {"driver_cpu_s": costs, "item_s": waits},
    }


def simulation_part(settings: Settings, watch: Watch) -> Figures:
    """Measure how long pairs take here, and let as many as are needed be dealt out to many workers."""
    pairs = _pair_seconds(settings.rounds, watch)
    dealt = dealing_part(settings, lambda number: None)["values"]
    driver_s = dealt["driver's CPU ms an item"]["value"] / 1e3
    way_s = dealt["ms from item to answer"]["value"] / 1e3
    values = {}
    for n_workers, times in itertools.product(N_WORKERS, LONGER):
        rng = stream(settings.seed, "scale", n_workers)
        items = [times * one for one in rng.choices(pairs, k=n_workers * PER_WORKER // 2)]
        found = efficiency(items, n_workers, driver_s, way_s)
        name = f"efficiency, {n_workers} workers, pairs of {times * statistics.median(pairs):.2g} s"
        values[name] = {"value": found, "beside": f"{len(items)} pairs, aim 0.95"}
    told = {"pairs_measured": len(pairs), "pair_s": asdict(Quartiles.of(pairs)), "driver_s": driver_s, "way_s": way_s}
    return {"values": values, **told}


def efficiency(items: Sequence[float], n_workers: int, driver_s: float, way_s: float) -> float:
    """Return work over workers' time, from the start of a step until its last answer.

    Args:
        items: seconds of each work item, in the order in which they are dealt out.
        n_workers: who is free gets the next.
        driver_s: what the driver spends on an item; it does one at a time.
        way_s: what an item and its answer spend under way.
    """
    free = [0.0] * n_workers
    heapq.heapify(free)
    driver = end = 0.0
    for seconds in items:
        driver = max(driver, heapq.heappop(free)) + driver_s
        done = driver + way_s + seconds
        heapq.heappush(free, done)
        end = max(end, done)
    return sum(items) / (n_workers * end)


def _pair_seconds(rounds: int, watch: Watch) -> list[float]:
    """Return the seconds of each pair of a step, played alone in this process; medians over rounds."""
    from eggym.parcels import play

    plan = plan_of(1)
    views = prepared(plan).ask(0)
    assert views is not None  # noqa: S101 - its learner always asks
    items = [training_item(plan, slot) for slot in range(views.n_items)]
    found: dict[range, list[float]] = {members: [] for members in cut(views, views.n_members)}
    for number in range(min(rounds, 5)):
        for members, seconds in found.items():
            before = time.perf_counter()
            play(plan, Meter(FlopModel.of(plan.policy.model)), views, items, 0, members)
            seconds.append(time.perf_counter() - before)
        watch(number + 1)
    return [statistics.median(seconds) for seconds in found.values()]


_MEASURES = {
    "workers": workers_part,
    "ray": ray_part,
    "dealing": dealing_part,
    "simulation": simulation_part,
    "resume": resume_part,
}
