"""Replay: the trained weights of an ES run, rebuilt from its seed, its start weights and its rewards alone.

Where the run chose a point by validation, the weights are those of its step; the steps after it are replayed for
their metrics.

No reply is sampled. Each step of the fitness log becomes the batch that the learner was told, with rewards and nothing
else; the learner, built as the run built it, moves the weights. Their hash must be that of the record, to the bit, on
any machine: the update is exact by construction. With ``spot`` some training episodes are sampled again as well
(`eggym.spot`).

Left out: RL runs, whose updates need tokens and log-probabilities, and unfinished runs, which have no record.
"""

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from eggym.budget import FlopModel, Meter
from eggym.config import Plan
from eggym.errors import BadValue
from eggym.evaluate import Evaluated, Evaluator
from eggym.files import sha256_file, unwritable
from eggym.fitness import FITNESS, FitnessLog, FitnessStep, rewards_only
from eggym.kl_reward import TOLD_REWARD
from eggym.learner import Learner
from eggym.policy import model_sha256
from eggym.record import Record
from eggym.reopen import Reopened, Whereabouts, no_es, reopen
from eggym.replies import SHARDS
from eggym.result import STEPS, WEIGHTS, write_weights
from eggym.spot import Spot, SpotCheck, choose
from eggym.views import PolicyViews, Views

_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay found."""

    folder: str
    learner: str
    n_steps: int  # updates up to the weights that count
    recorded: str  # SHA-256 of the trained weights, by the record
    rebuilt: str  # the same, of the weights made from the log
    first_difference: int | None  # the first step whose mean reward or, where weights differ, metrics are not the run's
    changed: tuple[str, ...]  # files of the run that are missing or no longer have the hash of the record
    spots: tuple[Spot, ...] = ()
    evaluated: Evaluated | None = None  # of the weights that count, where it was asked for

    @property
    def equal(self) -> bool:
        """Are the rebuilt weights those of the record?"""
        return self.rebuilt == self.recorded

    @property
    def ok(self) -> bool:
        """Is everything as the record says: weights, steps, files, and every place that was made again?"""
        same = self.equal and self.first_difference is None
        return same and not self.changed and not any(spot.differs for spot in self.spots)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "folder": self.folder,
            "learner": self.learner,
            "n_steps": self.n_steps,
            "recorded": self.recorded,
            "rebuilt": self.rebuilt,
            "equal": self.equal,
            "first_difference": self.first_difference,
            "changed": list(self.changed),
            "spots": [spot.as_dict() for spot in self.spots],
            "ok": self.ok,
        }


def replay(
    run: str | Path,
    spot: int = 0,
    seed: int = 0,
    out: str | Path | None = None,
    evaluate: bool = False,
    **whereabouts: str | None,
) -> Replayed:
    """Rebuild the final weights of a finished ES run and compare them with its record.

    Args:
        run: the run folder.
        spot: how many training episodes to sample again and compare.
        seed: which ones.
        out: a new folder for the rebuilt weights, as safetensors; None: they are not kept.
        evaluate: also evaluate the rebuilt weights that count, as the run did.
        whereabouts: fields of `eggym.reopen.Whereabouts`: model, task, learner, data, device.

    Raises:
        EggymError: no finished run, an RL run, another model, task or learner than the run's, a damaged log, or
            ``out`` exists. A difference is no error: it is what `Replayed` tells.
    """
    if spot < 0:
        raise BadValue(f"spot must be at least 0, got {spot}")
    target = _target(out)
    opened = reopen(Path(run), Whereabouts(**whereabouts))
    folder, record = opened.folder, opened.record
    entries = _entries(folder, record)
    plan = opened.plan() if spot or evaluate else None
    has_replies = (folder / SHARDS).is_dir()
    check = SpotCheck(plan, folder, choose(entries, spot, seed), has_replies) if plan and spot else None
    n_steps = record.n_steps if record.chosen is None else record.chosen
    told = _told(opened.build(), entries, check, folder)
    metrics = list(itertools.islice(told, n_steps))
    rebuilt, weights = model_sha256(opened.policy.model), _held(opened) if target is not None else {}
    evaluated = _evaluated(plan, record) if plan and evaluate else None
    metrics += told
    equal = rebuilt == record.weights_sha256
    if target is not None:
        _write(target, weights)
    return Replayed(
        folder=str(folder),
        learner=record.learner.name,
        n_steps=n_steps,
        recorded=record.weights_sha256,
        rebuilt=rebuilt,
        first_difference=_first_difference(folder / STEPS, entries, None if equal else metrics),
        changed=tuple(_changed(folder, record)),
        spots=tuple(check.found) if check else (),
        evaluated=evaluated,
    )


def _evaluated(plan: Plan, record: Record) -> Evaluated:
    """Evaluate the weights that the policy holds now, as the point of the record that counts."""
    meter = Meter(FlopModel.of(plan.policy.model))
    with meter.watch(plan.policy.model):
        return Evaluator(plan, meter).run(record.points.index(record.counted))


def _told(
    learner: Learner, entries: list[FitnessStep], check: SpotCheck | None, folder: Path
) -> Iterator[Mapping[str, float]]:
    """Ask and tell step by step; yield the metrics of each update."""
    for entry in entries:
        views = learner.ask(entry.step)
        _refuse_misfit(views, entry, folder)
        if check is not None and views is not None:
            check.look(views, entry)
        yield dict(learner.tell(rewards_only(entry)))


def _refuse_misfit(views: Views | None, entry: FitnessStep, folder: Path) -> None:
    if isinstance(views, PolicyViews):  # who asks for the policy itself learns from tokens
        raise no_es(folder, "a control of an RL learner")
    asked = None if views is None else (views.n_members, views.n_items, views.n_replies)
    if asked != entry.rewards_N_P_G.shape:
        raise BadValue(
            f"{folder / FITNESS} holds rewards of shape {entry.rewards_N_P_G.shape} for step {entry.step}, its learner "
            f"asks for {asked}; restore the file, or run again"
        )


def _entries(folder: Path, record: Record) -> list[FitnessStep]:
    entries = FitnessLog(folder / FITNESS).read()
    if [entry.step for entry in entries] != list(range(record.n_steps)):
        raise BadValue(
            f"{folder / FITNESS} holds {len(entries)} whole steps, the record {record.n_steps}; "
            "restore the file, or run again"
        )
    return entries


def _first_difference(path: Path, entries: list[FitnessStep], metrics: list[Mapping[str, float]] | None) -> int | None:
    """Return the first step that the run told otherwise.

    Rewards are compared by their mean: two logs may lead to the same weights, for instance where only one pair of twins
    differs, whose weight is 1 whatever the difference. Metrics may round otherwise on another machine, and are given
    only where the weights differ.
    """
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for step, (line, entry) in enumerate(zip(lines, entries, strict=False)):
            now = metrics[step] if metrics is not None else {}
            told = line["metrics"].get(TOLD_REWARD, line["reward"])
            if not _near(told, entry) or any(line["metrics"].get(name) != now[name] for name in now):
                return step
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # it may be what was changed
        pass
    return None


def _near(reward: float | None, entry: FitnessStep) -> bool:
    known = entry.rewards_N_P_G[np.isfinite(entry.rewards_N_P_G)].astype(np.float64)
    mean = float(known.mean()) if known.size else None
    if mean is None or reward is None:
        return mean == reward
    return abs(mean - reward) <= _ROUNDING * max(1.0, abs(mean))  # the log holds float32


def _changed(folder: Path, record: Record) -> Iterator[str]:
    for name, expected in sorted(record.files.items()):
        path = folder / name
        if not path.is_file() or sha256_file(path) != expected:
            yield name


def _target(out: str | Path | None) -> Path | None:
    target = None if out is None else Path(out)
    if target is not None and target.exists():
        raise BadValue(f"{str(target)!r} exists already; choose another folder with --out")
    return target


def _held(opened: Reopened) -> dict[str, Tensor]:
    """Return a copy of the weights that the policy holds now and the run may change."""
    return {name: weight.detach().clone() for name, weight in opened.space.select(opened.policy.model).items()}


def _write(target: Path, weights: Mapping[str, Tensor]) -> None:
    try:
        target.mkdir(parents=True)
    except (OSError, ValueError) as problem:
        raise unwritable(target, problem) from problem
    write_weights(target / WEIGHTS, weights)
