"""The loop: ask, roll out, tell; under a budget, with evaluations, checkpoints and a record at the end.

What was written after the last checkpoint is cut off and made again; nothing in the result depends on where that
happened.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eggym.asking import HeldOutViews
from eggym.beyond import Sides
from eggym.budget import FlopModel, Meter
from eggym.checkpoint import Keep
from eggym.choice import Choice
from eggym.config import Plan
from eggym.crew import Crew
from eggym.drift import KL_BASE, start_drift
from eggym.errors import Diverged
from eggym.evaluate import Evaluator
from eggym.files import write_json
from eggym.fitness import FITNESS, FitnessLog
from eggym.forecast import forwards
from eggym.kl_reward import KlReward
from eggym.learner import Holder, Learner, Prompter
from eggym.record import Record
from eggym.replies import EVALUATIONS, append_lines
from eggym.result import PROMPT, STEPS, finish
from eggym.run_state import Keeper
from eggym.score import Beyond, Point, Spent
from eggym.shares import summed_passes
from eggym.task import Item
from eggym.training_items import training_item
from eggym.usage import family_cpu_s, reset_peak_memory
from eggym.views import Views

CHECKPOINT_EVERY_S = 20.0  # of wall time, longer where saving is slow; when one falls changes nothing in the result
_OF_THE_LAST = ("workers", "reward_workers", "ranks", "tail_idle_share")  # session alone


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a watcher may show."""

    kind: str  # "start", "step", "point", "done", "worker", or "notice" of something that a user should know
    step: int
    fraction: float  # of the budget
    reward: float | None = None  # mean training reward of a step; primary metric of a point
    note: str = ""  # which worker is replaced, and why; of a notice: what it says


Watch = Callable[[Event], None]


@dataclass
class Run:
    """One run in progress: everything that a checkpoint holds, and where it is written."""

    plan: Plan
    learner: Learner
    folder: Path
    watch: Watch
    identity: dict[str, Any]
    crew: Crew
    keep: Keep = Keep()  # noqa: RUF009  # frozen
    step: int = 0
    n_used: int = 0  # items taken from the training stream
    dearest: float = 0.0  # what the dearest step so far cost, on the budget's axis
    points: list[Point] = field(default_factory=list)
    states: dict[str, int] = field(default_factory=dict)
    shards: list[str] = field(default_factory=list)  # digest of each step's replies
    point_cpu_s: list[float] = field(default_factory=list)
    point_wall_s: list[float] = field(default_factory=list)
    beyond: Beyond | None = None  # until the end

    def __post_init__(self) -> None:
        model = self.plan.policy.model
        self.parameters = self.plan.space.select(model)
        self.meter = Meter(FlopModel.of(model))
        self.evaluation_meter = Meter(FlopModel.of(model))
        self.evaluator = Evaluator(self.plan, self.evaluation_meter, self.crew)
        self.kl_reward = KlReward(self.plan) if self.plan.reward.kl else None
        self.choice = Choice(self.plan, self.evaluation_meter, self.parameters, self.crew)
        # from the start weights, which a resumed run holds until its checkpoint is loaded (and with it the meter)
        with self._evaluating():
            self.sides = Sides(self.plan, self.evaluation_meter, self.parameters)
            self.drift = start_drift(self.plan, self.evaluation_meter)
        self.kl_base = None if self.drift is None else 0.0  # from the start to the present weights
        self.fitness = FitnessLog(self.folder / FITNESS)
        self.session: dict[str, Any] = {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "wall": 0.0,
            "cpu": 0.0,
            "n": 0,
        }
        self.crew.heed(self._replaced)
        self._began = (time.monotonic(), family_cpu_s())
        self.keeper = Keeper(self.keep)

    def go(self) -> Record:
        """Continue from the last checkpoint, or start, and run to the end of the budget."""
        reset_peak_memory()
        notice = self.keeper.restore(self)
        if notice is not None:
            self.watch(Event("notice", self.step, self.fraction, note=notice))
        self.session["n"] += 1
        self.watch(Event("start", self.step, self.fraction))
        if not self.points:
            self._evaluate()
        while self._affordable() and self._advance():
            if self._due():
                self._evaluate()
            elif self.crew.agree(self.keeper.is_due(CHECKPOINT_EVERY_S)):
                self.keeper.save(self)
        if self.points[-1].step < self.step:
            self._evaluate()
        self.crew.check(self.step, last=True)
        self._conclude()
        record = self._finish()
        self.watch(Event("done", self.step, 1.0, record.final(record.primary).mean))
        return record

    def _replaced(self, name: str, why: str) -> None:
        lost = why if why.startswith("not replaced") else f"replaced: {why}"
        self.watch(Event("worker", self.step, self.fraction, note=f"worker {name} is {lost}"))

    @property
    def fraction(self) -> float:
        """Share of the budget that is spent."""
        return self.meter.on(self.plan.budget.axis) / self.plan.budget.limit

    def _affordable(self) -> bool:
        """Whether another step as dear as the dearest so far still fits: a step is never started that cannot finish."""
        return self.meter.on(self.plan.budget.axis) + self.dearest <= self.plan.budget.limit

    def _covers_update(self, views: Views) -> bool:
        """Whether what is left pays an update that no step so far need have been as dear as: the first one, or one over
        episodes that the learner holds.

        In budget FLOPs, which are known before; on the other axes passes are free, or measured as they come.
        """
        spend, n_asked = self.meter.spend, views.n_members * views.n_items * views.n_replies
        n_held = self.learner.n_held if isinstance(self.learner, Holder) else 0
        known = spend.backward_flops > 0 and not n_held
        if known or self.plan.budget.axis != "flops" or not spend.episodes:
            return True
        passes = n_asked + (n_held + n_asked) * forwards(self.plan, views)
        return spend.flops + passes * spend.rollout_flops / spend.episodes <= self.plan.budget.limit

    def _due(self) -> bool:
        n = self.plan.evaluation.points
        return int(self.fraction * n) > int(self.points[-1].fraction * n)

    def _advance(self) -> bool:
        """Take one step; return False when the learner asks for nothing, or for more than is left."""
        plan, before, ranks = self.plan, self.meter.on(self.plan.budget.axis), self.plan.policy.ranks
        with self.meter.watch(plan.policy.model):
            with self.meter.phase("ask"):
                views = self.learner.ask(self.step)
            if views is None or not self._covers_update(views):
                return False
            items = self._items(views)
            with self.meter.phase("rollout"):
                batch = self.crew.play(self.meter, views, items, self.step)
            with self.meter.phase("kl_reward"), summed_passes(ranks, self.meter):
                penalty = {} if self.kl_reward is None else self.kl_reward.apply(views, batch)
            rewards_N_P_G = batch.rewards_N_P_G()
            # before tell: the log and the start weights rebuild the run
            self.fitness.append(self.step, [item.index for item in items], rewards_N_P_G)
            self.crew.tell(batch)
            self.shards.append(self.crew.keep(self.folder, batch))
            with self.meter.phase("tell"), summed_passes(ranks, self.meter):
                metrics = dict(self.learner.tell(batch))
        metrics |= penalty | self._drifted()
        self._refuse_divergence(metrics)
        for episode in batch.episodes:
            self.states[episode.verdict.state.value] = self.states.get(episode.verdict.state.value, 0) + 1
        known = [episode.reward for episode in batch.episodes if episode.reward is not None]
        reward = sum(known) / len(known) if known else None
        line = {"step": self.step, "reward": reward, "spent": self.meter.spend.as_dict(), "metrics": metrics}
        self._note(STEPS, [line])
        self.step += 1
        self.n_used += views.n_items
        self.crew.check(self.step)
        self.dearest = max(self.dearest, self.meter.on(plan.budget.axis) - before)
        self.watch(Event("step", self.step, self.fraction, reward))
        return True

    def _items(self, views: Views) -> Sequence[Item]:
        if isinstance(views, HeldOutViews):
            return self.evaluator.items
        return [training_item(self.plan, self.n_used + slot) for slot in range(views.n_items)]

    def _drifted(self) -> dict[str, float]:
        """Return how far the policy now is from its start; this is evaluation, and costs the budget nothing."""
        if self.drift is None:
            return {}
        with self._evaluating():
            self.kl_base = self.drift.measure()
        return {KL_BASE: self.kl_base}

    def _refuse_divergence(self, metrics: dict[str, float]) -> None:
        finite = all(math.isfinite(value) for value in metrics.values())
        if not finite or not all(bool(weight.isfinite().all()) for weight in self.parameters.values()):
            raise Diverged(
                f"{self.plan.label} diverged at step {self.step} on {self.plan.task.id}: weights or metrics are "
                "not finite; make its step smaller with --set",
                self.meter.spend.flops,
            )

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Charge what the model computes, and its seconds, to evaluation."""
        with self.evaluation_meter.watch(self.plan.policy.model), self.meter.phase("evaluation", counted=False):
            yield

    def _evaluate(self) -> None:
        with self._evaluating():
            found = self.evaluator.run(len(self.points), self.learner, self.step)
            validation = self.choice.look(self.step, self.learner)
            if not self.points:
                self.sides.begin()
        self._note(EVALUATIONS, found.lines)
        point = Point(
            step=self.step,
            fraction=self.fraction,
            spent=Spent(**self.meter.spend.as_dict()),
            greedy=found.greedy,
            sampled=found.sampled,
            validation=validation,
            kl_base=self.kl_base,
        )
        self.points.append(point)
        self.point_cpu_s.append(self.meter.seconds["cpu-s"])
        self.point_wall_s.append(self.meter.seconds["s"])
        self.keeper.save(self)
        score = found.greedy if self.plan.evaluation.primary == "greedy" else found.sampled
        self.watch(Event("point", self.step, self.fraction, score.mean))

    def _conclude(self) -> None:
        """Let the policy hold the weights that count, and evaluate what they changed."""
        self.choice.take()
        counts = next((point for point in self.points if point.step == self.choice.step), self.points[-1])
        with self._evaluating():
            self.beyond = self.sides.end(counts)

    def _finish(self) -> Record:
        """Write the end of the run, and let the other ranks know."""
        if isinstance(self.learner, Prompter):
            write_json(self.folder / PROMPT, asdict(self.learner.prompting))
        record = finish(self)
        self.crew.agree(True)
        return record

    def measured_so_far(self) -> dict[str, Any]:
        """Return when the run was started, and the seconds and number of all its sessions."""
        wall, cpu = self._began
        crew = self.crew.told()
        before = {name: value for name, value in self.session.items() if name not in _OF_THE_LAST}
        items = Counter(before.get("worker_items", {})) + Counter(crew.get("worker_items", {}))
        return {
            **before,
            **crew,
            "worker_items": dict(items),
            "wall": self.session["wall"] + time.monotonic() - wall,
            "cpu": self.session["cpu"] + family_cpu_s() - cpu + crew.get("others_cpu_s", 0.0),
            "saving": self.session.get("saving", 0.0) + self.keeper.saving_s,
            "worker_events": self.session.get("worker_events", []) + crew.get("worker_events", []),
        }

    def lasting(self) -> list[str]:
        """Return the names of the checkpoints that stay after the end."""
        return self.keeper.lasting(self)

    def _note(self, name: str, lines: Sequence[dict[str, Any]]) -> None:
        append_lines(self.folder / name, lines)
