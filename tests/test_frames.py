"""Frames: they come as they were sent, or not at all."""

import io
import json
import struct
import zlib

import pytest

from eggym import frames
from eggym.errors import BadValue
from eggym.frames import Frame, dump, read

FRAME = Frame({"do": "play", "a": [3, 0, 8]}, bytes(range(256)))


def test_a_frame_is_its_head_its_header_and_its_blob():
    header = b'{"do":"play","a":[3,0,8]}'
    crc = zlib.crc32(header + FRAME.blob)
    assert dump(FRAME) == struct.pack("<4sIII", b"EGF1", len(header), 256, crc) + header + FRAME.blob


def test_frames_come_one_after_the_other_and_then_there_is_an_end():
    stream = io.BytesIO(dump(FRAME) + dump(Frame({})))
    first, second = read(stream), read(stream)
    assert (first, second) == (FRAME, Frame({})) and first.size == len(dump(FRAME)) and read(stream) is None


class Dribbling(io.RawIOBase):
    """A pipe that gives a byte at a time."""

    def __init__(self, data):
        self._stream = io.BytesIO(data)

    def read(self, size=-1):
        return self._stream.read(min(size, 1))


def test_a_frame_may_come_in_pieces():
    assert read(Dribbling(dump(FRAME))) == FRAME


def test_no_bit_can_be_changed_and_no_byte_be_missing():
    whole = dump(FRAME)
    for place in range(len(whole)):
        for changed in (whole[:place], _flipped(whole, place)):
            if changed:  # nothing at all is an end
                with pytest.raises(BadValue):
                    read(io.BytesIO(changed))


def _flipped(data, place):
    return data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]


@pytest.mark.parametrize("header", [b"[]", b"3", b"{", b"\xff", b"[" * 100_000])
def test_a_header_is_a_json_object(header):
    head = struct.pack("<4sIII", b"EGF1", len(header), 0, zlib.crc32(header))
    with pytest.raises(BadValue, match="header is no JSON"):
        read(io.BytesIO(head + header))


def test_a_length_that_nobody_sends_is_refused_before_it_is_waited_for():
    with pytest.raises(BadValue, match="no frame"):
        read(io.BytesIO(struct.pack("<4sIII", b"EGF1", 2, 1 << 31, 0) + b"{}"))


def test_what_nobody_reads_is_not_sent(monkeypatch):
    monkeypatch.setattr(frames, "MOST_BYTES", 20)
    assert read(io.BytesIO(dump(Frame({}, bytes(20))))).blob == bytes(20)
    with pytest.raises(BadValue, match="a frame of 23 bytes cannot be sent; at most 20 can"):
        dump(Frame({}, bytes(21)))


def test_what_is_no_json_is_not_sent():
    with pytest.raises(ValueError, match="JSON"):
        dump(Frame({"a": float("nan")}))
    assert json.loads(dump(Frame({"why": "Ünïcode"}))[16:]) == {"why": "Ünïcode"}
