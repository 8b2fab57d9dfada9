"""Tasks made of rows: one call turns a list, a JSONL file or folder, or a data set of the hub into a task.

    dataset_task("me/capitals-v0", [{"q": "Capital of France?", "a": "Paris"}, ...], prompt="{q}", answer="a")

Splits: those of the source if it has them (files or hub splits called train, validation, test); a missing validation
split is a tenth of train, by hash. Without any, a row belongs to a split by the hash of its prompt. A train row whose
prompt also stands in another split is left out. Rows are read when the first one is needed, never on import.
"""

import hashlib
import json
import random
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

from eggym.errors import BadValue, unknown
from eggym.registry import register
from eggym.rows import Row, Source, load_rows
from eggym.seeding import key
from eggym.source import named
from eggym.task import SPLITS, Item, SingleTurnTask, Verdict, VerdictState, check_split, normalise, split_of

Score = Callable[[Item, str], "float | Verdict"]

_SETTINGS = ("floor", "reward_range", "stop", "max_new_tokens", "system", "few_shot")
# The last number wins: models restate the question first. Thousands separators are read, units are not.
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")


class DatasetTask(SingleTurnTask):
    """A task whose items are rows. Subclass it to read a row in your own way: override `read`, and `score`."""

    source: ClassVar[Source] = ()
    splits: ClassVar[Mapping[str, str]] = {}  # split of eggym -> split of the source, where the names differ

    def __init__(self, data: Source | None = None) -> None:
        """``data`` replaces the source by other rows of the same form: a path, a hub id, or a list."""
        self.difficulty = {}  # not the place of the data: only their content decides (see `identity`)
        self.data = self.source if data is None else data

    def read(self, row: Row) -> Item:
        """Return prompt and truth of a row; raise KeyError for a field that it lacks."""
        raise NotImplementedError(f"task {self.id!r} must define read(row)")

    def generate(self, rng: random.Random) -> Item:
        """Return a random item of train."""
        return self.item("train", rng.randrange(self.n_items("train")))

    def n_items(self, split: str) -> int:
        """Return how many rows a split has."""
        return len(self._sides[check_split(split)])

    def item(self, split: str, index: int) -> Item:
        """Return row ``index`` of a split; ``test:SALT`` is test in an order of its own.

        Raises:
            BadValue: the index is outside the split.
        """
        rows = self._sides[check_split(split)]
        if not 0 <= index < len(rows):
            raise BadValue(f"task {self.id!r} has {len(rows)} items in {split!r}; there is no index {index}")
        found = rows[index] if split in SPLITS else rows[self._order(split)[index]]
        return Item(found.prompt, found.truth, found.meta, index, split)

    def identity(self) -> str:
        """Return the SHA-256 of all items of all splits, in order."""
        rows = [[side, each.prompt, each.truth, dict(each.meta)] for side in SPLITS for each in self._sides[side]]
        return hashlib.sha256(json.dumps(rows, sort_keys=True, default=repr).encode()).hexdigest()

    def _order(self, split: str) -> list[int]:
        rows = self._sides["test"]
        if split not in self._orders:
            self._orders[split] = sorted(range(len(rows)), key=lambda index: key("order", split, rows[index].prompt))
        return self._orders[split]

    @cached_property
    def _orders(self) -> dict[str, list[int]]:
        return {}

    @cached_property
    def _sides(self) -> dict[str, list[Item]]:
        items = {
            name: [self._read(row, name, place) for place, row in enumerate(rows)]
            for name, rows in load_rows(self.data, self.id).items()
        }
        return _divide(self.id, items, self.splits)

    def _read(self, row: Row, name: str, place: int) -> Item:
        where = f"row {place}" + (f" of {name}" if name else "")
        try:
            item = self.read(row)
        except KeyError as problem:
            fields = ", ".join(map(str, row))
            raise BadValue(
                f"task {self.id!r}: {where} has no field {problem.args[0]!r}; its fields: {fields}"
            ) from None
        if not item.prompt.strip():
            raise BadValue(f"task {self.id!r}: {where} gives an empty prompt")
        return item


def dataset_task(
    id: str,
    data: Source,
    prompt: str,
    answer: str,
    score: str | Score = "exact",
    splits: Mapping[str, str] | None = None,
    **settings: Any,
) -> type[DatasetTask]:
    """Make and register a task of rows.

    Args:
        id: ``namespace/name-vN``.
        data: rows, a path (``rows.jsonl``, or a folder of ``train.jsonl``, ``test.jsonl``), or a hub id such as
            ``openai/gsm8k:main``.
        prompt: a template over the fields of a row, such as ``"Question: {question}"``.
        answer: the field with the truth.
        score: ``exact`` (the reply, stripped, is the truth), ``number`` (its last number equals the truth),
            ``module:function``, or a function; called with item and reply.
        splits: split of eggym -> split of the source, where the names differ.
        settings: attributes of the task, such as ``max_new_tokens=64`` or ``floor=0.1``.

    Raises:
        BadValue: an id of another form, or already taken.
        UnknownName: no such setting or scorer; ``module:function`` is looked up when it first scores.
    """
    for name in settings:
        if name not in _SETTINGS:
            raise unknown("setting of a task", name, _SETTINGS)
    for name in splits or {}:
        check_split(name)
    if isinstance(score, str) and score not in _SCORERS and ":" not in score:
        raise unknown("scorer", score, [*_SCORERS, "module:function"])

    def read(self: DatasetTask, row: Row) -> Item:
        return Item(prompt.format_map(row), row[answer])

    def judge(self: DatasetTask, item: Item, reply: str) -> float | Verdict:
        return _scorer(score)(item, reply)

    def oracle(self: DatasetTask, item: Item) -> str | None:
        return str(item.truth) if score in _SCORERS else None

    def identity(self: DatasetTask) -> str:
        return f"{DatasetTask.identity(self)} {prompt!r} {answer!r} {score if isinstance(score, str) else ''}"

    # The class belongs to the caller's module, as a named tuple does: that is whose source a result depends on.
    caller = sys._getframe(1).f_globals.get("__name__", "__main__")
    body = dict(settings, id=id, source=data, splits=dict(splits or {}), read=read, score=judge, oracle=oracle)
    body |= {"identity": identity, "__module__": caller, "__doc__": f"Rows: {prompt.splitlines()[0]}"}
    return register(type("".join(filter(str.isalnum, id.title())), (DatasetTask,), body))


def exact(item: Item, reply: str) -> Verdict:
    """Compare the whole reply with the truth, outer spaces apart."""
    found, truth = reply.strip(), str(item.truth).strip()
    if not found:
        return Verdict(0.0, VerdictState.UNPARSED, None, "the reply is empty")
    return _compare(found, found == truth, truth)


def number(item: Item, reply: str) -> Verdict:
    """Compare the last number of the reply with the last number of the truth, exactly."""
    found, truth = last_number(reply), last_number(str(item.truth))
    if truth is None:
        raise BadValue(f"the truth {item.truth!r} holds no number; choose another scorer")
    if found is None:
        return Verdict(0.0, VerdictState.UNPARSED, None, "no number in the reply")
    return _compare(str(found), found == truth, str(truth))


def last_number(reply: str) -> Decimal | None:
    """Return the last number in a text, or None.

    >>> last_number("first 3, so the total is 1,204.50.")
    Decimal('1204.50')
    """
    found = _NUMBER.findall(reply)
    return Decimal(found[-1].replace(",", "")) if found else None


_SCORERS: dict[str, Score] = {"exact": exact, "number": number}


def _compare(found: str, same: bool, truth: str) -> Verdict:
    state = VerdictState.CORRECT if same else VerdictState.WRONG
    return Verdict(float(same), state, found, "" if same else f"expected {truth}")


def _scorer(score: str | Score) -> Score:
    if callable(score):
        return score
    found: Score = _SCORERS[score] if score in _SCORERS else named(score, "scorer")
    return found


def _divide(task_id: str, items: Mapping[str, Sequence[Item]], names: Mapping[str, str]) -> dict[str, list[Item]]:
    """Return the items of each split of eggym."""
    sides: dict[str, list[Item]] = {side: [] for side in SPLITS}
    if "" in items:
        for item in items[""]:
            sides[split_of(task_id, item.prompt)].append(item)
        return sides
    for side in SPLITS:
        name = names.get(side, side)
        if side in names and name not in items:
            raise unknown(f"split of the data of {task_id}", name, items)
        sides[side] = list(items.get(name, ()))
    held_out = {normalise(item.prompt) for side in ("validation", "test") for item in sides[side]}
    sides["train"] = [item for item in sides["train"] if normalise(item.prompt) not in held_out]
    if not sides["validation"]:
        chosen = [item for item in sides["train"] if key("validation", task_id, normalise(item.prompt)) % 10 == 0]
        kept = set(map(id, chosen))
        sides["validation"], sides["train"] = chosen, [item for item in sides["train"] if id(item) not in kept]
    return sides
