"""Messages between processes that do not trust each other: a length in four bytes, then JSON.

Lengths are checked before anything is read, and JSON is read without floats, huge numbers or objects of other kinds.
No pickle, no objects, no names that are looked up.
"""

import json
import os
import select
import struct
from typing import Any, NoReturn

MOST_BYTES = 1 << 22  # of one message
_HEAD = struct.Struct("!I")
_MOST_DIGITS = 17


class ProtocolFault(Exception):
    """The other side sent what no honest program sends."""


def _refuse(text: str) -> NoReturn:
    raise ProtocolFault(f"a number such as {text[:20]!r} in a message")


def _whole(text: str) -> int:
    return int(text) if len(text) <= _MOST_DIGITS else _refuse(text)


_DECODER = json.JSONDecoder(parse_float=_refuse, parse_int=_whole, parse_constant=_refuse)
_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)


def framed(value: Any) -> bytes:
    """Return a message as bytes.

    Raises:
        ValueError: it is longer than a message may be.
    """
    body = _ENCODER.encode(value).encode()
    if len(body) > MOST_BYTES:
        raise ValueError(f"a message of {len(body)} bytes; at most {MOST_BYTES}")
    return _HEAD.pack(len(body)) + body


class Channel:
    """One end of a stream of messages."""

    def __init__(self, descriptor: int, most_bytes: int = MOST_BYTES, most_in_all: int = 1 << 26) -> None:
        """Take a descriptor; messages, and all of them together, may be so long."""
        self.descriptor = descriptor
        self.most_bytes = most_bytes
        self._left = self._most_in_all = most_in_all
        self._buffer = bytearray()

    def renew(self) -> None:
        """Count all messages together from here on."""
        self._left = self._most_in_all

    def send(self, value: Any) -> None:
        """Write a message; waits until the other side has taken it."""
        data = memoryview(framed(value))
        while data:
            data = data[os.write(self.descriptor, data) :]

    def ready(self, seconds: float) -> bool:
        """Wait so long for something to read; say whether there is."""
        waiting = select.poll()
        waiting.register(self.descriptor, select.POLLIN)
        return bool(self._buffer or waiting.poll(1000 * seconds))

    def receive(self) -> Any:
        """Wait for a message.

        Raises:
            EOFError: the other side is gone.
            ProtocolFault: it is none.
        """
        while True:
            message = self._next()
            if message is not None:
                return message[0]
            if not self.fill():
                raise EOFError

    def fill(self) -> bool:
        """Read what is there, or wait for something; return False at the end of the stream."""
        try:
            data = os.read(self.descriptor, 1 << 16)
        except ConnectionResetError:
            return False
        self._left -= len(data)
        if self._left < 0:
            raise ProtocolFault("more was sent than all messages may hold")
        self._buffer += data
        return bool(data)

    def take(self) -> list[Any]:
        """Return the whole messages that have been read."""
        found = []
        while (message := self._next()) is not None:
            found.append(message[0])
        return found

    def _next(self) -> tuple[Any] | None:
        if len(self._buffer) < _HEAD.size:
            return None
        (length,) = _HEAD.unpack_from(self._buffer)
        if length > self.most_bytes:
            raise ProtocolFault(f"a message of {length} bytes; at most {self.most_bytes}")
        if len(self._buffer) < _HEAD.size + length:
            return None
        body = bytes(self._buffer[_HEAD.size : _HEAD.size + length])
        del self._buffer[: _HEAD.size + length]
        try:
            return (_DECODER.decode(body.decode()),)
        except (ValueError, RecursionError) as problem:
            raise ProtocolFault(f"a message that is no JSON ({type(problem).__name__})") from None
