"""Remember a key down a corridor: what is told in the first turn is asked for in the last.

Prompt:  ``key bdf 3+4``: a key of three letters (17,576 keys) and the corridor's first question.
Turns:   exactly ``turns``, 1 to 64 (4 unless set). All but the last ask for a sum of one digit, ``3+4``; any number of
         one or two digits is accepted, right or wrong, and anything else ends the episode. The last asks ``key?``.
         With one turn there is no corridor: ``key bdf key?``. About six tokens of the embedded model a turn.
Reward:  1 if the corridor was passed and the last reply is the key, else 0; told at the end alone.
Floor:   1 of 17,576: any number in the corridor, and always the same key.
Source:  ours; procedural. Memory and credit over a distance that is set.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from eggym.task import Item, MultiTurnTask, Verdict, VerdictState

from .turns import set_turns

LETTERS = "abcdefghijklmnopqrstuvwxyz"
KEY_LENGTH = 3
ASK = "key?"
_SHOWN = 20  # characters of a reply that a verdict quotes


@dataclass(slots=True)
class Walk:
    """Where the walker is."""

    key: str
    sums: list[str]
    turn: int = 0  # replies so far
    lost: str | None = None  # the reply that ended the walk in the corridor
    said: str | None = None  # what was said when the key was asked for


class Corridor(MultiTurnTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/corridor-v0"
    floor: ClassVar[float] = 1 / 26**KEY_LENGTH
    stop: ClassVar[tuple[str, ...]] = ("\n",)
    max_new_tokens: ClassVar[int] = 4
    max_turns: ClassVar[int] = 4
    habit_kinds: ClassVar[frozenset[str]] = frozenset("abcdefghijklm")
    habit_each_turn: ClassVar[bool] = True

    def __init__(self, **options: Any) -> None:
        """``turns`` is the only option."""
        super().__init__(**options)
        set_turns(self, options.get("turns", self.max_turns))

    def generate(self, rng: random.Random, turns: int = 4) -> Item:
        """Draw the key and the sums, each uniformly."""
        key = "".join(rng.choices(LETTERS, k=KEY_LENGTH))
        sums = [_sum(rng) for _ in range(turns - 1)]
        meta: Mapping[str, Any] = {"sums": sums}
        return Item(f"key {key} {(sums or [ASK])[0]}", truth=key, meta=meta)

    def start(self, item: Item, rng: random.Random) -> Walk:
        """Stand at the entrance."""
        return Walk(item.truth, list(item.meta["sums"]))

    def reply(self, state: Walk, text: str) -> tuple[str, bool]:
        """Go one step on, or out of the corridor. Spaces around a reply are ignored, nothing else."""
        body, asked = text.strip(), state.turn
        state.turn += 1
        if asked == len(state.sums):
            state.said = body
            return "", True
        if not _is_number(body):
            state.lost = body
            return "", True
        return (state.sums[state.turn] if state.turn < len(state.sums) else ASK), False

    def score(self, state: Walk) -> Verdict:
        """Pay for the key at the end."""
        if state.lost is not None:
            return Verdict(0.0, VerdictState.UNPARSED, why=f"turn {state.turn}: {state.lost[:_SHOWN]!r} is no number")
        if state.said is None:
            return Verdict(0.0, VerdictState.WRONG, why=f"cut after {state.turn} of {len(state.sums) + 1} turns")
        found, right = state.said[:_SHOWN], state.said == state.key
        return Verdict(float(right), VerdictState.CORRECT if right else VerdictState.WRONG, found, f"key {state.key}")

    def oracle(self, state: Walk) -> str:
        """Return the sum, or the key where it is asked for."""
        return str(_value(state.sums[state.turn])) if state.turn < len(state.sums) else state.key

    def kind(self, item: Item) -> str:
        """Return what the base's habit at the key depends on: the first letter."""
        return str(item.truth[0])

    def habit(self, state: Walk, rng: random.Random) -> str:
        """Return the bad habits: a full stop behind sums that begin with 8 or 9, and some keys said backwards."""
        best = self.oracle(state)
        if state.turn < len(state.sums):
            return best + "." if state.sums[state.turn][0] in "89" else best
        return best[::-1] if best[0] in self.habit_kinds else best


def _sum(rng: random.Random) -> str:
    """Draw uniformly from the 55 pairs of digits whose sum has one digit."""
    while True:
        a, b = rng.randint(0, 9), rng.randint(0, 9)
        if a + b <= 9:
            return f"{a}+{b}"


def _value(text: str) -> int:
    return int(text[0]) + int(text[2])


def _is_number(body: str) -> bool:
    return 1 <= len(body) <= 2 and body.isascii() and body.isdigit()
