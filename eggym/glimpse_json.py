"""What a machine is told of runs: `eggym status --json` and `eggym runs --json`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eggym.glimpse import Glimpse
from eggym.scan import trials_done


def told(folder: Path, found: Sequence[Glimpse]) -> dict[str, Any]:
    """Return all facts of the run in a folder, or of the runs below it."""
    if len(found) == 1 and found[0].folder == folder:
        return facts(found[0])
    return {"folder": str(folder), "runs": [facts(seen) for seen in found], "trials_finished": trials_done(folder)}


def brief_facts(seen: Glimpse) -> dict[str, Any]:
    """Return what a table shows of a run. Times are seconds since 1970."""
    return {
        "folder": str(seen.folder),
        "state": seen.state.value,
        "why": seen.why,
        "task": seen.task or None,
        "learner": seen.learner or None,
        "seed": seen.config.get("seed"),
        "step": seen.step,
        "fraction": seen.fraction,
        "score": seen.score,
        "last_at": seen.last_at,
    }


def facts(seen: Glimpse) -> dict[str, Any]:
    """Return all that is known of a run."""
    driver = asdict(seen.driver) if seen.driver else None
    return {
        **brief_facts(seen),
        "model": seen.config.get("model"),
        "budget": seen.config.get("budget"),
        "primary": seen.primary,
        "driver": driver and {name: driver[name] for name in ("pid", "host", "started", "command", "cwd")},
        "spent": dict(seen.spent),
        "pace": asdict(seen.pace) if seen.pace else None,
        "rewards": list(seen.rewards),
        "evaluations": [_evaluation(point) for point in seen.points],
        "chosen": seen.chosen,
        "states": dict(seen.states),
        "checkpoint": {"step": seen.told_at, "at": seen.checkpoint_at} if seen.checkpoint_at else None,
        "workers": seen.workers,
        "worker_events": list(seen.worker_events),
        "wall_s": seen.wall_s,
    }


def _evaluation(point: Mapping[str, Any]) -> dict[str, Any]:
    scores = {
        mode: {name: point[mode].get(name) for name in ("mean", "se", "n_items")} for mode in ("greedy", "sampled")
    }
    return {"step": point["step"], "fraction": point["fraction"], **scores}
