"""Games of guessing in natural language: how a guess is read, how many there are, and what finding the secret is worth.

Reading: the text in the last ``<guess>...</guess>`` of the reply; without such a tag, the whole reply, if it is a guess
         and nothing else. Letter case and outer spaces are ignored. What cannot be read costs a turn.
Worth:   ``solved``: 1 if found within the turns, else 0. ``faster``: 1 if found in no more turns than the game's own
         solver takes on this item, else the solver's turns over those taken. ``partial`` (where a game has it):
         ``solved``, and up to a half for a last guess that is near.
"""

import inspect
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from eggym.errors import BadValue, unknown
from eggym.task import MOST_TURNS, Item, MultiTurnTask, Verdict, VerdictState
from eggym.values import is_whole

_OPEN, _CLOSE = "<guess>", "</guess>"
_LONGEST_GUESS = 200  # characters; more are no guess


@dataclass(slots=True)
class Hunt:
    """One episode. ``guesses`` holds None where nothing could be read; ``answers`` has one text for each."""

    secret: Any
    meta: Mapping[str, Any]
    guesses: list[str | None] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    won: bool = False

    def known(self) -> list[tuple[str, str]]:
        """Return the guesses that were read, each with its answer."""
        pairs = zip(self.guesses, self.answers, strict=True)
        return [(guess, answer) for guess, answer in pairs if guess is not None]


class GuessingGame(MultiTurnTask):
    """What the games share: override `generate` (with an option ``reward``), `read`, `answer` and `oracle`."""

    rewards: ClassVar[tuple[str, ...]] = ("solved", "faster")

    def __init__(self, **options: Any) -> None:
        """Take options of `generate`; the number of turns is the cap of the task."""
        super().__init__(**options)
        given = inspect.signature(self.generate).parameters.values()
        defaults = {each.name: each.default for each in given if each.default is not each.empty}
        self.options: dict[str, Any] = defaults | options
        if self.options["reward"] not in self.rewards:
            raise unknown(f"reward of task {self.id}", str(self.options["reward"]), self.rewards)
        vars(self)["max_turns"] = self.n_turns()  # of this instance

    def within(self, name: str, low: int, high: int) -> int:
        """Return an option that must be a whole number from ``low`` to ``high``, or refuse it."""
        value = self.options[name]
        if not is_whole(value) or not low <= value <= high:
            raise BadValue(f"task {self.id!r}: {name} must be a whole number from {low} to {high}, got {value!r:.60}")
        return int(value)

    def n_turns(self) -> int:
        """Return how many guesses there are."""
        return self.within("turns", 1, MOST_TURNS)

    # -- what a game writes ---------------------------------------------------------------------------------------
    def read(self, state: Hunt, text: str) -> str | None:
        """Return a guess in its one spelling, or None if the text (lower case, no outer spaces) is none."""
        raise NotImplementedError

    def answer(self, state: Hunt, guess: str) -> str:
        """Return what is said of a guess."""
        raise NotImplementedError

    def nearness(self, state: Hunt, guess: str) -> float:
        """Return how near a wrong guess is, from 0 to 1; for the reward ``partial``."""
        raise NotImplementedError

    # -- the episode ----------------------------------------------------------------------------------------------
    def with_par(self, item: Item) -> Item:
        """Return the item with the turns of the game's own solver in its meta, if the reward asks for them."""
        if self.options["reward"] != "faster":
            return item
        state, done = self.start(item, random.Random(0)), False
        while not done:
            _, done = self.reply(state, self.oracle(state) or "")
        return Item(item.prompt, item.truth, {**item.meta, "par": len(state.guesses)})

    def start(self, item: Item, rng: random.Random) -> Hunt:
        """Begin without a guess."""
        return Hunt(item.truth, item.meta)

    def reply(self, state: Hunt, text: str) -> tuple[str, bool]:
        """Answer a guess; the secret itself is never said. Behind the end nothing counts."""
        if state.won or len(state.guesses) >= self.max_turns:
            return "", True
        guess = read_guess(text)
        guess = None if guess is None else self.read(state, guess)
        state.guesses.append(guess)
        state.won = guess is not None and guess == str(state.secret)
        state.answers.append("" if state.won else f"No guess read. End with {_OPEN}...{_CLOSE}, as described.")
        if guess is not None and not state.won:
            state.answers[-1] = self.answer(state, guess)
        left = self.max_turns - len(state.guesses)
        if state.won or left <= 0:
            return "", True
        return f"{state.answers[-1]}\n{left} {'guess' if left == 1 else 'guesses'} left.", False

    def score(self, state: Hunt) -> Verdict:
        """Judge by the last guess."""
        read = [guess for guess in state.guesses if guess is not None]
        if not read:
            return Verdict(0.0, VerdictState.UNPARSED, why="no guess in any reply")
        taken = len(state.guesses)
        if state.won:
            par = state.meta["par"] if self.options["reward"] == "faster" else taken
            return Verdict(min(1.0, par / taken), VerdictState.CORRECT, read[-1], f"found in {taken} turns")
        last = state.guesses[-1]  # one that could not be read earns nothing, or blind players would try till one can
        near = 0.0 if last is None or self.options["reward"] != "partial" else self.nearness(state, last) / 2
        return Verdict(near, VerdictState.WRONG, read[-1], f"expected {state.secret}")


def read_guess(reply: str) -> str | None:
    """Return the text of the last ``<guess>`` tag, or the whole reply if it has none; in lower case, or None.

    >>> read_guess("Not crane. <guess> Slate </guess>")
    'slate'
    """
    before, mark, _ = reply.rpartition(_CLOSE)
    if mark:
        _, mark, inside = before.rpartition(_OPEN)
        reply = inside if mark else ""
    found = reply[: 10 * _LONGEST_GUESS].strip() if len(reply) <= 10 * _LONGEST_GUESS else ""
    return found.lower() if 0 < len(found) <= _LONGEST_GUESS else None
