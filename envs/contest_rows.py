"""Rows of contest problems, in the forms that data sets give them: which fields are read, and what is no such problem.

- the statement: ``question`` (APPS, TACO), ``prompt``, ``description`` (CodeContests) or ``question_content``
  (LiveCodeBench), the first of them that there is;
- examples, which a prompt may show: ``examples``, ``public_tests``, ``public_test_cases``;
- tests: ``input_output``, ``tests``, ``test_cases``, ``private_tests``, ``private_test_cases``, ``generated_tests``;
- a reference solution, if there is one: ``solution``, or the first of ``solutions``, of those with a ``language`` the
  first in Python 3 (number 3).

Every field of examples or tests is a list of objects with ``input`` and ``output``, or one object with two lists,
called ``input`` and ``output`` or ``inputs`` and ``outputs``; any of it may be JSON in a text. An input or output is a
text, or a list of lines. Other fields are not read. Compressed tests of LiveCodeBench are a pickle, which nobody should
load.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from eggym.errors import BadValue
from eggym.rows import Row

Pairs = list[tuple[str, str]]  # (input, expected output)

STATEMENTS = ("question", "prompt", "description", "question_content")
EXAMPLES = ("examples", "public_tests", "public_test_cases")
TESTS = ("input_output", "tests", "test_cases", "private_tests", "private_test_cases", "generated_tests")
_PYTHON_3 = 3


def statement_of(row: Row) -> str:
    """Return what is asked.

    Raises:
        BadValue: the row says nothing, or asks for a function.
    """
    found = next((row[name] for name in STATEMENTS if row.get(name) is not None), None)
    if not isinstance(found, str) or not found.strip():
        raise BadValue(f"it has no statement in one of the fields {', '.join(STATEMENTS)}")
    return found.strip()


def pairs_of(row: Row, fields: Sequence[str]) -> Pairs:
    """Return the pairs of input and output of some fields, without repeats.

    Raises:
        BadValue: a field has none of the forms, or belongs to a problem that asks for a function.
    """
    found: Pairs = []
    for name in fields:
        if row.get(name) is not None:
            found += _pairs(_unpacked(row[name], name), name)
    return list(dict.fromkeys(found))


def solution_of(row: Row) -> str | None:
    """Return a reference solution in Python, or None."""
    if isinstance(row.get("solution"), str):
        return str(row["solution"])
    found = row.get("solutions")
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError:
            return None
    if isinstance(found, Mapping):  # two lists
        pairs = zip(found.get("language") or (), found.get("solution") or (), strict=False)
        found = [text for language, text in pairs if language == _PYTHON_3]
    return next((text for text in found if isinstance(text, str)), None) if isinstance(found, list) else None


def _unpacked(value: Any, name: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else []
    except (ValueError, RecursionError) as problem:
        raise BadValue(f"its field {name!r} is a text that is no JSON: {value!r:.40}; unpack it first") from problem


def _pairs(value: Any, name: str) -> Pairs:
    if isinstance(value, Mapping):
        if value.get("fn_name"):
            raise BadValue(f"it asks for a function ({name}.fn_name), not for a whole program; leave such rows out")
        given, expected = (value.get(key, value.get(f"{key}s")) for key in ("input", "output"))
        if not isinstance(given, list) or not isinstance(expected, list) or len(given) != len(expected):
            raise BadValue(f"its field {name!r} has no lists of inputs and outputs of the same length")
        value = [{"input": one, "output": other} for one, other in zip(given, expected, strict=True)]
    if not isinstance(value, list):
        raise BadValue(f"its field {name!r} is no list of tests: {value!r:.60}")
    return [_pair(test, name) for test in value]


def _pair(test: Any, name: str) -> tuple[str, str]:
    if not isinstance(test, Mapping) or "input" not in test or "output" not in test:
        raise BadValue(f"a test in its field {name!r} is no object with input and output: {test!r:.60}")
    if test.get("testtype") == "functional":
        raise BadValue(f"it asks for a function ({name}.testtype), not for a whole program; leave such rows out")
    return _text(test["input"], name), _text(test["output"], name)


def _text(value: Any, name: str) -> str:
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    if not isinstance(value, str):
        raise BadValue(f"an input or output in its field {name!r} is no text: {value!r:.60}")
    return value
