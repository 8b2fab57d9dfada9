"""Over all tasks of a duel: what one number says of a learner, and of every pair of ES and RL.

Only learners that ran on every task have a place here. Rewards are put on one scale, 0 for the least and 1 for the
largest reward of their task, and every task weighs the same.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from eggym.arena import Arena, Side
from eggym.many import interquartile_mean, optimality_gap, performance_profile, probability_of_improvement
from eggym.stats import Value, mean_t

TAUS = tuple(place / 50 for place in range(51))


def overall(arenas: Sequence[Arena]) -> dict[str, Any]:
    """Return the aggregates over tasks: per learner, per pair, and the performance profiles.

    ``difference`` of a pair: ES - RL by seed, averaged over tasks, with its t interval over seeds that have all tasks.
    """
    everywhere = _everywhere(arenas)
    sides = arenas[0].sides
    return {
        "tasks": len(arenas),
        "scale": "0: least reward of the task, 1: largest",
        "learners": [_learner(everywhere[side.label], side) for side in sides if side.label in everywhere],
        "pairs": [
            _pair(es, rl, everywhere[es.label], everywhere[rl.label])
            for es, rl in arenas[0].pairs()
            if es.label in everywhere and rl.label in everywhere
        ],
        "taus": list(TAUS),
    }


Scores = list[dict[int, Value]]  # by task, then by seed


def _everywhere(arenas: Sequence[Arena]) -> dict[str, Scores]:
    """Return the scores of every learner that ran on all tasks."""
    found: dict[str, Scores] = {}
    for arena in arenas:
        low, high = arena.sides[0].records[0].task.reward_range
        for side in arena.sides:
            finals = side.finals(arena.primary)
            scaled = {seed: None if one is None else (one - low) / (high - low) for seed, one in finals.items()}
            found.setdefault(side.label, []).append(scaled)
    return {label: scores for label, scores in found.items() if len(scores) == len(arenas)}


def _learner(scores: Scores, side: Side) -> dict[str, Any]:
    every = [value for task in scores for value in task.values()]
    profile = performance_profile(every, TAUS)
    return {
        "learner": side.label,
        "kind": side.kind,
        "runs": sum(value is not None for value in every),
        "iqm": interquartile_mean(every),
        "optimality_gap": asdict(optimality_gap([[task.get(seed) for task in scores] for seed in _seeds(scores)])),
        "profile": [{"share": one.mean, "low": one.low, "high": one.high} for one in profile],
    }


def _pair(es: Side, rl: Side, es_scores: Scores, rl_scores: Scores) -> dict[str, Any]:
    x_T_S, y_T_S = ([list(task.values()) for task in scores] for scores in (es_scores, rl_scores))
    found = probability_of_improvement(x_T_S, y_T_S)
    shared = [seed for seed in _seeds(es_scores) if seed in _seeds(rl_scores)]
    return {
        "es": es.label,
        "rl": rl.label,
        "probability_of_improvement": asdict(found),
        "difference": asdict(mean_t(_difference(es_scores, rl_scores, seed) for seed in shared)),
    }


def _difference(es: Scores, rl: Scores, seed: int) -> Value:
    pairs = [(a.get(seed), b.get(seed)) for a, b in zip(es, rl, strict=True)]
    differences = [a - b for a, b in pairs if a is not None and b is not None]
    return sum(differences) / len(differences) if len(differences) == len(pairs) else None


def _seeds(scores: Scores) -> list[int]:
    return sorted({seed for task in scores for seed in task})
