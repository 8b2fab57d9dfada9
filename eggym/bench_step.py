"""The work of `eggym bench scale`: one step of the embedded model, 1,024 episodes played and their replies kept."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from eggym.askable import prepared
from eggym.budget import FlopModel, Meter
from eggym.config import CONFIG, Plan, RunConfig, resolve
from eggym.files import write_json
from eggym.timing import Arm
from eggym.train import identify
from eggym.training_items import training_item


def plan_of(n_parcels: int) -> Plan:
    """Return a run of the embedded model whose step is played in so many parcels."""
    settings = {"engine.parcels": n_parcels}
    return resolve(RunConfig("eggym/tiny-programs-v0", "eggroll", device="cpu", dtype="float32", set=settings))


def step_arm(name: str, plan: Plan, crew: Any, folder: Path) -> Arm:
    """Return the first step of a plan as work that is timed: played by a crew, its replies kept in ``folder``."""
    folder.mkdir(exist_ok=True)
    write_json(folder / CONFIG, identify(plan))  # by which workers see that they share the folder
    views = prepared(plan).ask(0)
    assert views is not None  # noqa: S101 - its learner always asks
    items = [training_item(plan, slot) for slot in range(views.n_items)]

    def play(meter: Meter) -> Any:
        with meter.watch(plan.policy.model):
            batch = crew.play(meter, views, items, 0)
        return batch, crew.keep(folder, batch)

    def done(found: Any) -> str:
        batch, digest = found
        return f"{len(batch.episodes)} episodes, reward {float(batch.rewards_N_P_G().sum()):g}, shard {digest}"

    return Arm(name, lambda: nullcontext(Meter(FlopModel.of(plan.policy.model))), play, done)
