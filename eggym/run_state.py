"""What a checkpoint holds of a run, when the next one is due, and how a run goes on from one.

Going on cuts everything that was written after the checkpoint, so an older one is as good as the newest: what came
after it is made again, to the same bits. So it is used too where a log no longer holds what the newest remembers.
"""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from eggym.beyond import Sides
from eggym.budget import Meter
from eggym.checkpoint import Found, Keep, copy_into, find_checkpoint, lasting, save_checkpoint
from eggym.choice import Choice
from eggym.config import CONFIG, Plan
from eggym.errors import BadValue, EggymError, RunMismatch
from eggym.files import sha256_json
from eggym.fitness import FITNESS, FitnessLog
from eggym.learner import Learner
from eggym.plausible import CHECKPOINT, is_count, misfit
from eggym.record import RECORD_FILE, versions
from eggym.replies import EVALUATIONS, change_of, change_of_shards, cut_file, cut_shards, written
from eggym.result import STEPS
from eggym.score import Point

_LOGS = (FITNESS, STEPS, EVALUATIONS)
_ODD = (KeyError, TypeError, AttributeError, ValueError, IndexError)  # and no RuntimeError: a GPU that is full has it


class Going(Protocol):
    """A run in progress: what the loop hands over."""

    plan: Plan
    learner: Learner
    folder: Path
    identity: dict[str, Any]
    step: int
    n_used: int
    dearest: float
    points: list[Point]
    states: dict[str, int]
    shards: list[str]
    point_cpu_s: list[float]
    point_wall_s: list[float]
    parameters: dict[str, nn.Parameter]
    meter: Meter
    evaluation_meter: Meter
    choice: Choice
    sides: Sides
    kl_base: float | None
    fitness: FitnessLog
    session: dict[str, Any]

    def measured_so_far(self) -> dict[str, Any]:
        """Return what was measured in all sessions."""


class Keeper:
    """Saves one run, and puts it back."""

    def __init__(self, keep: Keep) -> None:
        """Take note of which checkpoints are to stay."""
        self._keep = keep
        self._damaged: tuple[Path, ...] = ()  # they go when the next one is whole
        self._saved_at, self._took_s = time.monotonic(), 0.0
        self.saving_s = 0.0  # wall seconds of all that were saved here

    def is_due(self, every_s: float) -> bool:
        """Whether to save now: after ``every_s`` of wall time, or after that times the seconds that the last one took.

        With 20 s, saving takes a twentieth of the time at most, however large the model.
        """
        return time.monotonic() - self._saved_at > every_s * max(1.0, self._took_s)

    def save(self, run: Going) -> None:
        """Write a checkpoint.

        Raises:
            EggymError: the disk is full; the older ones stay.
        """
        before = time.monotonic()
        save_checkpoint(run.folder, run.step, _state_of(run), self._keep, best_step(run), self._damaged)
        self._damaged = ()
        self._saved_at = time.monotonic()
        self._took_s = self._saved_at - before
        self.saving_s += self._took_s

    def restore(self, run: Going) -> str | None:
        """Go on from the newest checkpoint that is whole, as is what was written before it; without any, start.

        Returns what to tell of newer ones, if there are any. Nothing is cut before one is found.

        Raises:
            BadValue: all are damaged, or what was written before them was changed.
            RunMismatch: it is of another run, or of an older eggym.
        """
        try:
            found = find_checkpoint(run.folder, lambda state: _change(run, state))
            if found is None:
                _refuse_loss(run.folder)
                self.clear(run)
                return None
            _load(run, found.state)
        except EggymError:
            raise
        except _ODD as problem:  # its digests are right, but no run has written it
            raise BadValue(
                f"a checkpoint in {run.folder} does not hold what a run keeps; restore it, or delete the run folder "
                f"and run again ({type(problem).__name__}: {problem})"
            ) from problem
        self.cut(run, found.state["written"])
        self._damaged = found.damaged
        return _told(run, found) if found.damaged else None

    def clear(self, run: Going) -> None:
        """Remove what was written without a checkpoint."""
        shutil.rmtree(run.folder / "episodes", ignore_errors=True)
        for name in _LOGS:
            (run.folder / name).unlink(missing_ok=True)

    def cut(self, run: Going, lengths: Mapping[str, Mapping[str, Any]]) -> None:
        """Cut off what was written after a checkpoint that remembers these lengths."""
        run.fitness.truncate(run.step)
        cut_shards(run.folder, run.step)
        for name, told in lengths.items():
            cut_file(run.folder / name, told["length"])

    def lasting(self, run: Going) -> list[str]:
        """Return the names of the checkpoints that stay after the end."""
        return lasting(run.folder, self._keep, best_step(run))


def best_step(run: Going) -> int | None:
    """Return the step of the best evaluation so far: on validation where the run chooses by it, else by its metric."""
    if run.choice.step is not None:
        return run.choice.step
    scores = {
        point.step: (point.greedy if run.plan.evaluation.primary == "greedy" else point.sampled).mean
        for point in run.points
    }
    known = {step: mean for step, mean in scores.items() if mean is not None}
    return max(known, key=known.__getitem__, default=None)  # the first of equal ones


def _state_of(run: Going) -> dict[str, Any]:
    return {
        "run": sha256_json(run.identity),
        "step": run.step,
        "n_used": run.n_used,
        "dearest": run.dearest,
        "points": [point.model_dump(by_alias=True) for point in run.points],
        "states": run.states,
        "point_cpu_s": run.point_cpu_s,
        "point_wall_s": run.point_wall_s,
        "meter": run.meter.state_dict(),
        "evaluation_meter": run.evaluation_meter.state_dict(),
        "weights": {name: weight.data for name, weight in run.parameters.items()},
        "learner": run.learner.state_dict(),
        "kl_base": run.kl_base,
        "choice": run.choice.state_dict(),
        "sides": run.sides.state_dict(),
        "written": {name: written(run.folder / name) for name in _LOGS},
        "versions": versions(),
        "shards": run.shards,
        "session": run.measured_so_far(),
    }


def _refuse_other(run: Going, state: Mapping[str, Any]) -> None:
    if "written" not in state or "versions" not in state:
        raise RunMismatch(
            f"{run.folder} holds a checkpoint of an older eggym, which this one cannot continue; finish the run "
            "with the one that began it, or delete the folder and run again"
        )
    if state["run"] != sha256_json(run.identity):  # its config file was lost, or came from elsewhere
        raise RunMismatch(
            f"{run.folder} holds a checkpoint of another configuration than its {CONFIG}; choose another --out "
            "or delete it"
        )


def _refuse_loss(folder: Path) -> None:
    """Refuse to begin anew where a run has been: its first checkpoint is older than its first step."""
    if (folder / STEPS).exists() and (folder / STEPS).stat().st_size:
        raise BadValue(
            f"{folder} holds steps of a run and no checkpoint to go on from; restore {RECORD_FILE} or a checkpoint, or "
            "delete the run folder and run again"
        )


def _refuse_other_versions(folder: Path, before: Mapping[str, str]) -> None:
    """Refuse to finish what another version began: a record names one of each."""
    now = versions()
    differing = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if differing:
        told = ", ".join(f"{name} {before.get(name)} -> {now.get(name)}" for name in differing[:4])
        raise RunMismatch(
            f"{folder} was begun with other versions ({told}); finish it with those, or delete the folder and run again"
        )


def _change(run: Going, state: Mapping[str, Any]) -> str | None:
    """Tell what in the run folder is no longer as a checkpoint remembers it; the one of another run is refused."""
    _refuse_other(run, state)
    _refuse_other_versions(run.folder, state["versions"])
    odd = misfit(state, CHECKPOINT) or misfit(state, {"n_used": is_count})
    if odd is not None or state["written"].keys() != set(_LOGS):
        raise KeyError(odd or "written")
    files = (change_of(run.folder / name, **told) for name, told in state["written"].items())
    return next(filter(None, files), None) or change_of_shards(run.folder, state["shards"])


def _load(run: Going, state: Mapping[str, Any]) -> None:
    run.step, run.n_used, run.dearest = state["step"], state["n_used"], state["dearest"]
    run.points = [Point.model_validate(point) for point in state["points"]]
    run.states, run.shards = state["states"], state["shards"]
    run.point_cpu_s, run.point_wall_s = state["point_cpu_s"], state["point_wall_s"]
    run.meter.load_state_dict(state["meter"])
    run.evaluation_meter.load_state_dict(state["evaluation_meter"])
    copy_into({name: weight.data for name, weight in run.parameters.items()}, state["weights"])
    run.learner.load_state_dict(state["learner"])
    run.kl_base = state["kl_base"]
    run.choice.load_state_dict(state["choice"])
    run.sides.load_state_dict(state["sides"])
    run.session = state["session"]


def _told(run: Going, found: Found) -> str:
    names = [path.name for path in found.damaged]
    told = run.session.get("checkpoint_events", [])
    run.session["checkpoint_events"] = [*told, {"damaged": names, "went_on_from": run.step}]
    are = "is" if len(names) == 1 else "are"
    if found.changed:
        return f"{found.changed}; going on from an older one, at step {run.step}"
    return f"{', '.join(names)} in {run.folder} {are} damaged; going on from the one before, at step {run.step}"
