"""The small files of a run as somebody reads them who only looks: refused where they are not as a run leaves them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eggym.errors import BadValue
from eggym.files import open_plain, sha256_json
from eggym.folder import CONFIG, MEASURED_FILE, RECORD_FILE
from eggym.plausible import CONFIG as CONFIG_SHAPE
from eggym.plausible import CONFIG_TOO, RECORD, SEEN_TOO, misfit, optional

_MODES = ("greedy", "sampled")


class Damage(Exception):
    """Something in a folder is not as a run leaves it."""


def json_of(path: Path) -> dict[str, Any]:
    """Return what a file holds.

    Raises:
        Damage: it cannot be read, or is no JSON object.
    """
    try:
        with open_plain(path) as file:
            found = json.loads(file.read())
    except OSError as problem:
        raise Damage(f"{path.name} cannot be read: {problem.strerror}") from problem
    except (ValueError, RecursionError) as problem:
        raise Damage(f"{path.name} is not JSON") from problem
    if not isinstance(found, dict):
        raise Damage(f"{path.name} is not a JSON object")
    return found


def config_of(folder: Path) -> dict[str, Any] | None:
    """Return a run's configuration; None: there is none.

    Raises:
        Damage: it is not that of a run.
    """
    return _whole(json_of(folder / CONFIG), CONFIG) if (folder / CONFIG).exists() else None


def record_of(folder: Path) -> dict[str, Any]:
    """Return the record of a finished run.

    Raises:
        Damage: it was changed since it was written, or is not that of a run.
    """
    record = json_of(folder / RECORD_FILE)
    seal = record.pop("content_sha256", None)
    try:
        changed = seal is not None and seal != sha256_json(record)
    except BadValue:  # it holds what no JSON does
        changed = True
    if changed:
        raise Damage(f"{RECORD_FILE} was changed since it was written")
    if "config" in record:
        _whole(record["config"], RECORD_FILE)
    if misfit(record, RECORD) or misfit(record, optional(record, SEEN_TOO)) or not record["points"]:
        raise Damage(f"{RECORD_FILE} is no record of a run")
    return record


def measured_of(folder: Path) -> dict[str, Any]:
    """Return what was measured; nothing where there is no such file.

    Raises:
        Damage: it is not that of a run.
    """
    measured = json_of(folder / MEASURED_FILE) if (folder / MEASURED_FILE).exists() else {}
    odd = misfit(measured, optional(measured, SEEN_TOO))
    if odd is not None:
        raise Damage(f"{MEASURED_FILE} is not that of a run: {odd}")
    return measured


def shortened(folder: Path, saved: Mapping[str, Any]) -> str | None:
    """Tell which file is shorter than a checkpoint remembers; if than all of them, to continue is refused too."""
    for name, told in saved.get("written", {}).items():
        present = (folder / name).stat().st_size if (folder / name).exists() else 0
        if present < told["length"]:
            return f"{name} has {present} bytes, its checkpoint wants {told['length']}"
    return None


def _whole(config: Any, name: str) -> dict[str, Any]:
    odd = misfit(config, CONFIG_SHAPE) or misfit(config, optional(config, CONFIG_TOO))
    if odd is None and config["eval"].get("primary", _MODES[0]) not in _MODES:
        odd = "eval.primary"
    if odd is not None:
        missing = isinstance(config, dict) and odd not in config and "." not in odd
        raise Damage(f"{name} is not that of a run: {odd}{' is missing' if missing else ''}")
    found: dict[str, Any] = config
    return found
