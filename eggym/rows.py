"""Rows of data from where they lie: a list, a file, a folder of files, or a data set of the Hugging Face hub.

A file is JSONL, also packed as ``.jsonl.gz``; a single ``.json`` file may hold one list of rows.
"""

import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from eggym.errors import BadValue
from eggym.unpacking import gunzipped

Row = Mapping[str, Any]
Source = str | Path | Sequence[Row]

_HUB_ID = re.compile(r"(?P<name>[\w-][\w.-]*/[\w.-]+)(?::(?P<config>[\w.-]+))?")


class Line(dict[str, Any]):
    """A row that knows the line of the file it stood in."""

    where: str = ""


def load_rows(source: Source, owner: str) -> dict[str, Sequence[Row]]:
    """Return the rows by the source's own splits; a list and a single file have one, called "".

    ``owner`` is named in errors. A hub id may carry a configuration: ``openai/gsm8k:main``. Rows of files are `Line`.

    Raises:
        BadValue: nothing is there, it holds no rows, a line is no JSON object, or the hub cannot be reached.
    """
    if not isinstance(source, str | Path):
        return {"": _listed(source, owner)}
    try:
        path = Path(source).expanduser()
        files = sorted([*path.glob("*.jsonl"), *path.glob("*.jsonl.gz")]) if path.is_dir() else None
        is_file = path.is_file()
    except (OSError, ValueError, RuntimeError) as problem:  # too long, a NUL in it, no such user behind "~"
        reason = getattr(problem, "strerror", None) or problem  # an OSError repeats the whole path
        raise BadValue(f"no data at {str(source)!r:.200} for task {owner!r}: {reason}") from problem
    if files is not None:
        if not files:
            raise BadValue(f"no *.jsonl file in folder {str(source)!r} for task {owner!r}")
        return {file.name.partition(".jsonl")[0]: _read_jsonl(file) for file in files}
    if is_file:
        return {"": _read_json(path) if path.suffix == ".json" else _read_jsonl(path)}
    hub = _HUB_ID.fullmatch(str(source))
    if hub is None or path.suffix in (".jsonl", ".json", ".gz"):
        raise BadValue(
            f"no data at {str(source)!r:.200} for task {owner!r}; give a JSONL file, a folder of them, or a hub id"
        )
    return _from_hub(hub["name"], hub["config"], owner)


def value_of(row: Row, field: str) -> Any:
    """Return a field of a row.

    Raises:
        KeyError: the row lacks it.
        BadValue: it is null, which would be asked or expected as the word "None".
    """
    value = row[field]
    if value is None:
        raise BadValue(f"its field {field!r} is null")
    return value


def _listed(source: Any, owner: str) -> list[Row]:
    if not isinstance(source, Iterable) or isinstance(source, bytes | Mapping):
        raise BadValue(f"data of task {owner!r} are a path, a hub id or a list of rows, got {source!r:.60}")
    rows = [_checked(row, f"row {place} of task {owner!r}") for place, row in enumerate(source)]
    if not rows:
        raise BadValue(
            f"the data of task {owner!r} hold no rows; set source in its class, or give some with data= or --data"
        )
    return rows


def _read_json(file: Path) -> list[Row]:
    """Return the rows of one list; a file of another beginning is read line by line."""
    with _opened(file) as text:
        body = text.read()
    if not body.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        return _read_jsonl(file)
    try:
        rows = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as problem:
        raise BadValue(f"{file} cannot be read as a list of rows: {problem}") from problem
    if not rows:
        raise BadValue(f"{file} holds no rows")
    return [_placed(row, f"row {place} of {file}") for place, row in enumerate(rows)]


def _read_jsonl(file: Path) -> list[Row]:
    rows: list[Row] = []
    with _opened(file) as lines:
        for place, line in enumerate(lines, 1):
            if line.strip():
                rows.append(_parsed(line, place, file))
    if not rows:
        raise BadValue(f"{file} holds no rows; it needs one JSON object per line")
    return rows


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    """Open a file of rows, unpacking it if it is packed."""
    try:
        with gunzipped(file) if file.suffix == ".gz" else file.open("rb") as opened:
            yield opened
    except (OSError, EOFError, zlib.error) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise BadValue(f"{file} cannot be read as a file of rows: {reason}") from problem


def _placed(row: Any, where: str) -> Row:
    found = Line(_checked(row, where))
    found.where = where
    return found


def _parsed(line: bytes, place: int, file: Path) -> Row:
    where = f"line {place} of {file}"
    try:
        # utf-8-sig: some editors put a mark before the first line.
        return _placed(json.loads(line.decode("utf-8-sig" if place == 1 else "utf-8")), where)
    except UnicodeDecodeError as problem:
        byte = line[problem.start]
        raise BadValue(f"{where} is not UTF-8: byte 0x{byte:02x} at column {problem.start + 1}") from problem
    except json.JSONDecodeError as problem:
        raise BadValue(f"{where} is no JSON: {problem.msg} at column {problem.colno}") from problem
    except RecursionError as problem:
        raise BadValue(f"{where} is nested too deeply") from problem
    except BadValue:
        raise
    except ValueError as problem:  # a number of thousands of digits
        raise BadValue(f"{where} cannot be read: {problem}") from problem


def _checked(row: Any, where: str) -> Row:
    if not isinstance(row, Mapping):
        raise BadValue(f"{where} is no object with named fields: {row!r:.60}")
    return row


def _from_hub(name: str, config: str | None, owner: str) -> dict[str, Sequence[Row]]:
    import datasets  # late: seconds, and only for those who load from the hub

    try:
        found = datasets.load_dataset(name, config)
    except Exception as problem:  # the libraries below raise many kinds for "not there" and "no network"
        reason = " ".join(str(problem).split())[:160]
        raise BadValue(
            f"task {owner!r} cannot load {name!r} from the hub ({type(problem).__name__}: {reason}); "
            "give a local JSONL file or folder with --data"
        ) from problem
    return {str(split): list(rows) for split, rows in found.items()}
