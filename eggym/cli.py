"""The ``eggym`` command: its verbs, and how errors reach a person.

Exit codes: 0 done, 1 a check failed, 2 the input was refused, 130 stopped by Ctrl-C.
"""

import os
import sys
import time
from importlib import import_module
from typing import Annotated

import typer

from eggym.bench_verbs import bench
from eggym.doctor_verb import doctor
from eggym.duel_verb import duel
from eggym.errors import BadValue, EggymError, scarcity
from eggym.es_verbs import probe, replay
from eggym.run_verbs import eval_, train
from eggym.task_verbs import bake, check, compare, export, list_, play
from eggym.torchrun import here, world
from eggym.watch_verbs import runs, status, track
from eggym.wording import printable

_AFTER_RANK_0_S = 5.0  # that other ranks wait before they speak

app = typer.Typer(
    name="eggym",
    help="Decide between evolution strategies and reinforcement learning for post-training a language model.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from eggym.origin import version

        typer.echo(f"eggym {version('eggym')}")
        raise typer.Exit


@app.callback()
def top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")] = False,
) -> None:
    """Options of every verb."""
    verb, (_, size) = context.invoked_subcommand, world()
    if size > 1 and verb != "train":
        raise BadValue(
            f"torchrun started {size} of these, and {verb} shares no work among them (train does); start it without "
            "torchrun"
        )


app.command("list")(list_)
app.command()(check)
app.command()(play)
app.command("eval")(eval_)
app.command()(train)
app.command()(duel)
app.command()(status)
app.command()(runs)
app.command()(track)
app.command()(compare)
app.command()(probe)
app.command()(replay)
app.command()(export)
app.command()(bake)
app.command()(bench)
app.command()(doctor)
app.add_typer(import_module("eggym.leaderboards.verbs").app)  # by name: the core knows no leaf


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
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
        sys.exit(0)
    except OSError as problem:  # a disk or folder that fails at some place nobody thought of
        if debug:
            raise
        _fail(f"{problem.filename or 'the system'}: {problem.strerror or problem}", 2)
    except (MemoryError, RuntimeError) as problem:
        scarce = scarcity(problem)
        if debug or scarce is None:
            raise
        _fail(str(scarce), 2)


def _fail(line: str, code: int) -> None:
    """Say what failed, and end. What ends all ranks is said once, by rank 0, and torchrun ends who waits here."""
    rank, size = world()
    if rank:
        time.sleep(_AFTER_RANK_0_S)
    print(f"eggym: {f'rank {rank}: ' if size > 1 else ''}{printable(line)}", file=sys.stderr, flush=True)
    if here().size > 1:
        os._exit(code)  # a group that lost a rank may never be left
    sys.exit(code)
