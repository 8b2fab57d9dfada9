r"""Judge the final answer of a reply against the truth, as mathematics, strictly.

Read:    the last balanced ``\boxed{}`` of a reply, or the last ``<tag>...</tag>``, and nothing else: neither the last
         number of a text nor a phrase such as "the answer is". Several answers where the truth is one are refused.
Judge:   limits first (`answer_limits`), then form and exact numbers (`answer_forms`); what needs algebra goes to
         math-verify in processes that are killed when they take too long (`answer_pool`).
Profile: ``strict`` is for rewards. ``lenient`` is math-verify's own extraction and rounding, for comparison with
         published figures alone.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version

from eggym.errors import unknown
from eggym.task import Verdict, VerdictState

from .answer_forms import Form, read_form, same, unknown_to
from .answer_limits import is_arithmetic, too_big, unfinished
from .answer_pool import POOL, Job, Outcome
from .answer_tidy import squeeze, tidy

PROFILES = ("strict", "lenient")
VERSION = 1  # of the rules here and in the siblings; a change that moves verdicts raises it
LONGEST_LENIENT = 50_000  # characters of a whole reply

_BOX_PARTS = re.compile(r"\\boxed\s*\{|\\.|[{}]", re.DOTALL)
_SHOWN = 120  # characters of an answer that a verdict repeats
_MOST_KEPT = 65536
_ALGEBRA = "algebra"  # in place of a state: only the pool can tell


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
        found = [reply if len(reply) <= LONGEST_LENIENT else "" for _, reply in pairs]
        settled = [_lenient(truth, reply) for truth, reply in pairs]
    else:
        found = [(last_tag(reply, tag) if tag else last_box(reply)) or "" for _, reply in pairs]
        settled = [_settled(truth, answer) for (truth, _), answer in zip(pairs, found, strict=True)]
    jobs = [
        (profile, truth, answer)
        for (truth, _), answer, (state, _) in zip(pairs, found, settled, strict=True)
        if state == _ALGEBRA
    ]
    known = _algebra(jobs) if jobs else {}
    outcomes = [
        known[profile, truth, answer] if outcome[0] == _ALGEBRA else outcome
        for (truth, _), answer, outcome in zip(pairs, found, settled, strict=True)
    ]
    return [
        _verdict(outcome, truth, "" if profile == "lenient" else answer)
        for outcome, (truth, _), answer in zip(outcomes, pairs, found, strict=True)
    ]


def _verdict(outcome: Outcome, truth: str, found: str) -> Verdict:
    state = VerdictState(outcome[0])
    reward = None if state is VerdictState.ERROR else float(state is VerdictState.CORRECT)
    why = outcome[1] or ("" if reward else f"expected {truth[:_SHOWN]}")
    return Verdict(reward, state, found[:_SHOWN] or None, why)


def _lenient(truth: str, reply: str) -> Outcome:
    if len(reply) > LONGEST_LENIENT:
        return "refused", f"longer than {LONGEST_LENIENT} characters"
    return _ALGEBRA, ""


@lru_cache(maxsize=_MOST_KEPT)
def _settled(truth: str, found: str) -> Outcome:
    """Return what limits and exact forms say, or that only algebra can tell."""
    if not found:
        return "unparsed", "no answer where it must stand"
    if reason := too_big(truth):
        return "error", f"the truth is {reason}"
    if reason := too_big(found):
        return "refused", reason
    expected, given = read_form(truth), read_form(found)
    equal = same(expected, given, unknown_to)
    if equal:
        return "correct", ""
    if reason := _refusal(expected, given, found):
        return "refused", reason
    return ("wrong", "") if equal is False else (_ALGEBRA, "")


def _refusal(truth: Form, found: Form, raw: str) -> str:
    if found.kind in ("list", "set") and len(found.parts) > 1 and truth.kind not in ("list", "set"):
        return "several answers where the truth is one"
    if truth.kind == found.kind == "number":
        return ""
    reason = unfinished(truth.text, squeeze(tidy(raw)) if found.kind != "equation" else found.parts[0].text)
    if not reason and truth.kind == "number" and is_arithmetic(found.text):
        return "unevaluated arithmetic"
    return reason


# -- what the pool has said --------------------------------------------------------------------------------------------

_kept: OrderedDict[Job, Outcome] = OrderedDict()
_keeping = threading.Lock()


def _algebra(jobs: Sequence[Job]) -> dict[Job, Outcome]:
    """Return outcomes by job. Those of before are kept, failures of the host apart; spelling variants are one job."""
    spelt = {job: _spelling(job) for job in jobs}
    with _keeping:
        known = {key: _kept[key] for key in set(spelt.values()) if key in _kept}
    asked = [key for key in dict.fromkeys(spelt.values()) if key not in known]
    known |= dict(zip(asked, POOL.judge(asked), strict=True)) if asked else {}
    with _keeping:
        for key, outcome in known.items():
            if outcome[0] != "error":
                _kept[key] = outcome
                _kept.move_to_end(key)
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    return {job: known[key] for job, key in spelt.items()}


def _spelling(job: Job) -> Job:
    profile, truth, found = job
    return job if profile == "lenient" else (profile, truth, tidy(found))


def forget_answers() -> None:
    """Empty the caches; verdicts do not change by it."""
    with _keeping:
        _kept.clear()
    _settled.cache_clear()
    read_form.cache_clear()
