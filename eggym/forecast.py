"""What a run will take, before anything is written: steps, episodes, tokens, memory, disk and time.

The costs of a step come from a probe: a few episodes of the untrained policy. They are an estimate, because replies
grow or shrink as the policy learns; for RL they assume that every group is informative, which is the dearest case.
"""

import json
import time
from dataclasses import dataclass

from eggym.asking import UNTRAINED, HeldOutViews, OracleViews
from eggym.beyond import n_episodes
from eggym.budget import Budget, FlopModel, Meter
from eggym.config import Plan
from eggym.digest import digest
from eggym.errors import BadValue
from eggym.kl_reward import applies
from eggym.learner import Learner, Prompter, profile_for
from eggym.views import PolicyViews, Views

FEWEST_STEPS = 5  # below, a comparison says nothing
_PROBE = 32  # items
_PROBE_REPLIES = {"tiny": 8, "pretrained": 1}  # small models decode many rows at hardly more cost than few
Probed = tuple[Meter, float, list[list[int]]]
_PROBED: dict[str, Probed] = {}
_BACKWARD = 3  # forward and backward of a pass, in forwards


@dataclass(frozen=True, slots=True)
class Forecast:
    """The estimate for one run."""

    steps: int | None  # None: the learner asks for nothing
    episodes: int
    tokens: int
    flops: int
    seconds: float  # CPU seconds of training on this machine
    evaluation_seconds: float
    most_steps: int  # if no pass of the learner cost anything
    cost_share: float  # how much of a step the budget buys: 1 is one step
    memory_bytes: int  # granted to the engine, the model beside it, and copies of weights that are kept in host memory
    rows: int  # that the memory plan lets decode together
    disk_bytes: int

    @property
    def total_seconds(self) -> float:
        """Training and evaluation."""
        return self.seconds + self.evaluation_seconds


def forecast(plan: Plan, learner: Learner) -> Forecast:
    """Probe the policy and extrapolate to the budget."""
    meter, cpu_s, prompts_P = _probe(plan)
    n_probe = meter.spend.episodes
    n_points = plan.evaluation.points + 1
    n_told = plan.evaluation.items * (1 + plan.evaluation.replies)  # whose replies are kept
    best = plan.evaluation.checkpoint == "best"
    n_evaluated = n_told + (plan.evaluation.validation_items if best else 0)
    episode_s, n_beside = cpu_s / n_probe, n_episodes(plan)
    views = learner.preview() if isinstance(learner, Prompter) else learner.ask(0)
    weights = plan.policy.weights_bytes
    memory = plan.memory + weights + _kept(plan, best)
    asked = views or PolicyViews(plan.evaluation.items, 1)
    rows, _ = plan.rollout(meter).room(asked, prompts_P)
    if views is None:
        evaluation_s = episode_s * (n_evaluated + n_beside)
        return Forecast(None, 0, 0, 0, 0.0, evaluation_s, 0, 0.0, memory, rows, n_told * 400)
    n_items = plan.evaluation.items if isinstance(views, HeldOutViews) else views.n_items
    per_step = views.n_members * n_items * views.n_replies
    factor = _forwards(views) + (plan.reward.kl > 0 and applies(views))
    share = per_step / n_probe
    cost = {
        "episodes": float(per_step),
        "tokens": meter.spend.tokens * share,
        "flops": meter.spend.rollout_flops * share * factor,
        "cpu-s": cpu_s * share * (1 + (factor - 1) / 2),
        "s": cpu_s * share * (1 + (factor - 1) / 2),
    }
    steps = _steps(plan.budget, cost)
    return Forecast(
        steps,
        steps * per_step,
        int(steps * cost["tokens"]),
        int(steps * cost["flops"]),
        steps * cost["cpu-s"],
        episode_s * (n_points * n_evaluated + 2 * n_beside),
        int(plan.budget.limit * factor // cost[plan.budget.axis]) if cost[plan.budget.axis] else 0,
        plan.budget.limit / cost[plan.budget.axis] if cost[plan.budget.axis] else 0.0,
        memory,
        rows,
        steps * per_step * 60 + n_points * n_told * 400 + (4 if best else 3) * weights,
    )


def refuse_short(plan: Plan, found: Forecast, force: bool) -> None:
    """Refuse a budget that is too small for 5 updates, or with ``force`` for one; who asks for nothing needs none.

    Raises:
        BadValue: naming the budget that would do.
    """
    least = 1 if force else FEWEST_STEPS
    if found.steps is None or found.steps >= least or (force and found.most_steps >= 1):
        return
    enough = plan.budget.limit / found.cost_share * (FEWEST_STEPS + 1) if found.cost_share else 0
    better = f" to about {Budget(plan.budget.axis, float(f'{enough:.1e}'))}" if enough else ""
    rather = "" if force else ", or use --force"
    raise BadValue(
        f"budget {plan.budget} is good for about {found.steps} update{'' if found.steps == 1 else 's'} of "
        f"{plan.label} on {plan.task.id}; "
        f"{least} {'is' if least == 1 else 'are'} the least: raise --budget{better}{rather}"
    )


def _forwards(views: Views) -> int:
    """Return what an episode costs, in forward passes over it: who asks for the policy itself will train on it."""
    if isinstance(views, OracleViews):
        return _BACKWARD
    return 1 + _BACKWARD if isinstance(views, PolicyViews) and not isinstance(views, UNTRAINED) else 1


def _steps(budget: Budget, cost: dict[str, float]) -> int:
    return int(budget.limit // cost[budget.axis]) if cost[budget.axis] > 0 else 0


def _kept(plan: Plan, best: bool) -> int:
    """Return the bytes of start weights, and of the best so far, that lie in the memory of the model: on a CPU."""
    each = sum(weight.numel() * weight.element_size() for weight in plan.space.select(plan.policy.model).values())
    return each * (2 if best else 1) if plan.policy.device.type == "cpu" else 0


def _probe(plan: Plan) -> Probed:
    """Return what a few episodes cost: played once in a process, for all learners and seeds of a task."""
    key = _played(plan)
    if key not in _PROBED:
        _PROBED[key] = _play(plan)
    return _PROBED[key]


def _played(plan: Plan) -> str:
    """Return what a probe depends on, as one text."""
    identity = plan.identity()
    on = [identity[name] for name in ("task", "difficulty", "split", "prompt", "model", "space", "memory", "engine")]
    with_ = [identity["device"], identity["dtype"], plan.policy.n_parameters]
    return json.dumps([digest(plan.task), *on, *with_], sort_keys=True, default=repr)


def _play(plan: Plan) -> Probed:
    """Return the meter of a few episodes, their CPU seconds, and the tokens of their prompts."""
    meter = Meter(FlopModel.of(plan.policy.model))
    available = plan.task.n_items(plan.config.split)
    n_items = _PROBE if available is None else min(_PROBE, available)
    items = [plan.task.item(plan.config.split, index) for index in range(n_items)]
    rollout = plan.rollout(meter, "forecast")
    began = time.process_time()
    n_replies = _PROBE_REPLIES[profile_for(plan.policy.n_parameters)]
    rollout.run(PolicyViews(n_items, n_replies, 1.0), items, step=0)
    cpu_s = time.process_time() - began
    return meter, cpu_s, [plan.policy.prompt_ids(plan.prompting, item.prompt) for item in items]
