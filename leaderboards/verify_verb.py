"""The verb ``eggym board verify``."""

import sys
from typing import Annotated, Any

import typer

from eggym.flags import Data, Device, Json, Model, console, interruptible, one_thread, print_json

from .options import HOME, Root


def verify(
    records: Annotated[list[str] | None, typer.Argument(help="Boards, rows (BOARD/LEARNER) or records.")] = None,
    regrade: Annotated[bool, typer.Option("--regrade", help="Grade every kept reply again (L2).")] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Rebuild the weights of ES runs, and evaluate (L2).")
    ] = False,
    rerun: Annotated[bool, typer.Option("--rerun", help="Train again, one seed of each task of a row (L3).")] = False,
    spot: Annotated[int, typer.Option(min=0, help="With a replay: training episodes to make and grade again.")] = 0,
    again: Annotated[bool, typer.Option("--again", help="Also what the ledger holds already.")] = False,
    changed: Annotated[str | None, typer.Option(help="Only what is new since this commit or branch.")] = None,
    by: Annotated[str | None, typer.Option(help="Who verifies, as to be shown.")] = None,
    model: Model = None,
    learner: Annotated[
        str | None, typer.Option("--learner", help="File of a learner that is not part of eggym.")
    ] = None,
    data: Data = None,
    device: Device = None,
    root: Root = HOME,
    as_json: Json = False,
) -> None:
    """Verify what stands on boards.

    Without flags L0 and L1: the rules of the board, every file, and all numbers worked out again. What the flags ask
    beyond is noted in the ledger. Exit code 1 when anything is wrong. Nothing in a record is executed.

    Example: eggym board verify tiny-default --regrade --replay
    """
    from eggym.errors import BadValue

    from .place import Place
    from .rebuilding import Whereabouts
    from .verifying import Asked
    from .verifying import verify as look

    if not root.is_dir():  # else a misspelt folder would be one in which nothing is wrong
        raise BadValue(f"there is no folder {str(root)!r}; give the one with boards, records and ledger by --root")
    place, names = Place(root), list(records or [])
    if changed is not None:
        names += _new_since(place, changed)
        if not names:
            if as_json:
                print_json([])
            else:
                typer.echo(f"no record is new since {changed}")
            return
    one_thread()
    where = Whereabouts(model, data, device, learner)
    with interruptible():
        found = look(place, names, Asked(regrade, replay, rerun, spot, again, where, by), _tell)
    if as_json:
        print_json([_told(one) for one in found])
    elif not found:
        typer.echo(f"there are no records in {place.records}")
    else:
        for one in found:
            _print(one)
    if not all(one.ok for one in found):
        raise typer.Exit(1)


def _new_since(place: Any, ref: str) -> list[str]:
    """Return the names of the records that are new, and tell what else a submission did."""
    from eggym.wording import printable

    from .changes import changed_since

    new = changed_since(place, ref)
    for note in new.notes:
        typer.echo(printable(f"note: {note}"), err=True)
    return ["/".join(folder.parts[-3:]) for folder in new.records]


def _tell(name: str, what: str) -> None:
    doing = {"regraded": "grading again", "replayed": "rebuilding", "rerun": "training again"}
    print(f"{name}: {doing.get(what, what)}", file=sys.stderr, flush=True)


def _told(one: Any) -> dict[str, Any]:
    return {
        "board": one.board.name,
        "ok": one.ok,
        "rows": _rows(one),
        "faults": one.faults,
        "checks": [event.model_dump() for event in one.new],
    }


def _rows(one: Any) -> list[dict[str, Any]]:
    """Return the level of every row that was looked at, from its runs."""
    from .levels import row_level

    rows: dict[str, list[Any]] = {}
    for entry, standing in one.found:
        rows.setdefault(entry.record.learner.label, []).append((entry, standing))
    return [
        {
            "learner": label,
            "kind": found[0][0].record.learner.kind,
            "records": len(found),
            "level": row_level((entry.record.task.label, standing) for entry, standing in found),
            "checks": _counts(found),
        }
        for label, found in rows.items()
    ]


def _counts(found: list[Any]) -> dict[str, int]:
    kinds = [event.kind for _, standing in found for event in standing.checks if event.ok]
    return {kind: kinds.count(kind) for kind in ("regraded", "replayed", "rerun")}


def _print(one: Any) -> None:
    from eggym.tables import print_rows
    from eggym.wording import printable

    rows = [
        (
            printable(row["learner"]),
            row["kind"],
            str(row["records"]),
            "-" if row["level"] is None else f"L{row['level']}",
            *(f"{count} of {row['records']}" if count else "-" for count in row["checks"].values()),
        )
        for row in _rows(one)
    ]
    typer.echo(f"\nboard {one.board.name}")
    print_rows(console(), ("learner", "kind", "records", "level", "regraded", "replayed", "run again"), rows)
    for event in one.new:
        if not event.ok:
            typer.echo(printable(f"{event.record}: {event.kind}: {event.found.get('why')}"))
    for fault in one.faults:
        typer.echo(printable(fault))
    typer.echo("everything is as it should be" if one.ok else "NOT everything is as it should be")
