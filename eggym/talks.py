"""Episodes with a model behind a server: a task's observations go out as chat messages, replies come back as text.

Many episodes go on at once, each at its own pace; the task's own code runs in the caller's thread, and all finished
episodes are judged in one call. An episode whose request finally fails is lost: it has no reward, never one of 0.
"""

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from eggym.completion import Answer, Lost, TooLong
from eggym.endpoint import MOST_STOPS, Endpoint, Message
from eggym.episode import Ending, Episode, EpisodeBatch, Turn
from eggym.errors import EggymError, TaskFault
from eggym.policy import Prompting
from eggym.replies import evaluation_lines
from eggym.rollout import MAX_ERROR_SHARE
from eggym.seeding import key, stream
from eggym.task import Item, Task, Verdict, VerdictState
from eggym.vector import TextVectorEnv

Watch = Callable[[str, int, int], None]  # mode, episodes that are over, episodes in all


@dataclass(frozen=True, slots=True)
class Mode:
    """One way of asking for replies."""

    name: str  # greedy or sampled
    temperature: float
    n_replies: int  # to each item


@dataclass
class _Talk:
    """One episode as it goes: what the server is shown, and what came of it."""

    slot: int
    sample: int
    observation: str
    messages: list[Message]
    turns: list[Turn] = field(default_factory=list)
    prompt_tokens: int = 0
    ending: Ending = Ending.OUT_OF_TURNS
    over: bool = False
    verdict: Verdict | None = None  # None: not judged yet


@dataclass
class Talks:
    """All episodes of one mode of one evaluation."""

    server: Endpoint
    task: Task
    prompting: Prompting
    seed: int
    items: Sequence[Item]
    mode: Mode
    watch: Watch

    def __post_init__(self) -> None:
        """Begin every episode; nothing is asked yet."""
        places = [(slot, sample) for slot in range(len(self.items)) for sample in range(self.mode.n_replies)]
        self._env = TextVectorEnv(self.task, num_envs=1)
        # the same random numbers of the environment as for a model in memory (`eggym.rollout`)
        rngs = [stream(self.seed, "evaluation", "episode", 0, slot, sample) for slot, sample in places]
        prompts = self._env.begin([self.items[slot] for slot, _ in places], rngs)
        self._talks = [
            _Talk(slot, sample, prompt, self._opening(prompt))
            for (slot, sample), prompt in zip(places, prompts, strict=True)
        ]
        self._n_lost = 0

    def run(self) -> None:
        """Play all episodes to their end, then judge them.

        Raises:
            EggymError: more than 1 % were lost, or could not be judged. Those that are over are judged even so.
            BadValue: the server refuses the key, or knows no such model.
        """
        try:
            self._converse()
        finally:
            rows = [row for row, talk in enumerate(self._talks) if talk.over and talk.verdict is None]
            for row, verdict in zip(rows, self._env.judge(rows), strict=True):
                self._talks[row].verdict = verdict
                self._talks[row].turns[-1].reward += self._env.rest(row, verdict)
        self._refuse_missing()

    def batch(self) -> EpisodeBatch:
        """Return the episodes that are over, without token ids."""
        over = [(talk, talk.verdict) for talk in self._talks if talk.verdict is not None]
        episodes = [
            Episode(self.items[talk.slot], 0, talk.slot, talk.sample, [], talk.turns, verdict, talk.ending)
            for talk, verdict in over
        ]
        return EpisodeBatch(0, episodes, 1, len(self.items), self.mode.n_replies)

    def lines(self) -> list[dict[str, Any]]:
        """Return one JSON object for each episode that is over."""
        batch = self.batch()
        return [
            {**line, "tokens": sum(turn.n_tokens for turn in episode.turns), "why": episode.verdict.why}
            for line, episode in zip(evaluation_lines(0, self.mode.name, batch), batch.episodes, strict=True)
        ]

    def tokens(self) -> dict[str, int]:
        """Return how many tokens the episodes took, by the server's count; every request counts its whole prompt."""
        completion = sum(turn.n_tokens for talk in self._talks for turn in talk.turns)
        return {"prompt": sum(talk.prompt_tokens for talk in self._talks), "completion": completion}

    def _converse(self) -> None:
        """Ask for replies and hand them to the task, in the order in which they come."""
        arrived: queue.SimpleQueue[tuple[int, Future[Answer]]] = queue.SimpleQueue()
        n_over = 0
        for row in range(len(self._talks)):
            self._ask(row, arrived)
        while n_over < len(self._talks) and self._n_lost <= MAX_ERROR_SHARE * len(self._talks):
            row, future = arrived.get()
            if self._goes_on(row, future):
                self._ask(row, arrived)
            else:
                self._talks[row].over = True
                n_over += 1
                self.watch(self.mode.name, n_over, len(self._talks))

    def _goes_on(self, row: int, future: "Future[Answer]") -> bool:
        """Take up one reply; return whether the episode wants another."""
        talk = self._talks[row]
        try:
            answer = future.result()
        except Lost as problem:
            self._end_early(talk, problem)
            return False
        text, complete = cut(answer, self.prompting.stop)
        talk.turns.append(Turn(talk.observation, text, n_tokens=answer.completion_tokens))
        talk.prompt_tokens += answer.prompt_tokens
        ((talk.observation, done),) = self._env.reply([row], [text])
        (talk.turns[-1].reward,) = self._env.rewards([row])
        if done:
            talk.ending = Ending.ANSWERED if complete else Ending.OUT_OF_TOKENS
        if done or len(talk.turns) == self.task.max_turns:
            return False
        if self.task.fresh_context:
            talk.messages = self._opening(talk.observation)
        else:
            talk.messages = [*talk.messages, _message("assistant", text), _message("user", talk.observation)]
        return True

    def _end_early(self, talk: _Talk, problem: Lost) -> None:
        """Judge as it stands what outgrew the model's context, as for a model in memory; anything else is lost."""
        if isinstance(problem, TooLong) and talk.turns:
            talk.ending = Ending.OUT_OF_CONTEXT
            return
        talk.ending = Ending.LOST
        talk.verdict = Verdict(None, VerdictState.ERROR, why=str(problem))
        self._n_lost += 1

    def _opening(self, observation: str) -> list[Message]:
        shown = [_message("system", self.prompting.system)] if self.prompting.system else []
        for question, reply in self.prompting.few_shot:
            shown += [_message("user", question), _message("assistant", reply)]
        return [*shown, _message("user", observation)]

    def _ask(self, row: int, arrived: "queue.SimpleQueue[tuple[int, Future[Answer]]]") -> None:
        talk, prompting, options = self._talks[row], self.prompting, self.server.options
        params: dict[str, Any] = {"temperature": self.mode.temperature, options.limit: prompting.max_new_tokens}
        salt = ""
        if prompting.stop:
            params["stop"] = list(prompting.stop[:MOST_STOPS])  # `cut` looks for the others
        if prompting.thinking is not None:
            params["chat_template_kwargs"] = {"enable_thinking": prompting.thinking}
        if self.mode.temperature > 0:
            salt = f"seed {self.seed} sample {talk.sample}"  # equal requests for different samples are not one
            path = (self.seed, "evaluation", "sample", 0, talk.slot, talk.sample, len(talk.turns))
            params |= {"seed": key(*path) % (1 << 31)} if options.send_seed else {}
        future = self.server.submit(talk.messages, salt, **params)
        future.add_done_callback(lambda done: arrived.put((row, done)))

    def _refuse_missing(self) -> None:
        verdicts = [talk.verdict for talk in self._talks if talk.verdict is not None]
        missing = [verdict for verdict in verdicts if verdict.reward is None]
        if len(missing) <= MAX_ERROR_SHARE * len(self._talks):
            return
        count = f"of {len(self._talks)} {self.mode.name} episodes of task {self.task.id!r}"
        if self._n_lost:
            raise EggymError(
                f"{self._n_lost} {count} got no reply, more than 1 %: {missing[0].why}; with --out the same command "
                "asks for the rest alone"
            )
        raise TaskFault(
            f"{len(missing)} {count} could not be judged ({missing[0].why}); mend its scorer: a reply that cannot be "
            "judged is never counted as wrong"
        )


def cut(answer: Answer, stop: Sequence[str]) -> tuple[str, bool]:
    """Return the text before the first stop string, and whether the reply came to an end of its own."""
    places = [answer.text.find(one) for one in stop if one in answer.text]
    return (answer.text[: min(places)], True) if places else (answer.text, answer.finish != "length")


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}
