"""Grade-school word problems in natural language, with whole numbers as answers.

Prompt:  the problem, then how to answer: a last line "#### number".
Reward:  1 if the number behind the last "####" is the truth, else 0. Read strictly: the number stands alone on the rest
         of that line; a sign, thousands separators, decimals and a closing full stop are fine; "$72", "72 apples" and
         "72 or 73" are unparsed. The best constant guess, 5, scores 3 % on test.
Source:  Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems" (MIT licence), hub id ``openai/gsm8k``.
         Test is the official test; validation is a tenth of the official train, by hash. ``data=`` takes a local JSONL
         file, or a folder of ``train.jsonl`` and ``test.jsonl``, with the same two fields.
"""

import re
from decimal import Decimal

from eggym.dataset import DatasetTask
from eggym.errors import BadValue
from eggym.rows import Row, value_of
from eggym.task import Item, Verdict, VerdictState

_HOW = 'Think step by step. End with a line of the form "#### number".'
_ANSWER = re.compile(r"([-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)\.?", re.ASCII)


class Gsm8k(DatasetTask):
    """See the module's docstring."""

    id = "eggym/gsm8k-v0"
    source = "openai/gsm8k:main"
    floor = 0.0303
    max_new_tokens = 512

    def read(self, row: Row) -> Item:
        """Return the problem, the number, and the reference solution in meta."""
        question, solution = str(value_of(row, "question")).strip(), str(value_of(row, "answer"))
        if not question:
            raise BadValue("its question is empty")
        truth = read_answer(solution)
        if truth is None:
            raise BadValue(f"no number behind #### in the solution of {question!r:.60}")
        return Item(f"{question}\n{_HOW}", str(truth), {"solution": solution})

    def score(self, item: Item, reply: str) -> Verdict:
        """Compare the number behind the last ``####`` with the truth, exactly."""
        found = read_answer(reply)
        if found is None:
            return Verdict(0.0, VerdictState.UNPARSED, None, "no line that is #### and a number")
        if found == Decimal(item.truth):
            return Verdict(1.0, VerdictState.CORRECT, str(found))
        return Verdict(0.0, VerdictState.WRONG, str(found), f"expected {item.truth}")

    def oracle(self, item: Item) -> str:
        """Return the reference solution."""
        return str(item.meta["solution"])


def read_answer(reply: str) -> Decimal | None:
    """Return the number on the rest of the line behind the last ``####``, or None.

    >>> read_answer("6 * 200 = 1,200\\n#### 1,200.")
    Decimal('1200')
    """
    _, mark, tail = reply.rpartition("####")
    found = _ANSWER.fullmatch(tail.lstrip(" ").split("\n", 1)[0].strip()) if mark else None
    return Decimal(found[1].replace(",", "")) if found else None
