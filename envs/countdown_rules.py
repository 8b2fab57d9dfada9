"""How a countdown reply is read and paid: the house rule, and the rules behind published figures.

| preset          | which block counts            | nothing / tried / right | tried means                      |
|-----------------|-------------------------------|-------------------------|----------------------------------|
| none            | the only one, or equal ones   | 0 / 0 / 1 (`partial`)   | an expression that has a value   |
| `tinyzero`      | last, on the last line alone  | 0 / 0.1 / 1             | there is a block                 |
| `es`            | last, across lines            | 0 / 0 / 1, + 0.1 x form |                                  |
| `reasoning_gym` | last, across lines            | 0.01 / 0.05 / 1         | an expression that has a value   |

Sources: TinyZero (github.com/Jiayi-Pan/TinyZero), Qiu et al. 2025 (arXiv 2509.24372), reasoning-gym (its countdown).
The presets pay honest replies as those do. They do not repeat their holes: all read with `.expressions`, so powers,
floor division, decimals, digits of other scripts and code never reach the target. Form under ``es`` is judged with the
``<think>`` that its prompts end in: 1 for the thinking, a line break, the answer and nothing else; otherwise 0.1 for a
whole thinking block and 0.5 for a whole answer block.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from eggym.task import Verdict, VerdictState

from .expressions import BY_ZERO, EMPTY, EXTRA, LONGEST, Reading, Unreadable, evaluate

OPEN, CLOSE = "<answer>", "</answer>"
NO_BLOCK = "no answer block"
DIFFERENT = "answer blocks differ"
WRONG_NUMBERS = "numbers"
WRONG_VALUE = "value"

_EXACT = (Fraction(0), Fraction(0))


@dataclass(frozen=True, slots=True)
class Rules:
    """One way to read and pay replies; all that a score depends on beside the item."""

    pick: Callable[[str], str]  # the answer in a reply; raises Unreadable
    credits: tuple[float, float, float]  # for nothing, an attempt, the target
    block_is_attempt: bool = False  # is an answer that cannot be worked out paid as an attempt?
    answer_weight: float = 1.0
    format_weight: float = 0.0
    form: Callable[[str], float] | None = None  # 0 to 1
    tolerance: tuple[Fraction, Fraction] = _EXACT  # absolute, and relative to the target
    unary_minus: bool = False
    all_numbers: bool = True
    one_line: bool = False  # may the answer hold no line breaks and tabs?

    @property
    def floor(self) -> float:
        """What the best fixed reply earns: an attempt in perfect form. No fixed expression fits many items."""
        return self.answer_weight * self.credits[1] + self.format_weight

    @property
    def reward_range(self) -> tuple[float, float]:
        """The least and the most that a reply can earn."""
        return self.answer_weight * self.credits[0], self.answer_weight * self.credits[2] + self.format_weight


def judge(rules: Rules, numbers: Sequence[int], target: int, reply: str) -> Verdict:
    """Return the verdict on a reply: the state, and in ``why`` first the name of what is wrong."""
    found = None
    try:
        found = rules.pick(reply)
        if rules.one_line and not found.isprintable():
            raise Unreadable(EXTRA, "a line break, a tab or the like")
        reading = evaluate(found, rules.unary_minus)
    except Unreadable as problem:
        tried = found is not None and rules.block_is_attempt
        return _paid(rules, reply, int(tried), problem.state, found, str(problem))
    if not _numbers_fit(rules, reading.numbers, numbers):
        used, given = (" ".join(map(str, sorted(each))) for each in (reading.numbers, numbers))
        return _paid(rules, reply, 1, VerdictState.WRONG, found, f"{WRONG_NUMBERS}: uses {used}; given {given}")
    if not _value_fits(rules, reading, target):
        value = Fraction(reading.numerator, reading.denominator)
        return _paid(rules, reply, 1, VerdictState.WRONG, found, f"{WRONG_VALUE}: equals {value}; target {target}")
    return _paid(rules, reply, 2, VerdictState.CORRECT, found, "target reached")


def _paid(rules: Rules, reply: str, rung: int, state: VerdictState, found: str | None, why: str) -> Verdict:
    reward = rules.answer_weight * rules.credits[rung]
    if rules.form is None:
        return Verdict(reward, state, found and found[:LONGEST], why)
    form = rules.form(reply)
    parts = {"answer": rules.credits[rung], "form": form}
    return Verdict(reward + rules.format_weight * form, state, found and found[:LONGEST], why, parts)


def _numbers_fit(rules: Rules, used: list[int], given: Sequence[int]) -> bool:
    if rules.all_numbers:
        return sorted(used) == sorted(given)
    return all(used.count(number) <= given.count(number) for number in used)


def _value_fits(rules: Rules, reading: Reading, target: int) -> bool:
    excess = reading.numerator - target * reading.denominator  # off by excess / denominator
    if not excess or rules.tolerance is _EXACT:
        return not excess
    absolute, relative = rules.tolerance
    return abs(excess) <= (absolute + relative * abs(target)) * abs(reading.denominator)


# -- which part of a reply is the answer ----------------------------------------------------------------------------
def blocks(reply: str) -> list[str]:
    """Return what stands between each ``<answer>`` and the next ``</answer>``, in order; linear in the reply."""
    found = []
    start = reply.find(OPEN)
    while start >= 0:
        start += len(OPEN)
        end = reply.find(CLOSE, start)
        if end < 0:
            break
        found.append(reply[start:end])
        start = reply.find(OPEN, end + len(CLOSE))
    return found


def only_block(reply: str) -> str:
    """Return the answer if all blocks that hold something say the same, blanks aside."""
    found = [each.strip() for each in blocks(reply)]
    if not found:
        raise Unreadable(NO_BLOCK)
    filled = [each for each in found if each]
    if len(filled) > 1 and len({"".join(each.split()) for each in filled}) > 1:
        raise Unreadable(DIFFERENT, f"{len(filled)} of them", VerdictState.REFUSED)
    if not filled:
        raise Unreadable(EMPTY)
    return filled[-1]


def last_block(reply: str) -> str:
    """Return the content of the last block."""
    found = blocks(reply)
    if not found:
        raise Unreadable(NO_BLOCK)
    return found[-1]


def last_block_of_last_line(reply: str) -> str:
    """Return the content of the last block that opens and closes on the last line."""
    return last_block(reply.rpartition("\n")[2]).strip()


# -- the form of a reply --------------------------------------------------------------------------------------------
def plain_form(reply: str) -> float:
    """Return 1 if the reply ends with its only block, which holds an expression that has a value; else 0."""
    found = blocks(reply)
    if len(found) != 1 or not reply.rstrip().endswith(CLOSE):
        return 0.0
    try:
        evaluate(found[0], unary_minus=True)
    except Unreadable as problem:
        return float(problem.name == BY_ZERO)
    return 1.0


def think_form(reply: str) -> float:
    """Return how far a reply, behind the ``<think>`` of its prompt, has the shape of thinking, line break, answer."""
    closes = "</think>\n" + OPEN
    start = reply.find(closes)
    has_answer = bool(blocks(reply))
    if start >= 0 and reply.endswith(CLOSE, start + len(closes)):
        return 1.0
    return 0.1 * ("</think>" in reply) + 0.5 * has_answer


PRESETS: dict[str, Rules] = {
    "tinyzero": Rules(
        last_block_of_last_line,
        (0.0, 0.1, 1.0),
        block_is_attempt=True,
        tolerance=(Fraction(1, 10**5), Fraction(0)),
        unary_minus=True,
    ),
    "es": Rules(
        last_block,
        (0.0, 0.0, 1.0),
        format_weight=0.1,
        form=think_form,
        tolerance=(Fraction(1, 10**5), Fraction(0)),
        unary_minus=True,
        one_line=True,
    ),
    "reasoning_gym": Rules(
        last_block,
        (0.01, 0.05, 1.0),
        tolerance=(Fraction(1, 10**6), Fraction(1, 10**5)),
        unary_minus=True,
    ),
}
