"""Verifiable constraints on a reply: the 25 types of IFEval, read by id from a data set, checked strictly or loosely.

    >>> constraint = read_constraint("length_constraints:number_words", {"num_words": 3, "relation": "less than"})
    >>> constraint.passes("Two words"), constraint.passes("Now three words")
    (True, False)

Strict: the reply as it is; a blank one follows nothing. Loose: any of 8 variants of it may follow (first line, last
line, both, or all stars off). An id or an argument that is not known is refused when a constraint is read; nothing
passes unseen. Profiles: ``official`` (the published semantics, faults included) and ``fixed``, see
`eggym.envs.constraint_repairs`.
Source: Zhou et al. 2023, "Instruction-Following Evaluation for Large Language Models".
"""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from eggym.errors import BadValue, unknown

from . import constraint_repairs as repaired
from . import constraints_format as form
from . import constraints_language as language
from . import constraints_words as words
from .constraint_arguments import Check

Maker = Callable[..., Check]

OFFICIAL: dict[str, Maker] = {
    "keywords:existence": words.existence,
    "keywords:frequency": words.frequency,
    "keywords:forbidden_words": words.forbidden_words,
    "keywords:letter_frequency": words.letter_frequency,
    "language:response_language": language.response_language,
    "length_constraints:number_sentences": words.number_sentences,
    "length_constraints:number_paragraphs": words.number_paragraphs,
    "length_constraints:number_words": words.number_words,
    "length_constraints:nth_paragraph_first_word": words.nth_paragraph_first_word,
    "detectable_content:number_placeholders": form.number_placeholders,
    "detectable_content:postscript": form.postscript,
    "detectable_format:number_bullet_lists": form.number_bullet_lists,
    "detectable_format:constrained_response": form.constrained_response,
    "detectable_format:number_highlighted_sections": form.number_highlighted_sections,
    "detectable_format:multiple_sections": form.multiple_sections,
    "detectable_format:json_format": form.json_format,
    "detectable_format:title": form.title,
    "combination:two_responses": form.two_responses,
    "combination:repeat_prompt": form.repeat_prompt,
    "startend:end_checker": form.end_checker,
    "startend:quotation": form.quotation,
    "change_case:capital_word_frequency": words.capital_word_frequency,
    "change_case:english_capital": language.english_capital,
    "change_case:english_lowercase": language.english_lowercase,
    "punctuation:no_comma": form.no_comma,
}
# A repaired maker has the name of the published one.
FIXED: dict[str, Maker] = {id: getattr(repaired, maker.__name__, maker) for id, maker in OFFICIAL.items()}
PROFILES: dict[str, dict[str, Maker]] = {"official": OFFICIAL, "fixed": FIXED}
MODES = ("strict", "loose")


@dataclass(frozen=True, slots=True)
class Constraint:
    """One constraint, ready to check replies. ``arguments`` are those of the data set, nulls left out."""

    id: str
    arguments: Mapping[str, Any]
    check: Check

    def passes(self, reply: str) -> bool:
        """Return whether the reply, as it is, follows the constraint; a blank one does not."""
        return not _is_blank(reply) and self.check(reply)

    def passes_loosely(self, reply: str) -> bool:
        """Return whether any variant of the reply follows the constraint."""
        return any(map(self.passes, variants(reply)))


def read_constraint(id: str, arguments: Mapping[str, Any], profile: str = "official") -> Constraint:
    """Return the constraint of that id; arguments that are null are left out, as some copies of the data have them.

    Raises:
        UnknownName: no such id, profile or language.
        BadValue: an argument is missing, not known, or odd.
    """
    if profile not in PROFILES:
        raise unknown("profile of constraints", profile, PROFILES)
    if id not in OFFICIAL:
        raise unknown("constraint", id, OFFICIAL)
    given = {name: value for name, value in arguments.items() if value is not None}
    maker = PROFILES[profile][id]
    wanted = list(inspect.signature(maker).parameters)
    if set(given) != set(wanted):
        raise BadValue(
            f"constraint {id!r} takes {', '.join(wanted) or 'no arguments'}; got {', '.join(given) or 'none'}"
        )
    try:
        return Constraint(id, given, maker(**given))
    except BadValue as problem:
        raise BadValue(f"constraint {id!r}: {problem}") from problem


def read_constraints(rows: list[list[Any]], profile: str = "official") -> tuple[Constraint, ...]:
    """Return the constraints of an item, given as [id, arguments]; those of recent items are kept ready."""
    return _kept(json.dumps(rows), profile)


@lru_cache(maxsize=2048)
def _kept(rows: str, profile: str) -> tuple[Constraint, ...]:
    return tuple(read_constraint(id, arguments, profile) for id, arguments in json.loads(rows))


@lru_cache(maxsize=8)
def variants(reply: str) -> tuple[str, ...]:
    """Return the texts that the loose rule looks at: lines off the ends, then the same without any star.

    >>> variants("Sure!\\n*Hi*\\nBye")
    ('Sure!\\n*Hi*\\nBye', '*Hi*\\nBye', 'Sure!\\n*Hi*', '*Hi*', 'Sure!\\nHi\\nBye', 'Hi\\nBye', 'Sure!\\nHi', 'Hi')
    """
    cut = list(_cut(reply))
    return tuple(dict.fromkeys(cut + [each.replace("*", "") for each in cut]))  # in order, each once


def _cut(reply: str) -> Iterator[str]:
    lines = reply.split("\n")
    yield reply  # as it is; the others lose outer white space
    for first, last in ((1, None), (0, -1), (1, -1)):
        yield "\n".join(lines[first:last]).strip()


def _is_blank(reply: str) -> bool:
    return not reply or reply.isspace()
