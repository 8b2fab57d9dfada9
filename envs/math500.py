r"""Competition problems in natural language, with answers of every form: numbers, radicals, polynomials, intervals.

Prompt:  the problem, then how to answer: in ``\boxed{}``.
Reward:  1 if the last ``\boxed{}`` of the reply equals the truth, else 0, by the strict profile of `answers`: equal in
         value, whatever the spelling, but worked out and one answer only. ``profile=lenient`` takes math-verify's own
         reading of the reply and its rounding, for comparison with published figures; a model can game it.
Floor:   3.8 %: the best constant answer, 3, is right on 19 of the 500.
Source:  Hendrycks et al. 2021, "Measuring Mathematical Problem Solving With the MATH Dataset" (MIT licence), in the 500
         of Lightman et al. 2023, "Let's Verify Step by Step"; hub id ``HuggingFaceH4/MATH-500``, which has test alone:
         for evaluation. To train, give ``data=`` a folder with ``test.jsonl`` and a ``train.jsonl`` of further problems
         with the same fields (problem, solution, answer; level and subject if there are any); a tenth of these is
         validation, by hash. A single file is parted by hash, and its test is then not the official one.
"""

from collections.abc import Sequence
from typing import Any

from eggym.dataset import DatasetTask
from eggym.errors import BadValue, unknown
from eggym.rows import Row, Source, value_of
from eggym.task import Item, Verdict

from .answer_limits import too_big
from .answers import PROFILES, checker_identity, judge_answers

_HOW = "Think step by step. Put the final answer, and nothing else, in \\boxed{}."
_NOTES = ("level", "subject")


class Math500(DatasetTask):
    """See the module's docstring."""

    id = "eggym/math500-v0"
    source = "HuggingFaceH4/MATH-500"
    floor = 0.038
    max_new_tokens = 1024

    def __init__(self, data: Source | None = None, profile: str = "strict") -> None:
        """Take rows of another place, or another profile of the checker: ``strict`` or ``lenient``."""
        super().__init__(data)
        if profile not in PROFILES:
            raise unknown("profile of the answer checker", profile, PROFILES)
        self.profile = profile
        self.difficulty = {"profile": profile}

    def read(self, row: Row) -> Item:
        """Return the problem, the answer, and the reference solution in meta."""
        problem, answer = str(value_of(row, "problem")).strip(), str(value_of(row, "answer")).strip()
        if not problem or not answer:
            raise BadValue(f"its {'answer' if problem else 'problem'} is empty")
        if reason := too_big(answer):
            raise BadValue(f"its answer {answer!r:.60} is {reason}, more than the checker reads")
        notes: dict[str, Any] = {name: row[name] for name in _NOTES if row.get(name) is not None}
        return Item(f"{problem}\n{_HOW}", answer, {"solution": str(value_of(row, "solution")), **notes})

    def score(self, item: Item, reply: str) -> Verdict:
        """Compare the box of a reply with the truth."""
        return self.score_all([item], [reply])[0]

    def score_all(self, items: Sequence[Item], replies: Sequence[str]) -> list[Verdict]:
        """Compare many at once: what needs algebra is shared out among processes."""
        pairs = [(item.truth, reply) for item, reply in zip(items, replies, strict=True)]
        return judge_answers(pairs, self.profile)

    def oracle(self, item: Item) -> str:
        """Return the reference solution."""
        return str(item.meta["solution"])

    def identity(self) -> str:
        """Return what decides verdicts besides this source: the rows, the checker's rules, the libraries' versions."""
        return f"{super().identity()} {checker_identity(self.profile)}"
