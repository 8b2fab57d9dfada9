"""Every pair of a table's ranked rows, as a matrix: who is ahead, by how much, and how sure that is."""

from collections.abc import Mapping, Sequence
from typing import Any

from eggym.page_parts import interval, number, p_value, signed

from .shown import Shown

MOST = 30  # rows of a matrix
_MOST_LISTED = 45  # pairs that are listed one by one below it, too


def matrix(shown: Shown) -> dict[str, Any] | None:
    """Return the matrix of the first rows and what has to be said of it; None where there are no two."""
    ranked = [row for row in shown.rows if row["rank"] is not None]
    labels = [row["learner"] for row in ranked[:MOST]]
    if len(labels) < 2:
        return None
    kinds = {row["learner"]: row["kind"] for row in ranked}
    pairs = {(pair["a"], pair["b"]): pair for pair in shown.found["pairs"]}
    inside = [pair for (a, b), pair in pairs.items() if a in labels and b in labels]
    return {
        "labels": labels,
        "pages": shown.pages,
        "left_out": len(ranked) - len(labels),
        "resolved": sum(pair["ahead"] is not None for pair in inside),
        "pairs": len(inside),
        "rows": [(one, [_cell(pairs, one, other, kinds) for other in labels]) for one in labels],
        "listed": _listed(inside) if len(inside) <= _MOST_LISTED else [],
    }


def _cell(pairs: Mapping[tuple[str, str], Any], row: str, column: str, kinds: Mapping[str, str]) -> dict[str, str]:
    """Return a cell: positive where the row's learner is better than the column's."""
    if row == column:
        return {"css": "", "mark": "", "text": "", "interval": "", "title": ""}
    pair = pairs.get((row, column)) or _turned(pairs[column, row])
    ahead, better = pair["ahead"], pair["probability_of_improvement"]
    mark = (
        "="
        if ahead is None
        else "\N{BLACK UP-POINTING TRIANGLE}"
        if ahead == row
        else "\N{BLACK DOWN-POINTING TRIANGLE}"
    )
    return {
        "css": "mute" if ahead is None else f"{kinds[ahead]}0",
        "mark": mark,
        "text": signed(pair["difference"]),
        "interval": interval(pair, "signed"),
        "title": f"p {p_value(pair['p_adjusted'])}; P({row} > {column}) {number(better['mean'])}",
    }


def _turned(pair: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pair as seen from its other side."""
    better = pair["probability_of_improvement"]
    return {
        **pair,
        "difference": _minus(pair["difference"]),
        "low": _minus(pair["high"]),
        "high": _minus(pair["low"]),
        "probability_of_improvement": {
            "mean": _rest(better["mean"]),
            "low": _rest(better["high"]),
            "high": _rest(better["low"]),
        },
    }


def _listed(pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**pair, "verdict": f"{pair['ahead']} ahead" if pair["ahead"] else "not resolved"} for pair in pairs]


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _rest(value: float | None) -> float | None:
    return None if value is None else 1 - value
