"""What came out on a board, in one or two sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

from .ranking import Pair


def headline(rows: Sequence[Mapping[str, Any]], pairs: Sequence[Pair]) -> str:
    """Say in one or two sentences what came out."""
    ranked = [row for row in rows if row["rank"] is not None]
    if not ranked:
        return "Nobody of ES or RL stands here yet."
    best = max(ranked, key=lambda row: -1.0 if row["score"]["mean"] is None else row["score"]["mean"])
    first = [row["learner"] for row in ranked if row["rank"][0] == 1]
    kinds = {row["learner"]: row["kind"] for row in ranked}
    against = [pair for pair in pairs if {kinds[pair.a], kinds[pair.b]} == {"es", "rl"}]
    ahead = {kind: sum(kinds[pair.ahead] == kind for pair in against if pair.ahead) for kind in ("es", "rl")}
    if len(ranked) == 1:
        said = f"{first[0]} is the only one of ES and RL here."
    elif len(first) == 1:
        others = [label for label in kinds if label != first[0]]
        said = f"{first[0]} is ahead of {others[0] if len(others) == 1 else 'everyone else'}."
    elif len(ranked) == len(first):
        said = f"None of the {len(ranked)} learners can be told from all others; {best['learner']} has the best mean."
    else:
        said = f"{', '.join(first[:-1])} and {first[-1]} share the first rank."
    if not against:
        return said
    return f"{said} {_between(len(against), ahead)}"


def _between(n: int, ahead: Mapping[str, int]) -> str:
    """Say who is ahead in the pairs of ES and RL: the side with more of them first."""
    open_ = n - ahead["es"] - ahead["rl"]
    if open_ == n:
        return f"None of the {n} pairs of ES and RL is resolved." if n > 1 else "ES and RL cannot be told apart."
    more, less = sorted(ahead, key=lambda kind: -ahead[kind])
    if n == 1:
        return f"{more.upper()} is ahead of {less.upper()}."
    told = f"Of {n} pairs of ES and RL, {more.upper()} is ahead in {ahead[more]}"
    other = f"{less.upper()} in {ahead[less] or 'none'}"
    if not open_:
        return f"{told}, and {other}."
    return f"{told}, {other}, and {open_} {'is' if open_ == 1 else 'are'} not resolved."
