"""What the tasks on programs share: one prompt, and a program in the reply that is run and tested.

A task says what is to be run on an item (`CodeTask.work`) and holds its `Grading`; the rest is here.
"""

from collections.abc import Mapping, Sequence

from eggym.task import Item, SingleTurnTask, Verdict

from .code_grading import Grading, Work


class CodeTask(SingleTurnTask):
    """A task whose replies hold programs. Put it before `DatasetTask` among the bases; set ``grading``."""

    grading: Grading

    def work(self, item: Item, reply: str) -> Work | None:
        """Return what is to be run of a reply, with the tests; None where it holds no program."""
        raise NotImplementedError(f"task {self.id!r} must define work(item, reply)")

    def score(self, item: Item, reply: str) -> Verdict:
        """Run the program of a reply."""
        return self.score_all([item], [reply])[0]

    def score_all(self, items: Sequence[Item], replies: Sequence[str]) -> list[Verdict]:
        """Run the programs of many replies, several at a time."""
        return self.grading.judge([self.work(item, reply) for item, reply in zip(items, replies, strict=True)])

    def identity(self) -> str:
        """Return what decides verdicts besides the source: the rows, if there are any, and the sandbox's rules."""
        return f"{super().identity()} {self.grading.identity()}".strip()

    def host(self) -> Mapping[str, str]:
        """Return the level of the sandbox."""
        return self.grading.host()
