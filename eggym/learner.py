"""The face that ES and RL share: `ask` what to try, `tell` what came of it.

A learner sees neither the environment nor the budget: the loop owns both. Each learner is described by one
`LearnerSpec`, named in its leaf's table as ``"module:attribute"``.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_type_hints

from eggym.episode import EpisodeBatch
from eggym.errors import BadValue, unknown
from eggym.views import ParameterSpace, Views

if TYPE_CHECKING:
    from eggym.policy import Policy

PROFILES = ("tiny", "pretrained")
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


Build = Callable[["Policy", ParameterSpace, int, Any], Learner]


@dataclass(frozen=True, slots=True)
class LearnerSpec:
    """How to describe and build one learner.

    ``options`` is a frozen dataclass of bool, int, float and str fields; ``profiles`` gives the values that differ
    from its defaults for models of a size. ``build(policy, space, seed, options)`` makes the learner.
    """

    name: str
    kind: Literal["es", "rl", "control"]
    options: type[Any]
    build: Build
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def resolve(self, profile: str, overrides: Mapping[str, Any]) -> Any:
        """Return the options: defaults, then the profile, then ``overrides``, checked by type and range."""
        if profile not in PROFILES:
            raise unknown("profile", profile, PROFILES)
        fields = get_type_hints(self.options)
        values = dict(self.profiles.get(profile, {}))
        for name, value in overrides.items():
            if name not in fields:
                raise unknown(f"option of {self.name}", name, fields)
            values[name] = _typed(f"{self.name}.{name}", value, fields[name])
        return self.options(**values)


def options_dict(options: Any) -> dict[str, Any]:
    """Return resolved options as plain values, for records."""
    return dataclasses.asdict(options)


def profile_for(n_parameters: int) -> str:
    """Return the profile of defaults for a model of this size."""
    return "tiny" if n_parameters < TINY_LIMIT else "pretrained"


def _typed(name: str, value: Any, kind: Any) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    plain = kind if isinstance(kind, type) else str  # a Literal of strings: the dataclass itself checks the choice
    if not isinstance(value, plain) or (plain is int and isinstance(value, bool)):
        raise BadValue(f"{name} must be of type {plain.__name__}, got {value!r}")
    return value
