"""Constraints on words and lengths: keywords, letters, sentences, paragraphs. Semantics of IFEval, to the letter.

Each function takes the arguments of the data set and returns a `Check` of the raw text. Keywords are regular
expressions, found anywhere in a word (``war`` in ``forward``); `eggym.envs.constraint_repairs` has the stricter ones.
Source: Zhou et al. 2023, "Instruction-Following Evaluation for Large Language Models".
"""

import re
from typing import Any

from eggym.errors import BadValue

from .constraint_arguments import Check, pattern, relation, text, texts, whole
from .sentences import count_capital_words, count_sentences

_WORD = re.compile(r"\w+")
_STARS = re.compile(r"\s?\*\*\*\s?")
_WORD_ENDS = frozenset(".,?!'\"")


def existence(keywords: Any) -> Check:
    """Each keyword occurs, in any case."""
    found = [pattern("keywords", each, re.IGNORECASE) for each in texts("keywords", keywords)]
    return lambda reply: all(each.search(reply) for each in found)


def frequency(keyword: Any, frequency: Any, relation: Any) -> Check:
    """The keyword, outer spaces off, occurs so often, in any case; matches do not overlap."""
    found = pattern("keyword", text("keyword", keyword).strip(), re.IGNORECASE)
    wanted, fits = whole("frequency", frequency), _relation(relation)
    return lambda reply: fits(sum(1 for _ in found.finditer(reply)), wanted)


def forbidden_words(forbidden_words: Any) -> Check:
    """No listed word occurs as a whole word, in any case."""
    listed = texts("forbidden_words", forbidden_words)
    found = [pattern("forbidden_words", rf"\b{each}\b", re.IGNORECASE) for each in listed]
    return lambda reply: not any(each.search(reply) for each in found)


def letter_frequency(letter: Any, let_frequency: Any, let_relation: Any) -> Check:
    """The character, whatever it is, occurs so often in the lower-cased text."""
    single = text("letter", letter).strip().lower()
    if len(single) != 1:
        raise BadValue(f"letter is one character, got {letter!r:.60}")
    wanted, fits = whole("let_frequency", let_frequency), relation("let_relation", let_relation)
    return lambda reply: fits(reply.lower().count(single), wanted)


def capital_word_frequency(capital_frequency: Any, capital_relation: Any) -> Check:
    """So many words have capitals alone."""
    wanted, fits = whole("capital_frequency", capital_frequency), relation("capital_relation", capital_relation)
    return lambda reply: fits(count_capital_words(reply), wanted)


def number_words(num_words: Any, relation: Any) -> Check:
    r"""There are so many runs of ``\w``: "don't" is two."""
    wanted, fits = whole("num_words", num_words), _relation(relation)
    return lambda reply: fits(len(_WORD.findall(reply)), wanted)


def number_sentences(num_sentences: Any, relation: Any) -> Check:
    """There are so many sentences, as Punkt parts them."""
    wanted, fits = whole("num_sentences", num_sentences), _relation(relation)
    return lambda reply: fits(count_sentences(reply), wanted)


def number_paragraphs(num_paragraphs: Any) -> Check:
    """Three stars part exactly so many paragraphs; a blank first or last one is not counted, one between fails."""
    wanted = whole("num_paragraphs", num_paragraphs, least=1)

    def check(reply: str) -> bool:
        blank = [not part.strip() for part in _STARS.split(reply)]
        return not any(blank[1:-1]) and blank.count(False) == wanted

    return check


def nth_paragraph_first_word(num_paragraphs: Any, nth_paragraph: Any, first_word: Any) -> Check:
    """Two line ends part exactly so many paragraphs that are not blank, and the nth begins with the word.

    A fault that is kept: blank ones are left out of the count, but not when the nth is looked up.
    """
    wanted, nth = paragraph_arguments(num_paragraphs, nth_paragraph)
    word = text("first_word", first_word).lower()

    def check(reply: str) -> bool:
        parts = reply.split("\n\n")
        count = sum(1 for part in parts if part.strip())
        return nth <= count == wanted and first_word_of(parts[nth - 1]) == word

    return check


def paragraph_arguments(num_paragraphs: Any, nth_paragraph: Any) -> tuple[int, int]:
    """Return how many paragraphs there shall be and which is meant, from 1."""
    wanted, nth = whole("num_paragraphs", num_paragraphs, least=1), whole("nth_paragraph", nth_paragraph, least=1)
    if nth > wanted:
        raise BadValue(f"nth_paragraph is at most num_paragraphs, {wanted}, got {nth}")
    return wanted, nth


def first_word_of(paragraph: str) -> str | None:
    """Return the first word in lower case, its opening quotes off and cut at the first sign; None if there is none.

    >>> first_word_of("  'Don't stop.")
    'don'
    """
    words = paragraph.split(None, 1)
    if not words:
        return None
    word = words[0].lstrip("'").lstrip('"')
    end = next((place for place, letter in enumerate(word) if letter in _WORD_ENDS), len(word))
    return word[:end].lower()


def _relation(value: Any) -> Any:
    return relation("relation", value)  # several makers have an argument of the function's own name
