r"""Word problems in plain English, made by a small grammar of situations: endless, and as many steps long as you like.

Prompt:  a story and a question, then ``Think step by step. Put the answer in \boxed{}.`` It is about a collection,
         money, passengers, a trip, a liquid, goods or ages, and asks for sums, differences, products, whole quotients,
         percentages, fractions, rates, mixtures and comparisons. Every answer is a whole number of at least 1.
Options: ``steps`` 2 to 8, or a range such as [2, 4]: how many operations lead to the answer; ``asides`` 0 to 3:
         sentences with a number that does not matter.
Reward:  1 if the last ``\boxed{}`` holds the answer, else 0; see `.answers`. The working is free.
Floor:   always the most frequent answer: about 1 %, measured on 100,000 problems of each number of steps. Of a range,
         the mean.
Source:  ours; procedural. In the manner of GSM8K (Cobbe et al. 2021), without any of its text.
"""

import random
from collections.abc import Sequence
from typing import Any, ClassVar

from eggym.errors import BadValue
from eggym.task import Item, SingleTurnTask, Verdict
from eggym.values import is_whole

from .stories import FEWEST_STEPS, MOST_ASIDES, MOST_STEPS, story
from .whole_answers import judge_whole, judge_wholes

_FLOORS = {2: 0.009, 3: 0.0089, 4: 0.0095, 5: 0.0103, 6: 0.0111, 7: 0.0117, 8: 0.0101}  # by steps
_HOW = "Think step by step. Put the answer in \\boxed{}."


class WordProblems(SingleTurnTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/word-problems-v0"
    max_new_tokens: ClassVar[int] = 512

    def __init__(self, **options: Any) -> None:
        """Check the options; ``floor`` follows from the steps."""
        super().__init__(**options)
        low, high = _checked(**options)
        vars(self).update(floor=round(sum(map(_FLOORS.__getitem__, range(low, high + 1))) / (high + 1 - low), 4))

    def generate(self, rng: random.Random, steps: int | Sequence[int] = (2, 4), asides: int = 0) -> Item:
        """Tell a story."""
        low, high = (steps, steps) if isinstance(steps, int) else steps
        found = story(rng.random, low + int(rng.random() * (high - low + 1)), asides)
        working = "\n".join(found.working)
        meta = {"steps": len(found.working), "situation": found.situation, "solution": working}
        return Item(f"{found.text}\n{_HOW}", str(found.answer), meta)

    def score(self, item: Item, reply: str) -> Verdict:
        """Compare the last box with the answer, exactly."""
        return judge_whole(item.truth, reply)

    def score_all(self, items: Sequence[Item], replies: Sequence[str]) -> Sequence[float | Verdict]:
        """Judge many replies in one call."""
        return judge_wholes([item.truth for item in items], replies)

    def oracle(self, item: Item) -> str:
        """Return the working, and the answer as its last line."""
        return f"{item.meta['solution']}\nThe answer is \\boxed{{{item.truth}}}."


def _checked(steps: Any = (2, 4), asides: Any = 0) -> tuple[int, int]:
    """Return the fewest and most steps."""
    pair = (steps, steps) if is_whole(steps) else steps
    whole = isinstance(pair, list | tuple) and len(pair) == 2 and all(map(is_whole, pair))
    if not (whole and FEWEST_STEPS <= pair[0] <= pair[1] <= MOST_STEPS):
        raise BadValue(
            f"option steps of word-problems must be a whole number or a range [low, high] from {FEWEST_STEPS} to "
            f"{MOST_STEPS}, got {steps!r}"
        )
    if not (is_whole(asides) and 0 <= asides <= MOST_ASIDES):
        raise BadValue(f"option asides of word-problems must be a whole number from 0 to {MOST_ASIDES}, got {asides!r}")
    return pair[0], pair[1]
