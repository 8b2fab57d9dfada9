"""The rules of `eggym.check` about replies: is every one judged, alike, within bounds, and worth what is declared?"""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile

from eggym.check_sample import (
    HOSTILE,
    N_HOSTILE,
    PLAIN,
    Broken,
    Reply,
    Rule,
    Sample,
    best_reply,
    constant,
    first_state,
    oracle_says,
    play_on,
    play_through,
    shown,
)
from eggym.seeding import stream
from eggym.splits import normalise
from eggym.task import Item, MultiTurnTask, SingleTurnTask, Task, Verdict

SCORING_LIMIT_S = 1.0  # CPU seconds for one reply, however hostile
_N_COPIED = 8  # items whose answers are given to all the others
_N_SPRAYED = 4  # items to which several answers are given at once


def _best(sample: Sample) -> str:
    task, best = sample.task, sample.task.reward_range[1]
    if oracle_says(task, first_state(sample)) is None:
        return "no oracle: the best reward is not known to be reachable"
    for item in sample.items:
        verdict = play_through(task, item, best_reply(task))
        worth, told = _worth(verdict), "" if "true" not in verdict.parts else " of the true reward"
        if worth is None or not math.isclose(worth, best, abs_tol=1e-9):
            raise Broken(f"the oracle gets {worth}{told} on item {item.index}, not {best:g}; {verdict.why}")
    return f"the oracle gets {best:g}{told} on all items"


def _worth(verdict: Verdict) -> float | None:
    """Return the true reward where the reward is a proxy, which an honest best reply need not max out."""
    return None if verdict.reward is None else verdict.parts.get("true", verdict.reward)


def _judges(sample: Sample) -> str:
    for item in sample.items:
        for reply in ("", item.prompt, *PLAIN):
            first, second = (play_through(sample.task, item, constant(reply)) for _ in range(2))
            if first.reward is None:
                raise Broken(f"cannot judge {reply!r:.40} on item {item.index}: {first.why}")
            if first.reward != second.reward:
                raise Broken(f"scores {reply!r:.40} on item {item.index} as {first.reward} and {second.reward}")
    low, high = sample.task.reward_range
    return f"plain replies are judged, twice alike, within [{low:g}, {high:g}]"


def _together(sample: Sample) -> str:
    """Judge many replies in one call, and one by one: a batch scorer must not let them meet."""
    task = sample.task
    if task.grouped:
        return "not asked for: replies are judged in groups"
    replies = [best_reply(task), *map(constant, PLAIN)]
    states = [play_on(task, item, reply) for item in sample.items[:8] for reply in replies]
    alone = [task.judge(state).reward for state in states]
    for order in (list(range(len(states))), list(reversed(range(len(states))))):
        found = task.judge_all([states[place] for place in order])
        if [verdict.reward for verdict in found] != [alone[place] for place in order]:
            raise Broken("replies are scored in another way when they are judged together, or in another order")
    return f"{len(states)} replies are scored alike one by one, together, and in another order"


def _parts(sample: Sample) -> str:
    names: dict[tuple[str, ...], str] = {}
    for item in sample.items[:8]:
        for text in ("", item.prompt, *PLAIN, None):
            reply = best_reply(sample.task) if text is None else constant(text)
            parts = play_through(sample.task, item, reply).parts
            if parts:
                names.setdefault(tuple(sorted(parts)), f"item {item.index}")
    if len(names) > 1:
        one, other = list(names)[:2]
        raise Broken(f"the parts of a reward are {', '.join(one)} on {names[one]} and {', '.join(other)} elsewhere")
    return f"parts: {', '.join(*names)}" if names else "rewards have no named parts"


def _turns(sample: Sample) -> str:
    if not isinstance(sample.task, MultiTurnTask) or type(sample.task).so_far is MultiTurnTask.so_far:
        return "rewards come at the end"
    low, high = sample.task.reward_range
    for item in sample.items[:8]:
        state = sample.task.begin(item, stream("check", sample.task.id, item.index))
        earned, done, turn = [sample.task.earned(state)], False, 0
        while not done and turn < sample.task.max_turns:
            _, done = sample.task.step(state, oracle_says(sample.task, state) or "0")
            earned.append(sample.task.earned(state))
            turn += 1
        if earned[0] != 0 or not all(low <= value <= high for value in earned):
            raise Broken(f"so_far runs through {earned} on item {item.index}: from 0, within [{low:g}, {high:g}]")
    return "what is earned so far begins at 0 and stays within the range of rewards"


def _hostile(sample: Sample) -> str:
    before = [play_through(sample.task, item, best_reply(sample.task)).reward for item in sample.items[:N_HOSTILE]]
    slowest, limit, tried = 0.0, SCORING_LIMIT_S * sample.task.max_turns, set()
    for text, reward, why, taken in _tries(sample):
        slowest = max(slowest, taken)
        tried.add(text)
        if reward is None:
            raise Broken(f"cannot judge {shown(text)}: {why}")
        if taken > limit:
            raise Broken(f"takes {taken:.1f} CPU seconds over {shown(text)}")
    after = [play_through(sample.task, item, best_reply(sample.task)).reward for item in sample.items[:N_HOSTILE]]
    if before != after:
        raise Broken(f"best replies get {before} before hostile ones, {after} after them: the scorer keeps a state")
    left = f" of {len(HOSTILE)} (the scorer is too slow for more)" if len(tried) < len(HOSTILE) else ""
    return f"{len(tried)} hostile replies{left} are judged, none in more than {slowest:.2g} CPU seconds"


def _tries(sample: Sample) -> Iterator[tuple[str, float | None, str, float]]:
    """Give text, reward, reason and CPU seconds of every hostile reply: tried elsewhere first, where it may hang."""
    found = sample.elsewhere
    if found is not None:
        for line in found.hostile:
            yield HOSTILE[line["reply"]], line["reward"], line["why"], line["cpu_s"]
        if found.failed:
            raise Broken(f"in another process: {found.failed}")
        if found.lost:
            raise Broken(found.lost)
        if found.after != found.outline:
            raise Broken("plain replies are scored otherwise after hostile ones: the scorer keeps a state")
        return  # what is judged there is judged here
    for item in sample.items[:N_HOSTILE]:
        for text in HOSTILE:
            start = time.process_time()
            verdict = play_through(sample.task, item, constant(text))
            yield text, verdict.reward, verdict.why, time.process_time() - start


def _floor(sample: Sample) -> str:
    task, items = sample.task, sample.items
    copied = list(dict.fromkeys(_answers(sample)))
    guesses: dict[str, Reply] = {repr(text): constant(text) for text in ("", *PLAIN)}
    guesses["the prompt itself"] = lambda state, observation: observation
    guesses |= {f"another item's answer, {text!r:.30}": constant(text) for text in copied}
    others = [item for item in items if normalise(item.prompt) != normalise(items[-1].prompt)] or items
    best_name, best_mean = "", -math.inf
    for name, guess in guesses.items():
        rewards = [play_through(task, item, guess).reward or 0.0 for item in others]
        mean = sum(rewards) / len(rewards)
        error = math.sqrt(sum((reward - mean) ** 2 for reward in rewards)) / len(rewards)
        own = name.startswith("another") / len(others)  # the answer is right at home
        if mean - own > task.floor + 3 * error + 0.02 * (task.reward_range[1] - task.reward_range[0]):
            raise Broken(f"replying {name} earns {mean:.3f} on average, above the declared floor {task.floor:g}")
        best_name, best_mean = max((best_mean, best_name), (mean, name))[::-1]
    return f"the best blind guess, {best_name}, earns {best_mean:.3f}; declared floor {task.floor:g}"


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
            earned = [_worth(play_through(task, item, constant(reply))) or 0.0 for reply in replies]
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
    head = _n_shared(replies)
    tail = _n_shared([reply[head:][::-1] for reply in replies])
    return [reply[head : len(reply) - tail] for reply in replies] if head + tail else [None]


def _n_shared(texts: list[str]) -> int:
    """Return with how many characters all texts begin alike."""
    return len(list(takewhile(lambda column: len(set(column)) == 1, zip(*texts, strict=False))))


def _others(sample: Sample, item: Item) -> list[str]:
    """Return answers of other items that are wrong here."""
    task, best = sample.task, sample.task.reward_range[1]
    replies = dict.fromkeys(_answers(sample))
    wrong = [reply for reply in replies if _worth(play_through(task, item, constant(reply))) not in (best, None)]
    return wrong[: _N_COPIED - 1]


def _oracle(task: Task, item: Item) -> str:
    return oracle_says(task, task.begin(item, stream("check", task.id, item.split, item.index))) or ""


def _answers(sample: Sample) -> Iterator[str]:
    for item in sample.items[-_N_COPIED:]:
        answer = oracle_says(sample.task, sample.task.begin(item, stream("check", sample.task.id)))
        if answer is not None:
            yield answer


RULES: dict[str, Rule] = {
    "oracle gets the best reward": _best,
    "plain replies are judged": _judges,
    "replies do not meet": _together,
    "parts keep their names": _parts,
    "turn rewards add up": _turns,
    "hostile replies are judged": _hostile,
    "guessing earns the floor": _floor,
    "sprayed answers earn nothing": _spray,
}
