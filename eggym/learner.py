"""The face that ES and RL share: `ask` what to try, `tell` what came of it.

A learner sees neither the environment nor the budget: the loop owns both. Each learner is described by one
`LearnerSpec`, named in its leaf's table as ``"module:attribute"``.
"""

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_type_hints, runtime_checkable

from eggym.episode import EpisodeBatch
from eggym.errors import BadValue, UnknownName, unknown
from eggym.views import ParameterSpace, Views

if TYPE_CHECKING:
    from eggym.policy import Policy, Prompting

PROFILES = ("tiny", "pretrained")
COLDEST = 1e-3  # of sampling: far colder, and logits over the temperature leave float32
MOST = 1 << 20  # members or items of a step, or replies to an item
# other libraries' words for an option, with ours
_OURS = {
    "learning_rate": "lr",
    "batch_size": "items",
    "num_generations": "replies",
    "group_size": "replies",
    "beta": "kl_loss",
    "epsilon": "clip_low",
}
_REPLY_LENGTH = ("max_tokens", "max_new_tokens", "max_completion_length")  # words for prompt.max_new_tokens
TINY_LIMIT = 20_000_000  # parameters; below: profile "tiny"


class Learner(Protocol):
    """Improves a policy from episodes."""

    def ask(self, step: int) -> Views | None:
        """Return what to try in step ``step``; None when there is nothing (left) to try.

        Must depend on nothing but the state, so that a step can be asked again after a restart.
        """

    def tell(self, batch: EpisodeBatch) -> Mapping[str, float]:
        """Learn from the episodes of the last `ask`; return metrics of the update."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the policy's weights: tensors, numbers, strings, and dicts and lists of these.

        Complete: saving and loading between ask and tell changes nothing.
        """

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""


@runtime_checkable
class Prompter(Protocol):
    """The face of a learner that looks for a prompt; evaluations ask as it says."""

    @property
    def prompting(self) -> "Prompting":
        """The best that is known so far."""

    def begin(self, prompting: "Prompting", fits: Callable[["Prompting"], bool]) -> None:
        """Take how the run prompts, and what says whether the model can read the task's prompts asked otherwise.

        Called once, before anything is asked for.
        """

    def preview(self) -> Views | None:
        """Return what the dearest step asks for, as far as is known; None as `Learner.ask`: for forecasts."""


@runtime_checkable
class Chooser(Protocol):
    """The face of a learner that answers held-out items by choosing among replies."""

    def choose(self, greedy: EpisodeBatch, sampled: EpisodeBatch) -> tuple[EpisodeBatch, EpisodeBatch]:
        """Return what stands for the replies of an evaluation: greedy ones, and those at temperature 1."""


@runtime_checkable
class Holder(Protocol):
    """The face of a learner that may keep episodes of several steps for one update."""

    @property
    def n_held(self) -> int:
        """Episodes that wait: the next step may pass over all of them beside its own."""


Build = Callable[["Policy", ParameterSpace, int, Any], Learner]


@dataclass(frozen=True, slots=True)
class LearnerSpec:
    """How to describe and build one learner.

    ``options`` is a frozen dataclass of bool, int, float and str fields. A property ``forwards`` of it may say how many
    forward passes over an episode the learner's own work amounts to at most, a backward pass counting as two; forecasts
    assume 3 without it; ``reads_ends``, that these read the last token too. ``profiles`` gives the values that differ
    from its defaults for models of a size. ``search`` gives, for each profile, the values of each option that tuning
    may try; an option that it leaves out is not tuned.
    ``build(policy, space, seed, options)`` makes the learner.
    ``note`` is what must be said wherever its scores are shown. ``shares_passes``: its update makes its passes by
    `eggym.agents.gradients`, so that ranks of one run can each make some; learners that read rewards alone need not.
    """

    name: str
    kind: Literal["es", "rl", "baseline", "control"]
    options: type[Any]
    build: Build
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    search: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)
    note: str = ""
    shares_passes: bool = False

    def resolve(self, profile: str, overrides: Mapping[str, Any]) -> Any:
        """Return the options: defaults, then the profile, then ``overrides``, checked by type and range.

        Raises:
            EggymError: naming the learner and the option.
        """
        if profile not in PROFILES:
            raise unknown("profile", profile, PROFILES)
        values = dict(self.profiles.get(profile, {}))
        for name, value in overrides.items():
            values[name] = typed(f"{self.name}.{name}", value, self.kind_of(name))
        try:
            return self.options(**values)
        except (BadValue, UnknownName) as problem:
            raise type(problem)(f"{self.name}: {problem}") from problem

    def kind_of(self, name: str) -> Any:
        """Return the type of an option, or refuse a name that is none."""
        fields = get_type_hints(self.options)
        if name not in fields:
            raise unknown(f"option of {self.name}", name, fields, meant_by(name, fields))
        return fields[name]


def meant_by(name: str, options: Collection[str]) -> list[str]:
    """Return what is meant by another library's word for one of these options, or for the length of a reply."""
    if name in _REPLY_LENGTH:
        return ["prompt.max_new_tokens"]
    return [_OURS[name]] if _OURS.get(name) in options else []


def check_temperature(value: float, greedy: bool = False) -> None:
    """Refuse a temperature of training that is too cold to compute with; 0 is greedy, where that is allowed."""
    if value < COLDEST and not (greedy and value == 0):
        raise BadValue(f"temperature must be {'0 (greedy) or ' * greedy}at least {COLDEST:g}, got {value:g}")


def options_dict(options: Any) -> dict[str, Any]:
    """Return resolved options as plain values, for records."""
    return dataclasses.asdict(options)


def profile_for(n_parameters: int) -> str:
    """Return the profile of defaults for a model of this size."""
    return "tiny" if n_parameters < TINY_LIMIT else "pretrained"


def typed(name: str, value: Any, kind: Any) -> Any:
    """Return a value as the type that a dataclass field asks for (bool, int, float or str), or refuse it by name."""
    if kind is float and type(value) is int:
        value = float(value)
    plain = kind if isinstance(kind, type) else str  # a Literal of strings: the dataclass itself checks the choice
    if type(value) is not plain:
        raise BadValue(f"{name} must be of type {plain.__name__}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadValue(f"{name} must be finite, got {value!r}")
    if isinstance(value, int) and abs(value) >= 1 << 31:
        raise BadValue(f"{name} must lie within 31 bits, got {value!r}")
    return value
