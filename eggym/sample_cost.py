"""What a few episodes of an untrained policy cost: the probe behind forecasts.

It is played once in a process, for all learners and seeds that ask the same task of the same model. Left out: what it
means for a run (`eggym.forecast`).
"""

import json
import time

from eggym.budget import FlopModel, Meter
from eggym.config import Plan
from eggym.digest import digest
from eggym.task import Item
from eggym.views import PolicyViews

Played = tuple[Meter, float, list[Item]]  # what was counted, CPU seconds, the items
_KNOWN: dict[str, Played] = {}
_SAME = ("task", "difficulty", "split", "prompt", "model", "space", "memory", "engine", "device", "dtype")


def played(plan: Plan, n_items: int, n_replies: int) -> Played:
    """Return what sampled replies to the first training items cost: ``n_replies`` to each, or to as many as there are.

    The policy must hold its start weights.
    """
    key = _key(plan, n_items, n_replies)
    if key not in _KNOWN:
        _KNOWN[key] = _play(plan, n_items, n_replies)
    return _KNOWN[key]


def _key(plan: Plan, n_items: int, n_replies: int) -> str:
    """Return what the cost depends on, as one text."""
    identity = plan.identity()
    on = [identity[name] for name in _SAME]
    return json.dumps([digest(plan.task), *on, plan.policy.n_parameters, n_items, n_replies], default=repr)


def _play(plan: Plan, n_items: int, n_replies: int) -> Played:
    meter = Meter(FlopModel.of(plan.policy.model))
    available = plan.task.n_items(plan.config.split)
    n_items = n_items if available is None else min(n_items, available)
    items = [plan.task.item(plan.config.split, index) for index in range(n_items)]
    rollout = plan.rollout(meter, "forecast")
    began = time.process_time()
    rollout.run(PolicyViews(n_items, n_replies, 1.0), items, step=0)
    return meter, time.process_time() - began, items
