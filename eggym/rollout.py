"""Rollouts: views of a policy answer items, and what they did comes back as episodes.

Every member answers the same items. Random numbers are keyed by (seed, step, item, sample, turn, position), and by the
member too when coupling is "independent"; the environment's own randomness is keyed without the member. So nothing
depends on the order of rows or on the chunks they were put into.

Axes in names: _P items, _R rows of a chunk.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from eggym.asking import OracleViews, first_sample, promptings
from eggym.counter import as_key
from eggym.demonstration import demonstrate
from eggym.engine import Engine
from eggym.episode import Ending, Episode, EpisodeBatch, Segment
from eggym.episode import Turn as Played
from eggym.errors import TaskFault
from eggym.lanes import lay_out
from eggym.policy import Prompting
from eggym.sampling import Draw
from eggym.seeding import key, stream
from eggym.session import Reply, Sampling, Session, Turn
from eggym.shares import dealt
from eggym.task import Item, Task, Verdict
from eggym.vector import TextVectorEnv
from eggym.views import Attached, Views

Place = tuple[int, int, int]  # member, slot, sample
JudgeAll = Callable[[Task, Sequence[Any]], list[Verdict]]
MAX_ERROR_SHARE = 0.01  # more failed gradings than this, and the rewards mean nothing


def judged_here(task: Task, states: Sequence[Any]) -> list[Verdict]:
    """Let the task judge, in this process."""
    return task.judge_all(states)


@dataclass(frozen=True, slots=True)
class Rollout:
    """How a task is rolled out: one engine, one task, one way of prompting, one source of random numbers."""

    engine: Engine
    task: Task
    prompting: Prompting
    seed: int
    purpose: str = "train"  # keeps the random numbers of training and evaluation apart
    draw: Callable[[float, bool], Draw] = Draw  # how tokens are drawn; a benchmark puts a script in its place
    judge: JudgeAll = judged_here  # who judges the episodes of a task

    def run(self, views: Views, items_P: Sequence[Item], step: int) -> EpisodeBatch:
        """Let every member answer every item ``n_replies`` times.

        Raises:
            BadValue: a prompt that the model cannot read.
            TaskFault: the task's own code failed, or more than 1 % of the replies could not be judged.
        """
        batch = self.shared(views, items_P, step)
        refuse_errors(self.task.id, [episode.verdict for episode in batch.episodes])
        return batch

    def shared(self, views: Views, items_P: Sequence[Item], step: int) -> EpisodeBatch:
        """Do as `run`, and leave it to the caller how many may not be judged. Ranks cut the items among them."""
        ranks = self.engine.policy.ranks
        if ranks.size == 1 or isinstance(views, OracleViews):  # showing costs less than telling
            return self.play(views, items_P, step)
        return dealt(ranks, self.engine.meter, items_P, partial(self.play, views, items_P, step, None))

    def play(
        self,
        views: Views,
        items_P: Sequence[Item],
        step: int,
        members: Sequence[int] | None = None,
        slots: Sequence[int] | None = None,
    ) -> EpisodeBatch:
        """Do as `shared`, here, of some members or items alone.

        Args:
            views: of the whole step.
            items_P: of the step.
            step: its number.
            members: who plays, ascending, those that sit together side by side; None: everyone. They keep their
                numbers, and with them their random numbers.
            slots: which of the items, ascending; None: all. They keep their numbers too.
        """
        sampled = not isinstance(views, OracleViews)
        everyone = range(views.n_members) if members is None else members
        chosen = range(len(items_P)) if slots is None else slots
        if not chosen:  # more ranks than items
            return EpisodeBatch(step, [], len(everyone), 0, views.n_replies)
        episodes = self._sampled(views, items_P, step, everyone, chosen) if sampled else self._shown(items_P, step)
        for episode in episodes:
            self.engine.meter.episode(episode, sampled)
        return EpisodeBatch(step, episodes, len(everyone), len(chosen), views.n_replies)

    def _shown(self, items_P: Sequence[Item], step: int) -> list[Episode]:
        """Return episodes in which the oracle answers each item once."""
        rngs = [stream(self.seed, self.purpose, "episode", step, slot, 0) for slot in range(len(items_P))]
        return demonstrate(self.engine.policy, self.task, self.prompting, items_P, rngs)

    def _sampled(
        self, views: Views, items_P: Sequence[Item], step: int, members: Sequence[int], slots: Sequence[int]
    ) -> list[Episode]:
        policy = self.engine.policy
        prompts = {
            asked: [policy.prompt_ids(asked, item.prompt) for item in items_P]
            for asked in dict.fromkeys(promptings(views, self.prompting))
        }
        parties = [[member] for member in members] if views.seating == "one_member" else [list(members)]
        with views.attach(self.engine.policy.model) as attached:
            plays = [_Play(self, views, attached, party, items_P, prompts, step, slots).play() for party in parties]
        with self.engine.meter.phase("grading", counted=False):  # the rollout around it is
            return _judged(self, plays)

    def room(self, views: Views, prompts_P: Sequence[Sequence[int]]) -> tuple[int, int]:
        """Return how many rows may decode together, and how many positions an episode may have.

        Raises:
            BadValue: the memory that was granted is too small.
        """
        longest, policy = max(map(len, prompts_P)), self.engine.policy
        per_turn = self.prompting.max_new_tokens + 16  # a guess at what a task says between replies
        n_turns = 1 if self.task.fresh_context else self.task.max_turns
        slack = longest if self.task.fresh_context else 0  # later prompts may be longer than the first
        n_positions = min(longest + slack + n_turns * per_turn, policy.context)
        return self.engine.plan_rows(n_positions, longest, views.bytes_per_row(policy.model)), n_positions

    def key(self, views: Views, place: Place, step: int, turn: int) -> int:
        """Return the key of one turn's random numbers: shared by members, or each its own."""
        name = place[1:] if views.coupling == "shared" else place
        return as_key(key(self.seed, self.purpose, "sample", step, *name, turn))


@dataclass
class _Play:
    """The episodes of some members, from first prompt to last verdict.

    Episodes are numbered as they will be returned; rows of the session take them up in turn.
    """

    rollout: Rollout
    views: Views
    attached: Attached
    members: Sequence[int]
    items_P: Sequence[Item]
    prompts: Mapping[Prompting, list[list[int]]]  # the tokens of every item's prompt, by how it is asked
    step: int
    slots: Sequence[int]  # of the items that are answered

    def __post_init__(self) -> None:
        n_items, n_replies, first = len(self.slots), self.views.n_replies, first_sample(self.views)
        samples = range(first, first + n_replies)
        self.places = [(m, slot, sample) for m in self.members for slot in self.slots for sample in samples]
        self.promptings = promptings(self.views, self.rollout.prompting)
        self.env = TextVectorEnv(self.rollout.task, num_envs=1)
        self.policy, self.max_turns = self.rollout.engine.policy, self.rollout.task.max_turns
        rngs = [
            stream(self.rollout.seed, self.rollout.purpose, "episode", self.step, slot, sample)
            for _, slot, sample in self.places
        ]
        self.observations = self.env.begin([self.items_P[slot] for _, slot, _ in self.places], rngs)
        self.segments: list[list[Segment]] = [[Segment()] for _ in self.places]
        self._opened: dict[tuple[Prompting, str], list[int]] = {}  # tokens of the prompts that open a fresh context
        self.turns: list[list[Played]] = [[] for _ in self.places]
        self.endings = [Ending.OUT_OF_TURNS for _ in self.places]
        each = n_items * n_replies
        self._waiting = {m: deque(range(at * each, (at + 1) * each)) for at, m in enumerate(self.members)}
        n_rows, self._n_positions = self.rollout.room(
            self.views, [ids for asked in self.prompts.values() for ids in asked]
        )
        self.lanes = lay_out(self.members, self.views.n_together, each, n_rows)
        self._units = deque(self.lanes.units[self.lanes.in_flight :])
        self._member_of_row = dict(enumerate(self.lanes.members()))
        self._idle: set[int] = set()  # rows that wait for the rest of their group
        self._episode_of_row: dict[int, int] = {}

    def play(self) -> Self:
        """Play all episodes to their end; they are judged later, all at once."""
        prompting, views = self.rollout.prompting, self.views
        draw = self.rollout.draw(views.temperature, views.coupling == "shared")
        sampling = Sampling(draw, prompting.max_new_tokens, prompting.stop)
        extra = views.flops_per_position(self.policy.model)
        members, group = self.lanes.members(), self.lanes.shared_by
        opened = self.rollout.engine.open(self.attached, members, sampling, self._n_positions, group, extra)
        with opened as session:
            session.release(range(self.lanes.n_used, len(members)))
            self._occupy(session, list(range(self.lanes.n_used)), [])
            while session.busy:
                rows = session.decode()
                going = self._settle(session, rows)
                self._occupy(session, [row for row in rows if row not in self._episode_of_row], going)
            self.rollout.engine.meter.seated(session.row_steps.all, session.row_steps.useful)
        return self

    def _settle(self, session: Session, rows: Sequence[int]) -> list[Turn]:
        """Hand the task the replies of these rows; return the next turns of the episodes that go on."""
        numbers = [self._episode_of_row[row] for row in rows]
        replies = [session.reply(row) for row in rows]
        texts = [self._record(number, reply) for number, reply in zip(numbers, replies, strict=True)]
        going = []
        answers = self.env.reply(numbers, texts)
        earned = self.env.rewards(numbers)
        for row, number, reply, (observation, done), reward in zip(
            rows, numbers, replies, answers, earned, strict=True
        ):
            self.observations[number] = observation
            self.turns[number][-1].reward = reward
            if done:
                self.endings[number] = Ending.ANSWERED if reply.complete else Ending.OUT_OF_TOKENS
            turn = None if done else self._next_turn(row, number, reply.ended)
            if turn is None:
                del self._episode_of_row[row]
            else:
                going.append(turn)
        return going

    def _record(self, number: int, reply: Reply) -> str:
        """Put a reply into its episode; return its text."""
        _extend(self.segments[number][-1], reply.ids, reply.logprobs)
        text = reply.stopped if reply.stopped is not None else self.policy.text(reply.ids)
        self.turns[number].append(Played(self.observations[number], text, n_tokens=len(reply.ids)))
        return text

    def _next_turn(self, row: int, number: int, ended: bool) -> Turn | None:
        """Return the episode's next turn, if the cap on turns and the model's context allow one."""
        if len(self.turns[number]) == self.max_turns:
            return None
        prompting = self._prompting(number)
        if self.rollout.task.fresh_context:
            self.segments[number].append(Segment())
            return self._turn(row, number, self._opening(prompting, self.observations[number]))
        ids = self.policy.continuation_ids(prompting, self.observations[number], ended)
        if len(self.segments[number][-1].ids) + len(ids) + prompting.max_new_tokens > self.policy.context:
            self.endings[number] = Ending.OUT_OF_CONTEXT
            return None
        return self._turn(row, number, ids)

    def _turn(self, row: int, number: int, ids: list[int]) -> Turn:
        n_before, segment = len(self.turns[number]), self.segments[number][-1]
        fresh = not segment.ids
        _extend(segment, ids, None)
        return Turn(row, ids, self.rollout.key(self.views, self.places[number], self.step, n_before), fresh)

    def _prompting(self, number: int) -> Prompting:
        return self.promptings[self.places[number][0]]

    def _opening(self, prompting: Prompting, observation: str) -> list[int]:
        """Return the tokens of a prompt in a fresh context; members share them."""
        place = (prompting, observation)
        if place not in self._opened:
            self._opened[place] = self.policy.prompt_ids(prompting, observation)
        return self._opened[place]

    def _occupy(self, session: Session, rows: Sequence[int], going: Sequence[Turn]) -> None:
        """Give free rows their member's next episode; whole groups of idle rows go to units that wait."""
        turns = [*going, *self._start(rows)]
        self._idle.update(row for row in rows if row not in self._episode_of_row)
        for group in self._idle_groups():
            if self._units:
                members = self.lanes.seats(self._units.popleft())
                session.assign(group, members)
                self._member_of_row.update(zip(group, members, strict=True))
                self._idle.difference_update(group)
                turns += self._start(group)
        if turns:
            session.begin(turns)
        if not self._units:
            session.release(self._idle)
            self._idle.clear()

    def _start(self, rows: Sequence[int]) -> list[Turn]:
        """Take up an episode for every row whose member has one left."""
        turns = []
        for row in rows:
            waiting = self._waiting[self._member_of_row[row]]
            if waiting:
                self._episode_of_row[row] = number = waiting.popleft()
                turns.append(self._turn(row, number, self.prompts[self._prompting(number)][self.places[number][1]]))
        return turns

    def _idle_groups(self) -> list[list[int]]:
        size = self.lanes.group
        starts = [row for row in sorted(self._idle) if row % size == 0]
        groups = [list(range(start, start + size)) for start in starts]
        return [group for group in groups if self._idle.issuperset(group)]

    def episode(self, number: int, verdict: Verdict) -> Episode:
        """Return an episode with its verdict; its last turn gets the rest of the return."""
        member, slot, sample = self.places[number]
        turns = self.turns[number]
        turns[-1].reward += self.env.rest(number, verdict)
        item, ending = self.items_P[slot], self.endings[number]
        return Episode(item, member, slot, sample, self.segments[number], turns, verdict, ending)


def _judged(rollout: Rollout, plays: Sequence[_Play]) -> list[Episode]:
    """Return the episodes of all members, judged in one call: a batch for graders, and whole groups."""
    verdicts = iter(rollout.judge(rollout.task, [state for play in plays for state in play.env.states]))
    return [play.episode(number, next(verdicts)) for play in plays for number in range(len(play.places))]


def _extend(segment: Segment, ids: Sequence[int], logprobs: Sequence[float] | None) -> None:
    segment.ids.extend(ids)
    segment.actions.extend([logprobs is not None] * len(ids))
    segment.logprobs.extend(logprobs if logprobs is not None else [0.0] * len(ids))


def refuse_errors(task: str, verdicts: Sequence[Verdict]) -> None:
    """Refuse the verdicts of a step when too many replies could not be judged.

    Raises:
        TaskFault: more than 1 % of them; the task and the first reason are named.
    """
    failed = [verdict for verdict in verdicts if verdict.reward is None]
    if len(failed) > MAX_ERROR_SHARE * len(verdicts):
        raise TaskFault(
            f"task {task!r} could not judge {len(failed)} of {len(verdicts)} replies ({failed[0].why}); "
            "mend its scorer: a reply that cannot be judged is never counted as wrong"
        )
