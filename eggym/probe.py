"""The sigma probe: before training, what perturbations of each size would do to a policy.

A population too close to the base has nothing to choose from, one too far away is noise. Over a grid of sigma the
members of one generation, the same directions at every sigma, answer the same held-out items with the same random
numbers as the base. Measured for each: what is left of the reward, how far the members are from the base (KL per reply
token), and how much twins differ beside what sampling alone would make them differ.

`eggym.sigma` holds the rule that picks one. Nothing is trained.
Axes in names: _R rows of a pass, _N members, _P items, _G replies per item.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from eggym.budget import FlopModel, Meter
from eggym.config import Plan, RunConfig, refuse_unknown_fields, resolve
from eggym.drift import Reference
from eggym.episode import EpisodeBatch
from eggym.errors import BadValue
from eggym.evaluate import first_items
from eggym.sigma import LEAST_REWARD, Row, known, propose, spread, varied
from eggym.task import Item
from eggym.views import PolicyViews, Views

SPAN = tuple(2.0**power for power in range(-4, 3))  # of the profile's sigma
_KL_ITEMS, _KL_MEMBERS, _FLOOR_REPLIES = 16, 16, 8


@dataclass(frozen=True, slots=True)
class Probe:
    """The grid, and what it says."""

    task: str
    learner: str
    model: str
    seed: int
    n_items: int
    n_members: int
    temperature: float  # of the members, and of the base beside them
    base: float  # the base's mean reward on these items
    floor: float  # spread that sampling alone would cause, if members did not differ
    rows: tuple[Row, ...]  # by sigma, ascending
    sigma: float  # what is proposed
    why: str  # in one sentence

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        found = dataclasses.asdict(self)
        return {**found, "rows": [{**row, "drop": self.base - row["reward"]} for row in found["rows"]]}


def probe(
    task: str,
    learner: str = "eggroll",
    seed: int = 0,
    items: int = 32,
    members: int = 32,
    sigmas: Sequence[float] = (),
    **settings: Any,
) -> Probe:
    """Propose a sigma for an ES learner on a task.

    Args:
        task: id, ``module:name`` or file.
        learner: one with an option ``sigma``.
        seed: of directions and random numbers; the same seed gives the same answer.
        items: how many, of the validation split.
        members: how many, in pairs, at each sigma.
        sigmas: the grid; empty: 1/16 to 4 times the profile's, by factors of 2.
        settings: other fields of `eggym.config.RunConfig`, such as ``model``, ``device`` or ``set``.

    Raises:
        EggymError: as `eggym.train`; also a learner without sigma, or a split without items.
    """
    refuse_unknown_fields(RunConfig, settings)
    return run_probe(RunConfig(task, learner, seed=seed, **settings), items, members, sigmas)


def run_probe(config: RunConfig, items: int = 32, members: int = 32, sigmas: Sequence[float] = ()) -> Probe:
    """Probe what a configuration names; see `probe`. Its budget and training split play no part."""
    if items < 1 or members < 4 or members % 2:
        raise BadValue(f"a probe takes at least 1 item and an even number of members from 4, got {items} and {members}")
    plan = resolve(config)
    options = {found.name for found in dataclasses.fields(plan.options)}
    if "sigma" not in options:
        raise BadValue(f"{plan.spec.name} has no sigma to probe; give an ES learner such as --learner eggroll")
    found = first_items(plan.task, "validation", items)
    if not found:
        raise BadValue(f"task {plan.task.id!r} has no validation items to probe with; give it a validation split")
    sizes = {name: value for name, value in (("items", len(found)), ("population", members)) if name in options}
    grid = sorted({float(value) for value in sigmas} or {plan.options.sigma * factor for factor in SPAN})
    return _Prober(plan, found, sizes).run(grid)


class _Prober:
    """One policy, its items, and what the base says to them."""

    def __init__(self, plan: Plan, items: list[Item], sizes: dict[str, int]) -> None:
        self.plan, self.items, self.sizes = plan, items, sizes
        self.rollout = plan.rollout(Meter(FlopModel.of(plan.policy.model)), "probe")
        drawn = self._base(PolicyViews(min(len(items), _KL_ITEMS), 1, 1.0), step=1)
        self.reference = Reference(plan.policy, [segment for one in drawn.episodes for segment in one.segments])

    def run(self, grid: Sequence[float]) -> Probe:
        """Measure every sigma and propose one."""
        views = self._views(grid[0])
        base, floor = self._alone(views)
        low, high = self.plan.task.reward_range
        rows = tuple(self._row(sigma, base, low) for sigma in grid)
        told = max(base - low, 0.0) / (high - low) >= LEAST_REWARD and base > self.plan.task.floor
        sigma, why = propose(rows, base, told)
        return Probe(
            task=self.plan.task.id,
            learner=self.plan.spec.name,
            model=self.plan.config.model,
            seed=self.plan.config.seed,
            n_items=views.n_items,
            n_members=views.n_members,
            temperature=views.temperature,
            base=base,
            floor=floor,
            rows=rows,
            sigma=sigma,
            why=why,
        )

    def _views(self, sigma: float) -> Views:
        plan = self.plan
        options = dataclasses.replace(plan.options, sigma=sigma, **self.sizes)
        views = plan.spec.build(plan.policy, plan.space, plan.config.seed, options).ask(0)
        if views is None or views.n_items > len(self.items):
            raise BadValue(f"{plan.spec.name} asks for other items than the {len(self.items)} of a probe")
        return views

    def _base(self, views: PolicyViews, step: int) -> EpisodeBatch:
        return self.rollout.run(views, self.items[: views.n_items], step)

    def _row(self, sigma: float, base: float, low: float) -> Row:
        views = self._views(sigma)
        rewards_N_P_G = self.rollout.run(views, self.items[: views.n_items], step=0).rewards_N_P_G()
        reward = float(known(rewards_N_P_G).mean())
        return Row(
            sigma,
            reward,
            (reward - low) / (base - low) if base > low else None,
            self._kl(views),
            spread(rewards_N_P_G),
            varied(rewards_N_P_G),
        )

    def _kl(self, views: Views) -> float:
        """Return the mean KL(base || member) per reply token over the first members, one after the other."""
        n = min(views.n_members, _KL_MEMBERS)
        device, found = self.plan.policy.device, []
        with views.attach(self.plan.policy.model) as attached:
            for member in range(n):

                def seat(n_rows: int, member: int = member) -> None:
                    attached.take(attached.seat(torch.full((n_rows,), member, dtype=torch.int64, device=device)))

                found.append(self.reference.divergence(seat))
        return math.fsum(found) / n

    def _alone(self, views: Views) -> tuple[float, float]:
        """Return the base's mean reward, and the spread of members that do not differ from it.

        Members that draw equal numbers, or none, would then not differ at all, and the base draws those numbers too.
        Else sampling makes the spread: with G independent replies to each item, Var(f+ - f-) = 2 sum_p var_p / (G P^2).
        """
        own = views.temperature == 0 or views.coupling == "shared"
        n = views.n_replies if own else views.n_replies * _FLOOR_REPLIES
        asked = PolicyViews(views.n_items, n, views.temperature, coupling=views.coupling)
        rewards_P_G = known(self._base(asked, step=0).rewards_N_P_G()[0])
        base = float(rewards_P_G.mean())
        if own:
            return base, 0.0
        variances_P = rewards_P_G.var(axis=1) * n / (n - 1)
        return base, math.sqrt(2 * float(variances_P.sum()) / (views.n_replies * views.n_items**2))
