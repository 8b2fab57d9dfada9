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
from importlib.metadata import version

from eggym.errors import unknown
from eggym.task import Verdict, VerdictState

from .answer_forms import Form, same, unknown_to
from .answer_limits import is_arithmetic, stray_unknown, too_big, too_intricate, unfinished
from .answer_pool import POOL, Outcome
from .answer_reading import read_form
from .answer_tidy import squeeze, tidy

PROFILES = ("strict", "lenient")
VERSION = 2  # of the rules here and in the siblings; a change that moves verdicts raises it
LONGEST_LENIENT = 50_000  # characters of a whole reply

_BOX_PARTS = re.compile(r"\\boxed\s*\{|\\.|[{}]", re.DOTALL)
_SHOWN = 120  # characters of an answer that a verdict repeats
_ALGEBRA = "algebra"  # in place of a state: only the pool can tell; then the text that it is to read


def last_box(text: str) -> str | None:
    r"""Return what the last balanced ``\boxed{}`` holds, or None. A box that holds nothing but a box is one.

    >>> last_box(r"so \boxed{3}, no: \boxed{\frac{1}{2}}")
    '\\frac{1}{2}'
    """
    opened: list[int] = []  # for each open brace where its content starts; -1: a plain brace
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
    inner = re.fullmatch(r"\\boxed\s*\{([^{}]*)\}", content)
    return inner[1].strip() if inner else content


def last_tag(text: str, tag: str) -> str | None:
    """Return what stands in the last ``<tag>...</tag>``, or None.

    >>> last_tag("<answer>3</answer> or <answer>4</answer>", "answer")
    '4'
    """
    end = text.rfind(f"</{tag}>")
    start = text.rfind(f"<{tag}>", 0, end) if end >= 0 else -1
    return None if start < 0 else text[start + len(tag) + 2 : end].strip()


def checker_identity(profile: str) -> str:
    """Return the profile, the version of these rules and those of the libraries that verdicts depend on."""
    libraries = ("math-verify", "latex2sympy2_extended", "sympy")
    return " ".join([profile, f"rules {VERSION}", *(f"{name} {version(name)}" for name in libraries)])


def judge_answer(truth: str, reply: str, profile: str = "strict", tag: str = "") -> Verdict:
    """Judge one reply; see `judge_answers`."""
    return judge_answers([(truth, reply)], profile, tag)[0]


def judge_answers(pairs: Sequence[tuple[str, str]], profile: str = "strict", tag: str = "") -> list[Verdict]:
    r"""Judge replies, all at once: verdicts in the order of the pairs, each as if it were judged alone.

    Args:
        pairs: truth and reply.
        profile: ``strict`` or ``lenient``.
        tag: read the answer from ``<tag>...</tag>`` instead of ``\boxed{}``; the strict profile alone.

    Raises:
        UnknownName: no such profile.
    """
    if profile not in PROFILES:
        raise unknown("profile of the answer checker", profile, PROFILES)
    if profile == "lenient":
        found = [reply for _, reply in pairs]
        outcomes = [_lenient(truth, reply) for truth, reply in pairs]
    else:
        found = [(last_tag(reply, tag) if tag else last_box(reply)) or "" for _, reply in pairs]
        outcomes = [_strict(truth, answer) for (truth, _), answer in zip(pairs, found, strict=True)]
    asked = [index for index, (state, _) in enumerate(outcomes) if state == _ALGEBRA]
    jobs = [(profile, pairs[index][0], outcomes[index][1]) for index in asked]
    for index, outcome in zip(asked, POOL.judge(jobs) if jobs else (), strict=True):
        outcomes[index] = outcome
    shown = found if profile == "strict" else [""] * len(found)
    return [_verdict(outcome, pair[0], text) for outcome, pair, text in zip(outcomes, pairs, shown, strict=True)]


def _verdict(outcome: Outcome, truth: str, found: str) -> Verdict:
    state = VerdictState(outcome[0])
    reward = None if state is VerdictState.ERROR else float(state is VerdictState.CORRECT)
    why = outcome[1] or ("" if reward else f"expected {truth[:_SHOWN]}")
    return Verdict(reward, state, found[:_SHOWN] or None, why)


def _lenient(truth: str, reply: str) -> Outcome:
    if len(reply) > LONGEST_LENIENT:
        return "refused", f"longer than {LONGEST_LENIENT} characters"
    return _ALGEBRA, reply


def _strict(truth: str, found: str) -> Outcome:
    """Return what limits and exact forms say, or ``_ALGEBRA`` and the answer as the pool is to read it."""
    if not found:
        return "unparsed", "no answer where it must stand"
    if reason := too_big(found):
        return "refused", reason
    return _settled(truth, found)


@lru_cache(maxsize=65536)
def _settled(truth: str, found: str) -> Outcome:
    if reason := too_big(truth):
        return "error", f"the truth is {reason}"
    expected, given = read_form(truth), read_form(found)
    equal = same(expected, given, unknown_to)
    if equal:
        return "correct", ""
    spelt = tidy(found)
    if reason := _refusal(expected, given, squeeze(spelt)):
        return "refused", reason
    if equal is False:
        return "wrong", ""
    if reason := too_intricate(expected.text, squeeze(spelt)):
        return "refused", reason
    if stray := stray_unknown(expected.text, given.text):
        return "wrong", f"speaks of {stray}, as the truth does not"
    return _ALGEBRA, spelt


def _refusal(truth: Form, found: Form, spelt: str) -> str:
    if found.kind == "equation":  # what is said of the unknown counts
        found, spelt = found.parts[0], found.parts[0].text
    if found.kind in ("list", "set") and len(found.parts) > 1 and truth.kind not in ("list", "set"):
        return "several answers where the truth is one"
    if truth.kind == found.kind == "number":
        return ""
    reason = unfinished(truth.text, spelt)
    if not reason and truth.kind == "number" and is_arithmetic(found.text):
        return "unevaluated arithmetic"
    return reason


def forget_answers() -> None:
    """Empty the caches; no verdict changes by it."""
    POOL.forget_outcomes()
    _settled.cache_clear()
    read_form.cache_clear()
