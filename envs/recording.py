"""A recording: what a model said, as lines of JSON in a folder, so that it can be asked again without the model.

``logits.jsonl`` begins with a header (settings, digest, special tokens); each further line is a key, a logit and the
number of tokens that were cut. Lines are only ever appended, one write each, so that several processes may share a
folder; half a line of a killed process is skipped.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from eggym.errors import BadValue

FILE = "logits.jsonl"


class Recording:
    """The logits of one model under one set of settings."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Say where; nothing is read or written yet."""
        self.path, self.settings = folder / FILE, dict(settings)

    @property
    def digest(self) -> str | None:
        """The digest of the model that was recorded; None before anything was."""
        return self._header.get("digest")

    @property
    def specials(self) -> list[str] | None:
        """The special tokens of its tokenizer; None before anything was recorded."""
        return self._header.get("specials")

    @property
    def rows(self) -> dict[str, tuple[float, int]]:
        """Logit and number of cut tokens, by key."""
        return self._content[1]

    @property
    def _header(self) -> dict[str, Any]:
        return self._content[0]

    def check(self, digest: str) -> None:
        """Refuse a model that is not the recorded one.

        Raises:
            BadValue: it is another.
        """
        if self.digest not in (None, digest):
            raise BadValue(
                f"{self.path} was recorded with another model ({self.digest}) than the one at hand ({digest}); "
                "give another record folder"
            )

    def add(self, digest: str, specials: list[str], rows: Mapping[str, tuple[float, int]]) -> None:
        """Append what is new."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        header = {**self.settings, "digest": digest, "specials": specials}
        if not self._header:
            with contextlib.suppress(FileExistsError), open(self.path, "x", encoding="utf-8") as file:
                file.write(json.dumps(header) + "\n")
            self._content[0].update(header)
        lines = "".join(json.dumps([key, *row]) + "\n" for key, row in rows.items())
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(handle, lines.encode())
        finally:
            os.close(handle)
        self.rows.update(rows)

    @cached_property
    def _content(self) -> tuple[dict[str, Any], dict[str, tuple[float, int]]]:
        header: dict[str, Any] = {}
        rows: dict[str, tuple[float, int]] = {}
        for line in self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else ():
            with contextlib.suppress(ValueError):
                found = json.loads(line)
                if isinstance(found, dict):
                    header = header or found
                elif isinstance(found, list) and len(found) == 3:
                    rows[found[0]] = (float(found[1]), int(found[2]))
        self._refuse_others(header)
        return header, rows

    def _refuse_others(self, header: Mapping[str, Any]) -> None:
        for name, value in self.settings.items() if header else ():
            if name != "model" and header.get(name) != value:  # a model may lie elsewhere; its digest tells
                raise BadValue(f"{self.path} was recorded with {name}={header.get(name)!r}, not {value!r}")
