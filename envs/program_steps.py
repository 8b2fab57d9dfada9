"""What the functions of `programs` are made of: steps, each with its words, our own value, and a spelling in Python.

Values come from our functions, never from running text. A *slip* is a plausible mistake in a step, such as another rule
for ties or a missed empty list; it has a value and a spelling too, and no words.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from string import Template
from typing import Any, NamedTuple

NUMBERS, NUMBER, TEXT, WORDS, TABLE, LAST = (
    "numbers",
    "number",
    "text",
    "words",
    "table",
    "last",
)  # LAST: nothing follows
Step = Sequence[Any]  # the name of an `Op` and its parameter or None; in a mutant also the number of a slip: JSON
Slip = tuple[Callable[..., Any], str]


class Op(NamedTuple):
    """A kind of step. In words and spellings: $v the value so far, $n the parameter, $them and $it what it holds."""

    takes: str
    gives: str
    grade: int  # 1 to 3: how hard
    words: tuple[str, ...]  # all say the same
    apply: Callable[..., Any]
    code: str  # an expression, or lines that set `value`
    choices: tuple[Any, ...] = ()  # of the parameter
    slips: tuple[Slip, ...] = ()


def value_of(ops: dict[str, Op], steps: Sequence[Step], value: Any) -> Any:
    """Return what the steps make of a value, in their order."""
    for name, number, *slip in steps:
        apply = ops[name].slips[slip[0]][0] if slip else ops[name].apply
        value = apply(value) if number is None else apply(value, number)
    return value


def spelt(ops: dict[str, Op], steps: Sequence[Step], function: str, argument: str) -> str:
    """Return the steps as a function in Python."""
    lines = [f"def {function}({argument}):", f"    value = {argument}"]
    for name, number, *slip in steps:
        code = ops[name].slips[slip[0]][1] if slip else ops[name].code
        text = Template(code).substitute(v="value", n=repr(number))
        lines += [f"    {line}" for line in (text if "\n" in text else f"value = {text}").strip().split("\n")]
    return "\n".join([*lines, "    return value"]) + "\n"


def fit_together(ops: dict[str, Op], steps: Sequence[Step]) -> bool:
    """Say whether every step takes what the one before it gives."""
    kinds = [ops[step[0]] for step in steps]
    return all(before.gives == after.takes for before, after in pairwise(kinds))
