"""Gzip files that may come from a stranger: kilobytes may stand for terabytes, so there is a cap."""

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from eggym.errors import BadValue

MOST = 1 << 30  # bytes of content
_PIECE = 1 << 20


class _Capped(io.RawIOBase):
    """The content of a gzip file, which fails where it is longer than the cap."""

    def __init__(self, packed: IO[bytes], path: Path, most: int) -> None:
        self._packed, self._path, self._most, self._left = packed, path, most, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]  # what BufferedReader gives
        found = self._packed.read(min(len(buffer), self._left + 1))
        self._left -= len(found)
        if self._left < 0:
            raise BadValue(
                f"{self._path} unpacks to more than {self._most} bytes; if you trust it, unpack it and give that file"
            )
        buffer[: len(found)] = found
        return len(found)


@contextmanager
def gunzipped(path: Path, most: int = MOST) -> Iterator[IO[bytes]]:
    """Open a gzip file for reading; no more than ``most`` bytes come out of it.

    Raises:
        OSError: it cannot be read; while it is read also EOFError and zlib.error: it is damaged.
        BadValue: while it is read: it holds more.
    """
    with gzip.open(path) as packed, io.BufferedReader(_Capped(cast(IO[bytes], packed), path, most), _PIECE) as content:
        yield cast(IO[bytes], content)
