"""What can be ordered of a text: kinds of constraint, how each is drawn and worded, and which go together."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .topics import TOPICS

ENDINGS = ("That is all for now.", "And so it goes.", "Tell me what you think.", "Until the next time.")
LETTERS = "bcfgkmpvwy"
ORDINALS = ("first", "second", "third", "fourth")

Draw = Callable[[random.Random, str], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of order: the type of its constraint, how to draw its arguments, and how to word it."""

    id: str
    draw: Draw  # (rng, topic) -> arguments
    words: str  # a template over the arguments: what follows "Write a text about rain"


def _number(name: str, low: int, high: int, **rest: Any) -> Draw:
    return lambda rng, topic: {name: rng.randint(low, high), **rest}


def _sorted_words(rng: random.Random, topic: str) -> list[str]:
    return sorted(rng.sample(TOPICS[topic], 2))


def _paragraph(rng: random.Random, topic: str) -> dict[str, Any]:
    count = rng.randint(2, 4)
    word = rng.choice(("today", "many", "here", "everyone", "sometimes"))
    return {"num_paragraphs": count, "nth_paragraph": rng.randint(1, count), "first_word": word}


_LEAST, _LESS = {"relation": "at least"}, {"relation": "less than"}
KINDS: dict[str, Kind] = {
    "comma": Kind("punctuation:no_comma", lambda rng, topic: {}, "without any comma"),
    "words": Kind(
        "length_constraints:number_words", _number("num_words", 40, 150, **_LEAST), "in at least {num_words} words"
    ),
    "few words": Kind(
        "length_constraints:number_words", _number("num_words", 60, 120, **_LESS), "in fewer than {num_words} words"
    ),
    "sentences": Kind(
        "length_constraints:number_sentences",
        _number("num_sentences", 3, 9, **_LEAST),
        "in at least {num_sentences} sentences",
    ),
    "few sentences": Kind(
        "length_constraints:number_sentences",
        _number("num_sentences", 4, 9, **_LESS),
        "in fewer than {num_sentences} sentences",
    ),
    "paragraphs": Kind(
        "length_constraints:number_paragraphs",
        _number("num_paragraphs", 2, 5),
        "in exactly {num_paragraphs} paragraphs parted by ***",
    ),
    "first word": Kind(
        "length_constraints:nth_paragraph_first_word",
        _paragraph,
        "in exactly {num_paragraphs} paragraphs parted by one empty line, of which number {nth_paragraph} begins with "
        'the word "{first_word}"',
    ),
    "bullets": Kind(
        "detectable_format:number_bullet_lists",
        _number("num_bullets", 2, 6),
        "with exactly {num_bullets} bullet points, each on a line that begins with a dash",
    ),
    "placeholders": Kind(
        "detectable_content:number_placeholders",
        _number("num_placeholders", 2, 5),
        "with at least {num_placeholders} placeholders in square brackets",
    ),
    "highlights": Kind(
        "detectable_format:number_highlighted_sections",
        _number("num_highlights", 2, 5),
        "with at least {num_highlights} phrases highlighted between single stars",
    ),
    "title": Kind("detectable_format:title", lambda rng, topic: {}, "with a title between << and >>"),
    "postscript": Kind(
        "detectable_content:postscript",
        lambda rng, topic: {"postscript_marker": "P.S."},
        "with a postscript, {postscript_marker}, below it",
    ),
    "keywords": Kind(
        "keywords:existence", lambda rng, topic: {"keywords": _sorted_words(rng, topic)}, "using the words {keywords}"
    ),
    "forbidden": Kind(
        "keywords:forbidden_words",
        lambda rng, topic: {"forbidden_words": _sorted_words(rng, topic)},
        "avoiding the words {forbidden_words}",
    ),
    "frequency": Kind(
        "keywords:frequency",
        lambda rng, topic: {"keyword": rng.choice(TOPICS[topic]), "frequency": rng.randint(2, 4), **_LEAST},
        'with the word "{keyword}" at least {frequency} times',
    ),
    "letter": Kind(
        "keywords:letter_frequency",
        lambda rng, topic: {
            "letter": rng.choice(LETTERS),
            "let_frequency": rng.randint(4, 12),
            "let_relation": "at least",
        },
        "with the letter {letter} at least {let_frequency} times",
    ),
    "quotes": Kind("startend:quotation", lambda rng, topic: {}, "with double quotes around the whole text"),
    "ending": Kind(
        "startend:end_checker",
        lambda rng, topic: {"end_phrase": rng.choice(ENDINGS)},
        'ending with the very words "{end_phrase}"',
    ),
    "small letters": Kind("change_case:english_lowercase", lambda rng, topic: {}, "all in small letters"),
    "capitals": Kind("change_case:english_capital", lambda rng, topic: {}, "all in capital letters"),
    "capital words": Kind(
        "change_case:capital_word_frequency",
        _number("capital_frequency", 2, 5, capital_relation="at least"),
        "with at least {capital_frequency} words all in capitals",
    ),
    "sections": Kind(
        "detectable_format:multiple_sections",
        lambda rng, topic: {"section_spliter": rng.choice(("Section", "Part")), "num_sections": rng.randint(2, 4)},
        "in at least {num_sections} sections that begin with {section_spliter} 1, {section_spliter} 2 and so on",
    ),
    "two": Kind(
        "combination:two_responses", lambda rng, topic: {}, "in two different versions parted by six stars: ******"
    ),
    "JSON": Kind("detectable_format:json_format", lambda rng, topic: {}, "as one JSON object"),
}

# Kinds that do not go together. Some pairs cannot be met at once; others could, but no one would order them.
_PLAIN = ("words", "few words", "keywords", "forbidden", "frequency", "letter")
CLASHES: Mapping[str, frozenset[str]] = {
    "words": frozenset({"few words"}),
    "sentences": frozenset({"few sentences", "few words"}),
    "few sentences": frozenset({"bullets", "sections", "postscript", "two", "words"}),
    "paragraphs": frozenset({"first word", "two", "sections"}),
    "first word": frozenset({"title", "sections", "two", "quotes"}),
    "small letters": frozenset({"capitals", "capital words", "sections"}),
    "capitals": frozenset({"sections", "capital words"}),
    "keywords": frozenset({"forbidden"}),
    "frequency": frozenset({"forbidden"}),
    "quotes": frozenset({"two"}),
    "JSON": frozenset(KINDS) - {"JSON", *_PLAIN},
}


def go_together(one: str, other: str) -> bool:
    """Return whether two kinds may stand in one order."""
    return one != other and other not in CLASHES.get(one, ()) and one not in CLASHES.get(other, ())


def worded(name: str, arguments: Mapping[str, Any]) -> str:
    """Return how an order of that kind is said."""
    said = {key: " and ".join(value) if isinstance(value, list) else value for key, value in arguments.items()}
    return KINDS[name].words.format(**said)
