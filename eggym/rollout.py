"""Rollouts: views of a policy answer items, and what they did comes back as episodes.

Every member answers the same items. Random numbers are keyed by (seed, step, item, sample, turn, position), and by the
member too when coupling is "independent"; the environment's own randomness is keyed without the member. So nothing
depends on the order of rows or on the chunks they were put into.

Axes in names: _P items, _R rows of a chunk.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from eggym.counter import as_key
from eggym.engine import Engine, Reply, Session
from eggym.episode import Ending, Episode, EpisodeBatch, Segment, Turn
from eggym.errors import TaskFault
from eggym.policy import Prompting
from eggym.sampling import Draw
from eggym.seeding import key, stream
from eggym.task import Item, Task
from eggym.vector import TextVectorEnv
from eggym.views import Attached, Views

Place = tuple[int, int, int]  # member, slot, sample
MAX_ERROR_SHARE = 0.01  # more failed gradings than this, and the rewards mean nothing


@dataclass(frozen=True, slots=True)
class Rollout:
    """How a task is rolled out: one engine, one task, one way of prompting, one source of random numbers."""

    engine: Engine
    task: Task
    prompting: Prompting
    seed: int
    purpose: str = "train"  # keeps the random numbers of training and evaluation apart

    def run(self, views: Views, items_P: Sequence[Item], step: int) -> EpisodeBatch:
        """Let every member answer every item ``n_replies`` times.

        Raises:
            BadValue: a prompt that the model cannot read.
            TaskFault: the task's own code failed, or more than 1 % of the replies could not be judged.
        """
        prompts_P = [self.engine.policy.prompt_ids(self.prompting, item.prompt) for item in items_P]
        places = [
            (member, slot, sample)
            for member in range(views.n_members)
            for slot in range(len(items_P))
            for sample in range(views.n_replies)
        ]
        episodes: list[Episode] = []
        with views.attach(self.engine.policy.model) as attached:
            for chunk in self._chunks(views, places, prompts_P):
                part = _Chunk(self, views, attached, chunk, items_P, prompts_P, step)
                episodes.extend(part.play())
        for episode in episodes:
            self.engine.meter.episode(episode)
        _refuse_errors(self.task, episodes)
        return EpisodeBatch(step, episodes, views.n_members, len(items_P), views.n_replies)

    def _chunks(self, views: Views, places: list[Place], prompts_P: list[list[int]]) -> Iterator[list[Place]]:
        n_positions = max(map(len, prompts_P)) + self.task.max_turns * (self.prompting.max_new_tokens + 16)
        limit = min(n_positions, self.engine.policy.context)
        longest = max(map(len, prompts_P))
        rows = self.engine.plan_rows(limit, longest, views.bytes_per_row(self.engine.policy.model))
        if views.seating == "one_member":
            per_member = len(places) // views.n_members
            for start in range(0, len(places), per_member):
                yield from _split(places[start : start + per_member], rows)
        else:
            yield from _split(places, rows)

    def draw(self, views: Views, places: Sequence[Place], step: int, turn: int) -> Draw:
        """Return the random numbers of one turn: shared by members, or each row its own."""
        shared = views.coupling == "shared"
        names = [place[1:] if shared else place for place in places]
        index = {name: number for number, name in enumerate(dict.fromkeys(names))}
        device = self.engine.policy.device
        keys = [as_key(key(self.seed, self.purpose, "sample", step, *name, turn)) for name in index]
        return Draw(
            views.temperature,
            shared,
            torch.tensor(keys, dtype=torch.int64, device=device),
            torch.tensor([index[name] for name in names], dtype=torch.int64, device=device),
        )


@dataclass
class _Chunk:
    """The rows of one session, from first prompt to last verdict."""

    rollout: Rollout
    views: Views
    attached: Attached
    places_R: list[Place]
    items_P: Sequence[Item]
    prompts_P: list[list[int]]
    step: int

    def __post_init__(self) -> None:
        self.env = TextVectorEnv(self.rollout.task, num_envs=1)
        self.policy = self.rollout.engine.policy
        rngs = [
            stream(self.rollout.seed, self.rollout.purpose, "episode", self.step, slot, sample)
            for _, slot, sample in self.places_R
        ]
        self.observations = self.env.begin([self.items_P[slot] for _, slot, _ in self.places_R], rngs)
        self.segments = [Segment() for _ in self.places_R]
        self.turns: list[list[Turn]] = [[] for _ in self.places_R]
        self.endings = [Ending.OUT_OF_TURNS for _ in self.places_R]
        self._last_ended: dict[int, bool] = {}  # did the row's last reply close with an end token?

    def play(self) -> list[Episode]:
        """Play all rows to their end."""
        members = [member for member, _, _ in self.places_R]
        extra = self.views.flops_per_position(self.policy.model)
        with self.rollout.engine.open(self.attached, members, extra) as session:
            rows = list(range(len(self.places_R)))
            new = [self.prompts_P[self.places_R[row][1]] for row in rows]
            for turn in range(self.rollout.task.max_turns):
                rows = self._turn(session, rows, new, turn)
                if turn + 1 < self.rollout.task.max_turns:
                    rows, new = self._fitting(rows)
                if not rows:
                    break
                if turn + 1 < self.rollout.task.max_turns:
                    session.keep(rows)
        return self._episodes()

    def _turn(self, session: Session, rows: list[int], new: list[list[int]], turn: int) -> list[int]:
        """Feed and sample one turn; return the rows whose episode goes on."""
        for row, ids in zip(rows, new, strict=True):
            _extend(self.segments[row], ids, None)
        session.feed(new)
        prompting = self.rollout.prompting
        draw = self.rollout.draw(self.views, [self.places_R[row] for row in rows], self.step, turn)
        last = turn + 1 == self.rollout.task.max_turns
        replies = session.sample(draw, prompting.max_new_tokens, prompting.stop, last)
        texts = [self._take(row, reply) for row, reply in zip(rows, replies, strict=True)]
        going = []
        for row, reply, (observation, done) in zip(rows, replies, self.env.reply(rows, texts), strict=True):
            self.observations[row] = observation
            if done:
                self.endings[row] = Ending.ANSWERED if reply.complete else Ending.OUT_OF_TOKENS
            else:
                going.append(row)
        return going

    def _take(self, row: int, reply: Reply) -> str:
        _extend(self.segments[row], reply.ids, reply.logprobs)
        text = reply.stopped if reply.stopped is not None else self.policy.text(reply.ids)
        self.turns[row].append(Turn(self.observations[row], text, n_tokens=len(reply.ids)))
        self._last_ended[row] = reply.ended
        return text

    def _fitting(self, rows: list[int]) -> tuple[list[int], list[list[int]]]:
        """Return the rows whose next observation fits the model, and its tokens."""
        fitting: list[int] = []
        tokens: list[list[int]] = []
        for row in rows:
            ids = self.policy.continuation_ids(self.rollout.prompting, self.observations[row], self._last_ended[row])
            if len(self.segments[row].ids) + len(ids) + self.rollout.prompting.max_new_tokens > self.policy.context:
                self.endings[row] = Ending.OUT_OF_CONTEXT
            else:
                fitting.append(row)
                tokens.append(ids)
        return fitting, tokens

    def _episodes(self) -> list[Episode]:
        verdicts = self.env.judge(range(len(self.places_R)))
        episodes = []
        for row, (member, slot, sample) in enumerate(self.places_R):
            turns, verdict = self.turns[row], verdicts[row]
            turns[-1].reward = verdict.reward if verdict.reward is not None else float("nan")
            item, segment, ending = self.items_P[slot], self.segments[row], self.endings[row]
            episodes.append(Episode(item, member, slot, sample, [segment], turns, verdict, ending))
        return episodes


def _extend(segment: Segment, ids: Sequence[int], logprobs: Sequence[float] | None) -> None:
    segment.ids.extend(ids)
    segment.actions.extend([logprobs is not None] * len(ids))
    segment.logprobs.extend(logprobs if logprobs is not None else [0.0] * len(ids))


def _split(places: list[Place], rows: int) -> Iterator[list[Place]]:
    for start in range(0, len(places), rows):
        yield places[start : start + rows]


def _refuse_errors(task: Task, episodes: Sequence[Episode]) -> None:
    failed = [episode.verdict for episode in episodes if episode.reward is None]
    if len(failed) > MAX_ERROR_SHARE * len(episodes):
        raise TaskFault(
            f"task {task.id!r} could not judge {len(failed)} of {len(episodes)} replies ({failed[0].why}); "
            "mend its scorer: a reply that cannot be judged is never counted as wrong"
        )
