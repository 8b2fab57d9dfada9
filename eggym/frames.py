"""Frames: what a driver and its workers say to each other, over a pipe or any other stream of bytes.

    magic "EGF1" | bytes of the header u32 | bytes of the blob u32 | CRC-32 of both u32 | header, as JSON | blob

Little endian. The header is a JSON object, the blob raw numbers whose form the header's kind fixes. Nothing is
unpickled, and nothing in a frame names code. What arrives otherwise than it was sent is an error and never a result.
"""

import json
import struct
import zlib
from dataclasses import dataclass, field
from typing import IO, Any

from eggym.errors import BadValue

_MAGIC = b"EGF1"
_HEAD = struct.Struct("<4sIII")
MOST_BYTES = 1 << 30  # of a header or a blob


@dataclass(frozen=True, slots=True)
class Frame:
    """One message."""

    header: dict[str, Any]
    blob: bytes = b""
    size: int = field(default=0, compare=False)  # bytes that it took, once it was read


def dump(frame: Frame) -> bytes:
    """Return a frame as bytes.

    Raises:
        BadValue: it is longer than who reads it takes.
    """
    header = json.dumps(frame.header, separators=(",", ":"), allow_nan=False).encode()
    if max(len(header), len(frame.blob)) > MOST_BYTES:
        raise BadValue(f"a frame of {len(header) + len(frame.blob):,} bytes cannot be sent; at most {MOST_BYTES:,} can")
    return (
        _HEAD.pack(_MAGIC, len(header), len(frame.blob), zlib.crc32(frame.blob, zlib.crc32(header)))
        + header
        + frame.blob
    )


def read(stream: IO[bytes]) -> Frame | None:
    """Return the next frame, or None where the stream ends between two.

    Raises:
        BadValue: what was read is no whole frame.
    """
    head = _exactly(stream, _HEAD.size)
    if not head:
        return None
    magic, n_header, n_blob, crc = _HEAD.unpack(head.ljust(_HEAD.size, b"\0"))
    if magic != _MAGIC or max(n_header, n_blob) > MOST_BYTES:
        raise BadValue("what was received is no frame")
    header, blob = _exactly(stream, n_header), _exactly(stream, n_blob)
    if (len(header), len(blob)) != (n_header, n_blob) or zlib.crc32(blob, zlib.crc32(header)) != crc:
        raise BadValue("a frame was damaged on its way, or broke off")
    try:
        found = json.loads(header)
    except (ValueError, RecursionError) as problem:
        raise BadValue(f"a frame's header is no JSON: {problem}") from problem
    if not isinstance(found, dict):
        raise BadValue("a frame's header is no JSON object")
    return Frame(found, blob, _HEAD.size + n_header + n_blob)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    """Return so many bytes, or fewer where the stream ends: a pipe may give them in pieces."""
    pieces = []
    while size > 0:
        piece = stream.read(size)
        if not piece:
            break
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
