"""The page of one board, and the page that lists all boards."""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from eggym.axes import AXES
from eggym.budget import Budget
from eggym.page import REPORT_CSS, environment
from eggym.record import Record
from eggym.wording import amount, size

from .board_curves import curves
from .board_table import KINDS, columns, rows
from .head_to_head import matrix
from .ledger import CHECKS, Event
from .levels import WHAT
from .shown import Shown, ShownBoard

_TAIL = 12  # things of the ledger that are shown
_CSS, _SCRIPT = "board.css", "board.js"


@cache
def pages(script: bool = False) -> Any:
    """Return the templates of a site; those of the board's own page bring its script."""
    site = environment(("eggym.leaderboards", "eggym"), (REPORT_CSS, _CSS), _SCRIPT if script else "")
    site.filters.update(size=size, sort_key=_sort_key)
    return site


def _sort_key(value: float | None) -> str:
    """Return what a column is sorted by, in few characters; empty: last, either way."""
    return "" if value is None else f"{value:.6g}"


def index_page(boards: Sequence[ShownBoard]) -> str:
    """Return the page that lists boards with their verdicts."""
    told = [
        {"name": one.name, "board": one.collected.board, "budget": _budget(one), "verdict": one.verdict, **_counts(one)}
        for one in sorted(boards, key=lambda one: (not one.collected.found, one.name))  # what has records comes first
    ]
    page: str = pages().get_template("index.html.j2").render(boards=told)
    return page


def board_page(shown: ShownBoard, kept: Collection[str] = ()) -> str:
    """Return the page of one board.

    Args:
        shown: the board and its tables.
        kept: names of withdrawn records whose files the site has.
    """
    collected, board = shown.collected, shown.collected.board
    page: str = (
        pages(script=True)
        .get_template("board.html.j2")
        .render(
            board=board,
            verdict=shown.verdict,
            facts=facts(shown),
            tables=[_table(shown, one) for one in shown.tables],
            fault=shown.fault,
            axis_name=AXES[shown.axis],
            collected=collected,
            kept=sorted(kept),
            tail=_tail(shown),
            levels=WHAT,
            kinds=KINDS,
        )
    )
    return page


def facts(shown: ShownBoard) -> dict[str, str]:
    """Return what a board is, in the order in which a page tells it."""
    board, counts = shown.collected.board, _counts(shown)
    records = [entry.record for entry, _ in shown.collected.found]
    own = board.model.sha256 is None
    split = board.split or f"not revealed yet; committed to by SHA-256 {board.commitment}"
    told = {
        "version": f"{board.version}, fixed on {board.opened}",
        "model": "the user's own" if own else f"{board.model.name} (SHA-256 {str(board.model.sha256)[:12]}…)",
        "budget": f"{_budget(shown)} of training for each run",
        "seeds": ", ".join(map(str, board.seeds)),
        "held-out split": split,
        "controls": ", ".join(board.controls),
        "tuning": _tuning(shown),
        "stands on it": f"{counts['records']} records of {counts['rows']} rows, {counts['ranked']} of them ranked",
        "made by": "; ".join(makers(records)),
        "submitted by": "; ".join(sorted({by for one in shown.tables for by in one.everyone})),
    }
    return {name: value for name, value in told.items() if value}


def makers(records: Sequence[Record]) -> list[str]:
    """Return which code made these runs: version, commit, and whether it was changed."""
    found = {(one.provenance.eggym, one.provenance.git_commit, bool(one.provenance.git_dirty)) for one in records}
    return sorted(
        f"eggym {version}{f', commit {commit[:12]}' if commit else ''}{' (changed)' if dirty else ''}"
        for version, commit, dirty in found
    )


def _table(shown: ShownBoard, one: Shown) -> dict[str, Any]:
    found = rows(one, shown.axis)
    return {
        "key": one.key,
        "division": one.found["division"],
        "headline": one.found["headline"],
        "primary": one.found["primary"],
        "tasks": one.found["tasks"],
        "seeds": max((row["seeds"] for row in found), default=0),
        "curves": curves(one, shown.axis),
        "columns": columns(one, shown.axis),
        "rows": found,
        "kinds": [kind for kind in KINDS if any(row["kind"] == kind for row in found)],
        "matrix": matrix(one),
    }


def _counts(shown: ShownBoard) -> dict[str, int]:
    found = [row for table in shown.tables for row in table.rows]
    return {
        "records": len(shown.collected.found),
        "rows": len(found),
        "ranked": sum(row["rank"] is not None for row in found),
    }


def _tail(shown: ShownBoard) -> list[dict[str, Any]]:
    """Return the last things that happened on this board, the newest first; equal ones of a day are told once."""
    groups: dict[tuple[Any, ...], list[Event]] = {}
    for event in shown.collected.ledger.events:
        if event.record.partition("/")[0] == shown.name:
            row = event.record.rpartition("/")[0]
            what = (event.at[:10], event.kind, row, event.ok, event.reason, _found(event))
            groups.setdefault(what, []).append(event)
    return [
        {
            "at": same[-1].at[:16].replace("T", " "),
            "kind": same[0].kind,
            "record": same[0].record if len(same) == 1 else same[0].record.rpartition("/")[0],
            "count": len(same),
            "told": _found(same[0]),
        }
        for same in sorted(groups.values(), key=lambda same: -same[-1].number)[:_TAIL]
    ]


def _found(event: Event) -> str:
    if event.kind not in CHECKS:
        return event.reason or ""
    return "agrees" if event.ok else str(event.found.get("why", "it did not agree"))


def _tuning(shown: ShownBoard) -> str:
    allowed = shown.collected.board.tuning
    if not allowed.trials:
        return "none"
    where = f" on {allowed.task}" if allowed.task else ""
    return f"{allowed.trials} trials of every learner{where}, each of {allowed.budget or 'the budget of a run'}"


def _budget(shown: ShownBoard) -> str:
    return f"{amount(Budget.parse(shown.collected.board.budget).limit)} {AXES[shown.axis]}"
