"""Ranks against a computation of their own: scipy's paired t test, Holm's rule as he wrote it, and counting."""

import itertools
import random

import pytest
from scipy import stats

from eggym.leaderboards.headline import headline
from eggym.leaderboards.ranking import pairs_of, ranks_of
from eggym.leaderboards.standing import _mean, normalised


def by_hand(scores):
    """Return the first and last rank of each row, from scores by seed; a score of None is not there."""
    tested = []
    for a, b in itertools.combinations(scores, 2):
        seeds = [s for s in scores[a] if s in scores[b] and None not in (scores[a][s], scores[b][s])]
        differences = [scores[a][seed] - scores[b][seed] for seed in seeds]
        if len(differences) < 3:
            continue
        mean = sum(differences) / len(differences)
        spread = max(differences) - min(differences)
        if abs(mean) <= 1e-9:
            p = 1.0
        elif spread < 1e-15:
            p = 0.0
        else:
            p = stats.ttest_1samp(differences, 0).pvalue
        tested.append((p, a if mean > 0 else b, b if mean > 0 else a))
    ahead, holds = [], True
    for place, (p, winner, loser) in enumerate(sorted(tested, key=lambda one: one[0])):
        holds = holds and p * (len(tested) - place) < 0.05  # the first that fails ends it for all after
        if holds:
            ahead.append((winner, loser))
    n = len(scores)
    return {one: [1 + sum(b == one for _, b in ahead), n - sum(a == one for a, _ in ahead)] for one in scores}


def found(scores):
    return ranks_of(list(scores), pairs_of(scores))


@pytest.mark.parametrize("seed", range(60))
def test_ranks_are_those_of_a_count_by_hand(seed):
    rng = random.Random(seed)
    n_rows, n_seeds = rng.randint(1, 7), rng.choice([1, 2, 3, 5, 8])
    scores = {}
    for row in range(n_rows):
        level, spread = rng.choice([-0.4, 0.0, 0.1, 0.3, 0.9]), rng.choice([0.0, 0.01, 0.05, 0.3])
        values = {s: level + rng.choice([rng.gauss(0, 1), 0.25]) * spread for s in range(n_seeds)}
        missing = [s for s in values if rng.random() < 0.1]
        scores[f"row-{row}"] = {s: None if s in missing else value for s, value in values.items()}
    assert found(scores) == by_hand(scores)


def test_one_seed_or_two_tell_nobody_apart():
    for n in (1, 2):
        scores = {"good": dict.fromkeys(range(n), 0.9), "bad": dict.fromkeys(range(n), 0.1)}
        assert found(scores) == {"good": [1, 2], "bad": [1, 2]}


def test_equal_rows_share_a_rank_and_a_row_below_zero_is_a_row():
    wide = {0: -0.5, 1: -0.6, 2: -0.4}
    assert found({"a": wide, "b": dict(wide), "c": {s: v + 1 for s, v in wide.items()}}) == {
        "a": [2, 3],
        "b": [2, 3],
        "c": [1, 1],
    }


def test_a_row_that_could_not_be_judged_is_told_from_nobody():
    scores = {"a": {0: 0.1, 1: 0.1, 2: 0.1}, "b": {0: 0.9, 1: 0.9, 2: 0.9}, "c": dict.fromkeys(range(3))}
    assert found(scores) == {"a": [2, 3], "b": [1, 2], "c": [1, 3]}


def test_a_task_without_room_above_its_floor_has_no_scale():
    assert normalised(0.5, 1.0, 1.0) is None and normalised(-1.0, 0.0, 2.0) == -0.5
    assert _mean([0.5, None], 2) is None and _mean([0.5], 2) is None and _mean([0.5, -0.5], 2) == 0.0


KINDS = {"eggroll": "es", "other-es": "es", "rloo": "rl", "ppo": "rl", "frozen": "control"}
HIGH, LOW = {seed: 0.9 + seed / 1000 for seed in range(5)}, {seed: 0.1 - seed / 1000 for seed in range(5)}
OPEN = {0: 0.1, 1: 0.9, 2: 0.2, 3: 0.8, 4: 0.5}


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({"eggroll": HIGH, "rloo": LOW}, "eggroll is ahead of rloo. ES is ahead of RL."),
        ({"eggroll": LOW, "rloo": HIGH}, "rloo is ahead of eggroll. RL is ahead of ES."),
        (
            {"eggroll": OPEN, "rloo": dict(OPEN)},
            "None of the 2 learners can be told from all others; eggroll has the best mean. "
            "ES and RL cannot be told apart.",
        ),
        (
            {"eggroll": LOW, "rloo": HIGH, "ppo": HIGH},
            "rloo and ppo share the first rank. Of 2 pairs of ES and RL, RL is ahead in 2, and ES in none.",
        ),
        (
            {"eggroll": HIGH, "other-es": OPEN, "rloo": LOW, "ppo": LOW},
            "eggroll and other-es share the first rank. Of 4 pairs of ES and RL, ES is ahead in 2, RL in none, and 2 "
            "are not resolved.",
        ),
        ({"eggroll": HIGH}, "eggroll is the only one of ES and RL here."),
        ({"frozen": HIGH}, "Nobody of ES or RL stands here yet."),
    ],
)
def test_the_headline_says_what_came_out(scores, said):
    ranked = {label: values for label, values in scores.items() if KINDS[label] != "control"}
    pairs = pairs_of(ranked)
    ranks = ranks_of(list(ranked), pairs)
    rows = [
        {"learner": label, "kind": KINDS[label], "rank": ranks.get(label), "score": {"mean": sum(values.values()) / 5}}
        for label, values in scores.items()
    ]
    assert headline(rows, pairs) == said
