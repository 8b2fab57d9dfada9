"""Held-out items, answered by the present weights: whole, or in pieces by whoever has a hand free.

A step's parcels are members; those of an evaluation are items, cut by counts alone as well. Here the replies themselves
are wanted, so what another process tells of its piece is whole episodes, without token ids.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from eggym.budget import Meter, Spend
from eggym.config import Plan
from eggym.episode import Ending, Episode, EpisodeBatch, Segment, Turn
from eggym.errors import BadValue
from eggym.frames import Frame
from eggym.gist import refuse_odd
from eggym.learner import Learner, Prompter
from eggym.parcels import parted
from eggym.rollout import refuse_errors
from eggym.task import Item
from eggym.usage import Sandboxed
from eggym.verdict import as_plain, from_plain
from eggym.views import PolicyViews

EVALUATION, VALIDATION = "evaluation", "validation"  # purposes: which items, and which random numbers


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the present weights."""

    purpose: str
    temperature: float
    n_replies: int


class Player(Protocol):
    """Who answers."""

    def answer(
        self, meter: Meter, question: Question, items: Sequence[Item], learner: Learner | None, step: int
    ) -> EpisodeBatch:
        """Return the episodes on these items at the weights after ``step`` steps; ``meter`` counts them."""


class Alone:
    """This process, piece after piece."""

    def __init__(self, plan: Plan) -> None:
        """Answer by a plan."""
        self._plan = plan

    def answer(
        self, meter: Meter, question: Question, items: Sequence[Item], learner: Learner | None, step: int
    ) -> EpisodeBatch:
        """Answer here."""
        pieces = parted(len(items), self._plan.engine.parcels)
        batches = [answer(self._plan, meter, question, items, piece, learner) for piece in pieces]
        return whole(self._plan, question, batches)


def answer(
    plan: Plan, meter: Meter, question: Question, items: Sequence[Item], piece: range, learner: Learner | None
) -> EpisodeBatch:
    """Return the episodes on some of the items.

    A ``learner`` that has a prompt of its own asks with it.
    """
    rollout = plan.rollout(meter, question.purpose)
    if isinstance(learner, Prompter):
        rollout = replace(rollout, prompting=learner.prompting)
    asked = items[piece.start : piece.stop]
    batch = rollout.play(PolicyViews(len(asked), question.n_replies, question.temperature), asked, 0)
    for episode in batch.episodes:
        episode.slot += piece.start
    return batch


def whole(plan: Plan, question: Question, batches: Sequence[EpisodeBatch]) -> EpisodeBatch:
    """Return one batch of those on the pieces, in their order.

    Raises:
        TaskFault: more than 1 % of the replies could not be judged.
    """
    episodes = [episode for batch in batches for episode in batch.episodes]
    refuse_errors(plan.task.id, [episode.verdict for episode in episodes])
    return EpisodeBatch(0, episodes, 1, sum(batch.n_items for batch in batches), question.n_replies)


def told(batch: EpisodeBatch, meter: Meter) -> Frame:
    """Return the answer of a worker; ``meter`` counted these episodes alone."""
    rows = [_row(episode) for episode in batch.episodes]
    return Frame({"n": list(asdict(meter.spend).values()), "r": meter.row_steps}, json.dumps(rows).encode())


@dataclass(frozen=True, slots=True)
class Answer:
    """The episodes on one piece, and what they took."""

    batch: EpisodeBatch
    spend: Spend
    row_steps: tuple[int, ...]

    def charge(self, meter: Meter) -> None:
        """Add what they took to what was spent."""
        meter.add(self.spend, self.row_steps)


def read_answer(frame: Frame, question: Question, items: Sequence[Item], piece: range) -> Answer:
    """Return what a worker told of some items.

    Raises:
        BadValue: it is no answer of this kind, or not of these items.
    """
    places = [(slot, sample) for slot in piece for sample in range(question.n_replies)]
    try:
        rows = json.loads(frame.blob)
        episodes = [_episode(items[slot], slot, sample, row) for (slot, sample), row in zip(places, rows, strict=True)]
        spend, row_steps = Spend(*map(int, frame.header["n"])), tuple(map(int, frame.header["r"]))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as problem:
        raise BadValue(f"a worker's answer on {len(places)} held-out replies cannot be read: {problem}") from problem
    if len(row_steps) != 2:
        raise BadValue(f"a worker's answer tells of row-steps {row_steps}, two numbers were wanted")
    refuse_odd(spend, row_steps, Sandboxed(0.0, 0), len(places))
    return Answer(EpisodeBatch(0, episodes, 1, len(piece), question.n_replies), spend, row_steps)


def _row(episode: Episode) -> dict[str, Any]:
    turns = [[turn.observation, turn.reply, turn.reward, turn.n_tokens] for turn in episode.turns]
    told = {"turns": turns, "ending": episode.ending.value, "tokens": episode.n_action_tokens}
    return {**told, "verdict": as_plain(episode.verdict)}


def _episode(item: Item, slot: int, sample: int, row: Any) -> Episode:
    sampled = Segment(actions=[True] * int(row["tokens"]))  # how many, and no more, is known of its tokens
    turns = [Turn(*turn) for turn in row["turns"]]
    return Episode(item, 0, slot, sample, [sampled], turns, from_plain(row["verdict"]), Ending(row["ending"]))
