"""The verbs ``eggym board``: list, run, add, verify, withdraw, pin. Heavy imports stand inside them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from eggym.flags import Data, DryRun, Force, Json, Learners, Model, Out, Set, Workers, console, print_json

from .options import HOME, Root

app = typer.Typer(
    name="board",
    help="Leaderboards in which every row can be verified by one command.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

BoardName = Annotated[str, typer.Argument(help="Name of a board, or its YAML file.")]


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(help="Show the rules of one board.")] = None,
    root: Root = HOME,
    as_json: Json = False,
) -> None:
    """Show the boards, or the rules of one.

    Example: eggym board list tiny-default
    """
    from .listing import overview, rules_of
    from .place import ELSEWHERE, Place

    place = Place(root)
    rows = overview(place) if name is None else [rules_of(place, name)]
    if as_json:
        print_json(rows if name is None else rows[0])
    elif name is None:
        from eggym.tables import print_rows

        columns = ("board", "title", "model", "budget", "rows", "records")
        print_rows(console(), columns, [tuple(str(row[column]) for column in columns) for row in rows])
        typer.echo("\neggym board list NAME shows the rules of one; eggym board run NAME --learner X runs them.")
        if not place.records.is_dir():
            typer.echo(f"no records lie in {place.records}; {ELSEWHERE}", err=True)
    else:
        _print_rules(rows[0])


@app.command()
def run(
    name: BoardName,
    learner: Learners = None,
    model: Model = None,
    data: Data = None,
    out: Out = None,
    set_: Set = None,
    workers: Workers = None,
    only: Annotated[bool, typer.Option("--only", help="Without the controls that the row will need.")] = False,
    root: Root = HOME,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Run learners by the rules of a board: every task with every seed, and their controls.

    Controls that stand on the board already are not run again. The same command continues what was stopped. A learner
    is named, or is a file of your own (docs/learners.md). Without --out the runs lie in runs/board-NAME.

    Example: eggym board run tiny-default --learner eggroll
    """
    from eggym.config_file import parse_set
    from eggym.duel_verb import fight, plan_all, show_plan

    from .place import Place
    from .protocol import asked_for

    if not learner:
        raise typer.BadParameter("give at least one --learner; eggym list learners shows them")
    asked = asked_for(Place(root), name, learner, model, data, parse_set(set_ or []), out, workers, force, not only)
    if not as_json:
        typer.echo(f"board {name}: {', '.join(asked.config.learner)}\n", err=True)
    told = show_plan(asked, plan_all({None: asked})[None], as_json) if dry_run else fight(asked, as_json)
    if as_json:
        print_json(told)
    elif not dry_run:
        typer.echo(f"on the board: eggym board add {name} {asked.folder}")


@app.command()
def add(
    name: BoardName,
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders that hold some.")],
    by: Annotated[str | None, typer.Option(help="Who submits, as to be shown.")] = None,
    note: Annotated[str | None, typer.Option(help="One line to be shown beside the row.")] = None,
    link: Annotated[list[str] | None, typer.Option(help="Where replies, weights or a report lie. Repeatable.")] = None,
    corrects: Annotated[str | None, typer.Option(help="Why these take the place of withdrawn records.")] = None,
    root: Root = HOME,
    as_json: Json = False,
) -> None:
    """Check finished runs against a board's rules, and copy them to it as records.

    All or nothing: a missing seed or control, a changed file or another setting refuses all of them.

    Example: eggym board add tiny-default runs/board-tiny-default
    """
    from .adding import add as add_runs
    from .place import Place
    from .writing import Submission

    found = add_runs(Place(root), name, runs, Submission(by, note, tuple(link or ()), corrects))
    if as_json:
        print_json([{"run": str(one.run), "record": one.record, "new": one.new} for one in found])
        return
    new = [one for one in found if one.new]
    for one in new:
        typer.echo(one.record)
    typer.echo(f"{len(new)} records added, {len(found) - len(new)} were there; eggym board verify {name} checks them")


@app.command()
def withdraw(
    records: Annotated[list[str], typer.Argument(help="Rows (BOARD/LEARNER) or records.")],
    reason: Annotated[str, typer.Option(help="Shown wherever they stood.")] = "",
    root: Root = HOME,
) -> None:
    """Take records back, by a line in the ledger. They stay where they are, and are shown as withdrawn.

    Example: eggym board withdraw tiny-default/eggroll@mine --reason "trained on test items"
    """
    from .adding import withdraw as take_back
    from .place import Place

    for one in take_back(Place(root), records, reason):
        typer.echo(f"withdrawn: {one}")


@app.command()
def pin(file: Annotated[Path, typer.Argument(help="A board's YAML file.")], data: Data = None) -> None:
    """Resolve the configuration of a new board's runs, and write it beside its file.

    Example: eggym board pin leaderboards/boards/mine.yaml
    """
    from .pinning import pin as write_pinned

    typer.echo(str(write_pinned(file, data)))


def _print_rules(rules: dict[str, Any]) -> None:
    from eggym.wording import printable

    typer.echo(f"{printable(rules['title'])}\n{printable(rules['about'])}\n")
    width = max(len(name) for name in rules["rules"])
    for name, value in rules["rules"].items():
        typer.echo(f"{name:<{width}}  {printable(str(value))}")


from .card_verb import card  # noqa: E402  # below `app`, to which they belong
from .publish_verb import publish  # noqa: E402
from .site_verbs import build, serve  # noqa: E402
from .verify_verb import verify  # noqa: E402

for verb in (verify, build, serve, publish, card):
    app.command()(verb)
