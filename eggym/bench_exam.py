"""How much of a long rollout the environment takes: exams of many questions, played by the embedded model.

The rollout is timed as a whole; then its replies are handed to the environment alone, turn by turn and in batches as
before, and judged. The second time over the first is the environment's share.
"""

import time
from collections.abc import Sequence

from eggym.budget import FlopModel, Meter
from eggym.engine import Engine
from eggym.episode import EpisodeBatch
from eggym.policy import EMBEDDED, Prompting, load_policy
from eggym.registry import load_task
from eggym.rollout import Rollout
from eggym.seeding import stream
from eggym.task import Item, Task
from eggym.vector import TextVectorEnv
from eggym.views import PolicyViews


def exam_rollout(turns: int, n_items: int, step: int) -> tuple[float, float]:
    """Return CPU seconds of a rollout of ``n_items`` exams, 16 sittings each, and of its environment alone."""
    task = load_task("eggym/exam-v0", turns=turns)
    policy = load_policy(EMBEDDED[0], "cpu", "float32")
    engine = Engine(policy, Meter(FlopModel.of(policy.model)))
    began = time.process_time()
    items = [task.item("train", step * n_items + place) for place in range(n_items)]
    batch = Rollout(engine, task, Prompting.of(task, {}), 0).run(PolicyViews(n_items, 16, 1.0), items, step)
    whole = time.process_time() - began
    began = time.process_time()
    items = [task.item("train", step * n_items + place) for place in range(n_items)]
    _again(task, batch, items)
    return whole, time.process_time() - began


def _again(task: Task, batch: EpisodeBatch, items: Sequence[Item]) -> None:
    env = TextVectorEnv(task, 1)
    asked = [items[one.slot] for one in batch.episodes]
    env.begin(asked, [stream("again", one.slot, one.sample) for one in batch.episodes])
    rows = list(range(len(asked)))
    for turn in range(max(len(one.turns) for one in batch.episodes)):
        going = [row for row in rows if turn < len(batch.episodes[row].turns)]
        env.reply(going, [batch.episodes[row].turns[turn].reply for row in going])
        env.rewards(going)
    found = [verdict.reward for verdict in env.judge(rows)]
    assert found == [one.reward for one in batch.episodes], "the same replies must earn the same rewards"  # noqa: S101 - a figure over other rewards is none
