"""One-line functions from a description, run in the sandbox.

Prompt:  ``s: flip, first 3, caps:``; one to three steps on a text s, a list of whole numbers a or a number x
         (more than 50,000 prompts).
Reply:   ``s[::-1][:3].upper()``: the expression that a function of s, a or x returns.
Reward:  1 if that function returns what was described on hidden inputs, else 0; ``reward=share`` pays their share. Any
         right expression counts. What is no single expression of at most 64 characters is not run; the rest runs in the
         sandbox (`box`), and ``allow_unsafe_execution`` names a level below `landlock` that is allowed.
Floor:   0.7 %: the best fixed expression, counted over 100,000 prompts.
Source:  ours; procedural.
"""

import ast
import contextlib
import itertools
import random
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from eggym.seeding import stream
from eggym.task import Item, Verdict, VerdictState

from .box_terms import Check
from .code_grading import Grading
from .code_task import CodeTask
from .tiny_function_steps import WORDS, Step, draw_steps, spelt, value_of

LONGEST_PROMPT = 24  # characters
LONGEST_ANSWER = 27
LONGEST_REPLY = 64  # bounds what is parsed
N_INPUTS = 4
_N_STEPS = {1: 0.03, 2: 0.37, 3: 0.6}  # how many steps, and how often
_LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class TinyFunctions(CodeTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/tiny-functions-v0"
    floor: ClassVar[float] = 0.007
    stop: ClassVar[tuple[str, ...]] = ("\n",)
    max_new_tokens: ClassVar[int] = LONGEST_ANSWER + 1
    habit_kinds: ClassVar[frozenset[str]] = frozenset(
        ("first", "last", "flip", "low", "sort", "len", "max", "min", "add", "times", "abs")
    )

    def __init__(self, reward: str = "all", allow_unsafe_execution: str | None = None) -> None:
        """Take the options of all tasks on programs."""
        self.grading = Grading(reward, allow_unsafe_execution)
        super().__init__(**self.grading.options())

    def generate(self, rng: random.Random, reward: str = "all", allow_unsafe_execution: str | None = None) -> Item:
        """Draw steps until they fit, and until each of them matters on the hidden inputs."""
        while True:
            subject = rng.choice(list(WORDS))
            steps = draw_steps(rng, subject, rng.choices(list(_N_STEPS), list(_N_STEPS.values()))[0])
            prompt = f"{subject}: {', '.join(' '.join(map(str, step)) for step in steps)}:"
            fits = len(prompt) <= LONGEST_PROMPT and len(spelt(subject, steps)) <= LONGEST_ANSWER
            if fits and _all_matter(steps, _inputs(prompt)):
                return Item(prompt, truth=steps)

    def score_all(self, items: Sequence[Item], replies: Sequence[str]) -> list[Verdict]:
        """Run many at once; what is no expression is not run."""
        bodies = [reply.strip() for reply in replies]
        faults = [_fault(body) for body in bodies]
        checks = [
            self.work(item, body) for item, body, fault in zip(items, bodies, faults, strict=True) if fault is None
        ]
        found = iter(self.grading.judge(checks))
        return [fault or next(found) for fault in faults]

    def work(self, item: Item, reply: str) -> Check:
        """Return the expression of a reply as a function, with the hidden tests."""
        body = reply.strip()
        tests = tuple(f"assert f({value!r}) == {value_of(item.truth, value)!r}" for value in _inputs(item.prompt))
        return Check(f"def f({item.prompt[0]}):\n    return ({body})\n", tests, limits=self.grading.limits)

    def oracle(self, item: Item) -> str:
        """Return the steps as they follow each other, with no more parentheses than they need."""
        return spelt(item.prompt[0], item.truth)

    def kind(self, item: Item) -> str:
        """Return what the base's habit depends on: the word of the first step."""
        return str(item.truth[0][0])

    def habit(self, item: Item, rng: random.Random) -> str:
        """Return the bad habit: the last step is forgotten."""
        return spelt(item.prompt[0], item.truth[:-1])


def _fault(body: str) -> Verdict | None:
    """Return the verdict on what is not run, or None."""
    if len(body) > LONGEST_REPLY:
        return Verdict(0.0, VerdictState.REFUSED, why=f"{len(body)} characters, more than {LONGEST_REPLY}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python says about the reply's style is nobody's concern
            ast.parse(f"({body})", mode="eval")
            ast.parse(body, mode="eval")  # and no bracket closes ours
    except (SyntaxError, ValueError, MemoryError, RecursionError):  # ValueError: a null; the others: too deep
        return Verdict(0.0, VerdictState.UNPARSED, why="not an expression of Python")
    return None


def _inputs(prompt: str) -> list[Any]:
    """Return the hidden inputs: long enough that every cut leaves something else."""
    rng = stream("tiny-functions", "inputs", prompt)
    if prompt[0] == "s":
        return ["".join(rng.choices(_LETTERS, k=rng.randint(9, 14))) for _ in range(N_INPUTS)]
    if prompt[0] == "a":
        return [[rng.randint(-20, 99) for _ in range(rng.randint(9, 14))] for _ in range(N_INPUTS)]
    return [rng.choice((-1, 1)) * rng.randint(30, 999) for _ in range(N_INPUTS)]


def _all_matter(steps: Sequence[Step], values: Sequence[Any]) -> bool:
    """Say whether no selection of fewer steps, and no constant, does the same; and whether something is left."""
    found = next(_results([steps], values), None)
    if found is None or "" in found or [] in found or found[1:] == found[:-1]:
        return False
    fewer = itertools.chain(*(itertools.combinations(steps, n) for n in range(len(steps))))
    return found not in _results(fewer, values)


def _results(selections: Iterable[Sequence[Step]], values: Sequence[Any]) -> Iterator[list[Any]]:
    for steps in selections:
        with contextlib.suppress(TypeError, ValueError):  # a step without the one before it, the least of nothing
            yield [value_of(steps, value) for value in values]
