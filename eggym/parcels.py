"""A training step in parcels: runs of members that are played together, by whoever has a hand free.

A parcel is named by (step, members), and what is played in it follows from that name and the weights: random numbers
are keyed by members, items and positions (see `eggym.rollout`). In float32 on a CPU a transcript does not depend on its
neighbours either; elsewhere it may, so parcels are cut by counts alone and never by who is there to take them.
"""

import itertools
from collections.abc import Sequence

from eggym.asking import HeldOutViews
from eggym.budget import Meter
from eggym.config import Plan
from eggym.episode import EpisodeBatch
from eggym.task import Item
from eggym.views import Views

DEFAULT_PARCELS = 4  # of a step with workers; one that followed from their number would make each another run


def cut(views: Views, n_parcels: int) -> list[range]:
    """Return the members of each parcel, in order: at most ``n_parcels``, as equal as can be.

    Members that sit together (`Views.n_together`) stay together.
    """
    parts = parted(views.n_members // views.n_together, n_parcels)
    return [range(part.start * views.n_together, part.stop * views.n_together) for part in parts]


def parted(n_units: int, n_parts: int) -> list[range]:
    """Return at most so many runs of numbers below ``n_units``, as equal as can be; of none, an empty one."""
    n = max(1, min(n_parts, n_units))
    starts = [n_units * place // n for place in range(n + 1)]
    return [range(start, end) for start, end in itertools.pairwise(starts)]


def play(
    plan: Plan, meter: Meter, views: Views, items: Sequence[Item], step: int, members: Sequence[int] | None = None
) -> EpisodeBatch:
    """Return the episodes of one training step, or of some of its members (`eggym.rollout.Rollout.play`)."""
    if isinstance(views, HeldOutViews):  # what the evaluation would sample: its step is 0
        batch = plan.rollout(meter, "evaluation").play(views, items, 0, members)
        batch.step = step
        return batch
    return plan.rollout(meter).play(views, items, step, members)


def joined(step: int, parts: Sequence[EpisodeBatch]) -> EpisodeBatch:
    """Return one batch of a step from those of its parcels, in their order."""
    episodes = [episode for part in parts for episode in part.episodes]
    return EpisodeBatch(step, episodes, sum(part.n_members for part in parts), parts[0].n_items, parts[0].n_replies)
