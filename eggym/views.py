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

from eggym.errors import BadValue

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
    regular expression that must match a parameter's whole name.
    """

    targets: str = "blocks"

    def select(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """Return the chosen parameters by name, in the model's order.

        Raises:
            BadValue: no parameter matches, or ``targets`` is no regular expression.
        """
        chosen = self._blocks(model) if self.targets == "blocks" else self._matching(model)
        if not chosen:
            some = ", ".join(name for name, _ in list(model.named_parameters())[:4])
            raise BadValue(f"targets {self.targets!r} match no weight of the model; its names look like: {some}")
        return chosen

    def share(self, model: nn.Module) -> float:
        """Return the share of the model's weights that may change, from 0 to 1."""
        total = sum(parameter.numel() for parameter in model.parameters())
        return sum(parameter.numel() for parameter in self.select(model).values()) / total

    def _blocks(self, model: nn.Module) -> dict[str, nn.Parameter]:
        output = getattr(model, "get_output_embeddings", lambda: None)()
        tables = [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]
        skip = {id(weight) for weight in tables} | ({id(output.weight)} if output is not None else set())
        return {
            name: weight for name, weight in model.named_parameters() if weight.ndim >= 2 and id(weight) not in skip
        }

    def _matching(self, model: nn.Module) -> dict[str, nn.Parameter]:
        try:
            pattern = re.compile(self.targets)
        except re.error as problem:
            raise BadValue(f"targets {self.targets!r} is no regular expression: {problem}") from problem
        return {name: weight for name, weight in model.named_parameters() if pattern.fullmatch(name)}
