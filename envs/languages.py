"""Which language a text is in: what langdetect says with seed 0, several times faster and the same every time.

langdetect draws n-grams of the text at random and updates one probability per language until one is sure; seven trials
are averaged (Shuyo 2010). Unseeded, short texts flip from call to call. Here each call has a generator of its own,
seeded with 0, and the profiles are read in the order of their names, so that nothing depends on earlier calls, on the
order of a folder, or on langdetect's global factory, which stays as it is. Profiles and character rules are
langdetect's; the n-grams of a word are worked out once, and the five updates between two looks at the probabilities
are one array operation. A test compares the result with langdetect's own, bit for bit.
"""

import json
import random
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

UNKNOWN = "unknown"  # langdetect's word for "no language is likely"
_TRIALS = 7
_ALPHA, _ALPHA_WIDTH = 0.5, 0.05  # smoothing: mean and standard deviation
_BASE = 10_000  # smoothing is divided by this
_SURE = 0.99999  # a trial ends when a language is that likely
_MOST_UPDATES = 1000
_LEAST = 0.1  # a language less likely than this is not named
_MOST_CHARACTERS = 10_000  # the rest is not read
_SPACES = re.compile(" {2,}")


class Profiles(NamedTuple):
    """N-gram frequencies: ``rows[gram]`` is the row of a gram in ``table`` (gram x language)."""

    names: tuple[str, ...]
    rows: dict[str, int]
    table: NDArray[np.float64]


@lru_cache(maxsize=512)
def language_of(text: str) -> str | None:
    """Return the code of the likeliest language, such as "en" or "zh-cn"; None where the text has no features."""
    probabilities = chances(text)
    if probabilities is None:
        return None
    name, chance = max(zip(profiles().names, probabilities, strict=True), key=lambda pair: pair[1])
    return name if chance > _LEAST else UNKNOWN


def chances(text: str) -> list[float] | None:
    """Return the probability of each language of `profiles`, in their order; None where the text has no features."""
    known = profiles()
    grams = [row for part in _pieces(text) for row in _grams(part)]
    if not grams:
        return None
    rng = random.Random(0)
    total = [0.0] * len(known.names)
    for _ in range(_TRIALS):
        chance = _trial(known.table, grams, rng)
        total = [before + now / _TRIALS for before, now in zip(total, chance, strict=True)]
    return total


@cache
def profiles() -> Profiles:
    """Read langdetect's profiles, in the order of their names: 55 languages, about 20 MB and half a second, once."""
    from langdetect.detector_factory import PROFILES_DIRECTORY

    files = sorted(file for file in Path(PROFILES_DIRECTORY).iterdir() if file.is_file() and file.name[0] != ".")
    read: list[dict[str, Any]] = [json.loads(file.read_text("utf-8")) for file in files]
    rows: dict[str, int] = {}
    for profile in read:
        for gram in profile["freq"]:
            rows.setdefault(gram, len(rows))
    table = np.zeros((len(rows), len(read)))
    for column, profile in enumerate(read):
        for gram, count in profile["freq"].items():
            if 1 <= len(gram) <= 3:
                table[rows[gram], column] = count / profile["n_words"][len(gram) - 1]
    return Profiles(tuple(profile["name"] for profile in read), rows, table)


def _trial(table: NDArray[np.float64], grams: Sequence[int], rng: random.Random) -> list[float]:
    """Draw n-grams until one language is sure; look after the first and then after every fifth."""
    chance = np.full(table.shape[1], 1.0 / table.shape[1])
    weight = (_ALPHA + rng.gauss(0.0, 1.0) * _ALPHA_WIDTH) / _BASE
    steps, done = 1, 0
    while True:
        factors = table.take([_choice(grams, rng) for _ in range(steps)], axis=0)
        factors += weight
        factors[0] *= chance
        chance = np.multiply.reduce(factors, axis=0)  # row by row: the order of single updates
        chance /= sum(chance.tolist())  # in order: numpy's own sum adds in pairs and rounds otherwise
        if chance.max() > _SURE or done >= _MOST_UPDATES:
            return list(chance.tolist())
        steps, done = 5, done + 5


def _choice(grams: Sequence[int], rng: random.Random) -> int:
    """Return what ``rng.choice(grams)`` returns, in half the time."""
    size = len(grams)
    n_bits = size.bit_length()
    place = rng.getrandbits(n_bits)
    while place >= size:
        place = rng.getrandbits(n_bits)
    return grams[place]


def _pieces(text: str) -> list[str]:
    """Return the words of a text as langdetect reads them, each with the space behind it; addresses are left out."""
    from langdetect.detector import Detector
    from langdetect.utils.ngram import NGram

    text = Detector.MAIL_RE.sub(" ", Detector.URL_RE.sub(" ", text)) if "://" in text or "@" in text else text
    text = text if text.isascii() else NGram.normalize_vi(text)
    text = _SPACES.sub(" ", text[:_MOST_CHARACTERS])
    if not text.isascii():
        text = _without_latin(text)
    read = "".join(map(_read_as, text))
    return [piece + " " for piece in read.split(" ")[:-1]] + [read.rsplit(" ", 1)[-1]]


def _without_latin(text: str) -> str:
    """Return the text without Latin letters if more than two thirds of its letters are in other scripts."""
    latin = sum("A" <= character <= "z" for character in text)
    other = sum(map(_is_foreign, text))
    return "".join(each for each in text if not "A" <= each <= "z") if latin * 2 < other else text


@lru_cache(maxsize=20_000)
def _is_foreign(character: str) -> bool:
    from langdetect.utils.unicode_block import unicode_block

    return character >= "\u0300" and bool(unicode_block(character) != "Latin Extended Additional")


@lru_cache(maxsize=20_000)
def _read_as(character: str) -> str:
    """Return the character that stands for this one: a space for digits and signs, one syllable for all of Hangul."""
    from langdetect.utils.ngram import NGram

    return str(NGram.normalize(character))


@lru_cache(maxsize=50_000)
def _grams(piece: str) -> tuple[int, ...]:
    """Return the known n-grams, up to 3 long, that end at each character; none inside a run of capitals."""
    rows = profiles().rows
    found: list[int] = []
    window, capitals = " ", False
    for character in piece:
        capitals = character.isupper() and (capitals or window[-1].isupper())
        window = (window + character)[-3:]
        if capitals or window == "  ":
            continue
        ends = (window[-size:] for size in range(1, len(window) + 1))
        found += [rows[gram] for gram in ends if gram != " " and gram in rows]
    return tuple(found)
