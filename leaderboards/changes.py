"""What a submission changed, by git: records may be added, and the ledger may grow; nothing else of them may move.

Nor may the rules of a board on which records stand: who is judged brings no rules along. What the ledger says more than
that records were added is told, for a stranger may withdraw others or call his own verified.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from eggym.errors import BadValue
from eggym.lock import LOCK

from .ledger import Event
from .place import Place


@dataclass(frozen=True, slots=True)
class Changed:
    """What is new since a commit."""

    records: list[Path]  # folders, in order
    notes: list[str]  # lines of the ledger that are more than the addition of these records, each as a sentence


def changed_since(place: Place, ref: str) -> Changed:
    """Return what is new since a commit or branch.

    Args:
        place: in a checkout.
        ref: such as ``origin/main``.

    Raises:
        BadValue: git cannot tell, a record that was there before was changed or taken out, the rules of a board that
            has records were, or the ledger was not only appended to, or was damaged.
    """
    if ref.startswith("-"):
        raise BadValue(f"{ref!r} is an option of git, and no commit or branch")
    root = place.root.resolve()
    if not _git(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", missing=""):
        raise BadValue(f"git knows no commit or branch {ref!r} in {root}; fetch it, or name another")
    lines = _git(root, "diff", "--name-status", "--no-renames", "--relative", "-z", ref, "--", ".").split("\0")
    files = [(state, Path(name)) for state, name in zip(lines[::2], lines[1::2], strict=False)]
    untracked = _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", ".").split("\0")
    files += [("A", Path(name)) for name in untracked if name]
    files = [(state, path) for state, path in files if path.name != LOCK]
    played = {path.name for path in place.records.iterdir()} if place.records.is_dir() else set()
    for state, path in files:
        _refuse_moved(place, state, path, ref, played)
    n_before = _lines_before(place, ref)
    folders = {place.records / Path(*path.parts[1:4]) for _, path in files if path.parts[0] == place.records.name}
    names = {"/".join(folder.parts[-3:]) for folder in folders}
    notes = [_told(event) for event in place.ledger().events[n_before:] if (event.kind, event.record in names) != _NEW]
    return Changed(sorted(folders), notes)


_NEW = ("added", True)  # what every submission does to the ledger


def _told(event: Event) -> str:
    if event.kind == "withdrawn":
        return f"the ledger withdraws {event.record}: {event.reason}"
    said = "" if event.ok else ", and it did not agree"
    return f"the ledger says that {event.record} was {event.kind}{said}; who doubts it gives the command again"


def _refuse_moved(place: Place, state: str, path: Path, ref: str, played: set[str]) -> None:
    what = "taken out" if state == "D" else "changed"
    if path.parts[0] == place.records.name and state != "A":
        raise BadValue(f"{path} was {what} since {ref}; records stay as they are, and a withdrawal is a ledger line")
    if path.parts[0] == "boards" and state != "A" and path.stem in played:
        raise BadValue(
            f"{path} was {what} since {ref}, and records stand on that board; its rules stay as they are, and other "
            "rules make another board"
        )


def _lines_before(place: Place, ref: str) -> int:
    """Return how many lines the ledger had, all of which it must still have."""
    name = place.ledger_path.name
    before = _git(place.root.resolve(), "show", f"{ref}:./{name}", missing="")
    now = place.ledger_path.read_bytes().decode(errors="surrogateescape") if place.ledger_path.exists() else ""
    if not now.startswith(before):
        raise BadValue(f"{place.ledger_path} was not only appended to since {ref}; restore the lines that were there")
    return before.count("\n")


def _git(folder: Path, *words: str, missing: str | None = None) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, timeout=60, check=True)  # noqa: S607 - git is found as at a terminal
    except subprocess.CalledProcessError as problem:
        if missing is not None:
            return missing
        reason = problem.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it failed"]
        raise BadValue(f"git {words[0]} in {folder}: {reason[0]}") from problem
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise BadValue(f"git {words[0]} in {folder}: {problem}") from problem
    return done.stdout.decode(errors="surrogateescape")  # file names may be any bytes
