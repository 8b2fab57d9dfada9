"""Sentences and words of a text as NLTK parts them, without any download.

Sentences: trained English Punkt where the data set ``punkt_tab`` is installed (plain tables; the old pickled form is
never read), else an untrained Punkt, whose counts nearly always agree. `splitter_name` tells which; a score is named
with it.
Words: the Treebank rules over the whole text, which need no data.
"""

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nltk.tokenize.punkt import PunktSentenceTokenizer

TRAINED, UNTRAINED = "punkt_tab", "untrained"


def count_sentences(text: str) -> int:
    """Return the number of sentences of an English text.

    >>> count_sentences("It rains. We stay in!")
    2
    """
    return len(_splitter()[1].tokenize(text))


def splitter_name() -> str:
    """Return `TRAINED` or `UNTRAINED`: what parts sentences on this machine."""
    return _splitter()[0]


@lru_cache(maxsize=128)
def count_capital_words(text: str) -> int:
    """Return the number of words whose letters are all capitals: I, A and NASA, and a hyphenated UP-TO-DATE once.

    >>> count_capital_words("I saw NASA's UP-TO-DATE plan")
    3
    """
    if text.islower():  # no capital anywhere, so the text needs no parting
        return 0
    return sum(map(str.isupper, _words().tokenize(text)))


@cache
def _words() -> Any:
    from nltk.tokenize.destructive import NLTKWordTokenizer

    return NLTKWordTokenizer()


@cache
def _splitter() -> "tuple[str, PunktSentenceTokenizer]":
    from nltk.tokenize.punkt import PunktSentenceTokenizer, PunktTokenizer

    try:
        return TRAINED, PunktTokenizer("english")
    except LookupError:  # the data are not installed
        return UNTRAINED, PunktSentenceTokenizer()
