"""What a publication would be: every file with its size and SHA-256, and where it would go.

Planning reads the built folder alone and asks nobody: it sends nothing, and writes nothing.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from eggym.errors import BadValue

SUMS = "MANIFEST.sha256"
Kind = Literal["folder", "dataset", "space"]
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


@dataclass(frozen=True, slots=True)
class Planned:
    """One file: its path in the publication, and what is in it."""

    path: str
    content: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """The digest of its content."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def bytes(self) -> int:
        """Its size."""
        return len(self.content)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a publication would write."""

    kind: Kind
    where: str  # path of the folder, or ORG/NAME
    target: str  # as it was given
    files: tuple[Planned, ...]  # by path
    removed: tuple[str, ...] = ()  # of a folder: what an earlier publication wrote and this one has no more
    notes: tuple[str, ...] = ()  # what is to be known before

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "target": self.target,
            "kind": self.kind,
            "where": self.where,
            "files": [{"path": one.path, "bytes": one.bytes, "sha256": one.sha256} for one in self.files],
            "total_bytes": self.total,
            "removed": list(self.removed),
            "notes": list(self.notes),
        }

    def lines(self) -> Iterator[str]:
        """Yield it for people, a file to a line."""
        what = {"folder": "folder", "dataset": "dataset repository", "space": "static Space"}[self.kind]
        yield f"{what} {self.where}: {len(self.files)} files, {self.total} bytes"
        for file in self.files:
            yield f"  {file.sha256}  {file.bytes:>9}  {file.path}"
        for path in self.removed:
            yield f"  to be removed, as the site has it no more: {path}"
        yield from self.notes


def built_files(built: Path) -> tuple[Planned, ...]:
    """Read a built site, and hold every file to the site's own list.

    Raises:
        BadValue: it has no list, or a file is missing, was changed, is not in the list or is no plain file.
    """
    if not (built / SUMS).is_file():
        raise BadValue(f"{built} is no built site: it has no {SUMS}; build one with eggym board build")
    found: dict[str, bytes] = {}
    for path in sorted(built.rglob("*")):
        name = path.relative_to(built).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise BadValue(f"{name} in {built} is no plain file; build the site again")
        if path.is_file():
            found[name] = path.read_bytes()
    told = sums(found[SUMS].decode(errors="replace"), str(built / SUMS))
    wrong = [name for name in told.keys() ^ (found.keys() - {SUMS})]
    wrong += [name for name, one in told.items() if name in found and hashlib.sha256(found[name]).hexdigest() != one]
    if wrong:
        raise BadValue(f"{min(wrong)} in {built} is not what {SUMS} says; build the site again")
    return tuple(Planned(name, content) for name, content in sorted(found.items()))


def sums(text: str, where: str) -> dict[str, str]:
    """Return the digests in a list as ``sha256sum`` writes it, by path.

    Raises:
        BadValue: a line is of another form, or names a path that leads elsewhere.
    """
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.fullmatch(line)
        path = PurePosixPath(match[2]) if match else None
        if match is None or path is None or path.is_absolute() or ".." in path.parts or str(path) != match[2]:
            raise BadValue(f"{where}, line {number}, is no digest and path of a file; build the site again")
        found[match[2]] = match[1]
    return found
