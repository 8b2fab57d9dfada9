"""Does a reply say anything? A gate for training: rules of form alone are met by a full stop, an echo, a word list.

It asks for little, so that an honest short answer ("My answer is no.") passes in any language, and it cannot tell sense
from nonsense: it takes the pay from empty compliance, not from a padded one.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

LEAST_WORDS = 4  # different ones that the order itself did not hand over
MOST_SHARE = 0.4  # of all words, by the most frequent one
COUNTED_FROM = 10  # words; in fewer, one may well come up often

# Scripts without spaces between words: a character stands for a word.
_WORD = re.compile(r"[\u0e00-\u0e7f\u1000-\u109f\u3040-\u30ff\u3400-\u9fff]|\w+")


def emptiness(reply: str, repeated: str = "", given: Iterable[str] = (), least: int = LEAST_WORDS) -> str:
    """Return why a reply says too little, in one line, or "" if it says something.

    ``repeated`` is the prompt: an echo of it at the start is not counted. ``given`` are texts that the order hands
    over, keywords and phrases; their words are not counted. ``least`` different words are asked for.

    >>> emptiness("My answer is no.")
    ''
    >>> emptiness("Yes. Yes. Yes!")
    'it has 1 words of its own, fewer than 4'
    """
    known = {word for text in given for word in words_of(text)}
    said = [word for word in words_of(_rest(reply, repeated)) if word not in known]
    if len(set(said)) < least:
        return f"it has {len(set(said))} words of its own, fewer than {least}"
    word, count = Counter(said).most_common(1)[0]
    if len(said) >= COUNTED_FROM and count > MOST_SHARE * len(said):
        return f"{word!r:.40} makes up {count} of its {len(said)} words"
    return ""


def words_of(text: str) -> Iterator[str]:
    """Give the words of a text in lower case, numbers left out."""
    return (word for word in _WORD.findall(text.lower()) if not word.isdigit())


def texts_of(arguments: Mapping[str, Any]) -> Iterator[str]:
    """Give the texts among the arguments of a constraint: keywords, phrases, markers."""
    for value in arguments.values():
        yield from value if isinstance(value, list) else [value] if isinstance(value, str) else []


def _rest(reply: str, repeated: str) -> str:
    body, start = reply.strip().lower(), repeated.strip().lower()
    return body.removeprefix(start)
