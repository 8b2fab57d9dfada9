"""One story under way: its person, its running quantity, its sentences, and the working beside them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")
Part = Callable[["Tale"], bool]  # adds sentences and working; False: does not fit here, and nothing was changed
Costed = tuple[int, Part]  # steps of working, and the part

LARGEST = 5000  # of a running quantity

WOMEN = (
    "Maya",
    "Lena",
    "Aisha",
    "Nora",
    "Priya",
    "Elena",
    "Grace",
    "Hana",
    "Ines",
    "Ruth",
    "Zoe",
    "Clara",
    "Amara",
    "Yuki",
)
MEN = ("Omar", "Leo", "Tom", "Noah", "Ravi", "Pavel", "Samuel", "Diego", "Ben", "Kofi", "Jonas", "Marek", "Ali", "Hugo")
RELATIVES = ("sister", "brother", "cousin", "uncle", "aunt", "grandmother", "neighbour")
THEN = ("Then", "Later", "After that", "The next day", "A few days later", "That weekend")
FRACTIONS = {3: "one third", 4: "one quarter", 5: "one fifth", 6: "one sixth", 8: "one eighth", 10: "one tenth"}
PERCENTS = (5, 10, 15, 20, 25, 30, 40, 60, 70, 75, 80)


@dataclass(slots=True)
class Tale:
    """What has been told so far, and the words in use."""

    draw: Callable[[], float]
    name: str = ""
    he: str = ""
    him: str = ""
    his: str = ""
    n: int = 0  # the running quantity
    sentences: list[str] = field(default_factory=list)
    working: list[str] = field(default_factory=list)  # one line per step
    words: dict[str, str] = field(default_factory=dict)  # what a situation has chosen to speak of
    numbers: dict[str, int] = field(default_factory=dict)  # further quantities that a situation keeps
    taken: set[str] = field(default_factory=set)  # names and times that are used up

    def __post_init__(self) -> None:
        """Choose the person."""
        woman = self.draw() < 0.5
        self.name = self.fresh(WOMEN if woman else MEN)
        self.he, self.him, self.his = ("she", "her", "her") if woman else ("he", "him", "his")

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of the choices."""
        return choices[int(self.draw() * len(choices))]

    def fresh(self, choices: Sequence[str]) -> str:
        """Return one of the choices that was not taken yet."""
        left = [each for each in choices if each not in self.taken] or list(choices)
        found = self.pick(left)
        self.taken.add(found)
        return found

    def number(self, low: int, high: int, step: int = 1) -> int:
        """Return a multiple of ``step`` from ``low`` to ``high``; ``low`` is one."""
        return low + step * int(self.draw() * ((high - low) // step + 1))

    def then(self) -> str:
        """Return when the next thing happens."""
        return self.fresh(THEN)

    def add(self, sentence: str, *steps: str, n: int) -> bool:
        """Tell a sentence, write its working down, and set the running quantity; refuse one out of bounds."""
        if not 1 <= n <= LARGEST:
            return False
        self.sentences.append(sentence)
        self.working.extend(steps)
        self.n = n
        return True

    def divisor(self, low: int, high: int) -> int:
        """Return a divisor of the running quantity in the range that leaves at least 2; 0 if there is none."""
        found = [each for each in range(low, high + 1) if self.n % each == 0 and self.n // each >= 2]
        return self.pick(found) if found else 0

    def percent(self) -> int:
        """Return percents of which the running quantity has a whole number; 0 if there are none."""
        found = [each for each in PERCENTS if self.n * each % 100 == 0]
        return self.pick(found) if found else 0


@dataclass(frozen=True, slots=True)
class Situation:
    """What can be told about one kind of thing."""

    openings: Sequence[Costed]
    events: Sequence[Costed]
    endings: Sequence[Costed]
    most: int = 8  # steps that it carries


def times(factor: int) -> str:
    """Return how a multiple is said.

    >>> times(2), times(3)
    ('twice', '3 times')
    """
    return "twice" if factor == 2 else f"{factor} times"
