"""Where boards, records and the ledger lie: one folder, ``leaderboards`` by default.

    boards/NAME.yaml  boards/pinned/NAME.json  records/BOARD/LEARNER/RUN/  ledger.jsonl

Boards that come with eggym are known everywhere; a board of one's own is named by its file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eggym.errors import BadValue, unknown
from eggym.wording import slug

from .board import Board, read_board
from .ledger import LEDGER, Ledger
from .stored import Entry, read_entry

SHIPPED = Path(__file__).parent / "boards"
ELSEWHERE = "stand in a copy of the repository, or name the folder that holds records/ with --root"


@dataclass(frozen=True, slots=True)
class Place:
    """One collection of boards and records."""

    root: Path

    @property
    def records(self) -> Path:
        """Where the records lie."""
        return self.root / "records"

    @property
    def ledger_path(self) -> Path:
        """Where the ledger lies."""
        return self.root / LEDGER

    def ledger(self) -> Ledger:
        """Read the ledger."""
        return Ledger(self.ledger_path)

    def board_files(self) -> dict[str, Path]:
        """Return the files of all boards by name: those of this place before those that eggym ships."""
        folders = (SHIPPED, self.root / "boards")
        found = {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}
        return dict(sorted(found.items()))

    def board_path(self, name: str) -> Path:
        """Return the file of a board, by name or by its own path.

        Raises:
            UnknownName: there is none; the nearest is named.
        """
        if name.endswith((".yaml", ".yml")):
            path = Path(name)
            if not path.is_file():
                raise BadValue(f"there is no board file {name!r}")
            return path
        known = self.board_files()
        if name not in known:
            raise unknown("board", name, known)
        return known[name]

    def board(self, name: str) -> tuple[Board, Path]:
        """Return a board with its file."""
        path = self.board_path(name)
        return read_board(path), path

    def folders(self, board: str | None = None) -> Iterator[Path]:
        """Yield every record folder, of one board or of all, in the order of their paths; nothing is read.

        Raises:
            BadValue: a link lies on the way, or a file where a folder should be.
        """
        level = [self.records] if self.records.exists() else []
        for depth in range(3):
            level = [path for folder in level for path in _inside(folder) if depth or board in (None, path.name)]
        yield from level

    def entries(self, board: str) -> list[Entry]:
        """Read the manifests of all records of a board."""
        return [read_entry(folder) for folder in self.folders(board)]

    def named(self, record: str) -> list[Path]:
        """Return the record folders that a name means: board, board/learner, board/learner/run, or a path.

        Raises:
            BadValue: no record lies there.
        """
        parts = Path(record).parts
        if Path(record).is_dir() and ".." not in parts and self.records.resolve() in Path(record).resolve().parents:
            parts = Path(record).resolve().relative_to(self.records.resolve()).parts
        parts = (*parts[:1], *map(slug, parts[1:2]), *parts[2:])  # a row goes by its learner's name as it is shown, too
        found = [path for path in self.folders() if path.relative_to(self.records).parts[: len(parts)] == parts]
        if not self.records.is_dir():
            raise BadValue(f"no records lie in {self.records}; {ELSEWHERE}")
        if not found or not parts:
            rows = sorted({"/".join(path.parts[-3:-1]) for path in self.folders()})
            raise unknown("record", record, rows)
        return found


def _inside(folder: Path) -> list[Path]:
    if folder.is_symlink():
        raise BadValue(f"{folder} is a link; records are plain folders")
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in found:
        if path.is_symlink() or not path.is_dir():
            raise BadValue(f"{path} is no folder; records lie at BOARD/LEARNER/RUN, and nothing else beside them")
    return found
