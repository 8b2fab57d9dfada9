"""Rows of data from where they lie: a list, a JSONL file, a folder of them, or a data set of the Hugging Face hub."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eggym.errors import BadValue

Row = Mapping[str, Any]
Source = str | Path | Sequence[Row]

_HUB_ID = re.compile(r"(?P<name>[\w-][\w.-]*/[\w.-]+)(?::(?P<config>[\w.-]+))?")


def load_rows(source: Source, owner: str) -> dict[str, Sequence[Row]]:
    """Return the rows by the source's own splits; a list and a single file have one, called "".

    ``owner`` is named in errors. A hub id may carry a configuration: ``openai/gsm8k:main``.

    Raises:
        BadValue: nothing is there, a line is no JSON object, or the hub cannot be reached.
    """
    if not isinstance(source, str | Path):
        return {"": [_checked(row, f"row {place} of task {owner!r}") for place, row in enumerate(source)]}
    path = Path(source).expanduser()
    if path.is_dir():
        files = sorted(path.glob("*.jsonl"))
        if not files:
            raise BadValue(f"no *.jsonl file in folder {str(source)!r} for task {owner!r}")
        return {file.stem: _read_jsonl(file) for file in files}
    if path.is_file():
        return {"": _read_jsonl(path)}
    hub = _HUB_ID.fullmatch(str(source))
    if hub is None or path.suffix == ".jsonl":
        raise BadValue(
            f"no data at {str(source)!r} for task {owner!r}; give a JSONL file, a folder of them, or a hub id"
        )
    return _from_hub(hub["name"], hub["config"], owner)


def _read_jsonl(file: Path) -> list[Row]:
    rows: list[Row] = []
    with file.open(encoding="utf-8") as lines:
        for place, line in enumerate(lines, 1):
            if line.strip():
                rows.append(_parsed(line, f"line {place} of {file}"))
    return rows


def _parsed(line: str, where: str) -> Row:
    try:
        return _checked(json.loads(line), where)
    except json.JSONDecodeError as problem:
        raise BadValue(f"{where} is no JSON: {problem.msg} at column {problem.colno}") from problem


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
