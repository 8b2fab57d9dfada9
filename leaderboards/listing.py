"""What ``eggym board list`` tells."""

from typing import Any

from eggym.wording import short

from .board import Board, read_board
from .place import Place


def overview(place: Place) -> list[dict[str, Any]]:
    """Return a row for each board: what it asks, and how many records stand on it."""
    found = []
    for path in place.board_files().values():
        board = read_board(path)
        folders = list(place.folders(board.name))
        found.append(
            {
                "board": board.name,
                "title": board.title,
                "tasks": ", ".join(map(short, board.labels)),
                "model": board.model.name,
                "budget": board.budget,
                "seeds": len(board.seeds),
                "rows": len({folder.parts[-2] for folder in folders}),
                "records": len(folders),
            }
        )
    return found


def rules_of(place: Place, name: str) -> dict[str, Any]:
    """Return title, description and rules of one board."""
    board, path = place.board(name)
    return {
        "board": board.name,
        "title": board.title,
        "about": " ".join(board.about.split()),
        "file": str(path),
        "rules": _rules(board),
    }


def _rules(board: Board) -> dict[str, Any]:
    settings = ", ".join(f"{name}={value}" for name, value in board.settings.items())
    tuning = board.tuning
    return {
        "version": f"{board.version}, since {board.opened}",
        "model": board.model.name if board.model.sha256 is None else f"{board.model.name} ({board.model.sha256[:12]})",
        "tasks": ", ".join(f"{one.task} ({one.digest[:12]})" for one in board.tasks),
        "budget": board.budget,
        "seeds": ", ".join(map(str, board.seeds)),
        "split": board.split or f"not revealed; its SHA-256 is {board.commitment}",
        "controls": ", ".join(board.controls),
        "tuning": f"{tuning.trials} trials" + (f" of {tuning.budget}" if tuning.budget else "")
        if tuning.trials
        else "none",
        "own settings": board.own_settings,
        "target": f"{board.target:g} of the way to the largest reward",
        "machine": f"{board.device}, {board.dtype}, {board.memory}",
        "settings": settings or "the defaults",
    }
