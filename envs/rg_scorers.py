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
from decimal import Decimal
from typing import Any

from eggym.errors import EggymError

from . import expressions, rg_calculus
from .rg_table import Row

Entry = Mapping[str, Any]
_CHAIN = "P(?:[\u2227\u2228\u2192\u2194]P)*"  # and, or, implies, iff


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


def check_form(row: Row, answer: str) -> None:
    """Raise `Unreadable` on an answer that is not wholly of the row's form: their scorers read what they can find."""
    form = row.get("form")
    if form and not (_is_formula(answer) if form == "formula" else re.fullmatch(form, answer, re.ASCII)):
        raise Unreadable("not of the form that was asked for, or with something beside it")


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


def same_words(row: Row, entry: Entry, answer: str) -> bool:
    """Compare the words, case and the blanks between them aside."""
    return answer.lower().split() == str(entry["answer"]).lower().split()


def comma_list(row: Row, entry: Entry, answer: str) -> bool:
    """Compare what stands between commas; case counts."""
    return [part.strip() for part in answer.split(",")] == [part.strip() for part in entry["answer"].split(",")]


def number(row: Row, entry: Entry, answer: str) -> bool:
    """Compare one number with the true one, exactly."""
    return _number(answer) == _number(str(entry["answer"]))


def matrix(row: Row, entry: Entry, answer: str) -> bool:
    """Compare rows of entries, blanks between them aside."""
    return _rows(answer) == _rows(entry["answer"])


def number_matrix(row: Row, entry: Entry, answer: str) -> bool:
    """Compare rows of numbers, each to 0.01, which is one unit of the two places that are asked for."""
    have, want = ([[_number(cell) for cell in line] for line in _rows(text)] for text in (answer, entry["answer"]))
    cells = [pair for lines in zip(have, want, strict=False) for pair in zip(*lines, strict=False)]
    return [*map(len, have)] == [*map(len, want)] and all(abs(one - other) <= Decimal("0.01") for one, other in cells)


def json_value(row: Row, entry: Entry, answer: str) -> bool:
    """Compare values of JSON; 1, 1.0 and true differ."""
    try:
        return json.dumps(json.loads(answer)) == json.dumps(json.loads(entry["answer"]))
    except (ValueError, RecursionError) as problem:
        raise Unreadable("no JSON") from problem


def roles(row: Row, entry: Entry, answer: str) -> bool:
    """Compare who is what: ``A is a knight, and B is a knave.``, in any order."""
    return _roles(answer) == _roles(entry["answer"])


def interval(row: Row, entry: Entry, answer: str) -> bool:
    """Compare spans of time: ``3 days``, ``HH:MM`` with or without seconds, or both with a comma between."""
    return _interval(answer) == _interval(entry["answer"])


OWN: dict[str, Callable[[Row, Entry, str], bool]] = {
    scorer.__name__: scorer
    for scorer in (
        exact, one_of, arithmetic, antiderivative, probability, number_list, same_words, comma_list, number, matrix,
        number_matrix, json_value, roles, interval,
    )
}  # fmt: skip


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


def _is_formula(text: str) -> bool:
    """Say whether a text is one formula of logic, by writing P for each part of it that is one."""
    left, before = re.sub(r"[A-Z]", "P", re.sub(r"\s+", "", text)), ""
    while left != before:
        left, before = re.sub(rf"¬P|\({_CHAIN}\)", "P", left), left
    return re.fullmatch(_CHAIN, left) is not None


def _rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]


def _number(text: str) -> Decimal:
    match = re.fullmatch(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?", text.strip(), re.ASCII)
    if not match:
        raise Unreadable(f"{text.strip()!r:.40} is no number")
    return Decimal(match[0].replace(",", ""))


def _roles(text: str) -> set[tuple[str, str]]:
    clauses = re.split(r",\s*(?:and\s+)?|\s+and\s+", text.strip().removesuffix(".").lower())
    found = [re.fullmatch(r"([a-z]+)\s+is\s+an?\s+([a-z]+)", clause.strip()) for clause in clauses]
    if not all(found):
        raise Unreadable('not of the form "A is a ..., and B is a ..."')
    return {(match[1], match[2]) for match in found if match}


def _interval(text: str) -> tuple[int | None, Decimal | None]:
    match = re.fullmatch(
        r"(?:(-?\d{1,9}) days?)?(?:(?:^|, ?)(-?)(\d{1,9}):(\d\d)(?::(\d\d(?:\.\d{1,9})?))?)?", text.strip(), re.ASCII
    )
    if not match or not match[0]:
        raise Unreadable("no span of days and HH:MM:SS")
    days, sign, hours, minutes, seconds = match.groups()
    clock = None if hours is None else 3600 * int(hours) + 60 * int(minutes) + Decimal(seconds or 0)
    return (None if days is None else int(days)), (clock if clock is None or not sign else -clock)


def _numbers(text: str) -> list[Decimal]:
    match = re.fullmatch(r"\[(.*)\]", text.strip(), re.DOTALL)
    parts = [part.strip().strip("'\"") for part in match[1].split(",")] if match else []
    if not parts:
        raise Unreadable("no list of numbers")
    return [_number(part) for part in parts]
