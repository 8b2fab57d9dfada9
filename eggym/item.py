"""Items: one problem each, as a task makes it and as a record keeps it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eggym.source import told
from eggym.values import is_text

_LARGEST_PLAIN = 2**63


@dataclass(frozen=True, slots=True)
class Item:
    """One problem."""

    prompt: str
    truth: Any = None  # what the scorer compares with; must survive JSON for records
    meta: Mapping[str, Any] = field(default_factory=dict)
    index: int = -1  # its place in the split; set by `Task.item`
    split: str = ""


def item_fault(item: Item) -> str:
    """Return why an item cannot be asked or written down, in one line, or "" if it can."""
    if not is_text(item.prompt):
        kind = "holds a lone surrogate, which no file can" if isinstance(item.prompt, str) else "is no str"
        return f"its prompt {kind}: {item.prompt!r:.60}"
    if not isinstance(item.meta, Mapping):
        return f"its meta is no mapping but {item.meta!r:.60}"
    if item.meta:
        return _json_fault("truth", item.truth) or _json_fault("meta", dict(item.meta))
    return _json_fault("truth", item.truth)


def _json_fault(name: str, value: Any) -> str:
    if _is_plain_json(value):
        return ""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
        back = json.loads(text)
    except (TypeError, ValueError, RecursionError) as problem:
        return f"its {name} is no JSON value ({told(problem)})"
    return "" if back == value else f"its {name} changes on its way through JSON: {value!r:.60} becomes {back!r:.60}"


def _is_plain_json(value: Any, depth: int = 4) -> bool:
    """Return True for what surely survives JSON, without writing it: the common case, and a tenth of the time."""
    kind = type(value)
    if kind is str:
        return is_text(value)
    if kind is int:
        return bool(-_LARGEST_PLAIN < value < _LARGEST_PLAIN)
    if kind is list and depth:
        return all([_is_plain_json(each, depth - 1) for each in value])
    if kind is dict and depth:
        fine = [type(name) is str and is_text(name) and _is_plain_json(each, depth - 1) for name, each in value.items()]
        return all(fine)
    return value is None or kind is bool
