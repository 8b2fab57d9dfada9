"""Independent random streams, derived by name.

Adding numbers to seeds makes neighbouring streams overlap (item 1 of seed 0 is item 0 of seed 1). Hashing a path of
names does not, and a new stream never disturbs an old one. Nothing in eggym uses a global generator.
"""

import hashlib
import random

Name = str | int


def key(*path: Name) -> int:
    """Return the 64-bit key of one place in the program: ``key(seed, "step", 3, "item", 5)``.

    The encoding is injective: ``key("a", "b")`` differs from ``key("a/b")``, and ``key(1)`` from ``key("1")``.
    """
    return int.from_bytes(_hash(path, 8), "little")


def stream(*path: Name) -> random.Random:
    """Return the generator of one place in the program; equal paths give equal generators, for ever."""
    return random.Random(int.from_bytes(_hash(path, 32), "little"))


def _hash(path: tuple[Name, ...], size: int) -> bytes:
    if not path:
        raise ValueError("a stream needs at least one name")
    parts = (f"{'i' if isinstance(name, int) else 's'}{len(str(name))}:{name}" for name in path)
    return hashlib.blake2b("".join(parts).encode(), digest_size=size).digest()
