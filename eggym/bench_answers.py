"""Texts that `eggym bench envs` has judged, and the plain environment that stands for what people write themselves."""

import random
from typing import Any

import gymnasium

from eggym.env import UnicodeText
from eggym.seeding import stream

Pair = tuple[str, str]  # truth, reply


def plain_numbers(n: int) -> list[Pair]:
    """Return pairs that differ in form at most: whole numbers, fractions, decimals; every second one is wrong."""
    rng = stream("bench", "numbers")
    pairs = []
    for place in range(n):
        value, off = rng.randint(1, 10**6), place % 2
        forms = (f"{value + off:,}", f"\\frac{{{2 * (value + off)}}}{{2}}", f"{value + off}.0", f"x = {value + off}")
        pairs.append((str(value), f"So it is \\boxed{{{rng.choice(forms)}}}."))
    return pairs


def algebra(is_right: bool, n: int) -> list[Pair]:
    """Return pairs that numbers do not decide: surds, and products against expanded polynomials."""
    rng = stream("bench", "algebra", int(is_right))
    return [(_surd if place % 2 else _polynomial)(rng, 0 if is_right else 1) for place in range(n)]


def functions(is_right: bool, n: int) -> list[Pair]:
    """Return pairs with sines and cosines, which math-verify alone can read."""
    rng = stream("bench", "functions", int(is_right))
    return [(_cosine if place % 2 else _sine)(rng, 0 if is_right else 1) for place in range(n)]


def _cosine(rng: random.Random, off: int) -> Pair:
    a, b = rng.randint(2, 999), rng.randint(1, 2)  # larger b send the peer into expansions without end
    return f"{a}\\cos({2 * b}x)", f"Hence \\boxed{{{a}-{2 * a + off}\\sin^{{2}}({b}x)}}."


def _sine(rng: random.Random, off: int) -> Pair:
    a, b = rng.randint(2, 999), rng.randint(1, 2)  # larger b send the peer into expansions without end
    return f"{a}\\sin({2 * b}x)", f"Hence \\boxed{{{2 * a + off}\\sin({b}x)\\cos({b}x)}}."


def _surd(rng: random.Random, off: int) -> Pair:
    a, b = rng.randint(2, 99), rng.choice((2, 3, 5, 6, 7, 10, 11, 13, 15, 17))
    return f"{a}\\sqrt{{{b}}}", f"Hence \\boxed{{\\sqrt{{{a * a * b + off}}}}}."


def _polynomial(rng: random.Random, off: int) -> Pair:
    a, b = rng.randint(1, 99), rng.randint(1, 99)
    return f"(x+{a})(x-{b})", f"Hence \\boxed{{x^2 + {a - b + 100}x - 100x - {a * b + off}}}."


_DEEP = "(" * 30 + "x" + ")" * 30
_FRACTION = "\\frac{1}{1+" * 60 + "x" + "}" * 60
_ROWS = " \\\\ ".join(" & ".join(f"x_{{{column}}}" for column in range(60)) for _ in range(60))
_MATRIX = f"\\begin{{pmatrix}}{_ROWS}\\end{{pmatrix}}"
_SET = "\\{" + ",".join(map(str, range(3000))) + "\\}"
_EXPRESSIONS = (
    *("9^{9^{9^{9}}}", "100000!", "((20!)!)!", "\\binom{1000000}{500000}", "\\sum_{n=1}^{1000000000} n"),
    *("(x+1)^{10000}", "\\int_0^1 e^{-x^2} \\ln(x) dx", "2^{-2^{-2^{-2}}}", _DEEP, _FRACTION, _MATRIX, _SET),
    *("7" * 100_000, "(" * 5000 + ")" * 5000, "+".join(["x"] * 3000), "\\sqrt{" * 400 + "2" + "}" * 400),
    *("(x^2+x+1)^{99}(x+1)^{99}", "\\sin(" * 25 + "x" + ")" * 25, "x^{x^{x^{x}}}", "\\sqrt[99]{x^{99}+1}"),
)
HOSTILE: tuple[Pair, ...] = tuple(("(x+3)(x-2)", f"\\boxed{{{text}}}") for text in _EXPRESSIONS)


def clean_batch(n: int) -> list[Pair]:
    """Return right and wrong answers in equal parts, for math-verify to read."""
    return [*functions(True, n // 2), *functions(False, n - n // 2)]


def hostile_batch(n: int) -> list[Pair]:
    """Return the clean batch with one answer in ten replaced by one that is made to cost."""
    pairs = clean_batch(n)
    for place in range(0, n, 10):
        pairs[place] = HOSTILE[place // 10 % len(HOSTILE)]
    return pairs


class Sums(gymnasium.Env):  # type: ignore[misc]  # gymnasium's types are not followed
    """Sums of two numbers in fifteen lines, without eggym: the peer of the vector environment."""

    def __init__(self) -> None:
        """Make the spaces."""
        self.observation_space, self.action_space = UnicodeText(), UnicodeText()

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        """Draw two numbers."""
        super().reset(seed=seed)
        a, b = self.np_random.integers(100, 900, 2).tolist()
        self._sum = a + b
        return f"What is {a} + {b}?", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Compare."""
        return "", float(action == str(self._sum)), True, False, {}
