"""Tests that leave nothing behind, for which a checker's process may be used again.

Decided by their byte code, before they run. Plain tests set no attributes, import modules without a state alone, and
call nothing by which a name reaches further than the tests. Random numbers have a state, but every check sets it anew.
Tests are trusted: this is against what one leaves to the next by accident, not against malice.
"""

import dis
import warnings
from functools import lru_cache
from types import CodeType

from .box_terms import Check

STATELESS = frozenset(
    [
        "bisect",
        "cmath",
        "collections",
        "copy",
        "datetime",
        "fractions",
        "functools",
        "heapq",
        "itertools",
        "math",
        "random",
        "re",
        "statistics",
        "string",
        "typing",
    ]
)
_REACHING = frozenset(
    [
        "breakpoint",
        "compile",
        "delattr",
        "eval",
        "exec",
        "globals",
        "help",
        "input",
        "open",
        "register",
        "setattr",
        "setrecursionlimit",
        "vars",
    ]
)
_SETTING = frozenset(dis.opmap[name] for name in ("STORE_ATTR", "DELETE_ATTR"))
_IMPORT = dis.opmap["IMPORT_NAME"]


def is_plain(check: Check) -> bool:
    """Say whether the tests of a check leave nothing behind."""
    return _plain((check.imports, *check.tests))


@lru_cache(maxsize=4096)
def _plain(texts: tuple[str, ...]) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return all(_is_harmless(compile(text, "<test>", "exec", dont_inherit=True)) for text in texts)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False  # a checker of their own says what is wrong with them


def _is_harmless(code: CodeType) -> bool:
    operations = set(code.co_code[::2])
    if operations & _SETTING or _REACHING.intersection(code.co_names):
        return False
    if any(name.startswith("__") for name in code.co_names):
        return False
    if _IMPORT in operations and not _imported(code) <= STATELESS:
        return False
    return all(_is_harmless(part) for part in code.co_consts if isinstance(part, CodeType))


def _imported(code: CodeType) -> set[str]:
    return {step.argval.partition(".")[0] for step in dis.get_instructions(code) if step.opcode == _IMPORT}
