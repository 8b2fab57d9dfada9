"""The verb that publishes boards; heavy imports stand inside it."""

from pathlib import Path
from typing import Annotated

import typer

from eggym.flags import Json, interruptible, print_json

from .options import HOME, Root


def publish(
    to: Annotated[str, typer.Option("--to", help="A folder, hf://datasets/ORG/NAME or hf://spaces/ORG/NAME.")],
    push: Annotated[
        bool, typer.Option("--push", help="Do it. Without: show what would be done, byte for byte.")
    ] = False,
    root: Root = HOME,
    board: Annotated[
        list[str] | None, typer.Option("--board", help="Only this board: name or file. Repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Build the site of the boards and publish it.

    Without --push nothing is sent, and nothing but the plan is told. The token is the one that `hf auth login` or
    HF_TOKEN gives to the hub's own library.

    Example: eggym board publish --to hf://spaces/my-name/my-boards
    """
    import tempfile

    from .board_site import build_site
    from .place import Place
    from .publish import plan
    from .publish import publish as carry_out

    with interruptible(), tempfile.TemporaryDirectory() as scratch:
        built = Path(scratch) / "site"
        build_site(Place(root), built, board or ())
        planned = plan(built, to)
        where = carry_out(planned, push)
    if as_json:
        print_json({**planned.as_dict(), "pushed": push, "at": where})
        return
    for line in planned.lines():
        typer.echo(line)
    typer.echo(f"published: {where}" if push else "nothing was sent or written; add --push to do it")
