"""Bytes of files that may come from a stranger: plain files alone, and no more of them than is told."""

import lzma
import stat
from pathlib import Path

from eggym.errors import BadValue

_MOST_STORED = 64 << 20  # bytes of one file
_MOST_UNPACKED = 1 << 30
_MEMORY = 256 << 20  # of the decompressor


def read_plain(path: Path, name: str, most: int = _MOST_STORED) -> bytes:
    """Return the bytes of a plain file that is not too large.

    Raises:
        BadValue: it is a link, is missing, or is too large.
    """
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise BadValue(f"{name} is no plain file")
        if found.st_size > most:
            raise BadValue(f"{name} has {found.st_size} bytes; a record's file has at most {most}")
        return path.read_bytes()
    except OSError as problem:
        raise BadValue(f"{name} cannot be read: {problem.strerror or problem}; restore it") from problem


def unpack(raw: bytes, size: int, name: str) -> bytes:
    """Return the content of an xz file that holds exactly ``size`` bytes.

    Raises:
        BadValue: it is damaged, holds more or less, or would take too much memory.
    """
    if size > _MOST_UNPACKED:
        raise BadValue(f"{name} says that it holds {size} bytes; a record's file holds at most {_MOST_UNPACKED}")
    reader = lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY)
    try:
        found = reader.decompress(raw, size + 1)
    except (lzma.LZMAError, MemoryError, EOFError) as problem:
        raise BadValue(f"{name} cannot be unpacked: {problem}; restore it") from problem
    if len(found) != size or not reader.eof or reader.unused_data:
        raise BadValue(f"{name} does not hold the {size} bytes that its manifest says; restore it")
    return found


def pack(content: bytes) -> bytes:
    """Return bytes as an xz file."""
    return lzma.compress(content, lzma.FORMAT_XZ, preset=9 | lzma.PRESET_EXTREME)
