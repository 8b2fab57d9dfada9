"""What a learner asks to be tried, and which weights it may change.

A view is one version of the policy: a perturbed member of a population (ES), or the policy itself (RL). `attach`
makes the versions available on the model without touching a weight; `seat` says which row of the decode batch
belongs to which. Axes in names: _R rows of a decode batch, _N members.
"""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from eggym.adapters import MOST_RANK, adapter_parameters, install, rank_of
from eggym.errors import BadValue
from eggym.quantised import block_weights, named_weights, owner_of

Coupling = Literal["shared", "independent"]
Seating = Literal["any", "one_member"]


class Attached(Protocol):
    """The members of a generation, laid over the model."""

    def seat(self, member_of_row_R: Tensor, group: int = 1) -> Any:
        """Make ready what rows of these members need (int64, (R,)), and return it.

        Rows come in runs of ``group`` whose members sit together (`Views.n_together`), so that what these share is
        held once.
        """

    def take(self, seat: Any) -> None:
        """Let the forward passes that follow use this seat."""


class Views(Protocol):
    """What a learner wants rolled out in one step."""

    # Properties, so that frozen dataclasses satisfy the protocol.
    @property
    def n_members(self) -> int:
        """How many versions of the policy there are."""

    @property
    def n_items(self) -> int:
        """How many items each member answers."""

    @property
    def n_replies(self) -> int:
        """How often each member answers each item."""

    @property
    def temperature(self) -> float:
        """Of sampling; 0 is greedy."""

    @property
    def coupling(self) -> Coupling:
        """ "shared": members draw equal random numbers for equal items."""

    @property
    def seating(self) -> Seating:
        """May rows of different members sit in one batch?"""

    @property
    def n_together(self) -> int:
        """How many members, in order, sit side by side because they share what they need: twins 2, others 1."""

    def attach(self, model: nn.Module) -> AbstractContextManager[Attached]:
        """Lay the members over the model, once per generation. Leaving the context restores the model to the bit."""

    def bytes_per_row(self, model: nn.Module) -> int:
        """Return what `Attached.seat` holds for each row at most, in bytes: part of the engine's memory plan."""

    def flops_per_position(self, model: nn.Module) -> int:
        """Return what a member adds to each position, in FLOPs: part of what is really computed."""


class _Itself:
    def seat(self, member_of_row_R: Tensor, group: int = 1) -> Any:
        """Nothing is needed: every row is the policy."""
        return ()

    def take(self, seat: Any) -> None:
        """Nothing to do."""


@dataclass(frozen=True, slots=True)
class PolicyViews:
    """The policy itself: what RL tries, and what an evaluation looks at."""

    n_items: int
    n_replies: int
    temperature: float = 1.0
    n_members: int = 1
    coupling: Coupling = "independent"
    seating: Seating = "any"
    n_together: int = 1

    @contextmanager
    def attach(self, model: nn.Module) -> Iterator[Attached]:
        """Leave the model as it is."""
        yield _Itself()

    def bytes_per_row(self, model: nn.Module) -> int:
        """Nothing is held."""
        return 0

    def flops_per_position(self, model: nn.Module) -> int:
        """Nothing is added."""
        return 0


@dataclass(frozen=True, slots=True)
class ParameterSpace:
    """Which weights a run may change; the same for every learner of a comparison.

    ``targets`` is "blocks" (every weight of two or more dimensions, embeddings and the output head left out) or a
    regular expression that must match a weight's whole name. With ``adapter_rank`` k > 0 those weights stay frozen,
    and what changes is a float32 delta of rank k beside each (`eggym.adapters`); 8-bit weights can change no other way.
    """

    targets: str = "blocks"  # weights that may change: all of 2 dimensions or more in the blocks, or a pattern of names
    adapter_rank: int = 0  # of low-rank deltas (LoRA) beside frozen weights; 0: the weights themselves change

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        if not 0 <= self.adapter_rank <= MOST_RANK:
            raise BadValue(
                f"space.adapter_rank must lie from 0 (the weights themselves) to {MOST_RANK}, got {self.adapter_rank}"
            )

    def install(self, model: nn.Module) -> None:
        """Lay the deltas that this space asks for beside the weights; once is enough, and twice changes nothing.

        Raises:
            BadValue: as `select`, or a target that can have no delta.
        """
        if self.adapter_rank:
            install(model, self._targets(model), self.adapter_rank)
        self.select(model)

    def select(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """Return the parameters that may change, by name, in the model's order.

        Raises:
            BadValue: no weight matches, ``targets`` is no regular expression, a target is an 8-bit weight and there
                are no deltas, or `install` was not called.
        """
        targets = self._targets(model)
        if self.adapter_rank:
            missing = [name for name in targets if rank_of(owner_of(model, name)) != self.adapter_rank]
            if missing:
                raise BadValue(f"{missing[0]!r} has no delta of rank {self.adapter_rank}; call space.install(model)")
            return adapter_parameters(model)
        return {name: _trainable(name, weight) for name, weight in targets.items()}

    def share(self, model: nn.Module) -> float:
        """Return the share of the model's weights, deltas included, that may change, from 0 to 1."""
        total = sum(weight.numel() for _, weight in named_weights(model))
        return sum(parameter.numel() for parameter in self.select(model).values()) / total

    def _targets(self, model: nn.Module) -> dict[str, Tensor]:
        """Return the weights that ``targets`` means, by name; the factors of deltas are none."""
        factors = adapter_parameters(model)
        found = block_weights(model) if self.targets == "blocks" else self._matching(model)
        chosen = {name: weight for name, weight in found.items() if name not in factors}
        if not chosen:
            some = ", ".join(name for name, _ in list(named_weights(model))[:4])
            raise BadValue(f"targets {self.targets!r} match no weight of the model; its names look like: {some}")
        return chosen

    def _matching(self, model: nn.Module) -> dict[str, Tensor]:
        try:
            pattern = re.compile(self.targets)
        except re.error as problem:
            raise BadValue(f"targets {self.targets!r} is no regular expression: {problem}") from problem
        return {name: weight for name, weight in named_weights(model) if pattern.fullmatch(name)}


def _trainable(name: str, weight: Tensor) -> nn.Parameter:
    if not isinstance(weight, nn.Parameter):
        raise BadValue(
            f"{name!r} is frozen in 8 bits and cannot change itself; train a low-rank delta beside it with "
            "--set space.adapter_rank=8"
        )
    return weight
