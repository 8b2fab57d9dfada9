"""What ``--set`` may say of a run, read off the source of its dataclasses: a listing imports none of them.

Each field has its meaning as the comment on its line.
"""

import ast
import importlib.util
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# by section: module and class of its fields
SOURCES: Mapping[str, tuple[str, str]] = {
    "eval": ("eggym.evaluation", "Evaluation"),
    "prompt": ("eggym.policy", "Prompting"),
    "space": ("eggym.views", "ParameterSpace"),
    "reward": ("eggym.config", "RewardOptions"),
    "engine": ("eggym.config", "EngineOptions"),
    "endpoint": ("eggym.endpoint", "EndpointOptions"),
}


@dataclass(frozen=True, slots=True)
class Note:
    """One setting: its name, its default as it stands in the source, and what it means."""

    name: str
    default: str
    meaning: str


def run_settings() -> list[Note]:
    """Return every setting of a run that belongs to no learner and to no task, as ``--set`` writes its name."""
    found = []
    for section, (module, name) in SOURCES.items():
        for note in _notes(_source_of(module), name):
            found.append(Note(f"{section}.{note.name}", note.default, note.meaning))
    profile = "by size: tiny below 20 M parameters, pretrained above; the defaults of every learner (eggym list NAME)"
    return [*found, Note("profile", "", profile)]


def meanings(options: type[Any]) -> dict[str, str]:
    """Return what the fields of a dataclass and of its bases mean; empty where the source is not there."""
    found: dict[str, str] = {}
    for kind in reversed(options.__mro__[:-1]):
        try:
            source = Path(inspect.getfile(kind)).read_text(encoding="utf-8")
        except (OSError, TypeError, UnicodeDecodeError):
            continue
        # a field that a base explains and this one gives another default keeps its meaning
        found |= {note.name: note.meaning or found.get(note.name, "") for note in _notes(source, kind.__name__)}
    return found


def nothing_to_set(options: type[Any]) -> str:
    """Return what a dataclass without fields says of having none, in its first line."""
    found = inspect.cleandoc(options.__doc__ or "").partition("\n")[0]
    # what dataclasses write themselves says nothing
    return "No settings." if not found or found.startswith(f"{options.__name__}(") else found


def _source_of(module: str) -> str:
    spec = importlib.util.find_spec(module)
    return Path(str(spec.origin if spec else "")).read_text(encoding="utf-8")


def _notes(source: str, name: str) -> list[Note]:
    lines = source.splitlines()
    body = next((one.body for one in ast.parse(source).body if isinstance(one, ast.ClassDef) and one.name == name), [])
    return [_note(one, lines) for one in body if isinstance(one, ast.AnnAssign)]


def _note(field: ast.AnnAssign, lines: list[str]) -> Note:
    """Return a field as its line tells it; what stands behind the value is a comment, or nothing."""
    default = "" if field.value is None else ast.unparse(field.value)
    last = lines[(field.end_lineno or 1) - 1].encode()[field.end_col_offset or 0 :].decode()
    meaning = last.strip().removeprefix("#").strip()
    return Note(ast.unparse(field.target), default.strip("'"), meaning)
