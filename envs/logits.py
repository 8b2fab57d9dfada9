"""Logits of a reward model: asked for in batches, remembered, recorded; and how often they agree with people.

A logit follows from the model and the text alone. On a CPU it has the same bits wherever the text stands: texts of one
length, counted in blocks of 16 tokens, are run together and nothing else is, so that no pad depends on a neighbour.

They are kept: in memory (the last 100,000), and in the folder ``record`` if there is one, from which they are read
again without the model.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from eggym.errors import BadValue, EggymError
from eggym.files import sha256_json

from .classifier import BLOCK, Classifier, padded
from .group import standardised
from .recording import Recording

MOST_KEPT = 100_000  # logits in memory
MOST_CHARACTERS = 100_000  # of a reply; more is cut on the left before it is split into tokens


@dataclass(frozen=True, slots=True)
class Logit:
    """What the model gave for one reply."""

    value: float  # unbounded, larger is better; NaN: the model failed
    n_cut: int  # tokens that did not fit and were cut on the left


class RewardModel:
    """A sequence classifier with one label; it is loaded when the first logit is wanted that nobody has recorded."""

    def __init__(
        self,
        name: str,
        max_length: int | None = None,
        batch_tokens: int = 16_384,
        device: str = "auto",
        record: str | None = None,
    ) -> None:
        """Say which.

        Args:
            name: a folder, or a hub id. Remote code is never run.
            max_length: tokens of prompt and reply that are read; None: as many as the model takes.
            batch_tokens: tokens of one pass, pads included: bounds the memory.
            device: "auto" (a GPU if there is one), "cpu", "cuda"...
            record: a folder in which logits are kept, and found again. One folder for one model.
        """
        for what, count in (("max_length", max_length), ("batch_tokens", batch_tokens)):
            if count is not None and count < BLOCK:
                raise BadValue(f"{what} of reward model {name!r} must be at least {BLOCK}, got {count}")
        self.name, self.max_length, self.batch_tokens, self.device = name, max_length, batch_tokens, device
        self._kept: OrderedDict[str, Logit] = OrderedDict()
        self._recording = Recording(Path(record), {"model": name, "max_length": max_length}) if record else None
        self._failure: EggymError | None = None

    @property
    def digest(self) -> str:
        """The SHA-256 of weights, tokenizer, template and ``max_length``: that of the recording where there is one.

        Raises:
            BadValue: the model cannot be loaded.
        """
        recorded = self._recording.digest if self._recording else None
        return recorded or self._loaded.digest

    def logits(self, asked: Sequence[tuple[str, str]], system: str | None = None) -> list[Logit]:
        """Return a logit for every (prompt, reply), in their order.

        Raises:
            BadValue: the model cannot be loaded, or is another one than the recording's.
        """
        keys = [sha256_json([system, prompt, _clean(reply)]) for prompt, reply in asked]
        missing = {key: pair for key, pair in zip(keys, asked, strict=True) if self._find(key) is None}
        fresh = self._run(missing, system) if missing else {}
        found = [fresh.get(key) or self._find(key) for key in keys]
        self._keep(fresh)
        return [each or Logit(math.nan, 0) for each in found]

    def specials_in(self, reply: str) -> list[str]:
        """Return the special tokens of the model's tokenizer that a reply spells out: they would end its turn."""
        return [token for token in self._specials if token in reply]

    @cached_property
    def _specials(self) -> list[str]:
        if self._recording and self._recording.specials is not None:
            return self._recording.specials
        return self._loaded.specials

    def _find(self, key: str) -> Logit | None:
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        row = self._recording.rows.get(key) if self._recording else None
        return Logit(*row) if row else None

    def _run(self, missing: Mapping[str, tuple[str, str]], system: str | None) -> dict[str, Logit]:
        loaded = self._loaded
        texts = {key: loaded.columns(prompt, _clean(reply), system) for key, (prompt, reply) in missing.items()}
        found: dict[str, Logit] = {}
        for batch in _batches(
            {key: len(columns["input_ids"]) for key, (columns, _) in texts.items()}, self.batch_tokens
        ):
            values = loaded.run([texts[key][0] for key in batch])
            found |= {key: Logit(value, texts[key][1]) for key, value in zip(batch, values, strict=True)}
        return found

    def _keep(self, fresh: Mapping[str, Logit]) -> None:
        whole = {key: logit for key, logit in fresh.items() if math.isfinite(logit.value)}  # a failure is asked again
        if self._recording and whole:
            rows = {key: (logit.value, logit.n_cut) for key, logit in whole.items()}
            self._recording.add(self._loaded.digest, self._loaded.specials, rows)
        self._kept.update(whole)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    @cached_property
    def _loaded(self) -> Classifier:
        if self._failure:  # what cannot be loaded is not tried again for every reply
            raise self._failure
        try:
            loaded = Classifier(self.name, self.max_length, self.device)
            if self._recording:
                self._recording.check(loaded.digest)
        except EggymError as problem:
            self._failure = problem
            raise
        return loaded


@dataclass(frozen=True, slots=True)
class PairAccuracy:
    """How often a reward model prefers what people preferred."""

    accuracy: float | None  # ties count half; None: no pair could be judged
    n: int  # pairs that could be judged
    n_failed: int
    n_ties: int
    longer: float | None  # share of pairs whose chosen reply has more characters: what length alone would score
    length_correlation: float | None  # of the difference in logits with that in characters; None without spread
    margins: list[float] = field(repr=False)  # logit of chosen minus rejected, in the order of the judged pairs


def pair_accuracy(model: RewardModel, pairs: Sequence[tuple[str, str, str]]) -> PairAccuracy:
    """Compare a model with preferences, each a (prompt, chosen, rejected)."""
    chosen = model.logits([(prompt, better) for prompt, better, _ in pairs])
    rejected = model.logits([(prompt, worse) for prompt, _, worse in pairs])
    margins, lengths = [], []
    for (_, better, worse), one, other in zip(pairs, chosen, rejected, strict=True):
        if math.isfinite(one.value) and math.isfinite(other.value):
            margins.append(one.value - other.value)
            lengths.append(float(len(better) - len(worse)))
    return PairAccuracy(
        _preferred(margins),
        len(margins),
        len(pairs) - len(margins),
        margins.count(0.0),
        _preferred(lengths),
        _correlation(margins, lengths),
        margins,
    )


def _preferred(differences: Sequence[float]) -> float | None:
    points = [1.0 if value > 0 else 0.5 if value == 0 else 0.0 for value in differences]
    return sum(points) / len(points) if points else None


def _correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    left, right = ([value or 0.0 for value in standardised(list(row), math.inf)] for row in (one, other))
    if not any(left) or not any(right):
        return None
    return math.fsum(a * b for a, b in zip(left, right, strict=True)) / len(left)


def _batches(lengths: Mapping[str, int], most: int) -> Iterator[list[str]]:
    """Give groups of keys: one padded length each, and at most ``most`` tokens unless a single text has more."""
    by_length: dict[int, list[str]] = {}
    for key in sorted(lengths, key=lambda key: (lengths[key], key)):
        by_length.setdefault(padded(lengths[key]), []).append(key)
    for length, keys in by_length.items():
        size = max(1, most // length)
        yield from (keys[start : start + size] for start in range(0, len(keys), size))


def _clean(reply: str) -> str:
    """Return a reply that every tokenizer takes: without lone surrogates, and not endless."""
    return reply[-MOST_CHARACTERS:].encode("utf-8", "replace").decode()
