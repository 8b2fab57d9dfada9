"""How answers to problems of reasoning-gym are judged: by its scorer where that is sound, by ours where it is not.

A scorer takes the row of the table, the entry (question, answer, metadata) and the answer as text, and says whether
the answer is right; it raises `Unreadable` where none can be read. No answer is ever run: `theirs` refuses to call a
scorer that would.
"""

import contextlib
import copy
import io
import json
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from eggym.errors import EggymError

from . import expressions, rg_calculus
from .rg_table import Row

Entry = Mapping[str, Any]


class Unreadable(Exception):
    """The answer is of no form that the scorer reads."""


def theirs(dataset: Any, row: Row, entry: Entry, answer: str) -> float:
    """Return what their scorer pays, clipped into [0, 1].

    Raises:
        Unreadable: their scorer raised, though it can judge the right answer: the answer is at fault.
        EggymError: their scorer raised on the right answer too (on "" where none is known): it is broken here.
    """
    if row.get("runs_text"):
        raise EggymError("this scorer of reasoning-gym runs the answer as code; it is not called")
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # one of them prints what it thinks of a move
            return _clipped(dataset.score_answer(answer, copy.deepcopy(entry)))
    except MemoryError:
        raise
    except Exception as problem:  # their code may raise anything on a text it did not expect
        if not _can_judge(dataset, entry, known_answer(row, entry) or ""):
            raise EggymError(f"their scorer raises {type(problem).__name__} on any answer") from problem
        raise Unreadable(f"their scorer raises {type(problem).__name__}") from problem


def known_answer(row: Row, entry: Entry) -> str | None:
    """Return a right answer, or None where they give none."""
    field = row.get("oracle")
    found = entry["metadata"][field] if field else entry["answer"]
    return found if found is None or isinstance(found, str) else json.dumps(found)


def exact(row: Row, entry: Entry, answer: str) -> bool:
    """Compare the texts, blanks at the ends of lines aside."""
    return _lines(answer) == _lines(entry["answer"])


def one_of(row: Row, entry: Entry, answer: str) -> bool:
    """Look the text up among all valid answers."""
    return _lines(answer) in map(_lines, entry["metadata"]["valid_answers"])


def arithmetic(row: Row, entry: Entry, answer: str) -> bool:
    """Work out an expression over exactly the given numbers, in exact fractions."""
    try:
        reading = expressions.evaluate(answer, unary_minus=True)
    except expressions.Unreadable as problem:
        raise Unreadable(str(problem)) from problem
    target = entry["metadata"].get("target", 24)
    given = sorted(entry["metadata"]["numbers"])
    return sorted(reading.numbers) == given and reading.numerator == target * reading.denominator


def antiderivative(row: Row, entry: Entry, answer: str) -> bool:
    """Compare up to a constant, at points."""
    try:
        return rg_calculus.same_derivative(entry["answer"], answer, entry["metadata"]["variable"])
    except rg_calculus.Unreadable as problem:
        raise Unreadable(str(problem)) from problem


def probability(row: Row, entry: Entry, answer: str) -> bool:
    """Compare a decimal or a fraction with the true one, to one part in a thousand."""
    match = re.fullmatch(r"(\d{0,20}\.?\d{0,40}(?:e-\d{1,2})?)(?:\s*/\s*(\d{1,40}))?", answer, re.ASCII)
    if not match or not match[1].strip(".")[:1].isdigit() or (match[2] and int(match[2]) == 0):
        raise Unreadable("no decimal and no fraction")
    rational = entry["metadata"]["rational"]
    found = Decimal(match[1]) / Decimal(match[2] or 1)
    return math.isclose(found, Decimal(rational["numerator"]) / Decimal(rational["denominator"]), rel_tol=1e-3)


def number_list(row: Row, entry: Entry, answer: str) -> bool:
    """Compare a list of numbers, in quotes or not, number by number."""
    return _numbers(answer) == _numbers(entry["answer"])


OWN: dict[str, Callable[[Row, Entry, str], bool]] = {
    scorer.__name__: scorer for scorer in (exact, one_of, arithmetic, antiderivative, probability, number_list)
}


def _can_judge(dataset: Any, entry: Entry, answer: str) -> bool:
    try:
        dataset.score_answer(answer, copy.deepcopy(entry))
    except Exception:  # as above
        return False
    return True


def _clipped(value: Any) -> float:
    number = float(value)
    return min(max(number, 0.0), 1.0) if math.isfinite(number) else 0.0


def _lines(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _numbers(text: str) -> list[Decimal]:
    match = re.fullmatch(r"\[(.*)\]", text.strip(), re.DOTALL)
    parts = [part.strip().strip("'\"") for part in match[1].split(",")] if match else []
    try:
        found = [Decimal(part) for part in parts]
    except InvalidOperation:
        found = []
    if not found or not all(number.is_finite() for number in found):
        raise Unreadable("no list of numbers")
    return found
