"""Which settings tuning tries, and how one of them is chosen: rules that are declared before anything is run.

Trial 0 is the settings that a run would have without tuning. The others are different points of the learner's declared
space, in an order that a named stream draws: fewer trials are the first of more. The highest score wins, the earlier of
equal ones; what diverged has no score and cannot win.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from eggym.budget import Budget
from eggym.config import Plan, set_options
from eggym.errors import BadValue, EggymError
from eggym.folder import DIVERGED as DIVERGED
from eggym.seeding import key, stream

JUDGED_ON = "validation"  # never test
SEED = key("tune") % (1 << 31)  # of every trial: all see the same items
MOST_TRIALS = 1000
# one score, and nothing that is on by default beside it
_ONCE = {"eval.split": JUDGED_ON, "eval.points": 1, "eval.drift": 0, "eval.many": 0, "eval.train_items": 0}
_KEPT = ("eval.items", "eval.replies", "eval.primary")  # how a trial is judged; the rest of eval is for runs


def refuse_bad_tuning(n_trials: int, trained_on: str, judged_on: str, more: Mapping[str, Any]) -> None:
    """Refuse what cannot be a tuning: too few trials, or a split that would be used twice.

    Args:
        n_trials: of each learner; 0: there is no tuning.
        trained_on: split of the runs' training items.
        judged_on: split of the runs' evaluation.
        more: settings that only tuning has; None where they are not given.
    """
    given = [name for name, value in more.items() if value is not None]
    if n_trials == 0 and given:
        raise BadValue(f"{given[0]} says how to tune: give tune, the trials of each learner, too")
    if n_trials != 0 and not 2 <= n_trials <= MOST_TRIALS:
        raise BadValue(f"tune must be 0, or from 2 to {MOST_TRIALS} trials of each learner, got {n_trials}")
    for what, split in (("split", trained_on), ("eval.split", judged_on)):
        if n_trials and split == JUDGED_ON:
            raise BadValue(f"{what} is {split}, and trials are judged on {JUDGED_ON}: give another, or no tune")
    items = more.get("tune_items")
    if items is not None and items < 1:
        raise BadValue(f"tune_items must be at least 1, got {items}")
    if more.get("tune_budget") is not None:
        Budget.parse(more["tune_budget"])


def trial_settings(run: Mapping[str, Any], n_items: int | None) -> dict[str, Any]:
    """Return the settings of a trial: those of a run, judged once, at the end, on validation and on nothing else."""
    kept = {name: value for name, value in run.items() if not name.startswith("eval.") or name in _KEPT}
    items = {} if n_items is None else {"eval.items": n_items}
    return {**kept, **items, **_ONCE}


def space_of(plan: Plan) -> dict[str, list[Any]]:
    """Return option -> values that tuning may try: what the learner declares for the profile, less what is set."""
    given = set_options(plan.config, plan.spec)
    return {name: values for name, values in declared(plan).items() if name not in given}


def trials_of(plan: Plan, n_trials: int) -> list[dict[str, Any]]:
    """Return the options of each trial; none for a control, and for a learner that declares no space.

    Raises:
        BadValue: the space has fewer settings than there should be trials, or an option that is out of range.
    """
    whole, space = declared(plan), space_of(plan)
    if not whole:
        return []
    start = {name: getattr(plan.options, name) for name in space}
    found = draw(space, start, n_trials)
    if len(found) < n_trials:
        fixed = ", ".join(name for name in whole if name not in space)
        because = f", for {fixed} is set" if fixed else ""
        raise BadValue(
            f"{plan.label} has {len(found)} setting{'s' * (len(found) != 1)} to try{because}, and every learner gets "
            f"{n_trials} trials; lower --tune{', or leave out the --set' if fixed else ''}"
        )
    for options in found:
        plan.spec.resolve(plan.profile, {**set_options(plan.config, plan.spec), **options})
    return found


def draw(space: Mapping[str, Sequence[Any]], start: Mapping[str, Any], n_trials: int) -> list[dict[str, Any]]:
    """Return ``start`` and the first points of the shuffled grid that differ from it; fewer where the grid ends."""
    grid = [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]
    stream("tune", "points").shuffle(grid)
    found = [dict(start)]
    for point in grid:
        if point not in found:
            found.append(point)
    return found[:n_trials]


def winner(scores: Sequence[float | None]) -> int:
    """Return the place of the highest score, the first of equal ones.

    Raises:
        EggymError: there is no score at all.
    """
    known = [-math.inf if score is None else score for score in scores]
    if max(known) == -math.inf:
        raise EggymError("no trial could be judged: each diverged, or its replies had no reward")
    return known.index(max(known))


def declared(plan: Plan) -> dict[str, list[Any]]:
    """Return the space that the learner declares for the run's profile; a control has none."""
    if plan.spec.kind == "control":  # takes what the learner inside it was tuned to
        return {}
    return {name: list(values) for name, values in plan.spec.search.get(plan.profile, {}).items()}
