"""Splits: a problem belongs to one by the hash of its normalised prompt, so that no prompt stands in two."""

import unicodedata
from functools import lru_cache, partial

from eggym.errors import BadValue
from eggym.seeding import keys

SPLITS = ("train", "validation", "test")
_SPLIT_OF_BUCKET = ("train",) * 8 + ("validation", "test")
_split_keys = lru_cache(64)(partial(keys, "split"))


def normalise(prompt: str) -> str:
    """Return a prompt as the split hash sees it: Unicode NFKC, lower case, single spaces."""
    text = prompt if prompt.isascii() else unicodedata.normalize("NFKC", prompt)
    return " ".join(text.casefold().split())


def split_of(task_id: str, prompt: str) -> str:
    """Return the split a prompt belongs to: 80 % train, 10 % validation, 10 % test, by hash."""
    return _SPLIT_OF_BUCKET[_split_keys(task_id)(normalise(prompt)) % 10]


def check_split(split: str) -> str:
    """Return the side of a split name (``test:SALT`` is drawn from the test side), or refuse it."""
    if split in SPLITS:
        return split
    side = split.split(":", 1)[0]
    if side not in SPLITS or (":" in split and (side != "test" or split == "test:")):
        raise BadValue(f"no split {split!r}; there are {', '.join(SPLITS)} and test:SALT")
    return side
