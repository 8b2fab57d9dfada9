"""Plain values as JSON, with their exact types: what may pass between a solution and the tests of it.

A value is packed as itself (None, bool, str, an int below 2^53) or as [tag, body]:

    i int as hex    f float as hex    c complex    y bytes as hex
    l list    t tuple    s set    z frozenset    d dict: [[key, value], ...]; also Counter, defaultdict, OrderedDict
    o anything else that a solution returns, opaque: [number, truth]; as an argument: the number
    n a name of the solution, and b a builtin, as an argument only

Types are compared by ``type(x) is T``: a subclass, whose ``==`` may lie, is opaque. The reader makes all objects anew.
"""

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

from .box_channel import ProtocolFault

MOST_DEPTH = 64
_SMALL = 1 << 53
_SEQUENCES: dict[type, str] = {list: "l", tuple: "t", set: "s", frozenset: "z"}
_BUILDERS: dict[str, Callable[[Any], Any]] = {"l": list, "t": tuple, "s": set, "z": frozenset}
_DICTS = (dict, Counter, defaultdict, OrderedDict)
_MOST_FLOAT = 40  # characters of a float in hex

Packer = Callable[[Any], Any]


class Unsendable(ValueError):
    """A value that cannot pass."""


class TooDeep(Unsendable):
    """A value of too many levels."""


def pack(value: Any, other: Packer, depth: int = 0) -> Any:
    """Return a value as JSON; what is not plain goes through ``other``.

    Raises:
        TooDeep: it is deeper than 64 levels, or holds itself.
    """
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if -_SMALL < value < _SMALL else ["i", hex(value)]
    if kind is float:
        return ["f", value.hex()]
    if kind is complex:
        return ["c", [value.real.hex(), value.imag.hex()]]
    if kind is bytes:
        return ["y", value.hex()]
    if depth >= MOST_DEPTH:
        raise TooDeep(f"a value of more than {MOST_DEPTH} levels")
    if kind in _SEQUENCES:
        return [_SEQUENCES[kind], [pack(each, other, depth + 1) for each in value]]
    if kind in _DICTS:
        return ["d", [[pack(each, other, depth + 1) for each in pair] for pair in value.items()]]
    return other(value)


def unpack(packed: Any, other: Callable[[str, Any], Any], depth: int = 0) -> Any:
    """Return the value of some JSON; tags that are not plain go through ``other`` with their body.

    Raises:
        ProtocolFault: it is no packed value.
    """
    kind = type(packed)
    if packed is None or kind in (bool, int, str):
        return packed
    if kind is not list or len(packed) != 2 or type(packed[0]) is not str or depth > MOST_DEPTH:
        raise ProtocolFault("a value that is none")
    tag, body = packed
    if tag in _BUILDERS or tag == "d":
        return _container(tag, body, other, depth)
    if tag in ("i", "f", "c", "y"):
        return _scalar(tag, body)
    return other(tag, body)


def _container(tag: str, body: Any, other: Callable[[str, Any], Any], depth: int) -> Any:
    if type(body) is not list:
        raise ProtocolFault("a container without contents")
    try:
        if tag == "d":
            if any(type(pair) is not list or len(pair) != 2 for pair in body):
                raise ProtocolFault("a dict without pairs")
            return {unpack(key, other, depth + 1): unpack(value, other, depth + 1) for key, value in body}
        return _BUILDERS[tag](unpack(each, other, depth + 1) for each in body)
    except TypeError:  # a list as a key
        raise ProtocolFault("a key or member that cannot be one") from None


def _scalar(tag: str, body: Any) -> Any:
    try:
        if tag == "c" and type(body) is list:
            real, imaginary = body
            return complex(_float(real), _float(imaginary))
        if tag == "c" or type(body) is not str:
            raise ProtocolFault("a number without digits")
        if tag == "i":
            return int(body, 16)
        return bytes.fromhex(body) if tag == "y" else _float(body)
    except (ValueError, TypeError, OverflowError):
        raise ProtocolFault("a number that is none") from None


def _float(text: Any) -> float:
    if type(text) is not str or len(text) > _MOST_FLOAT:
        raise ProtocolFault("a float that is none")
    return float.fromhex(text)
