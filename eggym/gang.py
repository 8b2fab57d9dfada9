"""The crew of a run that torchrun started: every rank holds the run, plays a share and moves its own weights.

What a share is depends on the learner. Of RL it is items, whole groups of replies, and later passes; then all ranks
have all episodes. Of ES it is the parcels of a step (`eggym.parcels`), numbers rank, rank + size and so on; rewards go
to everyone, replies to rank 0, and the update is exact on each.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from eggym.budget import Meter
from eggym.config import Plan
from eggym.episode import EpisodeBatch
from eggym.errors import Astray
from eggym.held_out import Question, answer, whole
from eggym.learner import Learner
from eggym.parcels import cut, parted, play
from eggym.policy import model_sha256
from eggym.ranks import Ranks, first_says
from eggym.replies import shard_text, write_shard, write_shard_text
from eggym.rollout import refuse_errors
from eggym.shares import Clocks, exchanged, summed
from eggym.task import Item
from eggym.usage import family_cpu_s
from eggym.views import PolicyViews, Views

CHECK_EVERY = 10  # steps between comparisons of the ranks' weights


class Gang:
    """All ranks."""

    def __init__(self, plan: Plan) -> None:
        """Play by a plan; its policy has been given its ranks (`eggym.enlisting`) when there is something to play."""
        self._plan = plan
        self._texts: Sequence[str] = ()  # replies of an ES step, by parcel; rank 0 has them all
        self._clocks: Clocks | None = None
        self._others_cpu_s, self._cpu_s = 0.0, family_cpu_s()

    @property
    def _ranks(self) -> Ranks:
        return self._plan.policy.ranks

    def play(self, meter: Meter, views: Views, items: Sequence[Item], step: int) -> EpisodeBatch:
        """Play this rank's share, and exchange."""
        self._clocks = self._clocks or Clocks(self._ranks, meter)
        if self._ranks.cuts:
            batch = self._plan.rollout(meter).shared(views, items, step)
        else:
            batch = self._parcels(meter, views, items, step)
        refuse_errors(self._plan.task.id, [episode.verdict for episode in batch.episodes])
        return batch

    def answer(
        self, meter: Meter, question: Question, items: Sequence[Item], learner: Learner | None, step: int
    ) -> EpisodeBatch:
        """Answer this rank's share of held-out items, and exchange: items, or the pieces that ES runs are cut into."""
        plan, size = self._plan, self._ranks.size
        if self._ranks.cuts:
            views = PolicyViews(len(items), question.n_replies, question.temperature)
            return plan.rollout(meter, question.purpose).run(views, items, 0)
        pieces = parted(len(items), plan.engine.parcels)[self._ranks.rank :: size]
        with summed(self._ranks, meter):
            parts = [answer(plan, meter, question, items, piece, learner) for piece in pieces]
        episodes = exchanged(self._ranks, [episode for part in parts for episode in part.episodes], items)
        return whole(plan, question, [EpisodeBatch(0, episodes, 1, len(items), question.n_replies)])

    def keep(self, folder: Path, batch: EpisodeBatch) -> str:
        """Write the shard, on rank 0."""
        if self._ranks.rank:
            return ""
        return write_shard(folder, batch) if self._ranks.cuts else write_shard_text(
            folder, batch.step, "".join(self._texts)
        )  # fmt: skip

    def tell(self, batch: EpisodeBatch) -> None:
        """All ranks know."""

    def check(self, step: int, last: bool = False) -> None:
        """Let clocks agree; now and then, and at the end, compare the weights.

        Raises:
            Astray: they differ.
        """
        if self._clocks is not None:
            self._clocks.agree()
        spent = [float(told) for told in self._ranks.gather(repr(family_cpu_s() - self._cpu_s).encode())]
        self._others_cpu_s = sum(spent) - spent[self._ranks.rank]
        if last or step % CHECK_EVERY == 0:
            hashes = self._ranks.gather(model_sha256(self._plan.policy.model).encode())
            if len(set(hashes)) > 1:
                other = next(rank for rank, one in enumerate(hashes) if one != hashes[0])
                raise Astray(
                    f"after step {step} rank {other} holds other weights than rank 0; the same command continues from "
                    "the last checkpoint"
                )

    def agree(self, yes: bool) -> bool:
        """Return what rank 0 says."""
        return first_says(self._ranks, yes)

    def heed(self, tell: Callable[[str, str], None]) -> None:
        """Nobody is replaced."""

    def told(self) -> dict[str, Any]:
        """Return how many there are, and what the others have spent."""
        return {"ranks": self._ranks.size, "others_cpu_s": self._others_cpu_s}

    def close(self) -> None:
        """Nothing to end: torchrun does."""

    def _parcels(self, meter: Meter, views: Views, items: Sequence[Item], step: int) -> EpisodeBatch:
        """Play every size-th parcel of an ES step."""
        parcels = cut(views, self._plan.engine.parcels)
        with summed(self._ranks, meter):
            parts = [
                play(self._plan, meter, views, items, step, members)
                for members in parcels[self._ranks.rank :: self._ranks.size]
            ]
        own = json.dumps([shard_text(part.episodes) for part in parts]).encode()
        texts = [json.loads(told) for told in self._ranks.collect(own)]
        if texts:
            size = self._ranks.size
            self._texts = [texts[number % size][number // size] for number in range(len(parcels))]
        lean = [replace(one, segments=[], turns=[]) for part in parts for one in part.episodes]
        return EpisodeBatch(
            step, exchanged(self._ranks, lean, items), views.n_members, len(items), views.n_replies
        )  # fmt: skip
