"""L3: the training of a record repeated from its configuration, by whoever doubts it.

On the kind of machine that made the record, the result is the same to the bit: same trained weights. Elsewhere the last
bit of a sum may differ, and with it everything after; then the end of the new run must lie where another seed of the
same row would be expected: in the 95 % prediction interval of one more run, mean +- t(n - 1) s sqrt(1 + 1/n) over the n
seeds of the row on that task, widened by two standard errors from the choice of items.
"""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eggym.config import Plan, RunConfig, flat, resolve
from eggym.errors import BadValue
from eggym.loop import Watch
from eggym.record import Record
from eggym.recorded import recorded_task
from eggym.stats import FEWEST, mean_t
from eggym.train import identify, run_plan

from .rebuilding import HERE, Whereabouts, file_of, refuse_unknown_learner, refuse_unnamed_model
from .stored import Entry

_SECTIONS = ("eval", "space", "prompt", "engine", "reward")  # of a run's config, as --set has them


@dataclass(frozen=True, slots=True)
class Rerun:
    """What running again found."""

    recorded: float | None  # mean primary reward at the end
    found: float | None
    weights: bool  # the trained weights are equal, to the bit
    low: float | None  # of the interval that the end must lie in; None: fewer than 3 seeds tell nothing
    high: float | None
    n_seeds: int

    @property
    def ok(self) -> bool:
        """Whether it agrees: equal weights and end, or an end inside the interval."""
        if self.weights:
            return self.found == self.recorded
        inside = None not in (self.low, self.high, self.found)
        return inside and self.low <= self.found <= self.high  # type: ignore[operator]  # none of them is None

    def told(self) -> dict[str, Any]:
        """Return it for the ledger."""
        why = {} if self.ok else {"why": f"it ended at {self.found}, the record says {self.recorded}"}
        between = None if self.low is None else [self.low, self.high]
        told = {"recorded": self.recorded, "again": self.found, "weights_equal": self.weights}
        return {**told, "prediction_interval": between, "seeds": self.n_seeds, **why}


def rerun(entry: Entry, row: Sequence[Record], where: Whereabouts = HERE, watch: Watch | None = None) -> Rerun:
    """Train again what a record says, and compare the ends.

    Args:
        entry: at L1.
        row: the records of its learner on its task, itself among them.
        where: what lies elsewhere.
        watch: told of every step.

    Raises:
        EggymError: the run cannot be made here: another task, model or version of them.
    """
    record = entry.record
    refuse_unknown_learner(record, where.learner)
    refuse_unnamed_model(record, where.model)
    recorded_task(record.task.id, record.task.difficulty)  # refuses what names code, before anything is looked up
    plan = _plan(record, where)
    _refuse_other(entry, plan, where)
    with tempfile.TemporaryDirectory() as folder:
        again = run_plan(plan, Path(folder) / "run", watch or (lambda event: None), force=True)
    mode = record.primary
    low, high = _expected(record, row)
    return Rerun(
        record.final(mode).mean,
        again.final(mode).mean,
        again.weights_sha256 == record.weights_sha256,
        low,
        high,
        len(row),
    )


def _plan(record: Record, where: Whereabouts) -> Plan:
    config = record.config
    settings = {f"{section}.{name}": value for section in _SECTIONS for name, value in config.get(section, {}).items()}
    name = file_of(record, where.learner) or record.learner.name
    own = {f"{record.learner.name.rpartition(':')[2]}.{option}": value for option, value in config["options"].items()}
    asked = RunConfig(
        record.task.id,
        name if record.learner.variant is None else f"{name}@{record.learner.variant}",
        where.model or record.model.name,
        record.seed,
        config["budget"],
        where.data,
        config["split"],
        f"{config['memory'] / 1024}KiB",
        where.device or config["device"],
        config["dtype"],
        {
            **{name: value for name, value in settings.items() if value is not None},
            **{f"task.{name}": value for name, value in record.task.difficulty.items()},
            **{name: value for name, value in own.items() if value is not None},
            "profile": config["profile"],
        },
        None if record.tuning is None else record.tuning.model_dump(),
    )
    return resolve(asked)


def _refuse_other(entry: Entry, plan: Plan, where: Whereabouts) -> None:
    """Refuse to take another run for this one: where its parts lie, and on what device, is all that may differ."""
    free = {"model"} if where.model else set()
    free |= {"device"} if where.device else set()
    told, now = flat(entry.record.config), flat(identify(plan))
    keys = sorted(key for key in told.keys() | now.keys() if key not in free and told.get(key) != now.get(key))
    if keys:
        shown = ", ".join(f"{key} {told.get(key)!r} -> {now.get(key)!r}" for key in keys[:3])
        raise BadValue(f"{entry.name} cannot be run again here, for these differ: {shown}")


def _expected(record: Record, row: Sequence[Record]) -> tuple[float | None, float | None]:
    """Return the prediction interval of one more seed."""
    ends = [end for one in row if (end := one.final(record.primary).mean) is not None]
    found = mean_t(ends)
    if found.mean is None or found.low is None or found.high is None or len(ends) < FEWEST:
        return None, None
    half = (found.high - found.low) / 2 * math.sqrt(len(ends) + 1)  # t s sqrt(1 + 1/n), from t s / sqrt(n)
    half += 2 * (record.final(record.primary).se or 0.0)
    return found.mean - half, found.mean + half
