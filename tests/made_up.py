"""Records that are made up: what a run would leave, with the rewards that a test wants."""

import math
import random

from eggym.files import canonical_json, sha256_json
from eggym.record import Measured, Record, run_id
from eggym.score import Spent
from eggym.stats import clustered_mean

TASKS = ("eggym/tiny-arithmetic-v0", "eggym/tiny-orders-v0", "eggym/tiny-programs-v0")
LEARNERS = {"eggroll": "es", "dr_grpo": "rl", "frozen": "control"}
BUDGET = 3e11
N_ITEMS = 40


def spent(share, kind):
    episodes = int(share * (9000 if kind == "es" else 2400))
    flops = int(share * BUDGET)
    counts = {"episodes": episodes, "prompt_tokens": 9 * episodes, "action_tokens": 11 * episodes, "env_tokens": 0}
    return Spent(
        **counts,
        rollout_flops=flops,
        learner_flops=0,
        flops=flops,
        computed_flops=2 * flops,
        reward_calls=episodes,
    )


def score(mean, temperature):
    """Right answers to the first items, and one in part where the mean asks for it."""
    known = [] if mean is None else [min(max(mean * N_ITEMS - index, 0.0), 1.0) for index in range(N_ITEMS)]
    found, error = clustered_mean(known)
    rewards = known or [None] * N_ITEMS
    return {
        "temperature": temperature,
        "mean": found,
        "se": error,
        "n_items": N_ITEMS,
        "n_replies": N_ITEMS,
        "states": {"correct": N_ITEMS},
        "rewards": rewards,
    }


def run(task, learner, seed, means, kind=None, options=None, task_info=None, asked=None, more=None, **changes):
    """A record whose greedy rewards are ``means``, evaluated at equal shares of the budget."""
    kind = kind or LEARNERS[learner]
    options = options if options is not None else {"lr": 0.1}
    config = {"learner": learner, "seed": seed, "task": task, "options": options, **(asked or {})}
    shares = [index / max(len(means) - 1, 1) for index in range(len(means))]
    points = [
        {
            "step": index,
            "fraction": share,
            "spent": spent(share, kind),
            "greedy": score(mean, 0.0),
            "sampled": score(mean if mean is None else 0.8 * mean, 1.0),
        }
        for index, (share, mean) in enumerate(zip(shares, means, strict=True))
    ]
    code = {"eggym": "0.1.0", "git_commit": None, "git_dirty": None, "python": "3.11", "libraries": {"torch": "2.13.0"}}
    fields = {
        "id": run_id(sha256_json(config), seed, f"digest {task}", "m"),
        "config": config,
        "seed": seed,
        "learner": {"name": learner, "kind": kind, "profile": "tiny", "options": options, **(more or {})},
        "task": {
            "id": task,
            "difficulty": {},
            "digest": f"digest {task}",
            "floor": 0.0,
            "reward_range": [0.0, 1.0],
            "data": None,
            **(task_info or {}),
        },
        "model": {
            "name": "embedded-v0",
            "sha256": "m",
            "n_parameters": 300_000,
            "n_trainable": 250_000,
            "dtype": "f32",
        },
        "budget": {"axis": "flops", "limit": BUDGET},
        "spent": points[-1]["spent"],
        "evaluation_spent": spent(0.1, kind),
        "n_steps": len(means) - 1,
        "training_states": {"correct": points[-1]["spent"].episodes},
        "primary": "greedy",
        "points": points,
        "weights_sha256": "w",
        "files": {},
        "provenance": {**code, "config_sha256": sha256_json(config)},
    }
    return Record.model_validate_json(canonical_json({**fields, **changes}))


def measurement(record, seconds=12.0):
    return Measured(
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T00:00:20+00:00",
        cpu_s=seconds,
        wall_s=20.0,
        phases={"rollout": 9.0},
        peak_rss_bytes=400 * 2**20,
        sessions=1,
        host={"cpu": "test"},
        cpu_s_at_points=[seconds * point.fraction for point in record.points],
    )


def learning(start, end, seed, n=9):
    """A curve that rises fast, then slowly, with some noise on the way."""
    rng = random.Random(repr((start, end, seed)))
    way = [1 - math.exp(-3.5 * index / (n - 1)) for index in range(n)]
    noise = [0.0, *(rng.gauss(0, 0.012) for _ in range(n - 2)), 0.0]
    return [start + (end - start) * share / way[-1] + wobble for share, wobble in zip(way, noise, strict=True)]


# by task: what ES and RL reach with three seeds; ES is ahead, nobody is, RL is ahead
ENDS = {
    TASKS[0]: ((0.72, 0.70, 0.74), (0.55, 0.56, 0.53)),
    TASKS[1]: ((0.66, 0.62, 0.69), (0.63, 0.66, 0.65)),
    TASKS[2]: ((0.48, 0.47, 0.50), (0.63, 0.60, 0.62)),
}


def a_duel(seeds=3, random_reward=False):
    """Three tasks, three learners."""
    records = []
    for task, (es, rl) in ENDS.items():
        for seed in range(1, seeds + 1):
            records += [
                run(task, "eggroll", seed, learning(0.31, es[seed - 1], seed)),
                run(task, "dr_grpo", seed, learning(0.31, rl[seed - 1], seed)),
                run(task, "frozen", seed, [0.31]),
            ]
            if random_reward:
                records.append(run(task, "random-reward:eggroll", seed, learning(0.31, 0.3, seed), kind="control"))
    return records, {record.id: measurement(record) for record in records}


def changed(seed=1, retained=0.4):
    """What a run changed beside its reward, as `eggym.score.Beyond` would be read from a record."""
    many = [
        {**score(mean, 1.0), "pass_at": {"1": mean, "64": top, "8": (mean + top) / 2}, "distinct": distinct}
        for mean, top, distinct in ((0.25, 0.75, 0.8), (0.5, 0.9, 0.5))
    ]
    return {
        "weight_change": {"all": 0.1 * seed, "layers.0": 0.2 * seed},
        "kl_base": 0.01 * seed,
        "train": {"start": score(0.25, 0.0), "end": score(0.75, 0.0)},
        "many": {"start": many[0], "end": many[1]},
        "retention": {"eggym/tiny-orders-v0": {"start": score(0.5, 0.0), "end": score(retained, 0.0)}},
    }


TUNING = {
    "task": "eggym/tiny-orders-v0",
    "split": "validation",
    "space": {"lr": [0.1, 0.2]},
    "trials": [
        {"options": {"lr": 0.1}, "score": None, "run": "diverged at step 3", "flops": 10**9},
        {"options": {"lr": 0.2}, "score": 0.75, "run": "0123456789abcdef", "flops": 2 * 10**9},
    ],
    "chosen": 1,
}
