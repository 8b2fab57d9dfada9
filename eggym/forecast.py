"""What a run will take, before anything is written: steps, episodes, tokens, memory, disk and time.

The costs of a step come from a probe: a few episodes of the untrained policy, and a second one where a step decodes
fewer together, as where members may not share a batch. They are an estimate, because replies grow or shrink as the
policy learns; for RL they assume that every group is informative, which is the dearest case, and that no step ends
early. The noise of evolution strategies and the optimizer's own arithmetic cost nothing here.
"""

from collections.abc import Mapping, Sequence, ValuesView
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from eggym.asking import UNTRAINED, HeldOutViews, OracleViews
from eggym.beyond import n_episodes
from eggym.budget import Budget, FlopModel
from eggym.checkpoint import KEEP_LAST, Keep
from eggym.config import Plan
from eggym.errors import BadValue
from eggym.kl_reward import applies
from eggym.learner import Learner, Prompter, profile_for
from eggym.sample_cost import played
from eggym.views import PolicyViews, Views

FEWEST_STEPS = 5  # below, a comparison says nothing
_PROBE = 32  # items
_PROBE_REPLIES = {"tiny": 8, "pretrained": 1}  # small models decode many rows at hardly more cost than few
_MOST_TOLD = 6  # learners on tasks in one line
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
    most_steps: int  # if the learner passed over no episode
    cost_share: float  # how much of a step the budget buys: 1 is one step
    memory_bytes: int  # granted to the engine, the model beside it, and copies of weights that are kept in host memory
    rows: int  # that the memory plan lets decode together
    disk_bytes: int

    @property
    def total_seconds(self) -> float:
        """Training and evaluation."""
        return self.seconds + self.evaluation_seconds


def forecast(plan: Plan, learner: Learner, keep: Keep | None = None) -> Forecast:
    """Probe the policy and extrapolate to the budget; ``keep`` says which checkpoints are to stay."""
    meter, cpu_s, items = played(plan, _PROBE, _PROBE_REPLIES[profile_for(plan.policy.n_parameters)])
    prompts_P = [plan.policy.prompt_ids(plan.prompting, item.prompt) for item in items]
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
    width = per_step // views.n_members if views.seating == "one_member" else per_step
    sampling_s = _narrow_s(plan, width) if width < n_probe else episode_s
    tokens = meter.spend.tokens / n_probe
    each = _Each(tokens, meter.spend.rollout_flops / n_probe, _end_flops(plan, tokens), sampling_s, episode_s)
    sampled, told = not isinstance(views, OracleViews), int(plan.reward.kl > 0 and applies(views))
    cost = each.times(per_step, sampled, told + forwards(plan, views))
    cheapest = each.times(per_step, sampled, told) if sampled else cost  # no group was informative
    steps = _steps(plan.budget, cost)
    stay = keep or Keep()
    n_checkpoints = (stay.last or KEEP_LAST) + stay.best + 1  # one is being written
    saved = checkpoint_bytes(plan, learner, views) * n_checkpoints
    return Forecast(
        steps,
        steps * per_step,
        int(steps * cost["tokens"]),
        int(steps * cost["flops"]),
        steps * cost["cpu-s"],
        episode_s * (n_points * n_evaluated + 2 * n_beside),
        _steps(plan.budget, cheapest),
        plan.budget.limit / cost[plan.budget.axis] if cost[plan.budget.axis] else 0.0,
        memory,
        rows,
        steps * per_step * 60 + n_points * n_told * 400 + weights + saved,
    )


def checkpoint_bytes(plan: Plan, learner: Learner, views: Views) -> int:
    """Return what one takes: the weights that are trained, the best so far, and what the learner keeps.

    The two moments of AdamW are there from its first step on.
    """
    weights = plan.space.select(plan.policy.model).values()
    n_weights, descends = sum(weight.numel() for weight in weights), forwards(plan, views) > 0
    copies = 2 if plan.evaluation.checkpoint == "best" else 1
    return copies * _bytes(list(weights)) + _bytes(learner.state_dict()) + 2 * 4 * n_weights * descends


def _bytes(state: Any) -> int:
    """Return what the tensors in nested lists and dicts take."""
    if isinstance(state, Tensor):
        return state.numel() * state.element_size()
    parts = state.values() if isinstance(state, Mapping) else state
    return sum(map(_bytes, parts)) if isinstance(parts, list | tuple | ValuesView) else 0


@dataclass(frozen=True, slots=True)
class Shortage:
    """A budget that is too small for a run."""

    budget: str
    learner: str
    task: str
    steps: int  # that it is good for
    enough: float  # what would do, on the axis of the budget; 0: unknown


def shortage(plan: Plan, found: Forecast, force: bool) -> Shortage | None:
    """Return what is short, if the budget is too small for 5 updates, or with ``force`` for one.

    Who asks for nothing needs no budget.
    """
    if found.steps is None or found.steps >= _least(force) or (force and found.most_steps >= 1):
        return None
    enough = plan.budget.limit / found.cost_share * (FEWEST_STEPS + 1) if found.cost_share else 0.0
    return Shortage(str(plan.budget), plan.label, plan.task.id, found.steps, enough)


def refuse_short(short: Sequence[Shortage], force: bool, trials: bool = False) -> None:
    """Refuse runs of one budget that is too small for some of them, all in one line.

    ``trials``: they are trials of tuning, whose budget is another flag.

    Raises:
        BadValue: naming the learners, and the budget that would do for each of them.
    """
    if not short:
        return
    first, *others = short[:_MOST_TOLD]
    told = f"about {first.steps} update{'' if first.steps == 1 else 's'} of {first.learner} on {first.task}"
    told = ", ".join([told, *(f"{one.steps} of {one.learner} on {one.task}" for one in others)])
    told += f" and {len(short) - _MOST_TOLD} more" if len(short) > _MOST_TOLD else ""
    least, enough = _least(force), max(one.enough for one in short)
    axis = Budget.parse(first.budget).axis
    better = f" to about {Budget(axis, float(f'{enough:.1e}'))}" if enough else ""
    whose, flag = (" of a trial of tuning", "--tune-budget") if trials else ("", "--budget")
    raise BadValue(
        f"budget {first.budget}{whose} is good for {told}; {least} {'is' if least == 1 else 'are'} the least: "
        f"raise {flag}{better}{'' if force else ', or use --force'}"
    )


def _least(force: bool) -> int:
    return 1 if force else FEWEST_STEPS


def forwards(plan: Plan, views: Views) -> float:
    """Return the learner's own passes over an episode, in forwards: who asks for the policy itself will train on it.

    As its options say (`eggym.learner.LearnerSpec`), or one forward and backward pass.
    """
    if not isinstance(views, PolicyViews) or isinstance(views, UNTRAINED):
        return 0
    return float(getattr(plan.options, "forwards", _BACKWARD))


@dataclass(frozen=True, slots=True)
class _Each:
    """What one sampled episode costs."""

    tokens: float
    flops: float
    end_flops: float  # of its end, in each forward pass of a learner that reads it
    sampling_s: float  # CPU seconds
    wide_s: float  # the same in a full batch; a forward pass over it takes half of that

    def times(self, n_episodes: int, sampled: bool, n_forwards: float) -> dict[str, float]:
        """Return what episodes cost on each axis, sampled or not, with so many passes over each."""
        seconds = n_episodes * (self.sampling_s * sampled + self.wide_s * n_forwards / 2)
        return {
            "episodes": float(n_episodes),
            "tokens": self.tokens * n_episodes,
            "flops": n_episodes * (self.flops * (sampled + n_forwards) + self.end_flops * n_forwards),
            "cpu-s": seconds,
            "s": seconds,
        }


def _end_flops(plan: Plan, tokens: float) -> float:
    """Return what it takes to read the last token of an episode, which sampling leaves out; 0 where nobody does."""
    reads = getattr(plan.options, "reads_ends", False)
    return FlopModel.of(plan.policy.model).forward(1, round(tokens), 1) if reads else 0.0


def _steps(budget: Budget, cost: dict[str, float]) -> int:
    return int(budget.limit // cost[budget.axis]) if cost[budget.axis] > 0 else 0


def _kept(plan: Plan, best: bool) -> int:
    """Return the bytes of start weights (twice for a KL to them) and of the best so far beside the model: on a CPU."""
    each = sum(weight.numel() * weight.element_size() for weight in plan.space.select(plan.policy.model).values())
    return each * (1 + best + (plan.reward.kl > 0)) if plan.policy.device.type == "cpu" else 0


def _narrow_s(plan: Plan, width: int) -> float:
    """Return the CPU seconds of an episode where no more than ``width`` of them decode together."""
    meter, cpu_s, _ = played(plan, min(width, _PROBE), max(1, width // _PROBE))
    return cpu_s / meter.spend.episodes
