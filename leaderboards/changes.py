"""What a submission changed, by git: records may be added, and the ledger may grow; nothing else of them may move."""

import subprocess
from pathlib import Path

from eggym.errors import BadValue

from .place import Place


def changed_records(place: Place, ref: str) -> list[Path]:
    """Return the record folders that are new since a commit or branch.

    Args:
        place: in a checkout.
        ref: such as ``origin/main``.

    Raises:
        BadValue: git cannot tell, a record that was there before was changed or taken out, or the ledger was not only
            appended to.
    """
    root = place.root.resolve()
    lines = _git(root, "diff", "--name-status", "--no-renames", "--relative", "-z", ref, "--", ".").split("\0")
    files = [(state, Path(name)) for state, name in zip(lines[::2], lines[1::2], strict=False)]
    untracked = _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", ".").split("\0")
    files += [("A", Path(name)) for name in untracked if name]
    for state, path in files:
        if path.parts[0] == place.records.name and state != "A":
            what = "taken out" if state == "D" else "changed"
            raise BadValue(
                f"{path} was {what} since {ref}; records stay as they are, and a withdrawal is a ledger line"
            )
    _refuse_rewritten(place, ref)
    folders = {place.records / Path(*path.parts[1:4]) for _, path in files if path.parts[0] == place.records.name}
    return sorted(folders)


def _refuse_rewritten(place: Place, ref: str) -> None:
    name = place.ledger_path.name
    before = _git(place.root.resolve(), "show", f"{ref}:./{name}", missing="")
    now = place.ledger_path.read_text(encoding="utf-8") if place.ledger_path.exists() else ""
    if not now.startswith(before):
        raise BadValue(f"{place.ledger_path} was not only appended to since {ref}; restore the lines that were there")


def _git(folder: Path, *words: str, missing: str | None = None) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=60, check=True
        )
    except subprocess.CalledProcessError as problem:
        if missing is not None:
            return missing
        reason = problem.stderr.strip().splitlines()[-1:] or ["it failed"]
        raise BadValue(f"git {words[0]} in {folder}: {reason[0]}") from problem
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise BadValue(f"git {words[0]} in {folder}: {problem}") from problem
    return done.stdout
