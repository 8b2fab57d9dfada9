"""Who plays the episodes of a run: this process, or worker processes that hold a copy of it.

Either way a step is the same: the same episodes, rewards, shard and spend, whoever played them and in whatever order.
With workers the driver plays nothing. It deals out parcels, writes the rewards down, tells them to everyone, and moves
its own weights, which checkpoints and evaluations are made of.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from eggym.budget import Meter
from eggym.config import Plan
from eggym.enlisting import reads_rewards
from eggym.episode import EpisodeBatch
from eggym.errors import BadValue
from eggym.executor import Executor
from eggym.executor_parts import MOST_WORKERS, Start
from eggym.files import sha256_json
from eggym.fitness import FITNESS, FitnessLog, FitnessStep, heard, pack_step
from eggym.frames import MOST_BYTES, Frame
from eggym.gist import Gist, read_gist
from eggym.held_out import Alone, Question, read_answer, whole
from eggym.judges import Judges
from eggym.learner import Learner
from eggym.local_workers import LocalHand
from eggym.parcels import cut, joined, parted, play
from eggym.patience import Patience
from eggym.policy import model_sha256
from eggym.replies import (
    WHOLE,
    episode_digest,
    join_parts,
    write_digests,
    write_part,
    write_shard,
)
from eggym.rollout import refuse_errors
from eggym.task import Item
from eggym.views import Views

CHECK_EVERY = 10  # steps between comparisons of the replicas' weights with the driver's


class Crew(Protocol):
    """Who plays."""

    def play(self, meter: Meter, views: Views, items: Sequence[Item], step: int) -> EpisodeBatch:
        """Return the episodes of a step; ``meter`` counts them."""

    def answer(
        self, meter: Meter, question: Question, items: Sequence[Item], learner: Learner | None, step: int
    ) -> EpisodeBatch:
        """Return the episodes of the weights after ``step`` steps on held-out items; ``meter`` counts them."""

    def keep(self, folder: Path, batch: EpisodeBatch) -> str:
        """Write the replies of that step; return the digest of the file."""

    def tell(self, batch: EpisodeBatch) -> None:
        """Let whoever holds a copy of the run know the rewards of that step."""

    def check(self, step: int, last: bool = False) -> None:
        """See whether all copies are equal, now that ``step`` steps are done; ``last``: the run ends here."""

    def agree(self, yes: bool) -> bool:
        """Return what the process that writes says: its clock is not that of others."""

    def heed(self, tell: Callable[[str, str], None]) -> None:
        """Tell of every worker that is replaced from now on: its name, and why."""

    def told(self) -> dict[str, Any]:
        """Return what is to be measured of it."""

    def close(self) -> None:
        """End it."""


class Here(Alone):
    """This process."""

    def __init__(self, plan: Plan, judges: Judges | None = None) -> None:
        """Play by a plan; ``judges`` are asked by it."""
        super().__init__(plan)
        self._judges = judges
        self._parcels: list[range] = []

    def play(self, meter: Meter, views: Views, items: Sequence[Item], step: int) -> EpisodeBatch:
        """Play parcel after parcel."""
        self._parcels = cut(views, self._plan.engine.parcels)
        batch = joined(step, [play(self._plan, meter, views, items, step, members) for members in self._parcels])
        refuse_errors(self._plan.task.id, [episode.verdict for episode in batch.episodes])
        return batch

    def keep(self, folder: Path, batch: EpisodeBatch) -> str:
        """Write the shard."""
        if self._plan.engine.replies == WHOLE:
            return write_shard(folder, batch)
        each = batch.n_items * batch.n_replies
        for members in self._parcels:
            write_part(folder, batch.step, members.start, batch.episodes[members.start * each : members.stop * each])
        return write_digests(folder, batch, [episode_digest(episode) for episode in batch.episodes])

    def tell(self, batch: EpisodeBatch) -> None:
        """Nobody else is there."""

    def check(self, step: int, last: bool = False) -> None:
        """Nobody else is there."""

    def agree(self, yes: bool) -> bool:
        """Say so."""
        return yes

    def heed(self, tell: Callable[[str, str], None]) -> None:
        """Tell of reward workers that are replaced."""
        if self._judges is not None:
            self._judges.executor.heed = tell

    def told(self) -> dict[str, Any]:
        """Return what came of reward workers."""
        return {} if self._judges is None else self._judges.told()

    def close(self) -> None:
        """Nothing to end."""


class Workers:
    """Processes that each hold a replica (`eggym.replica`)."""

    def __init__(
        self,
        plan: Plan,
        identity: dict[str, Any],
        folder: Path,
        n_workers: int,
        start: Start = LocalHand,
        patience: Patience | None = None,
    ) -> None:
        """Prepare; they are started with the first step."""
        self._plan, self._folder, self._run = plan, folder, sha256_json(identity)
        self.executor = Executor(start, n_workers, self._begin, patience)
        self._n_told = self._heard = 0
        self._digests: list[str] = []
        self._parcels: list[range] = []
        self._n_workers = n_workers
        self.replies_bytes = 0  # of evaluations, whose replies are wanted here

    def answer(
        self, meter: Meter, question: Question, items: Sequence[Item], learner: Learner | None, step: int
    ) -> EpisodeBatch:
        """Deal out the items of an evaluation."""
        self._catch_up(step)
        pieces = parted(len(items), self._plan.engine.parcels)
        asked = [
            Frame({"do": "answer", "q": astuple(question), "a": [step, one.start, one.stop], "h": self._heard})
            for one in pieces
        ]
        before = self.executor.tally.received_bytes
        found = dict(
            self.executor.map(asked, lambda number, frame: read_answer(frame, question, items, pieces[number]))
        )
        self.replies_bytes += self.executor.tally.received_bytes - before
        for number in range(len(pieces)):
            found[number].charge(meter)
        return whole(self._plan, question, [found[number].batch for number in range(len(pieces))])

    def _catch_up(self, step: int) -> None:
        if self._n_told < step:  # the run goes on from a checkpoint
            self._n_told, self._heard = step, functools.reduce(heard, self._log(step), 0)

    def play(self, meter: Meter, views: Views, items: Sequence[Item], step: int) -> EpisodeBatch:
        """Deal out the parcels of a step."""
        self._catch_up(step)
        self._parcels = cut(views, self._plan.engine.parcels)
        asked = [Frame({"do": "play", "a": [step, one.start, one.stop], "h": self._heard}) for one in self._parcels]

        def accept(number: int, answer: Frame) -> Gist:
            return read_gist(answer, items, self._parcels[number], views.n_replies)

        found = dict(self.executor.map(asked, accept))
        gists = [found[number] for number in range(len(asked))]
        for gist in gists:
            gist.charge(meter)
        episodes = [episode for gist in gists for episode in gist.episodes]
        refuse_errors(self._plan.task.id, [episode.verdict for episode in episodes])
        self._digests = [digest for gist in gists for digest in gist.digests]
        return EpisodeBatch(step, episodes, views.n_members, len(items), views.n_replies)

    def keep(self, folder: Path, batch: EpisodeBatch) -> str:
        """Join the parts that the workers wrote, or keep what they told."""
        if self._plan.engine.replies != WHOLE:
            return write_digests(folder, batch, self._digests)
        return join_parts(folder, batch.step, [parcel.start for parcel in self._parcels], self._digests)

    def tell(self, batch: EpisodeBatch) -> None:
        """Send the rewards to all replicas."""
        items = [episode.item.index for episode in batch.episodes[: batch.n_items * batch.n_replies : batch.n_replies]]
        step = FitnessStep(batch.step, np.array(items), batch.rewards_N_P_G())
        self._n_told, self._heard = batch.step + 1, heard(self._heard, step)
        self.executor.note(Frame({"do": "note"}, pack_step(step.step, step.item_indices_P, step.rewards_N_P_G)))

    def agree(self, yes: bool) -> bool:
        """Say so: workers decide nothing."""
        return yes

    def check(self, step: int, last: bool = False) -> None:
        """Now and then, compare the weights; a replica that differs is replaced."""
        if last or step % CHECK_EVERY:
            return
        own = model_sha256(self._plan.policy.model)
        for name, answer in self.executor.survey(Frame({"do": "hash"})).items():
            if answer.header["sha256"] != own:
                self.executor.replace(name, f"its weights differ after step {step}")

    def heed(self, tell: Callable[[str, str], None]) -> None:
        """Tell of workers that are replaced, as it happens."""
        self.executor.heed = tell

    def told(self) -> dict[str, Any]:
        """Return how many there were, what became of them, and what the last parcels of the steps cost."""
        tally = self.executor.tally
        idle = tally.tail_idle_s / tally.tail_s if tally.tail_s else 0.0
        return {
            "workers": self._n_workers,
            "worker_items": tally.items_of,
            "worker_events": tally.events,
            "tail_idle_share": round(idle, 4),
        }

    def close(self) -> None:
        """End them."""
        self.executor.stop()

    def _begin(self) -> Frame:
        steps = self._log(self._n_told)
        blob = b"".join(pack_step(one.step, one.item_indices_P, one.rewards_N_P_G) for one in steps)
        if len(blob) > MOST_BYTES:
            raise BadValue(
                f"the rewards of {self._n_told:,} steps are more than a worker that joins can be sent; give the same "
                f"command without --workers and with --set engine.parcels={self._plan.engine.parcels}"
            )
        header = {"do": "begin", "role": "replica", "config": asdict(self._plan.config), "run": self._run}
        return Frame({**header, "folder": str(self._folder.absolute()), "step": self._n_told}, blob)

    def _log(self, n_steps: int) -> list[FitnessStep]:
        return FitnessLog(self._folder / FITNESS).read()[:n_steps]


def refuse_unshared(plan: Plan, n_workers: int) -> None:
    """Refuse what worker processes cannot take part in.

    Raises:
        BadValue: there are none or more than parcels, the learner reads more of an episode than its reward, or the
            reward is not the verdict's alone.
    """
    if not 1 <= n_workers <= MOST_WORKERS:
        raise BadValue(f"workers must lie from 1 to {MOST_WORKERS}, got {n_workers}")
    if n_workers > plan.engine.parcels:
        raise BadValue(
            f"{n_workers} workers cannot share {plan.engine.parcels} parcels of a step; give --set engine.parcels="
            f"{2 * n_workers} (which is another run), or fewer workers"
        )
    if not reads_rewards(plan.spec):
        raise BadValue(
            f"{plan.label} reads more than rewards, so its episodes cannot be played elsewhere; leave --workers out"
        )
    if plan.reward.kl:
        raise BadValue("reward.kl compares replies with those of the start, in this process; leave --workers out")
