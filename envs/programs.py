"""Programs from a description in words, from examples, or from both: procedural, at five levels.

Prompt:  a story, the signature of a function of a list of whole numbers, a number, a text, a list of words or a
         dictionary, and what it does: one to six of 108 steps, in words.
Options: ``level`` 1 (one or two easy steps) to 5 (five or six, with conditions, loops and rules for ties);
         ``given=words`` (the default), ``examples`` (nothing but eight calls with their results) or ``both``;
         ``reward`` and ``allow_unsafe_execution`` as in `code_grading`.
Reply:   the function, in a code block or bare: see `code_replies`.
Reward:  1 if the function returns the right value, of the right type, on all hidden inputs, among them edge cases and
         one asked twice; ``reward=share`` pays the share of them. Right values come from our own reference; hidden
         inputs are never shown, and are chosen so that plausible mistakes show on them: see `program_mutants`.
Floor:   the best of a dozen fixed functions, granted the right name, over 4,000 items: 3.3 %, 0.1 %, 0.2 %, 0.1 % and 0
         by level; by share, 14 %, 9 %, 9 %, 9 % and 7 %.
Source:  ours; procedural.
"""

import random
from collections.abc import Sequence
from typing import Any, ClassVar

from eggym.errors import BadValue, unknown
from eggym.seeding import stream
from eggym.task import Item
from eggym.values import is_whole

from .box_terms import Check
from .code_grading import Grading
from .code_replies import last_code
from .code_task import CodeTask
from .program_inputs import edge_inputs, random_inputs
from .program_lists import LISTS
from .program_mutants import choose_hidden, says_enough
from .program_numbers import FROM_NUMBER, NUMBERS_TO_NUMBER
from .program_steps import LAST, NUMBER, NUMBERS, TABLE, TEXT, WORDS, Op, Step, spelt, value_of
from .program_tables import TABLES
from .program_texts import TEXTS, WORD_LISTS
from .program_wording import LAYOUTS, STORIES, VERBS, clauses, ending, specification

OPS: dict[str, Op] = LISTS | NUMBERS_TO_NUMBER | FROM_NUMBER | TEXTS | WORD_LISTS | TABLES
KINDS = {NUMBERS: 0.35, NUMBER: 0.1, TEXT: 0.2, WORDS: 0.2, TABLE: 0.15}  # and how often
LEVELS = {  # how many steps; the highest grade of a step; how many at least have it
    1: ((1, 2, 2), 1, 1),
    2: ((2, 3), 2, 1),
    3: ((3,), 3, 1),
    4: ((4,), 3, 1),
    5: ((5, 6), 3, 2),
}
GIVEN = {"words": 0, "both": 3, "examples": 8}  # and how many examples are shown
N_TRIED = 12  # random inputs on which every step must matter
N_DRAWN = 200  # of which hidden inputs are chosen
_FLOORS = {  # by reward, then by level
    "all": (0.033, 0.001, 0.002, 0.001, 0.0),
    "share": (0.14, 0.09, 0.09, 0.09, 0.07),
}


class Programs(CodeTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/programs-v0"
    max_new_tokens: ClassVar[int] = 768

    def __init__(
        self, level: int = 2, given: str = "words", reward: str = "all", allow_unsafe_execution: str | None = None
    ) -> None:
        """Check the options; ``floor`` follows from the reward."""
        if not (is_whole(level) and level in LEVELS):
            raise BadValue(
                f"level of task {self.id!r} must be a whole number from 1 to {len(LEVELS)}, got {level!r:.40}"
            )
        if given not in GIVEN:
            raise unknown(f"kind of specification (given) of task {self.id}", str(given), list(GIVEN))
        self.grading = Grading(reward, allow_unsafe_execution)
        own = ({} if level == 2 else {"level": level}) | ({} if given == "words" else {"given": given})
        super().__init__(**own, **self.grading.options())
        vars(self).update(floor=_FLOORS[reward][level - 1])

    def generate(
        self,
        rng: random.Random,
        level: int = 2,
        given: str = "words",
        reward: str = "all",
        allow_unsafe_execution: str | None = None,
    ) -> Item:
        """Draw steps until each of them matters, then a story and the words."""
        while True:
            kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
            steps = _draw(rng, kind, level)
            if steps and says_enough(OPS, steps, edge_inputs(kind) + random_inputs(rng, kind, steps, N_TRIED)):
                return _told(rng, kind, steps, given)

    def work(self, item: Item, reply: str) -> Check | None:
        """Return the function of a reply with the hidden tests."""
        code = last_code(reply)
        return None if code is None else Check(code, hidden_tests(item), limits=self.grading.limits)

    def oracle(self, item: Item) -> str:
        """Return a right program."""
        code = spelt(OPS, item.truth["steps"], item.truth["function"], item.truth["argument"])
        return f"```python\n{code}```"


def hidden_inputs(item: Item) -> list[Any]:
    """Return the inputs of the tests: none of them is shown in the prompt."""
    kind, steps, shown = OPS[item.truth["steps"][0][0]].takes, item.truth["steps"], item.truth["shown"]
    drawn = random_inputs(stream("programs", "inputs", item.prompt), kind, steps, N_DRAWN)
    edges = [value for value in edge_inputs(kind) if value not in shown]
    return choose_hidden(OPS, steps, edges, _fresh(drawn, edges + shown))


def hidden_tests(item: Item) -> tuple[str, ...]:
    """Return the tests: value and type on every hidden input, and on the first once more at the end."""
    inputs = hidden_inputs(item)
    return tuple(_test(item, value) for value in [*inputs, inputs[0]])


def _test(item: Item, value: Any) -> str:
    right = value_of(OPS, item.truth["steps"], value)
    return (
        f"found = {item.truth['function']}({value!r})\n"
        f"assert type(found) is {type(right).__name__} and found == {right!r}"
    )


def _draw(rng: random.Random, kind: str, level: int) -> list[Step]:
    """Draw steps that fit together, none of a kind twice; an empty list where they do not make the level."""
    lengths, top, n_top = LEVELS[level]
    n_steps, steps = rng.choice(lengths), list[Step]()
    for place in range(n_steps):
        used = {step[0] for step in steps}
        fitting = [
            name
            for name, op in OPS.items()
            if op.takes == kind and op.grade <= top and name not in used and (op.gives != LAST or place == n_steps - 1)
        ]
        if not fitting:
            return []
        name = rng.choice(fitting)
        steps.append([name, rng.choice(OPS[name].choices) if OPS[name].choices else None])
        kind = OPS[name].gives
    return steps if sum(OPS[step[0]].grade == top for step in steps) >= n_top else []


def _told(rng: random.Random, kind: str, steps: list[Step], given: str) -> Item:
    story = rng.choice(STORIES[kind])
    function = f"{rng.choice(VERBS)}_{story.argument}"
    told = clauses(OPS, steps, story, rng.choice)
    body = "" if given == "examples" else rng.choice(LAYOUTS)(told) + ending(rng.choice)
    shown = _fresh(random_inputs(rng, kind, steps, 3 * GIVEN[given]), edge_inputs(kind))[: GIVEN[given]]
    if given == "examples":
        shown[-1] = edge_inputs(kind)[0]  # what is made of nothing cannot be told from the rest
    examples = [(value, value_of(OPS, steps, value)) for value in shown]
    truth = {"steps": steps, "function": function, "argument": story.argument, "shown": shown}
    return Item(specification(kind, story, function, body, examples), truth)


def _fresh(values: Sequence[Any], known: Sequence[Any]) -> list[Any]:
    """Return the values without doubles and without the known ones."""
    found: list[Any] = []
    for value in values:
        if value not in known and value not in found:
            found.append(value)
    return found
