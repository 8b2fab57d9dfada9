"""The page of one row of a board: everything that its runs say, down to replies and the digests of files."""

import hashlib
from collections.abc import Sequence
from typing import Any

from eggym.arena import Arena, Side
from eggym.axes import AXES
from eggym.beyond_summary import known, note_on_many, tunings
from eggym.curves import shades
from eggym.page_parts import settings, timed_phases
from eggym.picture import layered_svgs
from eggym.plots import pass_at_svgs
from eggym.record import Record
from eggym.wording import notes_of

from .board import FROZEN
from .board_page import makers, pages
from .board_table import KINDS, area, marks, mean_of, ranks
from .heat_strip import strip
from .levels import WHAT
from .row_episodes import MOST, sampled
from .shown import Shown, ShownBoard
from .stored import Entry

_SECONDS = "s"  # see `board_curves`


def row_page(board: ShownBoard, shown: Shown, label: str) -> str:
    """Return the page of one learner of a table."""
    row = shown.row(label)
    arenas = [arena for arena in shown.table.arenas if shown.table.side(arena, label)]
    beside = [_beside(arena, label) for arena in arenas]
    sides = [(arena.task, side) for arena in arenas if (side := shown.table.side(arena, label))]
    found = _found(board, shown, label)
    axes = [axis for axis in shown.table.axes if axis != _SECONDS]
    colour = [("", "mute")] * len(beside)
    measured = shown.table.measured
    page: str = (
        pages()
        .get_template("row.html.j2")
        .render(
            board=board.collected.board,
            shown=shown,
            row=row,
            title=label,
            kind=KINDS[row["kind"]],
            facts=_facts(board, shown, row),
            found=found,
            axes=[(axis, AXES[axis], "") for axis in axes],
            panels=layered_svgs(beside, axes, measured, colour, seeds=True),
            first_axis=board.axis if board.axis in axes else axes[0],
            learners_heading="Before and after training",
            notes=notes_of(found),
            proxies=[one for task in found["tasks"] for one in task["learners"] if "gap" in one],
            told_beyond=any(known(one["beyond"]) for task in found["tasks"] for one in task["learners"]),
            pass_plots=pass_at_svgs(found["tasks"], beside),
            note_on_many=note_on_many(found["tasks"]),
            timed_phases=timed_phases(found),
            settings=settings(beside),
            strips=[(task, strip(side, found["primary"], shades([side])[side.label])) for task, side in sides],
            episodes=sampled(sides, shown.table.entries, found["primary"]),
            most_episodes=MOST,
            runs=[_run(shown, record) for _, side in sides for record in side.records],
            levels=WHAT,
            command=f"eggym board verify {_common(row['records'])}",
            cite=_cite(board, shown, row),
        )
    )
    return page


def _beside(arena: Arena, label: str) -> Arena:
    """Return a task with one learner and the frozen base."""
    kept = [side for side in arena.sides if side.label == label or side.records[0].learner.name == FROZEN]
    return Arena(arena.task, tuple(kept))


def _found(board: ShownBoard, shown: Shown, label: str) -> dict[str, Any]:
    """Return the numbers in the form in which the parts of a duel's report take them."""
    told = []
    for task in shown.found["tasks"]:
        rows = [row for row in shown.rows if row["learner"] in (label, FROZEN) and task["task"] in row["tasks"]]
        rows.sort(key=lambda row: row["learner"] != label)
        if any(row["learner"] == label for row in rows):
            told.append(
                {**task, "learners": [row["tasks"][task["task"]]["numbers"] for row in rows], "comparisons": []}
            )
    return {
        "tasks": told,
        "primary": shown.found["primary"],
        "target": board.collected.board.target,
        "tuning": tunings(_sides(shown, label)),
    }


def _sides(shown: Shown, label: str) -> list[Side]:
    return [side for arena in shown.table.arenas if (side := shown.table.side(arena, label))]


def _facts(board: ShownBoard, shown: Shown, row: dict[str, Any]) -> dict[str, str]:
    score = row["score"]
    between = f" ({score['low']:.2f} to {score['high']:.2f})" if score["low"] is not None else ""
    level = row["level"]
    of = sum(one["rank"] is not None for one in shown.rows)
    height, cpu = area(shown, row, board.axis), mean_of(row, "cpu_s")
    told = {
        "rank": f"{ranks(row['rank'])} of {of}" if row["rank"] else f"none: a {KINDS[row['kind']]}",
        "score": "unknown" if score["mean"] is None else f"{score['mean']:.2f}{between}",
        "area": "" if height is None else f"{height:.2f}",
        "runs": f"{len(row['records'])}: {len(row['tasks'])} tasks, {len(row['seeds'])} seeds",
        "CPU seconds of a run": "" if cpu is None else f"{cpu:.0f}",
        "verified": "no level: see its runs" if level is None else f"L{level}: {WHAT[level]}",
        "to be noted": "; ".join(marks(row)),
        "made by": "; ".join(makers(shown.table.records(row["learner"]))),
    }
    return {name: value for name, value in told.items() if value}


def _run(shown: Shown, record: Record) -> dict[str, Any]:
    """Return what a page tells of one run: its level, the checks on it and its files."""
    entry, standing = shown.table.entries[record.id], shown.table.standings[record.id]
    return {
        "name": entry.name,
        "task": record.task.label,
        "seed": record.seed,
        "level": standing.level,
        "faults": standing.faults,
        "checks": standing.checks,
        "files": _files(entry),
        "left_out": sorted(entry.manifest.left_out.items()),
        "chain_root": entry.manifest.chain_root,
        "links": entry.manifest.links,
        "note": entry.manifest.note,
    }


def _files(entry: Entry) -> list[tuple[str, int, str]]:
    """Return name, size and digest of every file; the manifest first."""
    told = [(name, file.bytes, file.sha256) for name, file in sorted(entry.manifest.files.items())]
    return [("manifest.json", (entry.folder / "manifest.json").stat().st_size, entry.manifest_sha256), *told]


def _common(records: Sequence[str]) -> str:
    """Return the name that means all records of a row: board/learner, where they lie in one folder."""
    folders = {name.rpartition("/")[0] for name in records}
    return " ".join(sorted(folders))


def _cite(board: ShownBoard, shown: Shown, row: dict[str, Any]) -> str:
    """Return a BibTeX entry that names the records by one digest over the digests of their manifests."""
    entries = [shown.table.entries[record.id] for record in shown.table.records(row["learner"])]
    lines = "".join(sorted(f"{entry.manifest_sha256}  {entry.name}\n" for entry in entries))
    digest = hashlib.sha256(lines.encode()).hexdigest()
    added = [line.at for entry in entries if (line := board.collected.ledger.added(entry.name))]
    rules = board.collected.board
    return "\n".join(
        [
            f"@misc{{eggym-{rules.name}-{shown.pages[row['learner']]},",
            f"  title  = {{{row['learner']} on the leaderboard {rules.name}, version {rules.version}}},",
            f"  author = {{{', '.join(row['by']) or 'not named'}}},",
            f"  year   = {{{max(added)[:4] if added else rules.opened[:4]}}},",
            f"  note   = {{{len(entries)} records, SHA-256 of their manifests {digest}}}",
            "}",
        ]
    )
