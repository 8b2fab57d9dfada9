"""What the table of reasoning-gym says in figures: levels, times, lengths, floors. Writes envs/rg_table.json in place.

    python benchmarks/rg_table.py [NAME ...]      # minutes; decisions in the table (score, notes, ...) stay

Floor: the best mean reward, over half of the items, of the replies that did best on the other half; tried are the 30
commonest right answers, some usual guesses and the prompt itself. A level works if three problems of it can be made
within a second each. Known beforehand: some of their generators loop for minutes, so an alarm ends a level that hangs.
"""

import hashlib
import json
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from eggym.envs.rg_table import rows, task_id
from eggym.registry import load_task
from eggym.task import Item, Task

TABLE = Path(__file__).parent.parent / "envs" / "rg_table.json"
N_ITEMS = 400
LIMIT_S = 10.0  # of CPU time for making the items of a task
LEVEL_LIMIT_S = 1.0  # for one problem
GUESSES = (
    "0", "1", "2", "-1", "True", "False", "Yes", "No", "yes", "A", "[]", "{}", "[[]]", "0 0", "0 0\n0 0", "P", "Q",
    "(P \u2228 Q)", "(P \u2227 Q)", "(P \u2192 P)",
    "R", "R R'", "U", "infeasible", "No solution", "0/1", "1/2", "0.5", "A1", "x",
)  # fmt: skip


class Hung(Exception):
    """A generator took too long."""


def main(names: list[str]) -> None:
    """Measure the named tasks, or all, and write the table after each."""
    signal.signal(signal.SIGALRM, _ring)
    for name in names or list(rows()):
        row = rows()[name]
        if "refused" not in row:
            row |= measure(name)
            rows()[name] = dict(sorted(row.items()))
            TABLE.write_text(_pretty(), encoding="utf-8")
            print(name, row["floor"], repr(row["blind"]), row["ms"], row["distinct"], row["levels"], flush=True)


def measure(name: str) -> dict[str, Any]:
    """Return the measured fields of a task's row."""
    row: dict[str, Any] = {"levels": [level for level in range(8) if works(name, level)]}
    task = load_task(task_id(name))
    task.row["longest"] = 10**6
    start, items = time.process_time(), []
    while len(items) < N_ITEMS and time.process_time() - start < LIMIT_S:
        items.append(task.item("train", len(items)))
    drawn = time.process_time() - start
    answers = [len(str(item.truth)) for item in items if item.truth is not None]
    row["ms"] = round(1e3 * drawn / len(items) * (1.0 if row.get("split") == "window" else 0.8), 2)  # 1 of 5 is redrawn
    row["chars"] = max(len(item.prompt) for item in items)
    row["distinct"] = f"{len({item.prompt for item in items})} of {len(items)}"
    row["longest"] = max(200, 4 * max(answers, default=250))
    row["tokens"] = min(4096, max(512, 2 ** (256 + max(answers, default=256)).bit_length()))
    row["items"] = hashlib.sha256(json.dumps([[one.prompt, one.truth] for one in items[:4]]).encode()).hexdigest()[:16]
    row["floor"], row["blind"] = floor(task, items)
    return row


def works(name: str, level: int) -> bool:
    """Return whether three problems of a level can be made in time."""
    from reasoning_gym.factory import CURRICULA, create_curriculum

    if name not in CURRICULA:
        return False
    if level >= max(len(one.levels) for one in create_curriculum(name).attributes.values()):
        return False
    signal.setitimer(signal.ITIMER_REAL, 6 * LEVEL_LIMIT_S)
    start = time.process_time()
    try:
        rows()[name]["levels"] = [level]
        task = load_task(task_id(name), level=level)
        for place in (5, 10**6, 10**9):
            task._item(place)  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001 - their generators raise anything at levels that were never tried
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return time.process_time() - start < 3 * LEVEL_LIMIT_S


def floor(task: Task, items: list[Item]) -> tuple[float, str]:
    """Return what the best blind reply earns, and that reply."""
    tried, held = items[::2], items[1::2]
    common = [text for text, _ in Counter(str(item.truth) for item in tried).most_common(30)]
    replies = [f"<answer>{text}</answer>" for text in dict.fromkeys((*common, *GUESSES))]
    mean = {reply: _mean(task, tried, reply) for reply in replies}
    best = max(replies, key=lambda reply: mean[reply])
    copying = sum(_reward(task, item, f"<answer>{item.prompt}</answer>") for item in held) / len(held)
    earned = _mean(task, held, best)
    return (round(earned, 4), best[8:-9]) if earned >= copying else (round(copying, 4), "(the prompt)")


def _mean(task: Task, items: list[Item], reply: str) -> float:
    return sum(_reward(task, item, reply) for item in items) / len(items)


def _reward(task: Task, item: Item, reply: str) -> float:
    state = task.begin(item, None)  # type: ignore[arg-type]  # single-turn tasks draw nothing
    task.step(state, reply)
    verdict = task.judge(state)
    if verdict.reward is None:
        raise RuntimeError(f"{task.id} cannot judge {reply!r}: {verdict.why}")
    return verdict.reward


def _pretty() -> str:
    lines = [f"{json.dumps(name)}: {json.dumps(row, ensure_ascii=False)}" for name, row in sorted(rows().items())]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _ring(*_: Any) -> None:
    raise Hung


if __name__ == "__main__":
    main(sys.argv[1:])
