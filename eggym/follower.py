"""A run as a rank other than 0 sees it: it does all of it, and writes nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from eggym.loop import Run
from eggym.record import Record, load_record
from eggym.run_state import Going, Keeper


class Follower(Run):
    """The same steps, decisions and weights; rank 0 keeps the folder, from which this one only reads."""

    def __post_init__(self) -> None:
        """Prepare, and write no fitness and no checkpoint."""
        super().__post_init__()
        self.fitness: Any = _Unwritten()  # has of `eggym.fitness.FitnessLog` what the loop calls
        self.keeper = _Reader(self.keep)

    def _note(self, name: str, lines: Sequence[dict[str, Any]]) -> None:
        """Rank 0 writes them."""

    def _finish(self) -> Record:
        """Wait until rank 0 has written the record."""
        self.crew.agree(True)
        return load_record(self.folder)


class _Reader(Keeper):
    """Goes on from the checkpoints that rank 0 writes."""

    def save(self, run: Going) -> None:
        """Take part in gathering what is in shards."""
        run.learner.state_dict()

    def clear(self, run: Going) -> None:
        """Rank 0 clears the folder."""

    def cut(self, run: Going, lengths: Mapping[str, Mapping[str, Any]]) -> None:
        """Rank 0 cuts the files."""


class _Unwritten:
    def append(self, step: int, item_indices: Sequence[int], rewards: NDArray[Any]) -> None:
        """Rank 0 writes them."""
