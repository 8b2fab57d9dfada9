r"""The quick path of the answer checker: one ``\boxed{}`` that holds one plain whole number, where the truth is one.

The verdicts are those of `.answers`, which judges all that is not so plain; a whole number never needs a process.
"""

import re
from collections.abc import Sequence

from eggym.task import Verdict, VerdictState

from .answers import judge_answer, judge_answers

_BOX = "\\boxed"
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")


def judge_whole(truth: str, reply: str) -> Verdict:
    """Judge a reply as `judge_answer` does, a fraction for a truth included."""
    return _plain(truth, reply) or judge_answer(truth, reply)


def judge_wholes(truths: Sequence[str], replies: Sequence[str]) -> list[Verdict]:
    """Judge many replies, the harder ones in one call."""
    quick = [_plain(truth, reply) for truth, reply in zip(truths, replies, strict=True)]
    hard = [pair for pair, verdict in zip(zip(truths, replies, strict=True), quick, strict=True) if verdict is None]
    rest = iter(judge_answers(hard) if hard else ())
    return [next(rest) if verdict is None else verdict for verdict in quick]


def _plain(truth: str, reply: str) -> Verdict | None:
    """Return the verdict on a plain reply, or None where a closer look is needed."""
    start = reply.find(_BOX)
    if start < 0 or reply.find(_BOX, start + 6) >= 0 or reply[start + 6 : start + 7] != "{":
        return None
    end = reply.find("}", start)
    found = reply[start + 7 : end]
    if end < 0 or not _WHOLE.fullmatch(found) or (start and reply[start - 1] == "\\"):
        return None
    if found == truth:
        return Verdict(1.0, VerdictState.CORRECT, found)
    return Verdict(0.0, VerdictState.WRONG, found, f"expected {truth}") if _WHOLE.fullmatch(truth) else None
