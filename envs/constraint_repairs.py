"""Profile ``fixed``: the constraints of IFEval whose published semantics reward or punish what the prompt did not ask.

Figures made with them are comparable with each other alone. `REPAIRS` names each repair and says what it changes;
all other types are the published ones. Two known faults of ports are absent from both profiles: a language that
flips from call to call, and a letter other than a-z that is replaced by a random one.
"""

import re
from typing import Any

from .constraint_arguments import Check, relation, text, texts, whole
from .constraints_format import is_json
from .constraints_language import language_code
from .constraints_words import first_word_of, paragraph_arguments
from .languages import language_of

REPAIRS: dict[str, str] = {
    "whole keywords": "a keyword is literal text and a whole word: war is not in forward, and a.b is not in axb",
    "counted paragraphs": "the nth paragraph is the nth that is not blank, as the number of paragraphs is counted",
    "real bullets": "+ and numbers make bullets too; rules (---) do not, and a bullet has a blank and text behind it",
    "postscript line": "the postscript begins a line, and has text behind its marker",
    "answer alone": "the constrained answer is the whole response, outer white space apart",
    "one highlight": "***x*** is one highlighted section, not two",
    "plain JSON": "NaN and Infinity are no JSON",
    "language found": "a text in which no language can be found is in none, instead of in any",
    "capitals read": "a text in capitals is English if it is so in small letters: langdetect skips runs of capitals",
}

# A letter, digit or _ on neither side; \b alone would ask for one beside a keyword that begins with a sign.
_WHOLE = r"(?<!\w){}(?!\w)"
_RULE = re.compile(r"[^\S\n]*([-*_])(?:[^\S\n]*\1){2,}[^\S\n]*")
_BULLET = re.compile(r"[^\S\n]*(?:[-*+]|\d{1,9}[.)])[^\S\n]+\S")
_STARS = re.compile(r"(\*{1,3})([^\n*]+)\1")
_ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


def existence(keywords: Any) -> Check:
    """Each keyword occurs as a whole word."""
    found = [_whole_word(each) for each in texts("keywords", keywords)]
    return lambda reply: all(each.search(reply) for each in found)


def frequency(keyword: Any, frequency: Any, relation: Any) -> Check:
    """The keyword occurs so often as a whole word."""
    found, wanted, fits = _whole_word(text("keyword", keyword)), whole("frequency", frequency), _relation(relation)
    return lambda reply: fits(sum(1 for _ in found.finditer(reply)), wanted)


def forbidden_words(forbidden_words: Any) -> Check:
    """No listed word occurs as a whole word."""
    found = [_whole_word(each) for each in texts("forbidden_words", forbidden_words)]
    return lambda reply: not any(each.search(reply) for each in found)


def nth_paragraph_first_word(num_paragraphs: Any, nth_paragraph: Any, first_word: Any) -> Check:
    """The nth paragraph that is not blank begins with the word, and there are exactly so many."""
    wanted, nth = paragraph_arguments(num_paragraphs, nth_paragraph)
    word = text("first_word", first_word).lower()

    def check(reply: str) -> bool:
        parts = [part for part in reply.split("\n\n") if part.strip()]
        return len(parts) == wanted and first_word_of(parts[nth - 1]) == word

    return check


def number_bullet_lists(num_bullets: Any) -> Check:
    """Exactly so many lines are bullets of any kind."""
    wanted = whole("num_bullets", num_bullets)
    return lambda reply: sum(map(_is_bullet, reply.split("\n"))) == wanted


def postscript(postscript_marker: Any) -> Check:
    """A line begins with the marker and goes on."""
    marker = text("postscript_marker", postscript_marker).strip()
    letters = [re.escape(part) for part in marker.rstrip(".").split(".")]
    found = re.compile(r"^[^\S\n]*" + r"\.[^\S\n]?".join(letters) + r"\b\.?.*?\w", re.IGNORECASE | re.MULTILINE)
    return lambda reply: bool(found.search(reply))


def constrained_response() -> Check:
    """The response is one of the three answers."""
    return lambda reply: reply.strip() in _ANSWERS


def number_highlighted_sections(num_highlights: Any) -> Check:
    """At least so many sections stand between one, two or three stars on each side."""
    wanted = whole("num_highlights", num_highlights)
    return lambda reply: sum(1 for each in _STARS.finditer(reply) if each[2].strip()) >= wanted


def json_format() -> Check:
    """The whole text, a fence around it off, is JSON by the standard."""
    return lambda reply: is_json(reply, parse_constant=_refuse)


def response_language(language: Any) -> Check:
    """The text is in that language."""
    wanted = language_code(language)
    return lambda reply: language_of(reply) == wanted


def english_capital() -> Check:
    """The letters are all capitals, and the language is English."""
    return lambda reply: reply.isupper() and "en" in (language_of(reply), language_of(reply.lower()))


def english_lowercase() -> Check:
    """The letters are all small, and the language is English."""
    return lambda reply: reply.islower() and language_of(reply) == "en"


def _whole_word(keyword: str) -> re.Pattern[str]:
    return re.compile(_WHOLE.format(re.escape(keyword.strip())), re.IGNORECASE)


def _is_bullet(line: str) -> bool:
    return bool(_BULLET.match(line)) and not _RULE.fullmatch(line)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _relation(value: Any) -> Any:
    return relation("relation", value)  # `frequency` has an argument of the function's own name
