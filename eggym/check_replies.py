"""The rules of `eggym.check` about replies: is every one judged, alike, and within bounds?"""

import math
import time
from collections.abc import Iterator

from eggym.check_sample import (
    HOSTILE,
    N_HOSTILE,
    PLAIN,
    Broken,
    Rule,
    Sample,
    best_reply,
    constant,
    first_state,
    oracle_says,
    play_on,
    play_through,
    shown,
    twin_of,
    worth_of,
)
from eggym.seeding import stream
from eggym.task import Item, MultiTurnTask

SCORING_LIMIT_S = 1.0  # CPU seconds for one reply, however hostile


def _best(sample: Sample) -> str:
    task, best = sample.task, sample.task.reward_range[1]
    if oracle_says(task, first_state(sample)) is None:
        return "no oracle: the best reward is not known to be reachable"
    for item in sample.items:
        verdict = play_through(task, item, best_reply(task))
        worth, told = worth_of(verdict), "" if "true" not in verdict.parts else " of the true reward"
        if worth is None or not math.isclose(worth, best, abs_tol=1e-9):
            raise Broken(f"the oracle gets {worth}{told} on item {item.index}, not {best:g}; {verdict.why}")
    return f"the oracle gets {best:g}{told} on all items"


def _judges(sample: Sample) -> str:
    """Score plain replies twice: one after the other, then in the opposite order by another instance."""
    twin = twin_of(sample.task)
    once = [(item, reply) for item in sample.items for reply in ("", item.prompt, *PLAIN, *_talk(item))]
    rewards = []
    for item, reply in once:
        verdict = play_through(sample.task, item, constant(reply))
        if verdict.reward is None:
            raise Broken(f"cannot judge {reply!r:.40} on item {item.index}: {verdict.why}")
        rewards.append(verdict.reward)
    for place in reversed(range(len(once))):
        item, reply = once[place]
        again = play_through(twin, item, constant(reply)).reward
        if again != rewards[place]:
            raise Broken(f"scores {reply!r:.40} on item {item.index} as {rewards[place]} and {again}")
    low, high = sample.task.reward_range
    return f"plain replies are judged, twice alike, within [{low:g}, {high:g}]"


def _talk(item: Item) -> Iterator[str]:
    """Give what a model might say to this item alone: a number that nobody said before, and a sentence."""
    number = 10_000_019 + 7919 * item.index
    yield str(number)
    yield f"I think that the answer is {number}, because it is so."


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


RULES: dict[str, Rule] = {
    "oracle gets the best reward": _best,
    "plain replies are judged": _judges,
    "replies do not meet": _together,
    "parts keep their names": _parts,
    "turn rewards add up": _turns,
    "hostile replies are judged": _hostile,
}
