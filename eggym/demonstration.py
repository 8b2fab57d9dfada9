"""Demonstrations: episodes in which the task's oracle answers, in the tokens that the policy would have to write.

A reply is tokenised alone, as text that follows the prompt, and ends as a sampled one may: with the end token, or at a
stop string. Limits on tokens, turns and context hold as in a rollout. What is judged is the text of these tokens, so a
reply that the policy cannot write (too long, or of characters that its tokenizer lacks) is judged as it would come out.
Where the oracle is silent, the reply is empty.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eggym.episode import Ending, Episode, Segment, Turn
from eggym.errors import BadValue
from eggym.policy import Policy, Prompting
from eggym.task import Item, Task


def demonstrate(
    policy: Policy, task: Task, prompting: Prompting, items_P: Sequence[Item], rngs_P: Sequence[random.Random]
) -> list[Episode]:
    """Return one judged episode for each item, of member 0; actions are the oracle's tokens, log-probabilities 0.

    Raises:
        BadValue: a prompt that the model cannot read.
        TaskFault: the task's own code failed.
    """
    shown = [_Shown(policy, task, prompting, item, rng).play() for item, rng in zip(items_P, rngs_P, strict=True)]
    verdicts = task.judge_all([one.state for one in shown])
    for one, verdict in zip(shown, verdicts, strict=True):
        one.turns[-1].reward += float("nan") if verdict.reward is None else verdict.reward - one.earned
    return [
        Episode(one.item, 0, slot, 0, one.segments, one.turns, verdict, one.ending)
        for slot, (one, verdict) in enumerate(zip(shown, verdicts, strict=True))
    ]


def has_oracle(task: Task, item: Item, rng: random.Random) -> bool:
    """Say whether the task knows a best first reply to an item."""
    return task.oracle_reply(task.begin(item, rng)) is not None


def end_token(policy: Policy, prompting: Prompting) -> int | None:
    """Return the token that ends a reply: that of the chat template, else the tokenizer's; None where none ends one."""
    after = policy.continuation_ids(prompting, "u", False)[:1] if policy.chats(prompting) else []
    own = [policy.tokenizer.eos_token_id, *policy.eos_ids]
    return next((token for token in [*after, *own] if token in policy.eos_ids), None)


@dataclass
class _Shown:
    """One episode."""

    policy: Policy
    task: Task
    prompting: Prompting
    item: Item
    rng: random.Random
    segments: list[Segment] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    ending: Ending = Ending.OUT_OF_TURNS
    earned: float = 0.0  # of the return, by the turns so far
    state: Any = None

    def play(self) -> "_Shown":
        """Play to the end, or to a limit."""
        self.state, observation = self.task.begin(self.item, self.rng), self.item.prompt
        ids = self._open(observation)
        while True:
            self._read(ids)
            written, complete = self._written(self.task.oracle_reply(self.state) or "")
            text = _said(self.policy, self.prompting, written)
            self._extend(written, True)
            self.turns.append(Turn(observation, text, n_tokens=len(written)))
            observation, done = self.task.step(self.state, text)
            self._earn()
            if done:
                self.ending = Ending.ANSWERED if complete else Ending.OUT_OF_TOKENS
            following = None if done else self._next(observation, written)
            if following is None:
                return self
            ids = following

    def _open(self, observation: str) -> list[int]:
        self.segments.append(Segment())
        return self.policy.prompt_ids(self.prompting, observation)

    def _read(self, ids: Sequence[int]) -> None:
        self._extend(ids, False)

    def _extend(self, ids: Sequence[int], action: bool) -> None:
        segment = self.segments[-1]
        segment.ids.extend(ids)
        segment.actions.extend([action] * len(ids))
        segment.logprobs.extend([0.0] * len(ids))

    def _earn(self) -> None:
        earned = self.task.earned(self.state)
        self.turns[-1].reward = earned - self.earned
        self.earned = earned

    def _written(self, text: str) -> tuple[list[int], bool]:
        """Return the tokens of a reply, cut as a sampled one would be, and whether it comes to an end by itself."""
        policy, limit = self.policy, self.prompting.max_new_tokens
        stops = [(text.find(stop), len(stop)) for stop in self.prompting.stop if stop in text]
        ids: list[int] = policy.tokenizer.encode(text[: sum(min(stops))] if stops else text, add_special_tokens=False)
        end = None if stops else end_token(policy, self.prompting)
        ids = ids if end is None else [*ids, end]
        if not ids:
            raise BadValue(
                f"model {policy.name!r} has no end token, so it cannot write an empty reply; set prompt.stop"
            )
        return ids[:limit], len(ids) <= limit and (bool(stops) or end is not None)

    def _next(self, observation: str, written: Sequence[int]) -> list[int] | None:
        """Return the tokens of the next observation, if the cap on turns and the model's context allow one."""
        if len(self.turns) == self.task.max_turns:
            return None
        if self.task.fresh_context:
            return self._open(observation)
        ended = bool(written) and written[-1] in self.policy.eos_ids
        ids = self.policy.continuation_ids(self.prompting, observation, ended)
        if len(self.segments[-1].ids) + len(ids) + self.prompting.max_new_tokens > self.policy.context:
            self.ending = Ending.OUT_OF_CONTEXT
            return None
        return ids


def _said(policy: Policy, prompting: Prompting, ids: Sequence[int]) -> str:
    """Return the text that a task is handed for sampled tokens: up to the first stop string."""
    text = policy.text(ids)
    return text[: min((text.find(stop) for stop in prompting.stop if stop in text), default=None)]
