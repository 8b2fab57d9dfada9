"""The flags of the command and what its verbs share; no heavy import stands here.

Results go to standard output, progress to standard error.
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

Tasks = Annotated[list[str] | None, typer.Option("--task", help="Task: id, my_task.py or module:NAME. Repeatable.")]
Learners = Annotated[
    list[str] | None,
    typer.Option(
        "--learner",
        help="Learner name; NAME@X: the same, set apart by --set NAME@X.a=b. Repeatable.",
    ),
]
Model = Annotated[str | None, typer.Option(help="embedded-v0 (or -v1), a folder, or a hub id.")]
Data = Annotated[str | None, typer.Option(help="Where a data-set task finds its rows: a JSONL file or folder.")]
Split = Annotated[str | None, typer.Option(help="train, validation, test or test:SALT.")]
BudgetText = Annotated[str | None, typer.Option(help="512episodes, 2e6tokens, 1e18flops, 60cpu-s or 10min.")]
Seed = Annotated[list[int] | None, typer.Option("--seed", help="One seed. Repeatable.")]
Seeds = Annotated[int | None, typer.Option(help="How many seeds: 0, 1, ...")]
Out = Annotated[str | None, typer.Option(help="Folder for the result.")]
Memory = Annotated[str | None, typer.Option(help="What the engine may use, such as 8GiB.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")]
Dtype = Annotated[str | None, typer.Option(help="auto, float32, bfloat16, float16 or int8.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Any setting, as a.b=c (eggroll.sigma=0.02). Repeatable.")]
Config = Annotated[Path | None, typer.Option(help="YAML file with the names of these flags; flags override it.")]
Workers = Annotated[int | None, typer.Option(help="Worker processes, one thread each.")]
RewardWorkers = Annotated[int | None, typer.Option(help="Processes that judge replies.")]
Executor = Annotated[str, typer.Option(help="Where workers live: processes, or ray (a cluster).")]
KeepLast = Annotated[
    int | None,
    typer.Option(
        help="Keep the last so many checkpoints, also after the end. Each takes the trained weights on disk, what the "
        "learner holds (Adam: twice that again) and the chosen weights (eval.checkpoint=best); while one is written "
        "there is one more. Default: 2, until the end."
    ),
]
KeepBest = Annotated[
    bool,
    typer.Option(
        "--keep-best/--no-keep-best",
        help="Keep the checkpoint of the best evaluation so far, also after the end: on validation where "
        "eval.checkpoint=best, else on the items that also judge the run, which flatters it.",
    ),
]
Tune = Annotated[int | None, typer.Option(help="Trials of each learner before the runs, judged on validation.")]
TuneTask = Annotated[str | None, typer.Option(help="Tune on this task for all. Default: each task for itself.")]
TuneBudget = Annotated[str | None, typer.Option(help="Of a trial. Default: that of a run.")]
TuneItems = Annotated[int | None, typer.Option(help="Validation items that judge a trial. Default: eval.items.")]
Parts = Annotated[list[str] | None, typer.Option("--part", help="Of a file with parts: only this one. Repeatable.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what it would take, and write nothing.")]
Force = Annotated[bool, typer.Option("--force", help="Also run a budget that is too small for 5 updates.")]
Track = Annotated[str | None, typer.Option(help="Also write curves for another program: tensorboard.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def one_thread() -> None:
    """Keep torch to one thread: all that a command of one process needs."""
    import torch

    torch.set_num_threads(
        1
    )  # a small model gains nothing from more, and results must not depend on the machine's cores


def console(stderr: bool = False) -> Any:
    """Return rich's console, on standard output or standard error."""
    from rich.console import Console

    return Console(stderr=stderr)


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C into one line and exit code 130."""
    try:
        yield
    except KeyboardInterrupt as stop:
        print("eggym: stopped; the same command continues where it was", file=sys.stderr)
        raise typer.Exit(130) from stop
