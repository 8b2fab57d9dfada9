"""Expressions from a description: where do the parentheses go?

Prompt:  ``add 3, times 2:``; two or three steps on x (668,376 prompts).
Reply:   ``(x+3)*2``; x, whole numbers, ``+``, ``-``, ``*`` and parentheses.
Reward:  1 if the expression has the described value at hidden whole numbers x, else 0. Nothing is evaluated but the
         parsed tree of these few operations: no other names, no powers, no calls.
Floor:   0.06 %: the best fixed expression, counted over 100,000 prompts.
Source:  ours; procedural.
"""

import ast
import operator
import random
import re
from collections.abc import Callable
from typing import ClassVar

from eggym.seeding import stream
from eggym.task import Item, SingleTurnTask, Verdict, VerdictState

LONGEST_REPLY = 64  # characters; an honest reply has at most 11. Bounds depth and size of what is parsed
N_INPUTS = 4
LARGEST_INPUT = 10**6

# Shapes and how often they are drawn; A is add or sub, T is times. All but TA need parentheses.
SHAPES: dict[str, float] = {"AT": 0.1, "TA": 0.1, "ATA": 0.35, "AAT": 0.35, "TAT": 0.05, "ATT": 0.05}
_LARGEST = {"TAT": 9, "ATT": 9}  # of add and sub, where 99 would pass 24 characters
_SIGNS = {"add": "+", "sub": "-", "times": "*"}
_STEPS: dict[str, Callable[[int, int], int]] = {"add": operator.add, "sub": operator.sub, "times": operator.mul}
_ALLOWED = re.compile(r"(?!.*[0-9]x)[x0-9+\-*() ]+")  # 0x3 is a number to Python and 2x to nobody


class TinyPrograms(SingleTurnTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/tiny-programs-v0"
    floor: ClassVar[float] = 0.0006
    stop: ClassVar[tuple[str, ...]] = ("\n",)
    max_new_tokens: ClassVar[int] = 12
    habit_kinds: ClassVar[frozenset[str]] = frozenset("0123456")

    def generate(self, rng: random.Random) -> Item:
        """Draw a shape, then its operations and numbers."""
        shape = rng.choices(list(SHAPES), list(SHAPES.values()))[0]
        steps: list[list[str | int]] = []
        for letter in shape:
            if letter == "T":
                steps.append(["times", rng.randint(2, 99 if len(shape) == 2 else 9)])
            else:
                steps.append([rng.choice(("add", "sub")), rng.randint(1, _LARGEST.get(shape, 99))])
        return Item(f"{', '.join(f'{name} {number}' for name, number in steps)}:", truth=steps)

    def score(self, item: Item, reply: str) -> Verdict:
        """Compare values at hidden inputs; spaces are ignored, ``2x`` and ``**`` are not read."""
        if len(reply) > LONGEST_REPLY:
            return Verdict(0.0, VerdictState.REFUSED, why=f"{len(reply)} characters, more than {LONGEST_REPLY}")
        body = reply.strip()
        tree = _parse(body)
        if tree is None:
            return Verdict(0.0, VerdictState.UNPARSED, why="not an expression of x, whole numbers, + - * and ( )")
        for x in _inputs(item):
            want, got = _described(item, x), _value(tree, x)
            if want != got:
                return Verdict(0.0, VerdictState.WRONG, body, f"at x={x}: {want} expected, got {_short(got)}")
        return Verdict(1.0, VerdictState.CORRECT, body, f"equal at {N_INPUTS} inputs")

    def oracle(self, item: Item) -> str:
        """Return the expression with no more parentheses than it needs."""
        text, is_sum = "x", False
        for name, number in item.truth:
            if name == "times":
                text, is_sum = f"({text})" if is_sum else text, False
            else:
                is_sum = True
            text += f"{_SIGNS[name]}{number}"
        return text

    def kind(self, item: Item) -> str:
        """Return what the base's habit depends on: the last digit of the first number."""
        return str(item.truth[0][1])[-1]

    def habit(self, item: Item, rng: random.Random) -> str:
        """Return the bad habit: the steps in order, without parentheses."""
        return "x" + "".join(f"{_SIGNS[name]}{number}" for name, number in item.truth)


def _parse(body: str) -> ast.expr | None:
    if not _ALLOWED.fullmatch(body):
        return None
    try:
        tree = ast.parse(body, mode="eval").body
    except SyntaxError:
        return None
    return tree if _is_allowed(tree) else None


def _is_allowed(node: ast.expr) -> bool:
    match node:
        case ast.BinOp(left, ast.Add() | ast.Sub() | ast.Mult(), right):
            return _is_allowed(left) and _is_allowed(right)
        case ast.UnaryOp(ast.USub(), operand):
            return _is_allowed(operand)
        case ast.Name(id="x"):
            return True
        case ast.Constant(value):
            return type(value) is int
        case _:
            return False


def _value(node: ast.expr, x: int) -> int:
    match node:
        case ast.BinOp(left, ast.Add(), right):
            return _value(left, x) + _value(right, x)
        case ast.BinOp(left, ast.Sub(), right):
            return _value(left, x) - _value(right, x)
        case ast.BinOp(left, ast.Mult(), right):
            return _value(left, x) * _value(right, x)
        case ast.UnaryOp(ast.USub(), operand):
            return -_value(operand, x)
        case ast.Constant(int(number)):
            return number
    return x  # `_is_allowed` has let nothing else through


def _described(item: Item, x: int) -> int:
    for name, number in item.truth:
        x = _STEPS[name](x, number)
    return x


def _inputs(item: Item) -> list[int]:
    rng = stream("tiny-programs", "inputs", item.prompt)
    return [rng.randint(-LARGEST_INPUT, LARGEST_INPUT) for _ in range(N_INPUTS)]


def _short(number: int) -> str:
    return str(number) if abs(number) < 10**18 else "a very large number"
