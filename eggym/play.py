"""A person plays one episode of a task, in a terminal or wherever text can be asked for and told."""

from collections.abc import Callable

from eggym.seeding import stream
from eggym.task import Task, Verdict
from eggym.wording import printable

Ask = Callable[[str], str]  # shows a prompt, returns what the person typed
Tell = Callable[[str], None]
_FENCES = ("```", "~~~")


def whole_reply(read: Ask) -> str:
    """Return a reply: a line, or all lines of a fenced block, from the fence that opens it to the one that closes it.

    A block that is never closed ends with the input.
    """
    lines = [read("> ")]
    opened = lines[0].lstrip()[:3]
    if opened not in _FENCES:
        return lines[0]
    while len(lines) < 2 or lines[-1].strip() != opened:
        try:
            lines.append(read(""))
        except EOFError:
            break
    return "\n".join(lines)


def play(task: Task, split: str, index: int, ask: Ask, tell: Tell) -> Verdict:
    """Let a person answer item ``index`` of a split; tell prompt, observations and verdict, and the best reply.

    In a task of several turns, what the oracle would have said is told at the end too, turn by turn. What comes from
    the task is told with its control characters escaped: a terminal would obey them.

    Raises:
        BadValue: no such split or index.
        TaskFault: the task's own code failed.
    """
    item = task.item(split, index)
    state = task.begin(item, stream("play", task.id, split, index))
    tell(printable(item.prompt))
    best: list[str | None] = []
    done = False
    while not done and len(best) < task.max_turns:
        best.append(task.oracle_reply(state))
        observation, done = task.step(state, whole_reply(ask))
        if observation:
            tell(printable(observation))
    verdict = task.judge(state)
    tell(printable(_line(verdict)))
    if any(reply is not None for reply in best):
        told = best[:1] if len(set(best)) == 1 else best
        tell(printable("the best: " + " / ".join("?" if reply is None else reply for reply in told)))
    return verdict


def _line(verdict: Verdict) -> str:
    """Return the verdict in one line for a person."""
    reward = "no reward" if verdict.reward is None else f"reward {verdict.reward:g}"
    read = "" if verdict.found is None else f", read as {verdict.found!r}"
    return f"{verdict.state}: {reward}{read}" + (f" ({verdict.why})" if verdict.why else "")
