"""Independent random streams, derived by name.

Adding numbers to seeds makes neighbouring streams overlap (item 1 of seed 0 is item 0 of seed 1). Hashing a path of
names does not, and a new stream never disturbs an old one. Nothing in eggym uses a global generator.
"""

import hashlib
import random
from collections.abc import Callable

Name = str | int


def key(*path: Name) -> int:
    """Return the 64-bit key of one place in the program: ``key(seed, "step", 3, "item", 5)``.

    The encoding is injective: ``key("a", "b")`` differs from ``key("a/b")``, and ``key(1)`` from ``key("1")``.
    """
    return int.from_bytes(_hash(path, 8), "little")


def stream(*path: Name) -> random.Random:
    """Return the generator of one place in the program; equal paths give equal generators, for ever."""
    return random.Random(int.from_bytes(_hash(path, 32), "little"))


def streams(*path: Name) -> Callable[..., random.Random]:
    """Return a function of the last names: ``streams("a", 1)(2, 3)`` is ``stream("a", 1, 2, 3)``, for less."""
    head = hashlib.blake2b(_written(path), digest_size=32)

    def last(*names: Name) -> random.Random:
        hashed = head.copy()
        hashed.update(_written(names))
        return random.Random(int.from_bytes(hashed.digest(), "little"))

    return last


def keys(*path: Name) -> Callable[[str], int]:
    """Return a function of the last name, a text: ``keys("a", 1)("b")`` is ``key("a", 1, "b")``, for less."""
    head = hashlib.blake2b(_written(path), digest_size=8)

    def last(name: str) -> int:
        hashed = head.copy()
        hashed.update(f"s{len(name)}:{name}".encode())
        return int.from_bytes(hashed.digest(), "little")

    return last


def _hash(path: tuple[Name, ...], size: int) -> bytes:
    if not path:
        raise ValueError("a stream needs at least one name")
    return hashlib.blake2b(_written(path), digest_size=size).digest()


def _written(path: tuple[Name, ...]) -> bytes:
    return "".join([f"{'i' if isinstance(name, int) else 's'}{len(str(name))}:{name}" for name in path]).encode()
