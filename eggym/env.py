"""One episode of a task as a `gymnasium.Env`: text in, text out, one reward at the end.

    env = TextEnv(eggym.load_task("eggym/guess-v0"), split="test")
    prompt, info = env.reset(seed=7)
    observation, reward, terminated, truncated, info = env.step("50")

An observation is the newest message alone; the transcript stands in `TextEnv.messages`. The reward is 0.0 before the
end. Many episodes at once: `eggym.vector`. Chat templates are the model's affair and are not found here.
"""

import random
from collections.abc import Mapping
from typing import Any

import gymnasium
from gymnasium.spaces import Text

from eggym.contract import check_settings
from eggym.errors import BadValue, TaskFault
from eggym.splits import check_split
from eggym.task import Item, Task, Verdict, size_of

MAX_CHARACTERS = 1_000_000  # longest text of either space
ENDLESS = 2**31  # an endless split is drawn from this many indices
_PRINTABLE = "".join(map(chr, range(32, 127)))
_SAMPLE_LENGTH = 40
# Random play should reach the parsers of answers, not only their "nothing found".
_MARKERS = ("#### ", "<answer>", "</answer>", "\\boxed{", "</think>", "7", "-1.5", "=", "\n")


class UnicodeText(Text):  # type: ignore[misc]  # gymnasium's types are not followed
    """All strings of 0 to ``max_length`` characters.

    `gymnasium.spaces.Text` knows only strings over a listed alphabet, and all of Unicode is too long a list. Batches,
    deep copies, flattening (of printable ASCII) and seeding are Text's own.
    """

    def __init__(self, max_length: int = MAX_CHARACTERS, seed: Any = None) -> None:
        """``max_length`` is inclusive."""
        super().__init__(max_length, min_length=0, charset=_PRINTABLE, seed=seed)

    def contains(self, x: Any) -> bool:
        """Return whether ``x`` is a string that is not too long; costs the same for any length."""
        return isinstance(x, str) and len(x) <= self.max_length

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Return a short printable string, in every fourth case with a marker in it that answer parsers look for."""
        if mask is not None or probability is not None:
            text: str = super().sample(mask, probability)
            return text
        rng = self.np_random
        codes = rng.integers(32, 127, size=int(rng.integers(0, min(self.max_length, _SAMPLE_LENGTH) + 1)))
        text = "".join(map(chr, codes))
        if rng.integers(4) == 0:
            marker = _MARKERS[int(rng.integers(len(_MARKERS)))]
            middle = len(text) // 2
            text = (text[:middle] + marker + text[middle:])[: self.max_length]
        return text

    def __repr__(self) -> str:
        """Return a short name: the alphabet is not listed."""
        return f"UnicodeText({self.max_length})"

    def __eq__(self, other: object) -> bool:
        """Compare type and bound."""
        return isinstance(other, UnicodeText) and self.max_length == other.max_length

    __hash__ = None  # type: ignore[assignment]  # as Text: a space carries a generator


class TextEnv(gymnasium.Env):  # type: ignore[misc]  # gymnasium's types are not followed
    """One episode of a task at a time."""

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # Gymnasium's own type

    def __init__(self, task: Task, split: str = "train") -> None:
        """Play items of ``split``: train, validation, test or test:SALT."""
        check_split(split)
        check_settings(task)
        self.task = task
        self.split = split
        self.observation_space = UnicodeText()
        self.action_space = UnicodeText()
        self.messages: list[
            dict[str, str]
        ] = []  # the episode so far: role "user" (the task) or "assistant", and content
        self._item: Item | None = None
        self._state: Any = None
        self._turns = 0
        self._earned = 0.0  # of the return, by the turns before
        self._over = True

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode and return its prompt; ``options={"index": 3}`` chooses the item instead of drawing it.

        Raises:
            BadValue: an unknown option, or an index outside the split.
            TaskFault: the task's own code failed.
        """
        super().reset(seed=seed)
        index = chosen_index(options, ("index",))
        if index is None:
            index = int(self.np_random.integers(drawable(self.task, self.split)))
        item = self.task.item(self.split, index)
        self._state = self.task.begin(item, random.Random(int(self.np_random.integers(2**63))))
        self._item, self._turns, self._earned, self._over = item, 0, 0.0, False
        self.messages = [{"role": "user", "content": item.prompt}]
        return item.prompt, info_of(item, None)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take a reply. The natural end is ``terminated``; the cap ``task.max_turns`` of several is ``truncated``.

        Raises:
            BadValue: the action is no text, or there is no episode going on.
            TaskFault: the task's own code failed, its grader included: a broken grader is not a bad model.
        """
        if self._over or self._item is None:
            raise BadValue("no episode is going on; call reset() first")
        if not isinstance(action, str):
            raise BadValue(f"an action is a str, got {type(action).__name__}: {action!r:.60}")
        observation, done = self.task.step(self._state, action)
        self._turns += 1
        self._log(action, observation)
        terminated, truncated = ending(self.task, self._turns, done)
        self._over = terminated or truncated
        if not self._over:
            before, self._earned = self._earned, self.task.earned(self._state)
            return observation, self._earned - before, False, False, info_of(self._item, None)
        verdict = self.task.judge(self._state)
        if verdict.reward is None:
            where = f"{self.split}[{self._item.index}]"
            raise TaskFault(f"task {self.task.id!r} could not judge the reply to item {where}: {verdict.why}")
        return observation, float(verdict.reward) - self._earned, terminated, truncated, info_of(self._item, verdict)

    def _log(self, action: str, observation: str) -> None:
        self.messages.append({"role": "assistant", "content": action})
        if self.task.fresh_context and observation:
            self.messages = []
        if observation:
            self.messages.append({"role": "user", "content": observation})


def drawable(task: Task, split: str) -> int:
    """Return below which number an index may be drawn."""
    limit = size_of(task, split)
    if limit == 0:
        raise BadValue(f"task {task.id!r} has no items in split {split!r}")
    return ENDLESS if limit is None else limit


def ending(task: Task, n_turns: int, done: bool) -> tuple[bool, bool]:
    """Return (terminated, truncated) after ``n_turns``. A limit of one turn is the nature of the task: terminated."""
    at_cap = n_turns >= task.max_turns
    terminated = done or (at_cap and task.max_turns == 1)
    return terminated, at_cap and not terminated


def info_of(item: Item, verdict: Verdict | None) -> dict[str, Any]:
    """Return the info of a step: the same keys always, empty before the end; nothing in it depends on the clock."""
    return {
        "split": item.split,
        "index": item.index,
        "verdict": "" if verdict is None else str(verdict.state),
        "found": None if verdict is None else verdict.found,
        "why": "" if verdict is None else verdict.why,
        "reward_parts": {} if verdict is None else dict(verdict.parts),
    }


def chosen_index(options: Mapping[str, Any] | None, allowed: tuple[str, ...]) -> Any:
    """Return ``options["index"]`` or None; refuse options that do not exist."""
    given = options or {}
    for name in given:
        if name not in allowed:
            raise BadValue(f"reset has no option {name!r}; its options: {', '.join(allowed)}")
    return given.get("index")
