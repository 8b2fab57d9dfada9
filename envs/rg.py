"""The tasks of reasoning-gym, one id each: ``eggym/rg-NAME-v0``, with its own name for NAME.

Prompt:  its question, then "Give the answer between <answer> and </answer>."
Reward:  1 for a fully right answer, else 0. Read is the last ``<answer>`` block that is closed, and nothing else. What
         right means is in the table, `eggym.envs.rg_table`: full marks of its own scorer, or a scorer of ours where its
         own is broken, pays for nonsense or runs the answer as code. Where several answers are right and its scorer
         picks out what it can read, the whole answer must be of the form asked for, else it is unparsed. What its
         scorer pays, crumbs included, is the part ``rg`` of the reward wherever that scorer is safe to call.
Options: ``level``, from 0: its curriculum; without one, its default difficulty. Floors are those of the default.
Floor:   per task, in the table: the best of many constant replies, measured.
Source:  reasoning-gym (Apache-2.0), an optional dependency; docs/reasoning-gym.md shows what is wrong with which task.

Its items come from ``seed + index``: neighbouring seeds share nearly all of them. Here there is one data set per task,
with seed 0, indexed by hashed numbers below 2^30; a problem belongs to a split by the hash of its prompt. Tasks that
take long to generate and never repeat (``split: window``) have windows of their own for validation and test instead, at
their default difficulty. Where a generator gives up or its
answer is empty or wrong, another index is drawn.
"""

import contextlib
import io
import random
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np

from eggym.errors import BadValue
from eggym.seeding import stream
from eggym.splits import check_split
from eggym.task import Item, SingleTurnTask, Verdict, VerdictState

from .answers import last_tag
from .rg_scorers import OWN, Unreadable, check_form, known_answer, theirs
from .rg_table import Row, rows, task_id

WINDOW = 2**30  # indices of one split
_WINDOWS = ("train", "validation", "test")  # window n starts at n * WINDOW
TRIES = 8  # indices, one after another, at which a generator may give up
_KEPT = 256  # problems held ready for scoring
_HOW = "\n\nGive the answer between <answer> and </answer>."


class ReasoningGym(SingleTurnTask):
    """See the module's docstring; `__getattr__` makes the class of each task."""

    name: ClassVar[str] = ""  # reasoning-gym's own
    row: ClassVar[Row]

    def __init__(self, **difficulty: Any) -> None:
        """Check the level; nothing is imported yet."""
        super().__init__(**difficulty)
        self._made: Any = None
        self._entries: OrderedDict[int, dict[str, Any]] = OrderedDict()
        level = difficulty.get("level")
        levels = self.row.get("levels", [])
        if level is not None and (type(level) is not int or level not in levels):
            known = f"those that work are {', '.join(map(str, levels))}" if levels else "it has no levels"
            raise BadValue(f"task {self.id!r}: level {level!r:.40}; {known}")

    def generate(self, rng: random.Random, level: int | None = None) -> Item:
        """Draw a problem by its index in their data set."""
        return self._drawn(rng, 0, self.row.get("size", WINDOW))

    def item(self, split: str, index: int) -> Item:
        """Return an item of a split; by windows where the table says so."""
        if "refused" in self.row:
            raise BadValue(f"task {self.id!r} is refused: {self.row['refused']}")
        side = check_split(split)
        if self.row.get("split") != "window" or self.difficulty.get("level") is not None or index < 0:
            return super().item(split, index)
        start = _WINDOWS.index(side) * WINDOW
        found = self._own("_drawn", stream("item", self.id, split, index), start, WINDOW)
        return Item(found.prompt, found.truth, found.meta, index, split)

    def score(self, item: Item, reply: str) -> Verdict:
        """Judge the last answer block."""
        answer = last_tag(reply, "answer")
        parts = {} if self.row.get("runs_text") else {"rg": 0.0}
        if not answer:
            return Verdict(0.0, VerdictState.UNPARSED, None, "no <answer> block with something in it", parts)
        if refusal := self._refusal(answer):
            return Verdict(0.0, VerdictState.REFUSED, answer[:120], refusal, parts)
        try:
            right = self._is_right(item, answer, parts)
        except Unreadable as problem:
            return Verdict(0.0, VerdictState.UNPARSED, answer[:120], str(problem), parts)
        state = VerdictState.CORRECT if right else VerdictState.WRONG
        return Verdict(float(right), state, answer[:120], "" if right else f"expected {item.truth!s:.120}", parts)

    def oracle(self, item: Item) -> str | None:
        """Return the answer that came with the problem, in its block."""
        return None if item.truth is None else f"<answer>{item.truth}</answer>"

    def identity(self) -> str:
        """Return their version and the task's row."""
        self._dataset()
        kept = {name: value for name, value in self.row.items() if name not in ("ms", "notes", "summary")}
        return f"reasoning-gym {version('reasoning-gym')} {sorted(kept.items())}"

    def __getstate__(self) -> dict[str, Any]:
        """Leave their data set behind: it is made again."""
        return self.__dict__ | {"_made": None, "_entries": OrderedDict()}

    def _refusal(self, answer: str) -> str:
        if len(answer) > self.row["longest"]:
            return f"an answer of {len(answer)} characters; {self.row['longest']} are read"
        digits = self.row.get("digits")
        run = max(map(len, "".join(c if c.isdigit() else " " for c in answer).split()), default=0) if digits else 0
        return f"a number of {run} digits; {digits} are read" if digits and run > digits else ""

    def _is_right(self, item: Item, answer: str, parts: dict[str, float]) -> bool:
        entry = self._entry(item.meta["index"])
        if "rg" in parts:
            try:
                parts["rg"] = theirs(self._dataset(), self.row, entry, answer)
            except Unreadable:
                if self.row["score"] == "theirs":
                    raise
        if self.row["score"] == "theirs":
            check_form(self.row, answer)
            return bool(parts["rg"] >= self.row.get("full", 1.0))
        return OWN[self.row["score"]](self.row, entry, answer)

    def _drawn(self, rng: random.Random, start: int, size: int) -> Item:
        """Draw a problem that can be solved; on some indices their generators give up, or give a wrong answer."""
        for _ in range(TRIES - 1):
            with contextlib.suppress(RuntimeError, ValueError, IndexError, KeyError, AssertionError):
                return self._sound(start + rng.randrange(size))
        return self._sound(start + rng.randrange(size))

    def _sound(self, place: int) -> Item:
        """Return a problem whose known answer says something, and is right where the table doubts it."""
        item = self._item(place)
        if item.truth == "":
            raise ValueError("its answer is empty")
        if self.row.get("doubtful") and not self._is_right(item, str(item.truth), {"rg": 0.0}):
            raise ValueError("its own answer is wrong")
        return item

    def _item(self, place: int) -> Item:
        entry = self._entry(place)
        return Item(f"{entry['question'].rstrip()}{_HOW}", known_answer(self.row, entry), {"index": place})

    def _entry(self, place: int) -> dict[str, Any]:
        """Return a problem of theirs; the last ones are kept, for scoring needs what the prompt was made from."""
        found = self._entries.get(place)
        if found is None:
            dataset = self._dataset()
            with contextlib.redirect_stdout(io.StringIO()), _left_alone():  # one of their compilers prints dots
                found = self._entries[place] = dataset[place]
            if len(self._entries) > _KEPT:
                self._entries.popitem(last=False)
        return found

    def _dataset(self) -> Any:
        if self._made is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # a package of theirs leaves its data file open
                self._made = self._make()
        return self._made

    def _make(self) -> Any:
        try:
            from reasoning_gym import factory
        except ImportError as problem:
            raise BadValue(f'task {self.id!r} needs reasoning-gym; pip install "eggym[reasoning-gym]"') from problem
        settings = {"seed": 0, "size": self.row.get("size", 1)}
        if self.difficulty.get("level") is None:
            return factory.create_dataset(self.name, **settings)
        curriculum = factory.create_curriculum(self.name)
        curriculum.set_global_level(self.difficulty["level"])
        return factory.DATASETS[self.name][0](curriculum.generate_configuration(settings))


@contextlib.contextmanager
def _left_alone() -> Iterator[None]:
    """Put numpy's global generator back: pool_matrix seeds it for every problem."""
    kept = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(kept)


def __getattr__(name: str) -> Any:
    """Make the class of a task, by reasoning-gym's name for it."""
    row = None if name.startswith("_") else rows().get(name)
    if row is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    body = {
        "id": task_id(name),
        "name": name,
        "row": row,
        "floor": row.get("floor", 0.0),
        "max_new_tokens": row.get("tokens", 512),
        "__module__": __name__,
        "__doc__": f"{row['summary'].capitalize()}.",
    }
    made = globals()[name] = type(name, (ReasoningGym,), body)  # kept, so that it can be pickled by its name
    return made
