"""L2, ES: the trained weights of a run made again from its seed and its rewards, bit for bit, and evaluated.

No weights lie in a record; none are loaded from it. Only learners that are registered here are looked up by a record's
name: code of another is run only if the person who verifies names its file.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eggym.errors import BadValue
from eggym.fitness import FITNESS
from eggym.policy import EMBEDDED
from eggym.record import RECORD_FILE, Record
from eggym.replay import Replayed, replay
from eggym.result import STEPS
from eggym.score import Score, same
from eggym.variant import WRAPPER

from .levels import replayable
from .names import registered
from .stored import Entry


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What the person who verifies says of the parts that lie elsewhere."""

    model: str | None = None
    data: str | None = None
    device: str | None = None
    learner: str | None = None


HERE = Whereabouts()


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What rebuilding found."""

    replayed: Replayed
    difference: float | None  # of the mean primary reward, evaluated again - recorded; None: could not be judged
    equal_scores: bool  # greedy and sampled, item by item
    close: bool  # within what other rounding of another machine may do

    @property
    def ok(self) -> bool:
        """Whether weights, steps and spots are those of the record, and the evaluation agrees."""
        spots = not any(spot.differs for spot in self.replayed.spots)
        return self.replayed.equal and self.replayed.first_difference is None and spots and self.close

    def told(self) -> dict[str, Any]:
        """Return it for the ledger."""
        spots = [spot for spot in self.replayed.spots if spot.differs]
        whys = (
            (not self.replayed.equal, f"the rewards give weights {self.replayed.rebuilt[:12]}"),
            (self.replayed.first_difference is not None, f"step {self.replayed.first_difference} is not the run's"),
            (bool(spots), f"{len(spots)} training episodes differ"),
            (not self.close, f"the weights score {self.difference} otherwise"),
        )
        why = next((text for wrong, text in whys if wrong), None)
        return {
            "updates": self.replayed.n_steps,
            "weights_sha256": self.replayed.rebuilt,
            "evaluation": "equal" if self.equal_scores else f"differs by {self.difference}",
            "spots": len(self.replayed.spots),
            **({"why": why} if why else {}),
        }


def rebuild(entry: Entry, spot: int = 0, seed: int = 0, where: Whereabouts = HERE) -> Rebuilt:
    """Rebuild the weights of a record from its rewards, and evaluate them.

    Args:
        entry: at L1.
        spot: how many training episodes to make and grade again.
        seed: which ones.
        where: what lies elsewhere.

    Raises:
        EggymError: the run is not one of ES, or its model, task or learner is not to be had here.
    """
    record = entry.record
    refuse_unknown_learner(record, where.learner)
    refuse_unnamed_model(record, where.model)
    if registered(record) and not replayable(record):
        raise BadValue(f"{entry.name} is a run of {record.learner.label}: only ES runs follow from their rewards")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in (RECORD_FILE, FITNESS, STEPS):
            (folder / file).write_bytes(entry.content(file))
        told = {
            "model": where.model,
            "data": where.data,
            "device": where.device,
            "learner": file_of(record, where.learner),
        }
        found = replay(folder, spot, seed, None, True, **told)
    if found.evaluated is None:
        raise BadValue(f"{entry.name} was rebuilt without an evaluation")
    greedy, sampled = found.evaluated.greedy, found.evaluated.sampled
    pairs = ((record.final("greedy"), greedy), (record.final("sampled"), sampled))
    primary = pairs[0 if record.primary == "greedy" else 1]
    equal = all(_equal(*pair) for pair in pairs)
    return Rebuilt(replace(found, folder=entry.name), _difference(*primary), equal, equal or _close(*primary))


def refuse_unknown_learner(record: Record, given: str | None) -> None:
    """Refuse to look for the code of a learner that is not registered here, unless its file was named."""
    if not registered(record) and given is None:
        raise BadValue(
            f"learner {record.learner.name!r} does not come with eggym, and no code is taken from a record; give its "
            "file with --learner"
        )


def file_of(record: Record, given: str | None) -> str | None:
    """Return what the named file is to a record: its learner, or the one inside its control; None: not asked for."""
    if given is None or registered(record):
        return None
    return f"{WRAPPER}:{given}" if record.learner.name.startswith(f"{WRAPPER}:") else given


def refuse_unnamed_model(record: Record, given: str | None) -> None:
    """Refuse to fetch a model because a record names it: what does not ship with eggym, whoever looks has to name."""
    if given is None and record.model.name not in EMBEDDED:
        raise BadValue(
            f"the run starts from {record.model.name!r}, and no model is fetched on a record's word; give it with "
            "--model"
        )


def _equal(told: Score, found: Score) -> bool:
    return told.states == found.states and all(map(same, told.rewards, found.rewards))


def _difference(told: Score, found: Score) -> float | None:
    return None if told.mean is None or found.mean is None else found.mean - told.mean


def _close(told: Score, found: Score) -> bool:
    """Whether two evaluations of equal weights on equal items differ by no more than other rounding explains.

    Another machine may pick another token where two are nearly as likely; such flips are few and have no direction.
    Allowed is one standard error from the choice of items, which they stay far below.
    """
    difference = _difference(told, found)
    if difference is None or told.se is None:
        return difference == 0
    return abs(difference) <= max(told.se, 1 / max(1, told.n_items))
