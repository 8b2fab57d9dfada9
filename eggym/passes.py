"""Several replies to an item: how often at least one of k is right, and how many of them differ.

A reply passes if its verdict has the state ``correct``. That is the grader's own word: a scorer that returns a plain
number means it at the top of its reward range, and one that pays less for a slow or long solution still says that it is
one. A reply that could not be judged counts neither as passed nor as tried.
"""

import math
from collections.abc import Sequence

from eggym.episode import Episode, EpisodeBatch
from eggym.errors import BadValue
from eggym.verdict import VerdictState


def pass_at(n: int, c: int, k: int) -> float:
    """Return the unbiased estimate of pass@k, from 0 to 1: that at least one of k replies is right.

    Of ``n`` independent replies ``c`` were right: 1 - C(n - c, k) / C(n, k), as a product, so that no factorial grows
    without end (Chen et al. 2021, arXiv 2107.03374, equation 1).

    Raises:
        BadValue: not 1 <= k <= n and 0 <= c <= n.

    >>> pass_at(4, 1, 2)
    0.5
    """
    if not (1 <= k <= n and 0 <= c <= n):
        raise BadValue(f"pass@k needs 1 <= k <= n and 0 <= c <= n, got n={n}, c={c}, k={k}")
    if n - c < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / place for place in range(n - c + 1, n + 1))


def passes(batch: EpisodeBatch) -> dict[str, float]:
    """Return pass@k by k = 1, 2, 4, ... up to the replies to an item, as a mean over items.

    An item with fewer than k judged replies is left out of that k, and a k without items is not there.
    """
    found = {}
    judged = [[one for one in replies if one.reward is not None] for replies in _by_item(batch)]
    for k in (1 << power for power in range(batch.n_replies.bit_length())):
        values = [pass_at(len(one), _n_passed(one), k) for one in judged if len(one) >= k]
        if values:
            found[str(k)] = math.fsum(values) / len(values)
    return found


def distinct(batch: EpisodeBatch) -> float:
    """Return the mean over items of different answers / replies, from 1 / replies to 1.

    An answer is what the verdict found in a reply; where it found none, all texts of the episode.
    """
    shares = [len({_answer(one) for one in replies}) / len(replies) for replies in _by_item(batch)]
    return math.fsum(shares) / len(shares)


def _by_item(batch: EpisodeBatch) -> list[list[Episode]]:
    found: list[list[Episode]] = [[] for _ in range(batch.n_items)]
    for episode in batch.episodes:
        found[episode.slot].append(episode)
    return found


def _n_passed(replies: Sequence[Episode]) -> int:
    return sum(one.verdict.state is VerdictState.CORRECT for one in replies)


def _answer(episode: Episode) -> tuple[str, ...]:
    found = episode.verdict.found
    return ("found", found) if found is not None else ("replies", *(turn.reply for turn in episode.turns))
