"""How long processes of one run wait for each other before they give one up.

Workers are measured by what their like took so far; ranks, which all wait at once, by one number of seconds. Both may
be told to wait longer in the environment: how slow a machine is belongs to no run's identity.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import astuple, dataclass

from eggym.errors import BadValue

WORKERS = "EGGYM_WORKERS_PATIENCE"  # environment: times as long as `Patience` says
RANKS = "EGGYM_RANKS_PATIENCE"  # environment: seconds that a rank waits for the others
_RANKS_S = 1800.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a worker may take. Seconds of wall time."""

    begin_s: float = 600.0  # until it is ready
    first_s: float = 1800.0  # for an item, as long as none of its kind was answered
    times: float = 20.0  # the longest that any of its kind took so far,
    least_s: float = 30.0  # and at least so long

    def of_item(self, longest_s: float | None) -> float:
        """Return how long the next item may take."""
        return self.first_s if longest_s is None else max(self.least_s, self.times * longest_s)


def with_workers(environment: Mapping[str, str] = os.environ) -> Patience:
    """Return how long workers may take: all waits are ``EGGYM_WORKERS_PATIENCE`` times as long as by themselves.

    Raises:
        BadValue: the environment gives no number above 0.
    """
    factor = _above_zero(environment, WORKERS, 1.0, "a number above 0 that all waits are multiplied with")
    return Patience(*(factor * seconds for seconds in astuple(Patience())))


def with_ranks_s(environment: Mapping[str, str] = os.environ) -> float:
    """Return how many seconds a rank waits for the others before it ends the run.

    Raises:
        BadValue: the environment gives no number above 0.
    """
    return _above_zero(environment, RANKS, _RANKS_S, "a number of seconds above 0")


def _above_zero(environment: Mapping[str, str], name: str, usual: float, what: str) -> float:
    text = environment.get(name, str(usual))
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < math.inf:
        raise BadValue(f"{name} must be {what}, got {text!r}; unset it for the usual {usual:g}")
    return found
