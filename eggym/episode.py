"""Episodes: what one policy did on one item, token by token.

Tokens in, tokens out: sampled ids and their log-probabilities are kept and never tokenised again.
Axes in names: _N members, _P items, _G replies per item.
"""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from eggym.task import Item, Verdict


class Ending(StrEnum):
    """Why an episode stopped. Closed: add a member rather than overload one."""

    ANSWERED = "answered"  # the task said that it is over
    OUT_OF_TOKENS = "out_of_tokens"  # the last reply reached max_new_tokens without an end; it was judged as it stood
    OUT_OF_TURNS = "out_of_turns"  # the cap on turns
    OUT_OF_CONTEXT = "out_of_context"  # the next observation would not fit the model
    LOST = "lost"  # a server gave no reply; there is nothing to judge


@dataclass(slots=True)
class Segment:
    """One growing context. The lists run over its tokens, prompt included."""

    ids: list[int] = field(default_factory=list)
    actions: list[bool] = field(default_factory=list)  # True: sampled by the policy (an end-of-sequence token too)
    logprobs: list[float] = field(default_factory=list)  # of the sampling distribution; 0.0 where not an action


@dataclass(slots=True)
class Turn:
    """One observation and the reply to it, as text; the reward that came with it (0.0 before the end)."""

    observation: str
    reply: str
    reward: float = 0.0
    n_tokens: int = 0  # action tokens of the reply


@dataclass(slots=True)
class Episode:
    """One item, answered once by one member."""

    item: Item
    member: int
    slot: int  # which of the step's items, 0 <= slot < P
    sample: int  # which of the replies to it, 0 <= sample < G
    segments: list[Segment]
    turns: list[Turn]
    verdict: Verdict
    ending: Ending

    @property
    def reward(self) -> float | None:
        """The return of the episode; None if it could not be judged."""
        return self.verdict.reward

    @property
    def truncated(self) -> bool:
        """Whether a limit ended it (tokens of a reply, turns, context), and not the task."""
        return self.ending in (Ending.OUT_OF_TOKENS, Ending.OUT_OF_TURNS, Ending.OUT_OF_CONTEXT)

    @property
    def n_action_tokens(self) -> int:
        """How many tokens the policy sampled."""
        return sum(sum(segment.actions) for segment in self.segments)


@dataclass(slots=True)
class EpisodeBatch:
    """All episodes of one step, ordered by member, then item, then sample."""

    step: int
    episodes: list[Episode]
    n_members: int
    n_items: int
    n_replies: int

    def rewards_N_P_G(self) -> NDArray[np.float32]:
        """Return the rewards as member x item x sample; NaN where a reply could not be judged."""
        flat = [np.nan if episode.reward is None else episode.reward for episode in self.episodes]
        return np.asarray(flat, dtype=np.float32).reshape(self.n_members, self.n_items, self.n_replies)
