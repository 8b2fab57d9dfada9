"""The ``eggym`` command. Heavy imports stand inside the verbs, so that help costs a fifth of a second.

Results go to standard output, progress to standard error. Exit codes: 0 done, 1 a check failed, 2 the input was
refused.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from eggym.errors import EggymError

app = typer.Typer(
    name="eggym",
    help="Decide between evolution strategies and reinforcement learning for post-training a language model.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Tasks = Annotated[list[str] | None, typer.Option("--task", help="Task: id, my_task.py or module:NAME. Repeatable.")]
Learners = Annotated[list[str] | None, typer.Option("--learner", help="Learner name. Repeatable.")]
Model = Annotated[str | None, typer.Option(help="embedded-v0, a folder, or a hub id.")]
Data = Annotated[str | None, typer.Option(help="Where a data-set task finds its rows: a JSONL file or folder.")]
Split = Annotated[str | None, typer.Option(help="train, validation, test or test:SALT.")]
BudgetText = Annotated[str | None, typer.Option(help="512episodes, 2e6tokens, 1e18flops, 60cpu-s or 10min.")]
Seed = Annotated[list[int] | None, typer.Option("--seed", help="One seed. Repeatable.")]
Seeds = Annotated[int | None, typer.Option(help="How many seeds: 0, 1, ...")]
Out = Annotated[str | None, typer.Option(help="Folder for the result.")]
Memory = Annotated[str | None, typer.Option(help="What the engine may use, such as 8GiB.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")]
Dtype = Annotated[str | None, typer.Option(help="auto, float32, bfloat16 or float16.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Any setting, as a.b=c (eggroll.sigma=0.02). Repeatable.")]
Config = Annotated[Path | None, typer.Option(help="YAML file with the names of these flags; flags override it.")]
Workers = Annotated[int | None, typer.Option(help="Worker processes, one thread each.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what it would take, and write nothing.")]
Force = Annotated[bool, typer.Option("--force", help="Also run a budget that is too small for 5 updates.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def top(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")] = False) -> None:
    """Options of every verb."""


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List tasks and learners."""
    from eggym.registry import learner_table, task_table

    tasks, learners = task_table(), learner_table()
    if as_json:
        _print_json(
            {
                "tasks": [{"id": name, "summary": line} for name, line in tasks.items()],
                "learners": [{"name": name, "summary": line} for name, line in learners.items()],
            }
        )
        return
    from eggym.tables import print_rows

    print_rows(_console(), ("task", ""), list(tasks.items()))
    _console().print()
    print_rows(_console(), ("learner", ""), list(learners.items()))


@app.command()
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
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Run learners against each other on equal budgets, over seeds.

    Without flags: eggroll, dr_grpo and frozen on three small tasks, three seeds, from the embedded model. The same
    command continues what was stopped; more seeds, tasks or learners reuse what is finished.

    Example: eggym duel --model Qwen/Qwen2.5-0.5B-Instruct --task gsm8k --learner eggroll --learner dr_grpo --budget
    1e18flops
    """
    from eggym.config import parse_set
    from eggym.settings import duel_config, gather

    flags = {
        "task": task, "learner": learner, "model": model, "data": data, "split": split, "budget": budget,
        "seed": seed, "seeds": seeds, "out": out, "memory": memory, "device": device, "dtype": dtype,
        "set": parse_set(set_ or []), "workers": workers,
    }  # fmt: skip
    settings = gather(config, flags)
    asked = duel_config(settings)
    folder = Path(settings["out"]) if "out" in settings else asked.folder()
    if dry_run:
        _show_plan(asked, folder, force, as_json)
    else:
        _run_duel(asked, folder, force, as_json)


@app.command()
def train(
    task: Tasks = None,
    learner: Learners = None,
    model: Model = None,
    data: Data = None,
    split: Split = None,
    budget: BudgetText = None,
    seed: Seed = None,
    out: Out = None,
    memory: Memory = None,
    device: Device = None,
    dtype: Dtype = None,
    set_: Set = None,
    config: Config = None,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Run one learner on one task with one seed; the same command continues it.

    Example: eggym train --task tiny-orders --learner eggroll --budget 1e11flops --out runs/mine
    """
    from eggym.config import parse_set
    from eggym.settings import gather, run_config

    flags = {
        "task": task, "learner": learner, "model": model, "data": data, "split": split, "budget": budget,
        "seed": seed, "out": out, "memory": memory, "device": device, "dtype": dtype, "set": parse_set(set_ or []),
    }  # fmt: skip
    settings = gather(config, flags)
    asked = run_config(settings)
    if dry_run:
        _show_single_plan(asked, force, as_json)
    else:
        _train(asked, settings.get("out"), force, as_json)


@app.command("eval")
def eval_(
    task: Tasks = None,
    model: Model = None,
    data: Data = None,
    split: Split = None,
    seed: Annotated[int, typer.Option(help="Of the random numbers at temperature 1.")] = 0,
    items: Annotated[int, typer.Option(help="How many items.")] = 200,
    memory: Memory = None,
    device: Device = None,
    dtype: Dtype = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Evaluate a model on tasks, greedy and at temperature 1.

    Example: eggym eval --task tiny-orders --task tiny-programs --items 100
    """
    from eggym.config import parse_set
    from eggym.evaluate import evaluate

    if not task:
        raise typer.BadParameter("give at least one --task; eggym list shows them")
    settings: dict[str, Any] = {"memory": memory, "device": device, "dtype": dtype, "data": data}
    given = {name: value for name, value in settings.items() if value is not None}
    overrides = {"eval.items": items, **({"eval.split": split} if split else {}), **parse_set(set_ or [])}
    _one_thread()
    found = {name: evaluate(name, model or "embedded-v0", seed, set=overrides, **given) for name in task}
    if as_json:
        body = {
            name: {"greedy": one.greedy.model_dump(), "sampled": one.sampled.model_dump()}
            for name, one in found.items()
        }
        _print_json(body)
        return
    from eggym.tables import print_rows

    rows = [(name, mode, *_score(score)) for name, one in found.items() for mode, score in _modes(one)]
    print_rows(_console(), ("task", "mode", "mean", "standard error", "items", "states"), rows)


@app.command()
def check(
    task: Annotated[
        list[str] | None, typer.Argument(help="Tasks: id, my_task.py or module:NAME. None: every id.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the contract of tasks: determinism, splits, oracle, floor, hostile replies. Exit code 1 on a failure."""
    from eggym.check import check_task
    from eggym.registry import task_table

    reports = [check_task(name) for name in (task or task_table())]
    if as_json:
        _print_json({report.task: report.as_dict() for report in reports})
    else:
        from eggym.tables import print_rows

        rows = [
            (report.task, finding.rule, "ok" if finding.passed else "FAILED", finding.detail)
            for report in reports
            for finding in report.findings
        ]
        print_rows(_console(), ("task", "rule", "", "detail"), rows)
    if not all(report.ok for report in reports):
        raise typer.Exit(1)


@app.command()
def play(
    task: Annotated[str, typer.Argument(help="Task: id, my_task.py or module:NAME.")],
    split: Annotated[str, typer.Option(help="train, validation, test or test:SALT.")] = "train",
    item: Annotated[int, typer.Option(help="Which item.")] = 0,
    data: Data = None,
) -> None:
    """Play one episode of a task yourself."""
    from eggym.play import play as play_episode
    from eggym.registry import load_task

    loaded = load_task(task, **({"data": data} if data else {}))

    def ask(text: str) -> str:
        try:
            return input(text)
        except EOFError as problem:
            raise typer.Exit(1) from problem

    play_episode(loaded, split, item, ask, typer.echo)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders of runs such as a duel's.")],
    as_json: Json = False,
) -> None:
    """Compare finished runs, wherever they lie: the table and the verdicts of a duel."""
    from eggym.errors import UnknownName
    from eggym.outcome import summary
    from eggym.record import find_runs, load_measured, load_record
    from eggym.tables import print_summary

    found = [path for folder in runs for path in find_runs(folder)]
    if not found:
        raise UnknownName(f"no finished run in {', '.join(map(str, runs))}: there is no record.json at or below it")
    records = [load_record(path) for path in dict.fromkeys(found)]
    measured = {record.id: load_measured(path) for record, path in zip(records, dict.fromkeys(found), strict=True)}
    numbers = summary(records, {name: one for name, one in measured.items() if one is not None})
    if as_json:
        _print_json(numbers)
    else:
        print_summary(_console(), numbers)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    to: Annotated[Path, typer.Option(help="The new folder.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the folder.")] = False,
    as_json: Json = False,
) -> None:
    """Write the trained model of a run as a folder that `from_pretrained` loads."""
    from eggym.export import export_run

    done = export_run(run, to, force)
    if as_json:
        _print_json({"folder": str(done)})
    else:
        typer.echo(f"{done}: load it with transformers.AutoModelForCausalLM.from_pretrained({str(done)!r})")


@app.command()
def bake(
    out: Annotated[Path, typer.Option(help="The new folder.")],
    seed: Annotated[int, typer.Option(help="Of the weights and the lessons.")] = 0,
) -> None:
    """Rebuild the embedded base model from a seed (minutes of CPU)."""
    from eggym.bake import bake as bake_model

    _one_thread()
    bake_model(out, seed, lambda line: typer.echo(line, err=True))
    typer.echo(str(out))


def main(arguments: list[str] | None = None) -> None:
    """Run the command; errors that a user can mend become one line and exit code 2."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        app(["--debug"] * debug + [word for word in words if word != "--debug"], prog_name="eggym")
    except EggymError as problem:
        if debug:
            raise
        _fail(" ".join(str(problem).split()), 2)
    except KeyboardInterrupt:
        _fail("stopped; the same command continues where it was", 130)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
        sys.exit(0)


def _run_duel(asked: Any, folder: Path, force: bool, as_json: bool) -> None:
    from eggym.duel import run_duel
    from eggym.progress import Progress
    from eggym.tables import print_summary

    with Progress(asked.workers) as progress:
        result = run_duel(asked, folder, force, progress)
    if as_json:
        _print_json({**result.summary, "folder": str(result.folder), "report": str(result.report)})
        return
    print_summary(_console(), result.summary)
    _console().print(f"\n{result.summary['headline']}\nreport: {result.report}", highlight=False, soft_wrap=True)


def _show_plan(asked: Any, folder: Path, force: bool, as_json: bool) -> None:
    from eggym.duel import plan_duel
    from eggym.tables import print_plan

    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in plan_duel(asked, folder, force):
        row = rows.setdefault((entry.task, entry.learner), {"task": entry.task, "learner": entry.learner, "runs": 0})
        row.update(entry.forecast)
        row["runs"] += not entry.finished
    if as_json:
        _print_json({"folder": str(folder), "runs": list(rows.values())})
    else:
        print_plan(_console(), list(rows.values()), asked.workers)


def _train(asked: Any, out: str | None, force: bool, as_json: bool) -> None:
    from eggym.config import resolve
    from eggym.progress import show_events
    from eggym.train import default_folder, run_plan

    _one_thread()
    plan = resolve(asked)
    folder = Path(out) if out else default_folder(plan)
    record = run_plan(plan, folder, show_events(_console(stderr=True)), force)
    if as_json:
        _print_json({"folder": str(folder), "record": record.model_dump(by_alias=True)})
    else:
        start, end = record.start(record.primary).mean, record.final(record.primary).mean
        typer.echo(f"{record.primary} reward on {record.task.id}: {start:.3f} -> {end:.3f} in {record.n_steps} updates")
        typer.echo(str(folder))


def _show_single_plan(asked: Any, force: bool, as_json: bool) -> None:
    from dataclasses import asdict

    from eggym.config import resolve
    from eggym.tables import print_plan
    from eggym.train import look_ahead

    _one_thread()
    plan = resolve(asked)
    found = look_ahead(plan, force)
    row = {
        "task": plan.task.id,
        "learner": plan.spec.name,
        "runs": 1,
        **asdict(found),
        "total_seconds": found.total_seconds,
    }
    if as_json:
        _print_json(row)
    else:
        print_plan(_console(), [row], 1)


def _modes(found: Any) -> list[tuple[str, Any]]:
    return [("greedy", found.greedy), ("sampled", found.sampled)]


def _score(score: Any) -> list[str]:
    numbers = ["-" if value is None else f"{value:.3f}" for value in (score.mean, score.se)]
    states = ", ".join(f"{count} {state}" for state, count in sorted(score.states.items()))
    return [*numbers, str(score.n_items), states]


def _one_thread() -> None:
    import torch

    torch.set_num_threads(
        1
    )  # a small model gains nothing from more, and results must not depend on the machine's cores


def _console(stderr: bool = False) -> Any:
    from rich.console import Console

    return Console(stderr=stderr)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


def _fail(line: str, code: int) -> None:
    print(f"eggym: {line}", file=sys.stderr)
    sys.exit(code)
