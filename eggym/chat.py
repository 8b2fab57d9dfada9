"""The conversation so far as the observation of a Gymnasium environment, for policies that take messages.

    env = ChatObservation(gymnasium.make("eggym/guess-v0"))
    messages, info = env.reset(seed=7)  # ({"role": "user", "content": "guess 20-34:"},)

How messages become tokens is the model's affair: there is no chat template here.
"""

from typing import Any

import gymnasium
from gymnasium.spaces import Dict, Sequence, Text
from gymnasium.utils import RecordConstructorArgs

from eggym.env import TextEnv, UnicodeText
from eggym.errors import BadValue

Message = dict[str, str]
_ROLES = "abcdefghijklmnopqrstuvwxyz"


class ChatObservation(gymnasium.ObservationWrapper, RecordConstructorArgs):  # type: ignore[misc]  # not followed
    """A wrapper that shows all messages: a tuple of dicts with ``role`` (system, user, assistant) and ``content``.

    The task speaks as the user. Where a task opens a fresh context with each observation, so do the messages.
    """

    def __init__(self, env: gymnasium.Env, *, system: bool = True, few_shot: bool = True) -> None:
        """Show ``env``'s messages, behind the task's own ``system`` message and ``few_shot`` examples, if it has them.

        Raises:
            BadValue: ``env`` is not one of eggym's.
        """
        RecordConstructorArgs.__init__(self, system=system, few_shot=few_shot)
        super().__init__(env)
        inner = env.unwrapped
        if not isinstance(inner, TextEnv):
            raise BadValue(f"ChatObservation needs an environment of eggym, got {inner!r:.80}; see eggym.gym_task")
        self._before: tuple[Message, ...] = ()
        if system and inner.task.system is not None:
            self._before += ({"role": "system", "content": inner.task.system},)
        for asked, replied in inner.task.few_shot if few_shot else ():
            self._before += ({"role": "user", "content": asked}, {"role": "assistant", "content": replied})
        self.observation_space = Sequence(Dict(role=Text(9, charset=_ROLES), content=UnicodeText()))

    def observation(self, observation: Any) -> tuple[Message, ...]:
        """Return the conversation; the caller may change what is returned."""
        return tuple(dict(message) for message in (*self._before, *self.unwrapped.messages))
