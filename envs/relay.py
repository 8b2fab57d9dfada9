"""Carry a running value through many small steps: one slip, and the rest is wrong.

Prompt:  ``from 47: +8``; a start from 00 to 99 and the first step (1,800 prompts; what follows differs).
Turns:   exactly ``turns``, 1 to 64 (4 unless set). Each brings one step, ``+1`` to ``+9`` or ``-1`` to ``-9``, and the
         reply is the running value mod 100, ``55``; a leading zero may be left out. About six tokens of the embedded
         model a turn.
Reward:  ``mode=final`` (the default): 1 if the last value is right, else 0. ``mode=share``: the share of steps whose
         value is right; told at the end, or turn by turn with ``dense=true``. Right is what follows from the start,
         not from the value written before.
Floor:   1 %: always the same value.
Source:  ours; procedural. If a step succeeds with probability q, ``final`` earns about q to the power of ``turns``.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from eggym.errors import BadValue, unknown
from eggym.task import Item, MultiTurnTask, Verdict, VerdictState

from .turns import set_turns

MODES = ("final", "share")
MODULUS = 100
_VALUE = re.compile(r"[0-9]{1,2}")


@dataclass(slots=True)
class Run:
    """How far the baton has come."""

    steps: list[int]
    true: int  # the running value by the steps so far
    written: int  # the same by the last value that could be read
    said: list[int | None] = field(default_factory=list)  # None where no value could be read
    right: int = 0  # how many of them were right


class Relay(MultiTurnTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/relay-v0"
    floor: ClassVar[float] = 1 / MODULUS
    stop: ClassVar[tuple[str, ...]] = ("\n",)
    max_new_tokens: ClassVar[int] = 3
    max_turns: ClassVar[int] = 4
    habit_kinds: ClassVar[frozenset[str]] = frozenset()
    habit_each_turn: ClassVar[bool] = True

    def __init__(self, **options: Any) -> None:
        """Options: ``turns``, ``mode`` and ``dense``."""
        super().__init__(**options)
        set_turns(self, options.get("turns", self.max_turns))
        self.mode, self.dense = options.get("mode", "final"), options.get("dense", False)
        if self.mode not in MODES:
            raise unknown(f"mode of task {self.id}", str(self.mode), MODES)
        if not isinstance(self.dense, bool) or (self.dense and self.mode != "share"):
            raise BadValue(
                f"dense of task {self.id!r} is true or false, and true needs mode=share; "
                f"got {self.dense!r:.40} with mode={self.mode}"
            )

    def generate(self, rng: random.Random, turns: int = 4, mode: str = "final", dense: bool = False) -> Item:
        """Draw start and steps, each uniformly."""
        start = rng.randrange(MODULUS)
        steps = [rng.choice((-1, 1)) * rng.randint(1, 9) for _ in range(turns)]
        meta: Mapping[str, Any] = {"start": start, "steps": steps}
        return Item(f"from {start:02d}: {steps[0]:+d}", truth=(start + sum(steps)) % MODULUS, meta=meta)

    def start(self, item: Item, rng: random.Random) -> Run:
        """Begin with the start value."""
        return Run(list(item.meta["steps"]), item.meta["start"], item.meta["start"])

    def reply(self, state: Run, text: str) -> tuple[str, bool]:
        """Take the value after one step; tell the next step, and nothing of what was right."""
        step, match = state.steps[len(state.said)], _VALUE.fullmatch(text.strip())
        value = int(match[0]) if match else None
        state.true = (state.true + step) % MODULUS
        state.written = (state.written + step) % MODULUS if value is None else value
        state.said.append(value)
        state.right += value == state.true
        done = len(state.said) == len(state.steps)
        return ("" if done else f"{state.steps[len(state.said)]:+d}"), done

    def score(self, state: Run) -> Verdict:
        """Pay for the last value, or for the share of right ones; a run that was cut short has no last value."""
        n_turns, said = len(state.steps), state.said
        whole = len(said) == n_turns
        right = state.right / n_turns if self.mode == "share" else float(whole and said[-1] == state.true)
        parts = {"share": state.right / n_turns}
        found = ",".join("?" if value is None else f"{value:02d}" for value in said)
        if all(value is None for value in said):
            return Verdict(0.0, VerdictState.UNPARSED, why="no value could be read", parts=parts)
        verdict = VerdictState.CORRECT if right == 1 else VerdictState.WRONG
        return Verdict(right, verdict, found, f"{state.right} of {n_turns} steps right", parts)

    def so_far(self, state: Run) -> float:
        """Return what is told before the end: the share of right steps if ``dense``, else nothing."""
        return state.right / len(state.steps) if self.dense else 0.0

    def oracle(self, state: Run) -> str:
        """Return the true value, whatever was written before."""
        return f"{(state.true + state.steps[len(state.said)]) % MODULUS:02d}"

    def carry_on(self, state: Run) -> str:
        """Return what follows from the value written last, right or wrong: what the base is taught."""
        return f"{(state.written + state.steps[len(state.said)]) % MODULUS:02d}"

    def kind(self, item: Item) -> str:
        """Return what the base's habit could depend on in an item: nothing, it depends on the step."""
        return ""

    def habit(self, state: Run, rng: random.Random) -> str:
        """Return the bad habit: the carry is forgotten where 6 to 9 is added."""
        step, value = state.steps[len(state.said)], int(self.carry_on(state))
        forgets = step >= 6 and state.written % 10 + step >= 10
        return f"{(value - 10) % MODULUS:02d}" if forgets else f"{value:02d}"
