"""A look at a run's folder from outside: quick, without torch, and without touching anything.

The run may be writing at this moment. What it has half written is not seen, and what is read together belongs
together: who holds the folder is asked first, so a run that ends meanwhile is never taken for one that was stopped.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from eggym.folder import CONFIG, DIVERGED, RECORD_FILE, STEPS
from eggym.lock import Driver, is_held, last_driver
from eggym.pace import Pace, limit_of, pace, spent_on
from eggym.peek import checkpoints, peek
from eggym.plausible import is_number
from eggym.run_files import Damage, config_of, json_of, measured_of, record_of, shortened
from eggym.tail import last_lines
from eggym.task import label_of
from eggym.variant import labelled

LAST = 50  # steps that pace and rewards are read from


class State(StrEnum):
    """What has become of a run. Closed: add a member rather than overload one."""

    RUNNING = "running"  # a process holds its folder
    FINISHED = "finished"
    STOPPED = "stopped"  # begun, and the same command continues it
    DIVERGED = "diverged"  # a trial, which counts as finished
    WAITING = "waiting"  # for a place in a duel that goes on
    UNBEGUN = "never begun"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What a run's folder tells."""

    folder: Path
    state: State
    why: str = ""  # it is damaged or diverged, or what is missing of it
    config: Mapping[str, Any] = field(default_factory=dict)  # the run's identity
    driver: Driver | None = None  # who holds it, or held it last
    step: int = 0  # steps that are done
    fraction: float | None = None  # of the budget
    spent: Mapping[str, int] = field(default_factory=dict)
    last_at: float | None = None  # when something was last written; seconds since 1970
    pace: Pace | None = None
    rewards: Sequence[float | None] = ()  # mean training rewards of the last steps
    points: Sequence[Mapping[str, Any]] = ()  # evaluations, as a record holds them
    chosen: int | None = None  # step of the point that counts; None: the last
    states: Mapping[str, int] = field(default_factory=dict)  # verdicts of training episodes
    told_at: int | None = None  # the step up to which they were counted: that of the checkpoint, or the end
    checkpoint_at: float | None = None  # when that was written
    workers: int = 0
    worker_events: Sequence[Mapping[str, Any]] = ()
    wall_s: float | None = None  # of all sessions

    @property
    def task(self) -> str:
        """The task's label; empty: it is not known."""
        return label_of(self.config["task"], self.config.get("difficulty", {})) if self.config else ""

    @property
    def learner(self) -> str:
        """The learner's label."""
        return labelled(self.config["learner"], self.config.get("variant")) if self.config else ""

    @property
    def primary(self) -> str:
        """The mode of evaluation that decides."""
        return str(self.config["eval"].get("primary", "greedy")) if self.config else "greedy"

    @property
    def score(self) -> float | None:
        """Mean reward at the evaluation that counts so far."""
        counts = [point for point in self.points if point["step"] == self.chosen] or self.points[-1:]
        found: float | None = counts[0][self.primary]["mean"] if counts else None
        return found


def look(folder: Path) -> Glimpse:
    """Look at the folder of one run."""
    held, driver = is_held(folder), last_driver(folder)  # before anything else
    try:
        if (folder / RECORD_FILE).exists():
            return replace(_finished(folder), driver=driver)
        config = config_of(folder)
        if (folder / DIVERGED).exists():
            return replace(_diverged(folder, config or {}), driver=driver)
        if config is None:
            if (folder / STEPS).exists() and not held:
                raise Damage(f"{CONFIG} is missing")
            return Glimpse(folder, State.RUNNING if held else State.UNBEGUN, driver=driver)
        return _unfinished(folder, config, held, driver)
    except Damage as damage:
        return Glimpse(folder, State.DAMAGED, str(damage), driver=driver, last_at=_written(folder))
    except OSError as problem:
        return Glimpse(folder, State.DAMAGED, f"it cannot be read: {problem.strerror}", driver=driver)


def _finished(folder: Path) -> Glimpse:
    record, measured = record_of(folder), measured_of(folder)
    try:
        last = record["points"][-1]
        missing = [name for name in record["files"] if "/" not in name and not (folder / name).exists()]
        return Glimpse(
            folder,
            State.FINISHED,
            f"not here: {', '.join(missing)}" if missing else "",
            record["config"],
            step=record["n_steps"],
            fraction=last["fraction"],
            spent=record["spent"],
            last_at=_time(measured.get("finished")) or _written(folder),
            rewards=_rewards(last_lines(folder / STEPS, LAST)),
            points=record["points"],
            chosen=record.get("chosen"),
            states=record["training_states"],
            told_at=record["n_steps"],
            workers=measured.get("workers", 0),
            worker_events=measured.get("worker_events", []),
            wall_s=measured.get("wall_s"),
        )
    except (KeyError, IndexError, TypeError) as problem:
        raise Damage(f"{RECORD_FILE} is no record of a run") from problem


def _diverged(folder: Path, config: Mapping[str, Any]) -> Glimpse:
    lines, why = last_lines(folder / STEPS, LAST), str(json_of(folder / DIVERGED).get("reason", ""))
    step = lines[-1]["step"] + 1 if lines else 0
    return Glimpse(folder, State.DIVERGED, why, config, step=step, last_at=_written(folder), rewards=_rewards(lines))


def _unfinished(folder: Path, config: Mapping[str, Any], held: bool, driver: Driver | None) -> Glimpse:
    saved = peek(folder, held, lambda state: held or shortened(folder, state) is None)
    if saved is None and not held and checkpoints(folder):
        raise Damage("no checkpoint can be read; restore one, or delete the folder and run again from the start")
    lines = last_lines(folder / STEPS, LAST)
    if saved is None and not held and lines:
        raise Damage("it holds steps and no checkpoint to go on from; restore one, or delete the folder and run again")
    saved = saved or {}
    if not held:
        why = shortened(folder, saved)
        if why is not None:
            raise Damage(why)
    session = saved.get("session", {})
    spent = lines[-1]["spent"] if lines else {}
    return Glimpse(
        folder,
        State.RUNNING if held else State.STOPPED,
        config=config,
        driver=driver,
        step=lines[-1]["step"] + 1 if lines else 0,
        fraction=_fraction(config, spent, saved),
        spent=spent,
        last_at=_written(folder),
        pace=pace(folder, lines, driver.started if driver else 0.0, config["budget"]) if held else None,
        rewards=_rewards(lines),
        points=saved.get("points", []),
        states=saved.get("states", {}),
        told_at=saved.get("step"),
        checkpoint_at=_checkpoint_at(folder),
        workers=session.get("workers", 0),
        worker_events=session.get("worker_events", []),
    )


def _fraction(config: Mapping[str, Any], spent: Mapping[str, Any], saved: Mapping[str, Any]) -> float | None:
    found = limit_of(config["budget"])
    if found is None:
        return None
    axis, limit = found
    on_axis = spent_on(axis, spent) if spent else 0.0
    if on_axis is None:  # seconds: as of the checkpoint
        seconds = saved.get("meter", {}).get("seconds", {})
        on_axis = seconds.get(axis) if isinstance(seconds, Mapping) else None
    return on_axis / limit if is_number(on_axis) else None


def _rewards(lines: Sequence[Mapping[str, Any]]) -> list[float | None]:
    return [line.get("reward") for line in lines]


def _checkpoint_at(folder: Path) -> float | None:
    for path in reversed(checkpoints(folder)):
        try:
            return path.stat().st_mtime
        except OSError:  # replaced just now
            continue
    return None


def _written(folder: Path) -> float | None:
    """Return when a run last did something: its last step, or its beginning."""
    for name in (STEPS, CONFIG, RECORD_FILE):
        try:
            return (folder / name).stat().st_mtime
        except OSError:
            continue
    return None


def _time(told: Any) -> float | None:
    try:
        return datetime.fromisoformat(told).timestamp()
    except (TypeError, ValueError):
        return None


def age(at: float | None) -> float | None:
    """Return how many seconds ago a time was; a clock that runs ahead makes it now."""
    return None if at is None else max(0.0, time.time() - at)
