"""The verbs that make the boards' site and show it on this machine. Heavy imports stand inside them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from eggym.flags import Json, print_json

from .options import HOME, Root

SiteOut = Annotated[Path | None, typer.Option("--out", help="Folder for the site. Default: site below --root.")]
Boards = Annotated[list[str] | None, typer.Option("--board", help="Only this board: name or file. Repeatable.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Of 127.0.0.1; 0: any that is free.")]


def build(root: Root = HOME, out: SiteOut = None, board: Boards = None, as_json: Json = False) -> None:
    """Build the site of the boards: one folder of plain files that asks nothing of anyone.

    The same records give the same bytes. An earlier site in the folder is replaced as a whole.

    Example: eggym board build --out site
    """
    folder = out or root / "site"
    written = _build(root, folder, board)
    if as_json:
        print_json({"folder": str(folder), "files": [path.relative_to(folder).as_posix() for path in written]})
        return
    size = sum(path.stat().st_size for path in written)
    typer.echo(f"{folder / 'index.html'}: {len(written)} files, {size / 1e6:.1f} MB")


def serve(root: Root = HOME, out: SiteOut = None, board: Boards = None, port: Port = 8000) -> None:
    """Build the site and show it on this machine alone, until Ctrl-C.

    Example: eggym board serve --port 8000
    """
    folder = out or root / "site"
    _build(root, folder, board)
    with _server(folder, port) as server:
        typer.echo(f"http://127.0.0.1:{server.server_address[1]}/ shows {folder}; Ctrl-C ends it")
        try:
            server.serve_forever()
        except KeyboardInterrupt as stop:
            typer.echo("eggym: stopped", err=True)
            raise typer.Exit(0) from stop


def _build(root: Path, folder: Path, board: list[str] | None) -> list[Path]:
    from .board_site import build_site
    from .place import Place

    return build_site(Place(root), folder, board or ())


def _server(folder: Path, port: int) -> Any:
    """Return a server of plain files on the loopback address.

    Raises:
        EggymError: the port is taken.
    """
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    from eggym.errors import EggymError

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the terminal shows where the site is."""

    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(Quiet, directory=str(folder)))
    except OSError as problem:
        raise EggymError(
            f"port {port} of 127.0.0.1 cannot be used: {problem.strerror or problem}; choose another with --port"
        ) from problem
