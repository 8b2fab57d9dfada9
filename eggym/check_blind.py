"""The rules of `eggym.check` about replies that know nothing: blind guesses, and several answers at once."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile

from eggym.check_sample import (
    BLIND,
    PLAIN,
    Broken,
    Reply,
    Rule,
    Sample,
    constant,
    first_state,
    oracle_says,
    play_through,
    worth_of,
)
from eggym.seeding import stream
from eggym.splits import normalise
from eggym.task import Item, SingleTurnTask, Task

FLOOR_MARGIN = 0.5  # of the range of rewards: a better guesser than those tried may earn so much more
_N_SCREENED = 16  # items on which a blind guess must earn more than the floor to be tried on all
_N_COPIED = 8  # items whose answers are given to all the others
_N_SPRAYED = 4  # items to which several answers are given at once


def _floor(sample: Sample) -> str:
    """Say what is easily said, whatever is asked: it must not earn more than the declared floor, nor far less.

    Far less is a breach only where other items' answers are known and one reply is all: elsewhere a better guesser than
    those tried is thinkable.
    """
    task, items = sample.task, sample.items
    span = task.reward_range[1] - task.reward_range[0]
    others = [item for item in items if normalise(item.prompt) != normalise(items[-1].prompt)] or items
    best_name, best_mean = "", -math.inf
    for name, guess in _guesses(sample).items():
        mean, error = _earned(task, others[:_N_SCREENED], guess)
        if mean > task.floor:  # else it is no breach, and how much it earns is no matter
            mean, error = _earned(task, others, guess)
        own = name.startswith("another") / len(others)  # the answer is right at home
        if mean - own > task.floor + 3 * error + 0.02 * span:
            raise Broken(f"replying {name} earns {mean:.3f} on average, above the declared floor {task.floor:g}")
        best_name, best_mean = max((best_mean, best_name), (mean, name))[::-1]
    told = f"the best blind guess, {best_name}, earns {best_mean:.3f}; declared floor {task.floor:g}"
    known = isinstance(task, SingleTurnTask) and oracle_says(task, first_state(sample)) is not None
    if known and task.floor > best_mean + FLOOR_MARGIN * span:
        raise Broken(f"{told}, which no blind reply tried comes near: results above it would look worse than they are")
    return told


def _guesses(sample: Sample) -> dict[str, Reply]:
    """Return players who do not look at what is asked, by name."""
    guesses: dict[str, Reply] = {repr(text): constant(text) for text in ("", *PLAIN, *BLIND)}
    guesses["the prompt itself"] = lambda state, observation: observation
    copied = dict.fromkeys(_answers(sample))
    return guesses | {f"another item's answer, {text!r:.30}": constant(text) for text in copied}


def _earned(task: Task, items: list[Item], guess: Reply) -> tuple[float, float]:
    """Return mean and standard error of the rewards of a player."""
    rewards = [play_through(task, item, guess).reward or 0.0 for item in items]
    mean = sum(rewards) / len(rewards)
    return mean, math.sqrt(sum((reward - mean) ** 2 for reward in rewards)) / len(rewards)


def _spray(sample: Sample) -> str:
    """Say the right answer among those of other items, at every place: it must not earn more than one pick of them.

    A scorer that reads the last answer, or the first, gives 1 of n. Not seen: a spray of another form than these, and
    what is said in several turns.
    """
    task, high = sample.task, sample.task.reward_range[1]
    if not isinstance(task, SingleTurnTask) or task.free_form or oracle_says(task, first_state(sample)) is None:
        return "not asked for: no oracle, several turns, or free text"
    highest = -math.inf
    for form in _sprays(task):
        excess = []
        for item in sample.items[:_N_SPRAYED]:
            replies = form(item, _others(sample, item))
            earned = [worth_of(play_through(task, item, constant(reply))) or 0.0 for reply in replies]
            if len(earned) > 1:
                excess.append(sum(earned) / len(earned) - (high - task.floor) / len(earned))
        if excess:
            highest = max(highest, sum(excess) / len(excess))
    if highest > task.floor + 0.02 * (high - task.reward_range[0]):
        raise Broken(
            f"the right answer among those of other items earns {highest:.3f} more than one pick of them should, above "
            f"the floor {task.floor:g}: does the scorer take any answer of several? (free_form = True where it may)"
        )
    return "several answers in one reply earn no more than one pick of them"


def _sprays(task: Task) -> Iterator[Callable[[Item, list[str]], list[str]]]:
    """Give ways to say several answers at once, as far as the task's stop strings let them be said."""

    def joined(mark: str, item: Item, others: list[str]) -> list[str]:
        right = _oracle(task, item)
        return [mark.join([*others[:place], right, *others[place:]]) for place in range(len(others) + 1)]

    for mark in ("\n", "\n\n", " ", ", ", " or "):
        if not any(stop in mark for stop in task.stop):
            yield partial(joined, mark)

    def inside(mark: str, item: Item, others: list[str]) -> list[str]:
        right = _oracle(task, item)
        found, *rest = _read(task, item, [right, *others])
        if not found:
            return []
        known = [each for each in rest if each]
        lists = [mark.join([*known[:place], found, *known[place:]]) for place in range(len(known) + 1)]
        # everywhere: a scorer that reads the first, or the last, must find a list there
        return [right.replace(found, text) for text in lists]

    for mark in (", ", ","):
        if not any(stop in mark for stop in task.stop):
            yield partial(inside, mark)


def _read(task: Task, item: Item, replies: list[str]) -> list[str | None]:
    """Return the answers in replies of one form: as the scorer reads them, else what the form does not share."""
    found = [play_through(task, item, constant(reply)).found for reply in replies]
    if found[0] and found[0] in replies[0]:
        return found
    head = _form(replies)
    tail = _form([reply[head:][::-1] for reply in replies])
    return [reply[head : len(reply) - tail] for reply in replies] if head + tail else [None]


def _form(texts: list[str]) -> int:
    """Return the length of the form that all texts begin with: it ends with a mark, not within a word or number."""
    shared = len(list(takewhile(lambda column: len(set(column)) == 1, zip(*texts, strict=False))))
    return max((place + 1 for place in range(shared) if not texts[0][place].isalnum()), default=0)


def _others(sample: Sample, item: Item) -> list[str]:
    """Return answers of other items that are wrong here."""
    task, best = sample.task, sample.task.reward_range[1]
    replies = dict.fromkeys(_answers(sample))
    wrong = [reply for reply in replies if worth_of(play_through(task, item, constant(reply))) not in (best, None)]
    return wrong[: _N_COPIED - 1]


def _oracle(task: Task, item: Item) -> str:
    return oracle_says(task, task.begin(item, stream("check", task.id, item.split, item.index))) or ""


def _answers(sample: Sample) -> Iterator[str]:
    for item in sample.items[-_N_COPIED:]:
        answer = oracle_says(sample.task, sample.task.begin(item, stream("check", sample.task.id)))
        if answer is not None:
            yield answer


RULES: dict[str, Rule] = {
    "guessing earns the floor": _floor,
    "sprayed answers earn nothing": _spray,
}
