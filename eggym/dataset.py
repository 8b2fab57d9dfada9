"""Tasks made of rows: one call turns a list, a JSONL file or folder, or a data set of the hub into a task.

    dataset_task("me/capitals-v0", [{"q": "Capital of France?", "a": "Paris"}, ...], prompt="{q}", answer="a")

Splits: those of the source if it has them (files or hub splits called train, validation, test; test must be there); a
missing validation split is a tenth of train, by hash. Without any, a row belongs to a split by the hash of its prompt.
A prompt stands in one split alone: test wins over validation, and validation over train; the other rows are left out.
Rows are read when the first one is needed, never on import.
"""

import hashlib
import json
import random
import re
import string
import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

from eggym.errors import BadValue, EggymError, TaskFault, UnknownName, unknown
from eggym.item import item_fault
from eggym.plugins import check_id
from eggym.registry import register
from eggym.rows import Row, Source, load_rows, value_of
from eggym.seeding import key
from eggym.source import named, told
from eggym.splits import SPLITS, check_split, normalise, split_of
from eggym.task import Item, SingleTurnTask, Verdict, VerdictState

Score = Callable[[Item, str], "float | Verdict"]

SETTINGS = ("floor", "reward_range", "stop", "max_new_tokens", "system", "few_shot")
# The last number wins: models restate the question first. Units are not read. In "10-3" and "A-3" the dash is no sign;
# in "1,2,3" the commas separate numbers, not thousands.
_NUMBER = re.compile(r"(?:(?<![^\W_])(?<!\.)[-+])?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?")
_FIELD = re.compile(r"[^.\[]+")  # of a template: {a.b[c]} speaks of the field a


class DatasetTask(SingleTurnTask):
    """A task whose items are rows. Subclass it to read a row in your own way: override `read`, and `score`."""

    reads_late = True
    source: ClassVar[Source] = ()
    splits: ClassVar[Mapping[str, str]] = {}  # split of eggym -> split of the source, where the names differ

    def __init__(self, data: Source | None = None) -> None:
        """``data`` replaces the source by other rows of the same form: a path, a hub id, or a list."""
        self.difficulty = {}  # not the place of the data: only their content decides (see `identity`)
        self.data = self.source if data is None else data

    def read(self, row: Row) -> Item:
        """Return prompt and truth of a row; raise KeyError for a field that it lacks, BadValue for one that is odd.

        `eggym.rows.value_of` does both for a field that must be there and not null.
        """
        raise NotImplementedError(f"task {self.id!r} must define read(row)")

    def rows(self) -> Mapping[str, Sequence[Row]]:
        """Return the rows by the source's own splits; those under "" are divided by the hash of their prompts.

        Override it where the source's splits are not the ones to use.
        """
        return load_rows(self.data, self.id)

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
            name: [self._read(row, name, place) for place, row in enumerate(rows)] for name, rows in self.rows().items()
        }
        sides = _divide(self.id, items, self.splits)
        if "" not in items and not sides["test"]:
            held = ", ".join(sorted(items))
            raise BadValue(
                f"the data of task {self.id!r} at {self.data!s:.200} have no rows for test; their splits: {held} "
                "(dataset_task takes splits= where the names differ)"
            )
        return sides

    def _read(self, row: Row, name: str, place: int) -> Item:
        where = getattr(row, "where", "") or f"row {place}" + (f" of {name}" if name else "")
        try:
            item = self.read(row)
        except (BadValue, UnknownName) as problem:  # before KeyError, which an unknown name is too
            raise BadValue(f"task {self.id!r}: {where}: {problem}") from problem
        except KeyError as problem:
            fields = ", ".join(map(str, row))
            raise BadValue(
                f"task {self.id!r}: {where} has no field {problem.args[0]!r}; its fields: {fields}"
            ) from None
        except (EggymError, KeyboardInterrupt):
            raise
        except BaseException as problem:  # an author's code may raise anything, sys.exit() included
            raise TaskFault(f"task {self.id!r}: {where}: read raised {told(problem)}") from problem
        if not isinstance(item, Item):
            raise TaskFault(f"task {self.id!r}: {where}: read must return an Item, got {item!r:.60}")
        fault = item_fault(item)
        if fault:
            raise BadValue(f"task {self.id!r}: {where}: {fault}")
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
        BadValue: an id of another form, or already taken; a template with a brace too many or no field in it.
        UnknownName: no such setting or scorer; ``module:function`` is looked up when it first scores.
    """
    check_id(id, "a task of rows")
    for name in settings:
        if name not in SETTINGS:
            raise unknown("setting of a task", name, SETTINGS)
    for name in splits or {}:
        check_split(name)
    if isinstance(score, str) and score not in _SCORERS and ":" not in score:
        raise unknown("scorer", score, [*_SCORERS, "module:function"])
    fields = template_fields(id, prompt)

    def read(self: DatasetTask, row: Row) -> Item:
        asked = [str(value_of(row, name)).strip() for name in fields]
        if not any(asked):
            raise BadValue(f"it asks nothing: {', '.join(fields)} is empty")
        return Item(prompt.format_map(row), value_of(row, answer))

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
    found, truth = last_number(reply), _true_number(item.truth)
    if truth is None:
        raise BadValue(f"the truth {item.truth!r} holds no number; choose another scorer")
    if found is None:
        return Verdict(0.0, VerdictState.UNPARSED, None, "no number in the reply")
    return _compare(str(found), found == truth, str(truth))


def last_number(reply: str) -> Decimal | None:
    """Return the last number in a text, or None.

    A sign counts where no digit, letter or point stands before it, and a comma only before groups of three digits.

    >>> last_number("first 3, so the total is 1,204.50.")
    Decimal('1204.50')
    """
    found = _NUMBER.findall(reply)
    return Decimal(found[-1].replace(",", "")) if found else None


def _true_number(truth: Any) -> Decimal | None:
    # A float is not read from its text: 1e-07 would end in a 7.
    return Decimal(str(truth)) if type(truth) in (int, float) else last_number(str(truth))


def template_fields(task_id: str, prompt: str) -> list[str]:
    """Return the fields that a template speaks of.

    Raises:
        BadValue: a brace too many, or no field at all.
    """
    try:
        found = [name for _, name, _, _ in string.Formatter().parse(prompt) if name is not None]
    except ValueError as problem:
        raise BadValue(f"task {task_id!r}: the prompt template {prompt!r:.60} cannot be read: {problem}") from problem
    fields = [match[0] for match in map(_FIELD.match, found) if match]
    if not fields or len(fields) < len(found):
        raise BadValue(f"task {task_id!r}: the prompt template {prompt!r:.60} must name fields, such as {{question}}")
    return fields


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
    seen: set[str] = set()
    for side in ("test", "validation", "train"):  # in this order: an earlier one keeps the prompt
        sides[side] = [item for item in sides[side] if normalise(item.prompt) not in seen]
        seen |= {normalise(item.prompt) for item in sides[side]}
    if not sides["validation"]:
        chosen = [item for item in sides["train"] if key("validation", task_id, normalise(item.prompt)) % 10 == 0]
        kept = set(map(id, chosen))
        sides["validation"], sides["train"] = chosen, [item for item in sides["train"] if id(item) not in kept]
    return sides
