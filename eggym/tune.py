"""Tuning: the same number of trials for every learner that declares a space, before the runs of a duel.

A trial is a whole run in ``OUT/tuning/TASK/LEARNER/trial-K``, continued and reused like any other. All trials have one
seed, and are judged at their end on the validation split.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eggym.config import RunConfig
from eggym.errors import BadValue, EggymError
from eggym.files import read_json
from eggym.pool import Entry, Pool, look_at
from eggym.record import RECORD_FILE, TUNING
from eggym.result import finished_record
from eggym.score import Trial, Tuning
from eggym.trials import DIVERGED, JUDGED_ON, winner
from eggym.variant import bare_name
from eggym.wording import slug


@dataclass(frozen=True)
class Tuner:
    """One learner that is tuned on one task."""

    learner: str  # as it is asked for, without ``random-reward:``
    label: str
    task: str  # label
    budget: str  # of each trial
    items: int  # that judge one
    space: dict[str, list[Any]]
    fixed: list[str]  # options that could be tuned, were they not set
    options: list[dict[str, Any]]  # of each trial
    trials: list[Entry]

    @property
    def finished(self) -> bool:
        """Whether every trial has come to its end."""
        return all(trial.finished for trial in self.trials)

    def story(self) -> Tuning:
        """Return what was tried, how it went, and what was chosen.

        Raises:
            EggymError: no trial has a score, or a file of a trial was changed.
        """
        found = [_outcome(trial.folder, options) for trial, options in zip(self.trials, self.options, strict=True)]
        try:
            chosen = winner([trial.score for trial in found])
        except EggymError as problem:
            raise EggymError(
                f"tuning of {self.label} on {self.task}: {problem}; give other settings by --set"
            ) from problem
        return Tuning(
            task=self.task,
            split=JUDGED_ON,
            budget=self.budget,
            items=self.items,
            space=self.space,
            trials=found,
            chosen=chosen,
        )

    def outline(self) -> dict[str, Any]:
        """Return what is known of the story before a trial is run."""
        facts = {"task": self.task, "split": JUDGED_ON, "budget": self.budget, "items": self.items}
        return {**facts, "trials": len(self.trials)}


def plan_trials(pool: Pool, configs: Sequence[RunConfig], n_trials: int, folder: Path, force: bool) -> list[Tuner]:
    """Try trial 0 of every learner on every task, and return those that have something to tune. Writes nothing.

    Raises:
        EggymError: a space is too small, the budget buys too little, or a folder holds other trials.
    """
    tuners = []
    for config, message in pool.plan(list(configs), force, n_trials):
        if message["trials"]:
            tuners.append(_tuner(config, message, folder / TUNING))
    return tuners


def adopt(entry: Entry, tuner: Tuner) -> None:
    """Give a run what its learner was tuned to, and the story of it.

    Raises:
        RunMismatch: its folder holds a run that was tuned otherwise.
    """
    story = tuner.story()
    chosen = story.trials[story.chosen].options
    given = {f"{tuner.label}.{name}": value for name, value in chosen.items()}
    entry.config = replace(entry.config, set={**entry.config.set, **given}, tuning=story.model_dump())
    options = {**entry.identity["options"], **chosen}
    entry.identity = {**entry.identity, "options": options, "tuning": story.brief()}
    look_at(entry)


def expect(entry: Entry, tuner: Tuner) -> None:
    """Look at a run's folder before the tuning is done: refuse what no outcome of it could make right."""
    open_ = {f"options.{name}" for name in tuner.space} | {"tuning.chosen", "tuning.sha256"}
    entry.identity = {**entry.identity, "tuning": tuner.outline()}
    look_at(entry, open_)


def _tuner(config: RunConfig, message: dict[str, Any], folder: Path) -> Tuner:
    label, task = message["learner"], message["task"]
    place = folder / slug(task) / slug(label)
    trials = []
    for number, options in enumerate(message["trials"]):
        given = {f"{label}.{name}": value for name, value in options.items()}
        identity = {**message["identity"], "options": {**message["identity"]["options"], **options}}
        entry = Entry(
            replace(config, set={**config.set, **given}),
            place / f"trial-{number}",
            message["forecast"],
            message["kind"],
            task,
            label,
            identity,
            number,
        )
        look_at(entry)
        trials.append(entry)
    space, budget = message["space"], message["identity"]["budget"]
    fixed = [name for name in message["tunable"] if name not in space]
    items = message["identity"]["eval"]["items"]
    return Tuner(bare_name(config.learner), label, task, budget, items, space, fixed, message["trials"], trials)


def _outcome(folder: Path, options: dict[str, Any]) -> Trial:
    if not (folder / RECORD_FILE).is_file():
        try:
            found = read_json(folder / DIVERGED)
            return Trial(options=options, score=None, run=found["reason"], flops=found["flops"])
        except (KeyError, TypeError, ValueError) as problem:
            raise BadValue(f"{folder / DIVERGED} is damaged; delete it, and the trial is run again") from problem
    record = finished_record(folder)
    return Trial(options=options, score=record.final(record.primary).mean, run=record.id, flops=record.spent.flops)
