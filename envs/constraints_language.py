"""Constraints on the language of a text and its case. Semantics of IFEval, to the letter, but the same every time.

A text in which no language can be found (no letters, say) passes: the published rule.
Source: Zhou et al. 2023, "Instruction-Following Evaluation for Large Language Models".
"""

from typing import Any

from eggym.errors import unknown

from .constraint_arguments import Check, text
from .languages import language_of

# The codes of langdetect's profiles. Listed here so that a wrong one is refused before the profiles are read.
_CODES = (
    "af ar bg bn ca cs cy da de el en es et fa fi fr gu he hi hr hu id it ja kn ko lt lv mk ml mr ne nl no pa pl pt ro "
    "ru sk sl so sq sv sw ta te th tl tr uk ur vi zh-cn zh-tw"
)
LANGUAGES = tuple(_CODES.split())


def response_language(language: Any) -> Check:
    """The text is in the language of that code, such as "kn"."""
    wanted = language_code(language)
    return lambda reply: language_of(reply) in (wanted, None)


def english_capital() -> Check:
    """The letters are all capitals, there is one, and the language is English."""
    return lambda reply: reply.isupper() and language_of(reply) in ("en", None)


def english_lowercase() -> Check:
    """The letters are all small, there is one, and the language is English."""
    return lambda reply: reply.islower() and language_of(reply) in ("en", None)


def language_code(value: Any) -> str:
    """Return a code that langdetect may answer."""
    code = text("language", value)
    if code not in LANGUAGES:
        raise unknown("language", code, LANGUAGES)
    return code
