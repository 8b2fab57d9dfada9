"""Where the runs below a folder lie, and what a duel says that it will run."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eggym.files import open_plain, write_json
from eggym.folder import CONFIG, DIVERGED, DUEL, FITNESS, RECORD_FILE, STEPS, by_number, is_trial
from eggym.glimpse import Glimpse, State, look
from eggym.lock import LOCK, Driver
from eggym.plausible import PLANNED, is_count, misfit

_OF_A_RUN = {STEPS, FITNESS, RECORD_FILE, DIVERGED}


def runs_in(folder: Path) -> list[Path]:
    """Return every run at or below a folder, in the order of their paths; a duel's trials are left out."""
    found = (path for path in _walk(folder) if not is_trial(path.relative_to(folder).parts))
    return sorted(found, key=by_number)


def trials_in(folder: Path) -> list[Path]:
    """Return the trials of a duel's tuning."""
    return sorted((path for path in _walk(folder) if is_trial(path.relative_to(folder).parts)), key=by_number)


def trials_done(folder: Path) -> int:
    """Return how many of them are finished, or have diverged."""
    return sum(any((path / name).exists() for name in (RECORD_FILE, DIVERGED)) for path in trials_in(folder))


def announce(folder: Path, runs: Sequence[tuple[Path, str, str, int]], n_trials: int) -> None:
    """Write down what a duel is going to run, and by which command: folder, task, learner and seed of each run."""
    names = ("folder", "task", "learner", "seed")
    planned = [dict(zip(names, (str(path.relative_to(folder)), *rest), strict=True)) for path, *rest in runs]
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / DUEL, {"driver": asdict(Driver.here()), "runs": planned, "trials": n_trials})


class Duel:
    """What a duel's folder says of itself; nothing, where there was no duel."""

    def __init__(self, folder: Path) -> None:
        """Read it."""
        try:
            with open_plain(folder / DUEL) as file:
                told = json.loads(file.read())
            if misfit(told["runs"], [PLANNED]) or not is_count(told["trials"]):
                raise ValueError("it was not written by a duel")
            self.driver = Driver.read(told["driver"])
            self.n_trials = int(told["trials"])
            self.planned: list[dict[str, Any]] = [
                {**one, "folder": folder / str(one["folder"]), "seed": int(one["seed"])} for one in told["runs"]
            ]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            self.driver, self.n_trials, self.planned = None, 0, []

    @property
    def alive(self) -> bool:
        """Whether the process that carries it out goes on."""
        return self.driver is not None and self.driver.alive


def look_below(folder: Path) -> list[Glimpse]:
    """Look at every run at or below a folder, and at those that a duel there has not begun yet."""
    found = {path: look(path) for path in runs_in(folder)}
    duel = Duel(folder)
    state = State.WAITING if duel.alive else State.UNBEGUN
    for one in duel.planned:
        present = found.get(one["folder"])
        if present is None or present.state is State.UNBEGUN:
            config = {**one, "model": "", "budget": "", "eval": {}}
            found[one["folder"]] = Glimpse(one["folder"], state, config=config, driver=duel.driver)
    return [found[path] for path in sorted(found, key=by_number)]


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the folders of runs. None lies within another, so their many files are not listed."""
    left = [folder]
    while left:
        here = left.pop()
        try:
            with os.scandir(here) as entries:
                present = list(entries)
        except OSError:  # it is gone, or not ours to read
            continue
        names = {entry.name for entry in present}
        if names & _OF_A_RUN or (LOCK in names and (CONFIG in names or names == {LOCK})):
            yield here
            continue
        visible = (entry for entry in present if not entry.name.startswith("."))
        left += [Path(entry.path) for entry in visible if entry.is_dir(follow_symlinks=False)]
