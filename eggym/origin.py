"""Which code is running: versions of distributions, and the commit of the checkout that a file lies in."""

import importlib.metadata
import os
import subprocess
from pathlib import Path


def version(distribution: str) -> str | None:
    """Return the installed version of a distribution without importing it; None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def git_state(source: Path) -> tuple[str | None, bool | None]:
    """Return commit and dirtiness of the checkout that tracks the file ``source``; (None, None) if none does.

    A package installed inside somebody's checkout is not tracked by it, and so does not borrow its commit.
    """
    if _git(source.parent, "ls-files", "--error-unmatch", source.name) is None:
        return None, None
    commit = _git(source.parent, "rev-parse", "HEAD")
    changes = _git(source.parent, "status", "--porcelain", "--untracked-files=no")
    return commit, None if changes is None else bool(changes)


def _git(folder: Path, *words: str) -> str | None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True, env=environment)
    except (
        OSError,
        subprocess.SubprocessError,
    ):  # no git, no checkout, an untracked file
        return None
    return done.stdout.strip()
