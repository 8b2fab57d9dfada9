"""The verbs that look at runs from outside: status, runs, track. They start no torch, and touch nothing of a run."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eggym.errors import BadValue, UnknownName
from eggym.flags import Json, console, print_json

if TYPE_CHECKING:
    from eggym.glimpse import Glimpse

_HERE = Path("runs")
_EVERY_S = 2.0  # between two looks on a terminal,
_SELDOM_S = 10.0  # and elsewhere
Folder = Annotated[Path, typer.Argument(help="Folder of a run, or of several, such as a duel's.")]


def status(
    folder: Folder,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Look again and again until it ends.")] = False,
    prometheus: Annotated[
        str | None, typer.Option(help="Write metrics for node_exporter's textfile collector to this file; -: print.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show how far a run is, or the runs of a duel.

    State, step, pace and time left, rewards, evaluations, replies that failed, checkpoint, workers; of a run that was
    stopped, the command that continues it. The run is not disturbed.

    Exit code: 0 while all runs are running, waiting or finished (trials: diverged too), 1 if one was stopped, never
    begun or is damaged, 2 if there is none.

    Example: eggym status runs/mine --follow
    """
    if prometheus is not None and as_json:
        raise BadValue("give --prometheus or --json, not both")
    found = _look(folder)
    try:
        if not follow:
            _show(folder, found, prometheus, as_json)
        elif prometheus is None and not as_json and console().is_terminal:
            found = _follow_live(folder, found)
        else:
            found = _follow(folder, found, prometheus, as_json)
    except KeyboardInterrupt as stop:  # the run goes on
        raise typer.Exit(130) from stop
    raise typer.Exit(0 if all(_is_well(seen) for seen in found) else 1)


def runs(
    folder: Annotated[Path, typer.Argument(help="Where they lie.")] = _HERE,
    as_json: Json = False,
) -> None:
    """List all runs of a folder, the newest first.

    Trials of a duel's tuning are left out. eggym status FOLDER tells more of one.
    """
    from eggym.glimpse_json import brief_facts
    from eggym.scan import look_below

    if not folder.is_dir() and folder != _HERE:
        raise UnknownName(f"no folder {str(folder)!r}")
    found = sorted(look_below(folder), key=lambda seen: -(seen.last_at or 0.0))
    if as_json:
        print_json([brief_facts(seen) for seen in found])
    elif not found:
        typer.echo(
            f"no runs in {str(folder)!r}; eggym train and eggym duel put theirs into 'runs' unless --out is given"
        )
    else:
        from eggym.watch_tables import print_runs, tally

        print_runs(console(), folder, found)
        if len(found) > 1:
            typer.echo(tally(found))


def track(folder: Folder, as_json: Json = False) -> None:
    """Write the curves of a run, or of all below a folder, for TensorBoard.

    They are written to RUN/track anew, which is no part of the run. Needs the extra tensorboard.

    Example: eggym track runs/mine; tensorboard --logdir runs/mine
    """
    from eggym.glimpse import State
    from eggym.track import convert, refuse_without_tensorboard
    from eggym.wording import printable

    refuse_without_tensorboard()
    begun = [seen.folder for seen in _look(folder) if seen.state not in (State.WAITING, State.UNBEGUN)]
    written = {str(path): convert(path) for path in begun}
    if as_json:
        print_json(written)
    else:
        typer.echo(
            printable(
                f"{sum(written.values())} steps and evaluations of {len(written)} run{'s' * (len(written) != 1)}: "
                f"tensorboard --logdir {folder}"
            )
        )


def _look(folder: Path) -> "list[Glimpse]":
    """Look at the run in a folder, or at all below it.

    Raises:
        UnknownName: there is no such folder, or no run.
    """
    from eggym.scan import look_below

    if not folder.is_dir():
        raise UnknownName(f"no folder {str(folder)!r}; eggym runs lists those that there are")
    found = look_below(folder)
    if not found:
        raise UnknownName(f"no run in {str(folder)!r}; eggym runs lists those that there are")
    return found


def _is_well(seen: "Glimpse") -> bool:
    return seen.state.value in ("running", "waiting", "finished", "diverged")


def _goes_on(found: "Sequence[Glimpse]") -> bool:
    return any(seen.state.value in ("running", "waiting") for seen in found)


def _show(folder: Path, found: "Sequence[Glimpse]", prometheus: str | None, as_json: bool) -> None:
    from eggym.glimpse_json import told

    if prometheus is not None:
        _export(found, prometheus)
    elif as_json:
        print_json(told(folder, found))
    else:
        _print(console(), folder, found)


def _print(target: Any, folder: Path, found: "Sequence[Glimpse]") -> None:
    from eggym.scan import trials_done
    from eggym.watch_tables import print_below, print_run

    if len(found) == 1 and found[0].folder == folder:
        print_run(target, found[0])
    else:
        print_below(target, folder, found, trials_done(folder))


def _export(found: "Sequence[Glimpse]", path: str) -> None:
    from eggym.exposition import exposition
    from eggym.files import write_bytes

    text = exposition(found)
    if path == "-":
        typer.echo(text, nl=False)
    elif not path or (Path(path).exists() and not Path(path).is_file()) or Path(path).is_symlink():
        raise BadValue(f"--prometheus writes a file of its own, and {path!r} is none; give a file, or - to print")
    else:
        write_bytes(Path(path), text.encode())  # all or nothing: who collects it may read at any moment


def _again(folder: Path, found: "list[Glimpse]", every_s: float) -> "Iterator[list[Glimpse]]":
    """Yield what there is now, and again after every pause, until nothing goes on."""
    while True:
        yield found
        if not _goes_on(found):
            return
        time.sleep(every_s)
        found = _look(folder)


def _follow(folder: Path, found: "list[Glimpse]", prometheus: str | None, as_json: bool) -> "list[Glimpse]":
    """Keep a file fresh, or print a line for every change."""
    from eggym.glimpse_json import told
    from eggym.watch_tables import line_of, tally

    said: dict[Path, str] = {}
    for now in _again(folder, found, _SELDOM_S):
        found = now
        if prometheus is not None:
            _export(found, prometheus)
        elif as_json:
            typer.echo(json.dumps(told(folder, found), allow_nan=False))
        else:
            lines = {seen.folder: line_of(seen) for seen in found}
            for line in (lines[path] for path in lines if said.get(path) != lines[path]):
                typer.echo(line)
            said = lines
    if prometheus is None and not as_json and len(found) > 1:
        typer.echo(tally(found))
    return found


def _follow_live(folder: Path, found: "list[Glimpse]") -> "list[Glimpse]":
    from io import StringIO

    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    screen = console()
    with Live(console=screen, auto_refresh=False) as live:
        for now in _again(folder, found, _EVERY_S):
            found = now
            page = StringIO()
            _print(Console(file=page, force_terminal=True, width=screen.width), folder, found)
            live.update(Text.from_ansi(page.getvalue()), refresh=True)
    return found
