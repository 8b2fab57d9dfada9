"""A record on a board: one folder for one run, with everything that can be checked, and nothing that can be run.

    manifest.json        names, sizes and SHA-256 of the others; what was left out, with its SHA-256; sealed
    record.json          the run's record (`eggym.record`), byte for byte
    measured.json        times and memory: not deterministic, but not to be changed either
    config.json curve.csv prompt.json        of the run, byte for byte
    evaluations.jsonl.xz every reply of every evaluation
    steps.jsonl.xz fitness.bin.xz            metrics and raw rewards of training
    chain.jsonl          the hash chain over all episodes (`chain`)

Trained weights and training replies are left out, by name and SHA-256: the weights of an ES run can be made again.

A folder may come from a stranger. Only these names are read, never a link or a folder in it, never more bytes than a
cap, and a compressed file never grows beyond what its manifest says. Nothing in it is executed or unpickled.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from eggym.config import CONFIG
from eggym.errors import BadValue, EggymError
from eggym.files import canonical_json, sha256_json
from eggym.fitness import FITNESS
from eggym.record import MEASURED_FILE, RECORD_FILE, Measured, Record, load_measured, load_record
from eggym.replies import EVALUATIONS
from eggym.result import CURVE, PROMPT, STEPS
from eggym.score import Count, Strict

from .board import Sha256
from .chain import Link, parse
from .packing import read_plain, unpack

SCHEMA = 1
MANIFEST = "manifest.json"
CHAIN = "chain.jsonl"
SEAL = "content_sha256"
PACKED = ".xz"
PLAIN_FILES = (RECORD_FILE, MEASURED_FILE, CONFIG, CURVE, PROMPT)
PACKED_FILES = (EVALUATIONS, STEPS, FITNESS)
NAMES = (*PLAIN_FILES, *(name + PACKED for name in PACKED_FILES), CHAIN)


class Stored(Strict):
    """One file as it lies in the folder, and what is in it."""

    bytes: Count
    sha256: Sha256
    content_bytes: Count | None = None  # unpacked; None: it is not packed
    content_sha256: Sha256 | None = None


class Manifest(Strict):
    """What a record folder holds."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    kind: Literal["eggym.board-record"] = "eggym.board-record"
    board: str
    board_version: Count
    run: str  # id of the record
    files: dict[str, Stored]
    left_out: dict[str, Sha256]  # files of the run that are not here
    chain_root: Sha256
    by: str | None = None  # who submitted it, as they call themselves
    note: str | None = None
    links: list[str] = Field(default_factory=list)  # to replies, weights or a report that lie elsewhere
    content_sha256: str | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name, file in self.files.items():
            if name not in NAMES:
                raise ValueError(f"{name!r} is no file of a record; there are {', '.join(NAMES)}")
            if name.endswith(PACKED) != (file.content_sha256 is not None and file.content_bytes is not None):
                raise ValueError(f"{name} lacks the size or digest of its content")
        return self


@dataclass(frozen=True)
class Entry:
    """One record on a board, as read."""

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """Its path below the records: board/learner/run."""
        return "/".join(self.folder.parts[-3:])

    @cached_property
    def record(self) -> Record:
        """The run's record: the one in the manifest, valid in itself."""
        self.content(RECORD_FILE)
        try:
            return load_record(self.folder)
        except RecursionError as problem:
            raise BadValue(f"{self.name}/{RECORD_FILE} is nested too deeply to be a record") from problem

    @cached_property
    def measured(self) -> Measured | None:
        """What it took on the machine that ran it."""
        if self.has(MEASURED_FILE):
            self.content(MEASURED_FILE)
        return load_measured(self.folder)

    @cached_property
    def manifest_sha256(self) -> str:
        """The digest of the manifest's file, which the ledger keeps."""
        return hashlib.sha256(self._read(MANIFEST)).hexdigest()

    def has(self, name: str) -> bool:
        """Whether a file of the run is here, packed or not."""
        return name in self.manifest.files or name + PACKED in self.manifest.files

    def content(self, name: str) -> bytes:
        """Return a file of the run as it was written, after looking at sizes and digests.

        Raises:
            BadValue: it is missing, was changed, or holds more than it says.
        """
        stored = name + PACKED if name in PACKED_FILES else name
        raw, told = self.raw(stored), self.manifest.files[stored]
        if told.content_bytes is None:
            return raw
        found = unpack(raw, told.content_bytes, f"{self.name}/{stored}")
        if hashlib.sha256(found).hexdigest() != told.content_sha256:
            raise changed(self, stored, "its content is not what the manifest says")
        return found

    def raw(self, stored: str) -> bytes:
        """Return a file as it lies in the folder, after looking at its size and digest.

        Raises:
            BadValue: it is missing, or was changed.
        """
        told = self.manifest.files.get(stored)
        if told is None:
            raise BadValue(f"{self.name}/{stored} is missing from the manifest; add the run again")
        raw = self._read(stored)
        if len(raw) != told.bytes or hashlib.sha256(raw).hexdigest() != told.sha256:
            raise changed(self, stored, "it is not what the manifest says")
        return raw

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return the JSON lines of a file.

        Raises:
            BadValue: a line is no JSON object, or not in its one form: with a name given twice, say, which another
                reader would read otherwise.
        """
        try:
            text = self.content(name).decode()
            rows = [json.loads(line) for line in text.splitlines()]
            whole = "".join(map(canonical_json, rows)) == text
        except (ValueError, RecursionError) as problem:
            raise BadValue(f"{self.name}/{name} holds a line that is no JSON: {problem}") from problem
        if not whole or not all(isinstance(row, dict) for row in rows):
            raise BadValue(f"{self.name}/{name} holds a line that is not in the form in which it is written")
        return rows

    @cached_property
    def links(self) -> list[Link]:
        """The hash chain."""
        return parse(self.content(CHAIN).decode(), f"{self.name}/{CHAIN}")

    def _read(self, name: str) -> bytes:
        return read_plain(self.folder / name, f"{self.name}/{name}")


def read_entry(folder: Path) -> Entry:
    """Read the manifest of a record folder, and look at what lies beside it.

    Raises:
        BadValue: the folder holds a link, a folder or a file of another name, or the manifest is not what it was when
            it was written, or of a schema that this eggym does not read.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise BadValue(f"{folder} is no folder of a record" + " but a link" * folder.is_symlink())
    name = "/".join(folder.parts[-3:])
    here = set()
    with os.scandir(folder) as found:
        for one in sorted(found, key=lambda one: one.name):
            if not one.is_file(follow_symlinks=False):
                raise BadValue(f"{name}/{one.name} is no plain file; a record holds files alone")
            if one.name not in (MANIFEST, *NAMES):
                raise BadValue(f"{name}/{one.name} is no file of a record; take it away")
            here.add(one.name)
    entry = Entry(folder, _manifest(folder / MANIFEST, f"{name}/{MANIFEST}"))
    here.discard(MANIFEST)
    for missing in sorted(entry.manifest.files.keys() - here):
        raise BadValue(f"{name}/{missing} is missing; restore it")
    for extra in sorted(here - entry.manifest.files.keys()):
        raise BadValue(f"{name}/{extra} is not in the manifest; take it away")
    return entry


def changed(entry: Entry, name: str, why: str) -> BadValue:
    """Return the error for a file that was changed."""
    return BadValue(f"{entry.name}/{name} was changed: {why}; restore it")


def sealed(manifest: Manifest) -> Manifest:
    """Return a manifest with the digest of its content."""
    rest = manifest.model_dump(by_alias=True, exclude={SEAL})
    return manifest.model_copy(update={SEAL: sha256_json(rest)})


def _manifest(path: Path, name: str) -> Manifest:
    raw = read_plain(path, name, 1 << 20)
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as problem:
        raise BadValue(f"{name} is not JSON: {problem}; restore it") from problem
    version = found.get("schema") if isinstance(found, Mapping) else None
    if version != SCHEMA:
        raise BadValue(f"{name} has schema version {version!r}, this eggym reads {SCHEMA}; install a newer eggym")
    seal = None
    if raw.decode(errors="replace") != json.dumps(found, sort_keys=True, separators=(",", ":")) + "\n":
        raise BadValue(f"{name} was changed: it is not in the form in which it is written; restore it")
    with contextlib.suppress(EggymError):  # a number that is not finite: the seal cannot be right
        seal = sha256_json({key: value for key, value in found.items() if key != SEAL})
    if seal is None or found.get(SEAL) != seal:
        raise BadValue(f"{name} was changed since it was written: {SEAL} is not its digest; restore it")
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise BadValue(f"{name}: {place}: {first['msg'].removeprefix('Value error, ')}; add the run again") from problem
