"""Who decodes where: rows of a session are dealt out to members, who answer their items in them one after another.

A pure function of counts, so that a run's seating never depends on load, memory in use or time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from eggym.cache import BLOCK


@dataclass(frozen=True, slots=True)
class Lanes:
    """A seating. Row numbers: unit by unit, within it member by member."""

    units: tuple[tuple[int, ...], ...]  # members that sit together: twins, or one alone
    rows_each: int  # rows of a member
    in_flight: int  # units that are seated at a time

    @property
    def group(self) -> int:
        """Rows of a unit."""
        return self.rows_each * len(self.units[0])

    @property
    def shared_by(self) -> int:
        """Rows that sit together because they share what they need: a unit's, or one where a member sits alone."""
        return self.group if len(self.units[0]) > 1 else 1

    @property
    def n_used(self) -> int:
        """Rows that ever do anything."""
        return self.in_flight * self.group

    def members(self) -> list[int]:
        """Return the first member of every row, and of rows to spare that fill the batch to a multiple of 16."""
        seated = [member for unit in self.units[: self.in_flight] for member in self.seats(unit)]
        spare = -len(seated) % math.lcm(self.shared_by, BLOCK)
        first = self.seats(self.units[0])
        return seated + (first * (spare // len(first) + 1))[:spare]

    def seats(self, unit: Sequence[int]) -> list[int]:
        """Return the members of the rows of one unit, in order."""
        return [member for member in unit for _ in range(self.rows_each)]


def lay_out(members: Sequence[int], n_together: int, n_each: int, n_rows: int) -> Lanes:
    """Deal out at most ``n_rows`` rows to members with ``n_each`` episodes each.

    All members are seated at once if they fit, with as many rows each as there is room for; otherwise as many units as
    fit, and the others take over as these finish. Rows of members that share something come in powers of two, so that
    groups can be halved when rows finish.
    """
    units = tuple(tuple(members[at : at + n_together]) for at in range(0, len(members), n_together))
    room = max(1, min(n_each, n_rows // len(members)))
    rows_each = room if n_together == 1 else 1 << (room.bit_length() - 1)
    in_flight = max(1, min(len(units), n_rows // (rows_each * n_together)))
    return Lanes(units, rows_each, in_flight)
