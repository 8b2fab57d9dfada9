r"""Judge the final answer of a reply against the truth, as mathematics, strictly.

Read:    the last balanced ``\boxed{}`` of a reply, or the last ``<tag>...</tag>``, and nothing else: neither the last
         number of a text nor a phrase such as "the answer is". Several answers where the truth is one are refused.
Judge:   limits first (`answer_limits`), then form and exact numbers (`answer_forms`); what needs algebra goes to
         math-verify in processes that are killed when they take too long (`answer_pool`).
Profile: ``strict`` is for rewards. ``lenient`` is math-verify's own extraction and rounding, for comparison with
         published figures alone.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from eggym.errors import unknown
from eggym.task import Verdict, VerdictState

from .answer_forms import Form, read_form, same, unknown_to
from .answer_limits import is_arithmetic, too_big, unfinished
from .answer_tidy import squeeze, tidy

PROFILES = ("strict", "lenient")
VERSION = 1  # of the rules here and in the siblings; a change that moves verdicts raises it

_BOX_PARTS = re.compile(r"\\boxed\s*\{|\\.|[{}]", re.DOTALL)
_SHOWN = 120  # characters of an answer that a verdict repeats


def last_box(text: str) -> str | None:
    r"""Return what the last balanced ``\boxed{}`` holds, or None. A box around a box is one.

    >>> last_box(r"so \boxed{3}, no: \boxed{\frac{1}{2}}")
    '\\frac{1}{2}'
    """
    opened: list[int] = []  # for each open brace where its content starts; negative: of a plain brace
    found: tuple[int, int] | None = None
    for part in _BOX_PARTS.finditer(text):
        if part[0] == "}":
            if opened and (start := opened.pop()) >= 0:
                found = start, part.start()
        elif part[0][-1] == "{" and part[0] != "\\{":
            opened.append(part.end() if len(part[0]) > 1 else -1)
    if found is None:
        return None
    content = text[found[0] : found[1]].strip()
    inner = last_box(content) if content.startswith("\\boxed") and content.count("\\boxed") == 1 else None
    return content if inner is None or not content.endswith("}") else inner


def last_tag(text: str, tag: str) -> str | None:
    """Return what stands in the last ``<tag>...</tag>``, or None.

    >>> last_tag("<answer>3</answer> or <answer>4</answer>", "answer")
    '4'
    """
    end = text.rfind(f"</{tag}>")
    start = text.rfind(f"<{tag}>", 0, end) if end >= 0 else -1
    return None if start < 0 else text[start + len(tag) + 2 : end].strip()


def judge_answer(truth: str, reply: str, profile: str = "strict", tag: str = "") -> Verdict:
    """Judge one reply; see `judge_answers`."""
    return judge_answers([(truth, reply)], profile, tag)[0]


def judge_answers(pairs: Sequence[tuple[str, str]], profile: str = "strict", tag: str = "") -> list[Verdict]:
    r"""Judge replies, all at once: verdicts in the order of the pairs, each as if it were judged alone.

    Args:
        pairs: truth and reply.
        profile: ``strict`` or ``lenient``.
        tag: read the answer from ``<tag>...</tag>`` instead of ``\boxed{}``.

    Raises:
        UnknownName: no such profile.
    """
    if profile not in PROFILES:
        raise unknown("profile of the answer checker", profile, PROFILES)
    verdicts: list[Verdict | None] = [_quick(truth, reply, tag) for truth, reply in pairs]
    return [verdict or Verdict(None, VerdictState.ERROR, why="needs algebra") for verdict in verdicts]


def _quick(truth: str, reply: str, tag: str) -> Verdict | None:
    """Return the verdict where limits and exact forms settle it, else None."""
    found = last_tag(reply, tag) if tag else last_box(reply)
    if not found:
        return Verdict(
            0.0, VerdictState.UNPARSED, None, f"no <{tag}> in the reply" if tag else "no \\boxed{} in the reply"
        )
    reward, state, why = _settled(truth, found)
    return None if reward is None else Verdict(reward, state, found[:_SHOWN], why)


@lru_cache(maxsize=65536)
def _settled(truth: str, found: str) -> tuple[float | None, VerdictState, str]:
    """Return reward, state and reason; a reward of None where only algebra can tell."""
    if reason := too_big(truth):
        return None, VerdictState.ERROR, f"the truth is {reason}"
    if reason := too_big(found):
        return 0.0, VerdictState.REFUSED, reason
    expected, given = read_form(truth), read_form(found)
    equal = same(expected, given, unknown_to)
    if equal:
        return 1.0, VerdictState.CORRECT, ""
    if reason := _refusal(expected, given, found):
        return 0.0, VerdictState.REFUSED, reason
    if equal is None:
        return None, VerdictState.ERROR, "needs algebra"
    return 0.0, VerdictState.WRONG, f"expected {truth[:_SHOWN]}"


def _refusal(truth: Form, found: Form, raw: str) -> str:
    if found.kind in ("list", "set") and len(found.parts) > 1 and truth.kind not in ("list", "set"):
        return "several answers where the truth is one"
    if truth.kind == found.kind == "number":
        return ""
    reason = unfinished(truth.text, squeeze(tidy(raw)) if found.kind != "equation" else found.parts[0].text)
    if not reason and truth.kind == "number" and is_arithmetic(found.text):
        return "unevaluated arithmetic"
    return reason
