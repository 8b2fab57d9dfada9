"""The verb ``duel``. Heavy imports stand inside, so that help costs little."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from eggym.flags import (
    BudgetText,
    Config,
    Data,
    Device,
    DryRun,
    Dtype,
    Force,
    Json,
    Learners,
    Memory,
    Model,
    Out,
    Parts,
    Seed,
    Seeds,
    Set,
    Split,
    Tasks,
    Tune,
    TuneBudget,
    TuneItems,
    TuneTask,
    Workers,
    console,
    interruptible,
    print_json,
)

if TYPE_CHECKING:
    from eggym.duel import DuelConfig, DuelPlan


def duel(
    task: Tasks = None,
    learner: Learners = None,
    model: Model = None,
    data: Data = None,
    split: Split = None,
    budget: BudgetText = None,
    seed: Seed = None,
    seeds: Seeds = None,
    out: Out = None,
    memory: Memory = None,
    device: Device = None,
    dtype: Dtype = None,
    set_: Set = None,
    config: Config = None,
    workers: Workers = None,
    tune: Tune = None,
    tune_task: TuneTask = None,
    tune_budget: TuneBudget = None,
    tune_items: TuneItems = None,
    part: Parts = None,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Run learners against each other on equal budgets.

    Over seeds, paired. Without flags: eggroll, dr_grpo and frozen on three small tasks, three seeds, from the embedded
    model. The same command continues what was stopped; more seeds, tasks or learners reuse what is finished. With
    --tune every learner gets as many trials first. A file may hold several duels as parts.

    Example: eggym duel --model Qwen/Qwen2.5-0.5B-Instruct --task gsm8k --learner eggroll --learner dr_grpo --budget
    1e18flops
    """
    from eggym.config_file import parse_set
    from eggym.settings import gather_parts

    flags = {
        "task": task, "learner": learner, "model": model, "data": data, "split": split, "budget": budget,
        "seed": seed, "seeds": seeds, "out": out, "memory": memory, "device": device, "dtype": dtype,
        "set": parse_set(set_ or []), "workers": workers, "force": force or None,
        "tune": tune, "tune_task": tune_task, "tune_budget": tune_budget, "tune_items": tune_items,
    }  # fmt: skip
    asked = {name: Asked.of(settings) for name, settings in gather_parts(config, flags, part or []).items()}
    if len(asked) > 1 and not dry_run:
        plan_all(asked)  # the last part may be hours away
    found: dict[str | None, dict[str, Any]] = {}
    plans = plan_all(asked) if dry_run else {}
    for name, one in asked.items():
        if name is not None and not as_json:
            typer.echo(f"part {name}\n")
        found[name] = show_plan(one, plans[name], as_json) if dry_run else fight(one, as_json)
    if as_json:
        print_json(found.get(None, {"parts": found}))


@dataclass(frozen=True)
class Asked:
    """One duel, as it was asked for."""

    config: "DuelConfig"
    folder: Path
    force: bool

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Asked":
        """Read what the flags and files say."""
        from eggym.settings import duel_config

        config = duel_config(settings)
        folder = Path(settings["out"]) if "out" in settings else config.folder()
        return cls(config, folder, settings.get("force", False))


def plan_all(asked: Mapping[str | None, Asked]) -> dict[str | None, "DuelPlan"]:
    """Try every part, with the same processes, and write nothing."""
    from eggym.duel import plan_duel
    from eggym.pool import Pool
    from eggym.progress import show_trying

    pool = Pool(max(one.config.workers for one in asked.values()), lambda *_: None)
    try:
        with interruptible(), show_trying(console(stderr=True)) as tried:
            return {name: plan_duel(one.config, one.folder, one.force, pool, tried) for name, one in asked.items()}
    finally:
        pool.stop()


def fight(asked: Asked, as_json: bool) -> dict[str, Any]:
    """Run a duel and print what came of it; return that for JSON."""
    from eggym.duel import run_duel
    from eggym.progress import Progress
    from eggym.tables import print_summary

    with interruptible(), Progress(asked.config.workers) as progress:
        result = run_duel(asked.config, asked.folder, asked.force, progress)
    if not as_json:
        print_summary(console(), result.summary)
        typer.echo(f"\n{result.summary['headline']}\nreport: {result.report}")
    return {**result.summary, "folder": str(result.folder), "report": str(result.report)}


def show_plan(asked: Asked, plan: "DuelPlan", as_json: bool) -> dict[str, Any]:
    """Print what a duel would take; return that for JSON."""
    from eggym.tables import print_plan

    trials, runs = _rows(plan.trials), _rows(plan.runs)
    if not as_json:
        shown = [{**row, "learner": f"{row['learner']}, trials"} for row in trials]
        print_plan(console(), [*shown, *runs], asked.config.workers)
        for tuner in plan.tuners:
            typer.echo(_what_is_tried(tuner))
    spaces = [{"task": one.task, "learner": one.label, "space": one.space, "set": one.fixed} for one in plan.tuners]
    return {"folder": str(asked.folder), "tuning": spaces, "trials": trials, "runs": runs}


def _what_is_tried(tuner: Any) -> str:
    from eggym.wording import short

    tried = "; ".join(f"{name} {', '.join(map(str, values))}" for name, values in tuner.space.items())
    fixed = f"; not {', '.join(tuner.fixed)}, which is set" if tuner.fixed else ""
    return f"{tuner.label} on {short(tuner.task)}: {len(tuner.trials)} trials of {tried}{fixed}"


def _rows(entries: list[Any]) -> list[dict[str, Any]]:
    """Return one row for each task and learner: the forecast of one run, and how many are to be run."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in entries:
        row = rows.setdefault((entry.task, entry.learner), {"task": entry.task, "learner": entry.learner, "runs": 0})
        row.update(entry.forecast)
        row["runs"] += not entry.finished
    return list(rows.values())
