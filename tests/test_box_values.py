"""Plain values on their way between two processes: exact types, nothing else, and no trust in what arrives."""

import json
import math
import os
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eggym.envs.box_channel import Channel, ProtocolFault, framed
from eggym.envs.box_values import MOST_DEPTH, Unsendable, pack, unpack

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers()
)  # fmt: skip
hashable = st.recursive(scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=8)
values = st.recursive(
    hashable,
    lambda inner: st.lists(inner, max_size=4) | st.sets(hashable, max_size=4) | st.dictionaries(hashable, inner),
    max_leaves=20,
)


def no_other(*_):
    raise AssertionError("an opaque value")


def there_and_back(value):
    reading, writing = os.pipe()
    try:
        os.write(writing, framed(pack(value, no_other)))
        return unpack(Channel(reading).receive(), no_other)
    finally:
        os.close(reading)
        os.close(writing)


def canonical(packed):
    """Packed values as text, members of sets in the order of their text."""
    if not isinstance(packed, list):
        return json.dumps(packed)
    tag, body = packed
    inner = [canonical(each) for each in body] if tag in "ltsz" else json.dumps(body)
    if tag == "d":
        inner = [[canonical(key), canonical(value)] for key, value in body]
    return json.dumps([tag, sorted(inner) if tag in "sz" else inner])


def same(one, other):
    """Equal, of exactly the same types, NaN and the sign of 0 included."""
    return canonical(pack(one, no_other)) == canonical(pack(other, no_other))


@given(values)
def test_a_plain_value_arrives_as_it_was(value):
    assert same(there_and_back(value), value)


@pytest.mark.parametrize(
    "value",
    [
        2**9999,
        -(2**53),
        2**53 - 1,
        True,
        1,
        1.0,
        -0.0,
        math.inf,
        math.nan,
        5e-324,
        1j,
        "\ud800",
        b"\xff",
        "",
        (),
        [()],
    ],
    ids=lambda value: ascii(type(value))[8:-2],
)
def test_hard_values_arrive_as_they_were(value):
    assert same(there_and_back(value), value)


def test_three_kinds_of_dict_arrive_as_a_dict():
    for value in (Counter("aab"), defaultdict(int, a=2, b=1), OrderedDict(a=2, b=1)):
        assert there_and_back(value) == {"a": 2, "b": 1} and type(there_and_back(value)) is dict


class Liar(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


@pytest.mark.parametrize(
    "value",
    [Liar(3), type("S", (str,), {})("a"), type("L", (list,), {})(), namedtuple("N", "a")(1), Fraction(1, 2), deque(),
     range(3), object(), print, iter([]), int],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_everything_else_is_opaque(value):
    assert pack([value], lambda each: ["o", each is value]) == ["l", [["o", True]]]


def test_a_value_that_is_too_deep_or_holds_itself_is_refused():
    deep = []
    for _ in range(MOST_DEPTH + 1):
        deep = [deep]
    endless = []
    endless.append(endless)
    for value in (deep, endless):
        with pytest.raises(Unsendable, match="more than 64 levels"):
            pack(value, no_other)


@pytest.mark.parametrize(
    "packed",
    [
        [], ["l"], ["l", 3], ["l", [], 1], {"l": []}, [1, 2], ["q", 1], ["i", 3], ["i", "0xg"], ["f", "1" * 41],
        ["f", "zz"], ["f", None], ["c", ["0x1p0"]], ["c", "ab"], ["y", "0"], ["d", [[1]]], ["d", {"a": 1}],
        ["d", [[["l", []], 1]]], ["s", [["l", []]]], ["z", [["d", []]]],
    ],
    ids=json.dumps,
)  # fmt: skip
def test_what_is_no_packed_value_is_a_fault(packed):
    def refuse(*_):
        raise ProtocolFault("of no kind")

    with pytest.raises(ProtocolFault):
        unpack(packed, refuse)


def heard(data, **limits):
    reading, writing = os.pipe()
    try:
        os.write(writing, data)
        os.close(writing)
        return Channel(reading, **limits).receive()
    finally:
        os.close(reading)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\xff\xff\xff", "a message of 4294967295 bytes; at most 4194304"),
        (b"\0\0\0\x01{", "no JSON"),
        (b"\0\0\0\x02\xff\xff", "no JSON (UnicodeDecodeError)"),
        (b"\0\0\0\x031.5", "a number such as '1.5'"),
        (b"\0\0\0\x03NaN", "a number such as 'NaN'"),
        (b"\0\0\0\x14" + b"9" * 20, "a number such as '9999"),
        (b"\0\1\x86\xa0" + b"[" * 100_000, "no JSON"),
    ],
    ids=lambda value: repr(value)[:25],
)
def test_a_message_that_is_none_is_a_fault(data, words):
    with pytest.raises(ProtocolFault) as fault:
        if len(data) > 60_000:  # more than a pipe holds at once
            channel = Channel(-1)
            channel._buffer += data
            channel.receive()
        heard(data)
    assert words in str(fault.value)


def test_the_end_of_a_stream_and_half_a_message_are_the_end():
    for data in (b"", b"\0\0", framed([1, 2])[:-1]):
        with pytest.raises(EOFError):
            heard(data)


def test_all_messages_together_are_bounded_too():
    with pytest.raises(ProtocolFault, match="more was sent"):
        heard(framed("x" * 100), most_in_all=50)


def test_a_message_that_is_too_long_is_not_sent():
    with pytest.raises(ValueError, match="at most 4194304"):
        framed("x" * (5 << 20))
