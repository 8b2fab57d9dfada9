"""Tasks made of environments: one call turns a `gymnasium.Env` that speaks text into a task.

    gym_task("me/words-v0", WordEnv)

An item is a seed, and its prompt the first observation of ``reset(seed=...)``. The reward is the sum of the rewards of
the steps, and each step's is the reward of its turn. An episode has an environment of its own, closed at its end. A
state is written down as seed and actions, and played again when it is read: the environment must repeat under a seed,
and `eggym check` finds out whether it does. What an environment raises on a model's text is a verdict ``error``.

Not looked at: ``info``, rendering, and whether an action lies in the action space; that is the environment's affair.
"""

import hashlib
import inspect
import json
import math
import random
import re
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from eggym.errors import BadValue, EggymError, TaskFault, unknown
from eggym.plugins import check_id
from eggym.registry import register
from eggym.source import named, told
from eggym.task import Item, MultiTurnTask, Verdict, VerdictState
from eggym.values import as_float

Environment = str | Callable[..., Any]

_SETTINGS = ("stop", "max_new_tokens", "system", "few_shot", "fresh_context")
_OF_GYMNASIUM = re.compile(r"[^:]*|.+-v\d+")  # an id, or "module:id" as `gymnasium.make` takes it


@dataclass
class Played:
    """One episode: what makes it happen again, and the environment in which it goes on."""

    seed: int
    prompt: str
    texts: list[str] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)  # one per text
    over: bool = False
    fault: str = ""  # what the environment raised
    env: Any = field(default=None, compare=False, repr=False)

    def close(self) -> None:
        """Close the environment, if there is one; what that raises changes no result."""
        env, self.env = self.env, None
        _close(env)

    def __getstate__(self) -> dict[str, Any]:
        """Return everything but the environment."""
        return {**vars(self), "env": None}

    def __del__(self) -> None:
        """Close what an abandoned episode leaves behind."""
        self.close()


@dataclass(frozen=True, slots=True)
class Wiring:
    """How an environment is made and spoken to; the arguments of `gym_task` of the same names."""

    env: Environment
    oracle: Callable[[Any], str | None] | None = None
    observe: Callable[[Any], str] | None = None
    act: Callable[[str], Any] | None = None


class GymTask(MultiTurnTask):
    """A task of an environment; made by `gym_task`. Options go to whatever makes the environment."""

    wiring: ClassVar[Wiring] = Wiring("")

    def __init__(self, **options: Any) -> None:
        """Keep the options; the environment is made when it is needed."""
        super().__init__()
        try:
            json.dumps(options)
        except (TypeError, ValueError, RecursionError) as problem:
            raise BadValue(f"options of task {self.id!r} must be JSON values: {problem}") from problem
        self.difficulty = options
        self._first: Any = None  # the environment whose first observations are the prompts

    def generate(self, rng: random.Random, **options: Any) -> Item:
        """Draw a seed."""
        seed = rng.getrandbits(31)
        return Item(self._reset(self._prompter(), seed), meta={"seed": seed})

    def start(self, item: Item, rng: random.Random) -> Played:
        """Begin; the environment is made at the first reply, so that thousands may wait."""
        return Played(item.meta["seed"], item.prompt)

    def reply(self, state: Played, text: str) -> tuple[str, bool]:
        """Step the environment."""
        try:
            observation, reward, over = self._step(self._live(state), text)
        except KeyboardInterrupt:
            raise
        except BaseException as problem:  # noqa: BLE001 - somebody's environment may raise anything, sys.exit() included
            told_ = str(problem) if isinstance(problem, EggymError) else f"the environment raised {told(problem)}"
            state.fault, state.over = told_, True
            state.close()
            return "", True
        state.texts.append(text)
        state.rewards.append(reward)
        state.over = over
        if over:
            state.close()
        return observation, over

    def score(self, state: Played) -> float | Verdict:
        """Return the sum of the rewards."""
        state.close()  # a cut episode ends here too; one that is judged and goes on is played again
        total, (low, high) = self.so_far(state), self.reward_range
        if state.fault:
            return Verdict(None, VerdictState.ERROR, why=state.fault)
        if not low <= total <= high:
            why = f"its rewards sum to {total:g}, outside [{low:g}, {high:g}]; give gym_task another reward_range"
            return Verdict(None, VerdictState.ERROR, why=why)
        return total

    def so_far(self, state: Played) -> float:
        """Return the sum of the rewards so far, rounded once."""
        return math.fsum(state.rewards)

    def oracle(self, state: Played) -> str | None:
        """Return what the author's ``oracle`` says to the environment as it stands."""
        if self.wiring.oracle is None or state.over:
            return None
        return self.wiring.oracle(self._live(state).unwrapped)

    def identity(self) -> str:
        """Return the name of the environment's class and the SHA-256 of the source of its module."""
        kind = type(self._prompter().unwrapped)
        try:
            source = inspect.getsource(inspect.getmodule(kind) or kind)
        except (OSError, TypeError):  # there is none: compiled, or typed into a prompt
            source = ""
        return f"{kind.__qualname__} {hashlib.sha256(source.encode()).hexdigest()}"

    def _prompter(self) -> Any:
        if self._first is None:
            self._first = self._make()
            weakref.finalize(self, _close, self._first)
        return self._first

    def _live(self, state: Played) -> Any:
        """Return the environment of an episode, played up to where it stands."""
        if state.env is None:
            state.env = self._make()
            same = self._reset(state.env, state.seed) == state.prompt
            for text, reward in zip(state.texts, state.rewards, strict=True):
                same = same and self._step(state.env, text)[1] == reward
            if not same:
                raise TaskFault(f"task {self.id!r}: its environment does not repeat under the seed {state.seed}")
        return state.env

    def _make(self) -> Any:
        place = self.wiring.env
        try:
            if isinstance(place, str) and _OF_GYMNASIUM.fullmatch(place):
                import gymnasium

                env = gymnasium.make(place, disable_env_checker=True, **self.difficulty)
            else:
                env = (named(place, "environment") if isinstance(place, str) else place)(**self.difficulty)
        except (EggymError, KeyboardInterrupt):
            raise
        except BaseException as problem:  # somebody's constructor may raise anything, sys.exit() included
            raise TaskFault(f"task {self.id!r}: making its environment raised {told(problem)}") from problem
        self._check(env)
        return env

    def _check(self, env: Any) -> None:
        import gymnasium
        from gymnasium import spaces

        if not isinstance(env, gymnasium.Env):
            raise BadValue(f"task {self.id!r}: {env!r:.60} is no gymnasium.Env; give its class, its id or a function")
        space = getattr(env, "action_space", None)
        numbers = (spaces.Box, spaces.Discrete, spaces.MultiBinary, spaces.MultiDiscrete)
        if self.wiring.act is None and isinstance(space, numbers):
            raise BadValue(
                f"task {self.id!r}: its environment takes {space!r:.60}, not text; "
                "give gym_task act=, a function from a reply to an action"
            )

    def _reset(self, env: Any, seed: int) -> str:
        found = env.reset(seed=seed)
        if not isinstance(found, tuple) or len(found) != 2:
            raise TaskFault(f"task {self.id!r}: reset must return (observation, info), got {found!r:.60}")
        return self._text(found[0])

    def _step(self, env: Any, text: str) -> tuple[str, float, bool]:
        """Return observation, reward, and whether the episode is over."""
        act = self.wiring.act
        found = env.step(text if act is None else act(text))
        if not isinstance(found, tuple) or len(found) != 5:
            raise TaskFault(f"task {self.id!r}: step must return the five values of gymnasium.Env, got {found!r:.60}")
        reward = as_float(found[1])
        if not math.isfinite(reward):
            raise TaskFault(f"task {self.id!r}: the reward of a step is a finite number, got {found[1]!r:.60}")
        return self._text(found[0]), reward, bool(found[2]) or bool(found[3])

    def _text(self, observation: Any) -> str:
        observe = self.wiring.observe
        text = observation if observe is None else observe(observation)
        if isinstance(text, str):
            return str(text)
        what = "its environment shows" if observe is None else "observe made"
        raise BadValue(
            f"task {self.id!r}: {what} {text!r:.60}, not text; "
            "give gym_task observe=, a function from an observation to a text"
        )


def gym_task(
    id: str,
    env: Environment,
    *,
    oracle: Callable[[Any], str | None] | None = None,
    observe: Callable[[Any], str] | None = None,
    act: Callable[[str], Any] | None = None,
    max_turns: int = 16,
    floor: float = 0.0,
    reward_range: tuple[float, float] = (0.0, 1.0),
    **settings: Any,
) -> type[GymTask]:
    """Make and register a task of an environment.

    Args:
        id: ``namespace/name-vN``, of the task.
        env: a class of `gymnasium.Env`, or another callable that makes one; ``"module:Class"``; or the id under which
            Gymnasium knows it. The task's options are its keyword arguments.
        oracle: the best next reply, from the unwrapped environment as it stands, which it must leave as it is.
        observe: a text from an observation, where observations are no texts.
        act: an action from a reply, where actions are no texts. It must take any text.
        max_turns: after so many replies an episode is cut, and worth what it earned.
        floor: what a reply earns that ignores the prompt.
        reward_range: between which bounds the sum of the rewards lies, at every step.
        settings: attributes of the task, such as ``max_new_tokens=64``.

    Raises:
        BadValue: an id of another form, or already taken; ``env`` is neither a text nor callable.
        UnknownName: no such setting. The environment itself is looked up when it is first needed.
    """
    check_id(id, "a task of an environment")
    for name in settings:
        if name not in _SETTINGS:
            raise unknown("setting of a task", name, _SETTINGS)
    if not callable(env) and not isinstance(env, str):
        raise BadValue(f"task {id!r}: {env!r:.60} makes no environments; give its class, not an instance")
    body = dict(settings, id=id, max_turns=max_turns, floor=floor, reward_range=reward_range)
    body["wiring"] = Wiring(env, oracle, observe, act)
    # The class belongs to the caller's module, as a named tuple does: that is whose source a result depends on.
    body["__module__"] = sys._getframe(1).f_globals.get("__name__", "__main__")
    body["__doc__"] = _summary(env)
    return register(type("".join(filter(str.isalnum, id.title())), (GymTask,), body))


def _summary(env: Environment) -> str:
    if isinstance(env, str):
        return f"Environment {env}"
    return (inspect.getdoc(env) or "").partition("\n")[0] or f"Environment {getattr(env, '__name__', env)!s:.60}"


def _close(env: Any) -> None:
    with suppress(Exception):
        if env is not None:
            env.close()
