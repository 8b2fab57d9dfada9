"""Constraints on form: lists, titles, sections, JSON, quotes, beginnings and ends. Semantics of IFEval, to the letter.

Each function takes the arguments of the data set and returns a `Check` of the raw text. Every search is linear in the
length of the text, also where the published pattern is not; the verdicts are the same.
Source: Zhou et al. 2023, "Instruction-Following Evaluation for Large Language Models".
"""

import json
import re
from typing import Any

from .constraint_arguments import Check, pattern, text, whole

# The white space before a bullet may span lines; only that of its own line has to be looked at to find it.
_STAR_BULLET = re.compile(r"^[^\S\n]*\*[^*].*$", re.MULTILINE)
_DASH_BULLET = re.compile(r"^[^\S\n]*-.*$", re.MULTILINE)
_SINGLE = re.compile(r"\*[^\n*]*\*")
_DOUBLE = re.compile(r"\*\*[^\n*]*\*\*")
_FENCES = ("```json", "```Json", "```JSON", "```")
_ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_MARKERS = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}


def number_placeholders(num_placeholders: Any) -> Check:
    """There are at least so many shortest ``[...]``, each on one line."""
    wanted = whole("num_placeholders", num_placeholders)
    return lambda reply: sum(map(_placeholders, reply.split("\n"))) >= wanted


def postscript(postscript_marker: Any) -> Check:
    """The marker occurs anywhere, in any case; spaces are allowed after its full stops."""
    marker = text("postscript_marker", postscript_marker).strip()
    found = pattern("postscript_marker", _MARKERS.get(marker, marker.lower()))
    return lambda reply: bool(found.search(reply.lower()))


def number_bullet_lists(num_bullets: Any) -> Check:
    """Exactly so many lines begin with a single star or a dash. The character behind the star may be the line's end."""
    wanted = whole("num_bullets", num_bullets)
    return lambda reply: len(_STAR_BULLET.findall(reply)) + len(_DASH_BULLET.findall(reply)) == wanted


def constrained_response() -> Check:
    """One of the three answers occurs, in this very case."""
    return lambda reply: any(each in reply for each in _ANSWERS)


def number_highlighted_sections(num_highlights: Any) -> Check:
    """At least so many ``*...*`` and ``**...**`` are not blank; each pattern is counted, so ``***x***`` is two."""
    wanted = whole("num_highlights", num_highlights)

    def check(reply: str) -> bool:
        spans = [each[1:-1] for each in _SINGLE.findall(reply)] + [each[2:-2] for each in _DOUBLE.findall(reply)]
        return sum(1 for each in spans if each.strip()) >= wanted

    return check


def multiple_sections(section_spliter: Any, num_sections: Any) -> Check:
    """At least so many sections begin with the splitter, in this very case, and a number."""
    splitter = text("section_spliter", section_spliter).strip()
    found = pattern("section_spliter", rf"\s?{splitter}\s?\d+\s?")
    wanted = whole("num_sections", num_sections)
    return lambda reply: len(found.split(reply)) - 1 >= wanted


def json_format() -> Check:
    """The whole text, a fence around it off, is a JSON value; NaN counts."""
    return lambda reply: is_json(reply)


def is_json(reply: str, **options: Any) -> bool:
    """Return whether a text, without a fence around it, is JSON as Python reads it; ``options`` of `json.loads`."""
    body = reply.strip()
    for fence in _FENCES:
        body = body.removeprefix(fence)
    try:
        json.loads(body.removesuffix("```").strip(), **options)
    except (ValueError, RecursionError):  # also digits beyond Python's limit, and nesting beyond its stack
        return False
    return True


def title() -> Check:
    """A line has ``<<...>>`` with more than angle brackets and blanks in it."""
    return lambda reply: any(map(_has_title, reply.split("\n")))


def two_responses() -> Check:
    """Six stars part exactly two different texts; blank parts are allowed at the ends alone."""

    def check(reply: str) -> bool:
        parts = [part.strip() for part in reply.split("******")]
        said = [part for part in parts if part]
        return all(parts[1:-1]) and len(said) == 2 and said[0] != said[1]

    return check


def repeat_prompt(prompt_to_repeat: Any) -> Check:
    """The text begins with the prompt, in any case, outer white space apart."""
    wanted = text("prompt_to_repeat", prompt_to_repeat).strip().lower()
    return lambda reply: reply.strip().lower().startswith(wanted)


def end_checker(end_phrase: Any) -> Check:
    """The text ends with the phrase, in any case, outer white space and then double quotes off."""
    wanted = text("end_phrase", end_phrase).strip().lower()
    return lambda reply: reply.strip().strip('"').lower().endswith(wanted)


def quotation() -> Check:
    """The text stands in double quotes."""

    def check(reply: str) -> bool:
        body = reply.strip()
        return len(body) > 1 and body[0] == body[-1] == '"'

    return check


def no_comma() -> Check:
    """No comma occurs."""
    return lambda reply: "," not in reply


def _placeholders(line: str) -> int:
    """Count the pairs from each opening bracket to the next closing one, without overlap."""
    count, opening = 0, line.find("[")
    while opening >= 0:
        closing = line.find("]", opening + 1)
        if closing < 0:
            break
        count, opening = count + 1, line.find("[", closing + 1)
    return count


def _has_title(line: str) -> bool:
    start, end = line.find("<<"), line.rfind(">>")
    # At least one character stands between: "<<>>" is no title.
    return 0 <= start <= end - 3 and bool(line[start : end + 2].lstrip("<").rstrip(">").strip())
