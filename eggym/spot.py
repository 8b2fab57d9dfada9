"""Spot checks: training episodes of a finished run, made again and compared with what the run kept of them.

A place is (step, member, item, sample). With the weights of its step it is asked again: the same prompt, the same
random numbers. On the kind of device that the run was made on, its tokens, text and reward must be those of the log
and of the shard. In float32 on a CPU a transcript does not depend on the rows beside it, so only the members in
question are asked, with their twins; elsewhere, and where replies are judged against each other, their whole parcel is.
"""

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eggym.budget import FlopModel, Meter
from eggym.config import Plan
from eggym.errors import BadValue
from eggym.fitness import FitnessStep
from eggym.kl_reward import KlReward
from eggym.parcels import cut, play
from eggym.replies import digest_line, read_shard, shard_line
from eggym.seeding import stream
from eggym.task import Item
from eggym.training_items import training_item
from eggym.views import Views

_ROUNDING = 1e-4


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a training episode stands."""

    step: int
    member: int
    slot: int  # which of the step's items
    sample: int


@dataclass(frozen=True, slots=True)
class Spot:
    """One training episode, as kept and as made again."""

    place: Place
    item: int  # index in the split, by the run's seed
    reward_kept: float | None  # of the fitness log; None: could not be judged
    reward: float | None
    digest_kept: str | None  # None: the reply was not kept
    digest: str
    differs: tuple[str, ...]  # what is not the same: "item", "reward", or a field of the shard such as "turns"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        found = dataclasses.asdict(self)
        return {**found.pop("place"), **found, "differs": list(self.differs)}


def choose(entries: Sequence[FitnessStep], n: int, seed: int) -> list[Place]:
    """Return ``n`` different places of a log, in order, drawn by the seed; all of them where there are fewer."""
    sizes = [entry.rewards_N_P_G.size for entry in entries]
    drawn = stream(seed, "spot").sample(range(sum(sizes)), min(n, sum(sizes)))
    places = []
    for number in sorted(drawn):
        step = 0
        while number >= sizes[step]:
            number, step = number - sizes[step], step + 1
        _, n_items, n_samples = entries[step].rewards_N_P_G.shape
        member, rest = divmod(number, n_items * n_samples)
        places.append(Place(entries[step].step, member, *divmod(rest, n_samples)))
    return places


@dataclass
class SpotCheck:
    """Makes the chosen places of one run again, as a replay passes by them."""

    plan: Plan
    folder: Path
    places: Sequence[Place]
    has_replies: bool = True  # False: they were not kept, and only rewards are compared
    found: list[Spot] = field(default_factory=list)
    _n_used: int = 0  # items taken from the training stream

    def __post_init__(self) -> None:
        """Keep the start, where the run's rewards refer to it: the policy must hold it."""
        self._kl = KlReward(self.plan) if self.plan.reward.kl else None

    def look(self, views: Views, entry: FitnessStep) -> None:
        """Check the places of one step; the policy must hold the weights of that step."""
        here = [place for place in self.places if place.step == entry.step]
        if here:
            items = [training_item(self.plan, self._n_used + slot) for slot in range(views.n_items)]
            kept = _kept(self.folder, entry) if self.has_replies else None
            again = self._again(views, items, here)
            self.found += [_compare(place, items, entry, kept, again) for place in here]
        self._n_used += views.n_items

    def _again(self, views: Views, items: Sequence[Item], here: Sequence[Place]) -> dict[tuple[int, int, int], Any]:
        """Return episodes by (member, slot, sample): those of the places, and of others as it comes."""
        policy, task = self.plan.policy, self.plan.task
        exact = policy.dtype == torch.float32 and policy.device.type == "cpu" and not task.grouped
        asked = {place.member for place in here}
        parcels: list[Sequence[int]] = [_with_twins(asked, views.n_members)]
        if not exact:  # neighbours may count: all of those that the run had
            parcels = [parcel for parcel in cut(views, self.plan.engine.parcels) if asked.intersection(parcel)]
        found: dict[tuple[int, int, int], Any] = {}
        for members in parcels:
            batch = play(self.plan, Meter(FlopModel.of(policy.model)), views, items, here[0].step, members)
            if self._kl is not None:
                self._kl.apply(views, batch)
            found |= {(one.member, one.slot, one.sample): one for one in batch.episodes}
        return found


def _compare(
    place: Place,
    items: Sequence[Item],
    entry: FitnessStep,
    kept: Sequence[dict[str, Any]] | None,
    again: dict[tuple[int, int, int], Any],
) -> Spot:
    _, n_items, n_samples = entry.rewards_N_P_G.shape
    episode = again[place.member, place.slot, place.sample]
    new = json.loads(json.dumps(shard_line(episode)))
    if kept is not None and "turns" not in kept[0]:  # its words lie with whoever played it
        new = digest_line(episode, new["digest"])
    line = new if kept is None else kept[(place.member * n_items + place.slot) * n_samples + place.sample]
    logged = _known(float(entry.rewards_N_P_G[place.member, place.slot, place.sample]))
    found = None if episode.told is None else float(np.float32(episode.told))
    differs = [name for name in sorted(new.keys() | line.keys()) if new.get(name) != line.get(name)]
    # a penalty is computed in one pass with its neighbours, and these may be others now
    if logged != found and not (episode.penalty and logged is not None and _near(logged, found)):
        differs.append("reward")
    if items[place.slot].index != int(entry.item_indices_P[place.slot]):
        differs.append("item")
    return Spot(
        place,
        items[place.slot].index,
        logged,
        found,
        None if kept is None else str(line.get("digest")),
        new["digest"],
        tuple(dict.fromkeys(differs)),
    )


def _kept(folder: Path, entry: FitnessStep) -> list[dict[str, Any]]:
    lines = read_shard(folder, entry.step)
    if len(lines) != entry.rewards_N_P_G.size or not all(isinstance(line, dict) for line in lines):
        raise BadValue(
            f"the shard of step {entry.step} in {folder} holds {len(lines)} replies, the fitness log "
            f"{entry.rewards_N_P_G.size}; restore it, or run again"
        )
    return lines


def _near(logged: float, found: float | None) -> bool:
    return found is not None and math.isclose(logged, found, rel_tol=_ROUNDING, abs_tol=_ROUNDING)


def _known(reward: float) -> float | None:
    return None if math.isnan(reward) else reward


def _with_twins(members: set[int], n_members: int) -> tuple[int, ...]:
    """Return the members with their antithetic twins, ascending, which some views must have side by side."""
    if n_members % 2:
        return tuple(sorted(members))
    return tuple(sorted({twin for member in members for twin in (member - member % 2, member - member % 2 + 1)}))
