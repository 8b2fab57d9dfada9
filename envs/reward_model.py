"""Tasks whose reward is a reward model's opinion: rows, a prompt, and a sequence classifier of the Hugging Face kind.

    reward_model_task("me/helpful-v0", "prompts.jsonl", prompt="{question}", model="models/my-reward-model")

Prompt:  a template over the fields of a row.
Reward:  by ``scale``: ``sigmoid`` of the logit (0 to 1, the default); ``raw``, the logit clipped to ``bounds``; or
         relative to the replies to the same item: ``group``, standardised and clipped to -3..3, and ``rank``, 0 to 1.
         Logits compare within one prompt only, so a group scale is the sound one where prompts differ much; but a
         group of one is always 0 (rank: 0.5), and evaluation should then read ``parts``. A model that fails gives an
         error and no reward. A reply that spells out a special token of the model's tokenizer is refused and gets the
         least: it would end its own turn and speak for others.
         ``parts``: ``logit``, ``cut`` (tokens that did not fit, cut on the left), and ``true`` where ``true`` names an
         exact scorer: the gap between both is how far the model is being hacked.
Floor:   unknown until measured: declare it (``floor=...``) by what ``eggym check`` finds.
Source:  ours; the convention of accuracies is RewardBench's (Lambert et al. 2024, arXiv 2403.13787).
"""

import hashlib
import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from eggym.dataset import DatasetTask, exact, number, template_fields
from eggym.errors import BadValue, unknown
from eggym.files import sha256_json
from eggym.plugins import check_id
from eggym.registry import register
from eggym.rows import Row, Source, value_of
from eggym.splits import check_split
from eggym.task import Item, Verdict, VerdictState

from . import classifier, group, logits
from .logits import Logit, RewardModel, pair_accuracy

__all__ = ["SCALES", "RewardModel", "RewardModelTask", "pair_accuracy", "reward_model_task"]

SCALES: dict[str, tuple[float, float]] = {
    "sigmoid": (0.0, 1.0),
    "raw": (-10.0, 10.0),
    "group": (-3.0, 3.0),
    "rank": (0.0, 1.0),
}
_FLOORS = {"sigmoid": 0.5, "raw": 0.0, "group": 0.0, "rank": 0.5}
_SHAPES: dict[str, group.Shaping] = {"group": group.standardised, "rank": group.ranks}
_SETTINGS = ("floor", "stop", "max_new_tokens", "system", "few_shot")

True_ = Callable[[Item, str], "float | Verdict"]
_CHECKERS: dict[str, True_] = {"exact": exact, "number": number}


class RewardModelTask(DatasetTask):
    """A task of rows that a reward model judges; `reward_model_task` makes its subclasses."""

    model: ClassVar[RewardModel]
    scale: ClassVar[str] = "sigmoid"
    template: ClassVar[str] = ""
    answer: ClassVar[str | None] = None  # the field with the truth
    checker: ClassVar[str | None] = None  # the exact scorer beside the model

    def read(self, row: Row) -> Item:
        """Return the prompt, and the truth where there is one."""
        asked = [str(value_of(row, name)).strip() for name in template_fields(self.id, self.template)]
        if not any(asked):
            raise BadValue("it asks nothing")
        return Item(self.template.format_map(row), value_of(row, self.answer) if self.answer else None)

    def score_all(self, items: Sequence[Item], replies: Sequence[str]) -> list[Verdict]:
        """Ask the model about all replies in one go."""
        refused = [self.model.specials_in(reply) for reply in replies]
        asked = [place for place, found in enumerate(refused) if not found]
        pairs = [(items[place].prompt, replies[place]) for place in asked]
        logits = dict(zip(asked, self.model.logits(pairs, self.system), strict=True))
        values = [_known(logits.get(place)) for place in range(len(replies))]
        rewards = self._scaled(items, values)
        return [
            self._judged(item, reply, logits.get(place), rewards[place], refused[place])
            for place, (item, reply) in enumerate(zip(items, replies, strict=True))
        ]

    def identity(self) -> str:
        """Return what decides: rows, template, model (its weights' hash), scale, and the source of this scorer."""
        source = "".join(inspect.getsource(module) for module in (sys.modules[__name__], logits, classifier, group))
        written = hashlib.sha256(source.encode()).hexdigest()
        settings = [self.template, self.answer, self.checker, self.scale, list(self.reward_range), written]
        return sha256_json([super().identity(), self.model.digest, settings])

    def _scaled(self, items: Sequence[Item], values: Sequence[float | None]) -> list[float | None]:
        if self.scale in _SHAPES:
            return group.within_groups(items, values, _SHAPES[self.scale])
        low, high = self.reward_range
        if self.scale == "raw":
            return [None if value is None else max(low, min(high, value)) for value in values]
        return [None if value is None else _sigmoid(value) for value in values]

    def _judged(
        self, item: Item, reply: str, logit: Logit | None, reward: float | None, specials: list[str]
    ) -> Verdict:
        if logit is None:
            why = f"it spells out the special token {specials[0]!r}"
            return Verdict(self.reward_range[0], VerdictState.REFUSED, why=why, parts=self._parts_of(item, reply, None))
        if reward is None:
            return Verdict(None, VerdictState.ERROR, why=f"reward model {self.model.name!r} gave no finite number")
        state = VerdictState.CORRECT if logit.value > 0 else VerdictState.WRONG  # it likes it, or not
        cut = f"; {logit.n_cut} tokens on the left were not read" if logit.n_cut else ""
        return Verdict(reward, state, None, f"logit {logit.value:.4g}{cut}", self._parts_of(item, reply, logit))

    def _parts_of(self, item: Item, reply: str, logit: Logit | None) -> dict[str, float]:
        parts = {} if logit is None else {"logit": logit.value, "cut": float(logit.n_cut)}
        if self.checker is None:
            return parts
        found = _CHECKERS[self.checker](item, reply)
        reward = found.reward if isinstance(found, Verdict) else found
        return parts if reward is None else parts | {"true": float(reward)}


def reward_model_task(
    id: str,
    data: Source,
    prompt: str,
    model: str | RewardModel,
    scale: str = "sigmoid",
    bounds: tuple[float, float] | None = None,
    answer: str | None = None,
    true: str | None = None,
    splits: Mapping[str, str] | None = None,
    **settings: Any,
) -> type[RewardModelTask]:
    """Make and register a task of rows that a reward model judges.

    Args:
        id: ``namespace/name-vN``.
        data: rows, a path or a hub id, as for `eggym.dataset_task`.
        prompt: a template over the fields of a row, such as ``"{question}"``.
        model: a folder or a hub id, or a `RewardModel` where more is to be said (lengths, device, ``record``).
        scale: ``sigmoid``, ``raw``, ``group`` or ``rank``.
        bounds: the range of rewards for ``raw``; (-10, 10) unless given.
        answer: the field with the truth, if there is one.
        true: ``exact`` or ``number``: what is told beside the reward, as ``parts["true"]``.
        splits: split of eggym -> split of the source, where the names differ.
        settings: attributes of the task, such as ``max_new_tokens=64`` or ``floor=0.6``.

    Raises:
        BadValue: an id of another form, or already taken; a template without a field; ``true`` without ``answer``.
        UnknownName: no such setting, scale or checker.
    """
    check_id(id, "a task of rows")
    template_fields(id, prompt)
    for kind, name, known in (("scale", scale, SCALES), ("checker", true, _CHECKERS)):
        if name is not None and name not in known:
            raise unknown(kind, name, known)
    if true is not None and answer is None:
        raise BadValue(f"task {id!r}: true={true!r} compares with a field of the rows; name it: answer=...")
    if bounds is not None and scale != "raw":
        raise BadValue(f"task {id!r}: bounds are for scale='raw', not for {scale!r}")
    for name in settings:
        if name not in _SETTINGS:
            raise unknown("setting of a task", name, _SETTINGS)
    for name in splits or {}:
        check_split(name)
    body: dict[str, Any] = {
        "floor": _FLOORS[scale],
        "reward_range": bounds or SCALES[scale],
        "grouped": scale in _SHAPES,
    }
    body |= settings | {"id": id, "source": data, "splits": dict(splits or {}), "scale": scale}
    body |= {"template": prompt, "answer": answer, "checker": true}
    body["model"] = RewardModel(model) if isinstance(model, str) else model
    # The class belongs to the caller's module, as a named tuple does: that is whose source a result depends on.
    body["__module__"] = sys._getframe(1).f_globals.get("__name__", "__main__")
    body["__doc__"] = f"A reward model on rows: {prompt.splitlines()[0]}"
    return register(type("".join(filter(str.isalnum, id.title())), (RewardModelTask,), body))


def _known(logit: Logit | None) -> float | None:
    return logit.value if logit is not None and math.isfinite(logit.value) else None


def _sigmoid(logit: float) -> float:
    """Return 1 / (1 + exp(-logit)) without overflow."""
    small = math.exp(-abs(logit))
    return 1 / (1 + small) if logit >= 0 else small / (1 + small)
