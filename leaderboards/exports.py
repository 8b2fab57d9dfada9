"""The tables of a board for spreadsheets, programs and papers: CSV, JSON and LaTeX, each the same text every time.

What stands in a record comes from strangers. A spreadsheet takes a text that begins with = + - @ for a formula, and a
paper takes a backslash for a command (`latex`); so texts are made harmless, and numbers, which are always our own, are
left as they are: every digit, so that reading them back gives the same number.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eggym.files import canonical_json
from eggym.wording import printable

from .board import Board
from .latex import board_tex
from .ranking import LEVEL
from .standing import normalised

__all__ = ["board_csv", "board_json", "board_tex"]

SCHEMA = 1
KIND = "eggym.board-table"
OVERALL = "overall"  # in place of a task: the learner over all tasks
AXES = ("episodes", "tokens", "flops", "backward_flops", "computed_flops", "reward_calls")
MEASURED = ("cpu_s", "wall_s", "peak_rss_bytes")
COLUMNS = (
    "board", "board_version", "division", "learner", "kind", "task", "rank_first", "rank_last", "level",
    "n_seeds", "seeds", "score", "score_low", "score_high", "reward", "reward_low", "reward_high", "reward_se_items",
    "floor", "target", "target_reached", "start", "gain", "gain_low", "gain_high", "area",
    *(f"spent_{axis}" for axis in AXES), *MEASURED,
    "registered", "own_settings", "changed_code", "by", "note",
)  # fmt: skip

Row = Mapping[str, Any]

# At the start of a field, or behind a separator that a spreadsheet may split at in another country; the wide forms are
# read as the plain ones by some.
_FORMULA = re.compile(r"(^|[;|])(\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")


def board_csv(board: Board, tables: Sequence[Row]) -> str:
    """Return one line for each learner and task, and one for each learner over all tasks.

    Args:
        board: whose tables they are.
        tables: as `standing.standings` returns them.

    What was spent is a mean over seeds; on a line over all tasks it is the sum over them. Texts that a spreadsheet
    would take for a formula begin with an apostrophe; the JSON has them as they are.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for table in tables:
        for row in table["rows"]:
            for line in (_overall(row), *_on_tasks(table, row)):
                whole = {**_of_row(board, table, row), **line}
                writer.writerow([_field(whole.get(name)) for name in COLUMNS])
    return out.getvalue()


def board_json(board: Board, tables: Sequence[Row]) -> str:
    """Return rules and tables as canonical JSON; ``schema`` says which form it has."""
    return canonical_json({"schema": SCHEMA, "kind": KIND, "board": board, "level": LEVEL, "tables": list(tables)})


def safe_text(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula, on one line, with nothing that cannot be seen.

    >>> safe_text("=1+1"), safe_text("a; -b"), safe_text("random-reward:eggroll")
    ("'=1+1", "a; '-b", 'random-reward:eggroll')
    """
    line = printable(" ".join(text.split()))
    return _FORMULA.sub(r"\1\2'", line)


def _of_row(board: Board, table: Row, row: Row) -> Row:
    return {
        "board": board.name,
        "board_version": board.version,
        "division": table["division"],
        "learner": row["learner"],
        "kind": row["kind"],
        "level": row["level"],
        "registered": row["registered"],
        "own_settings": ", ".join(row["own_settings"]),
        "changed_code": row["changed_code"],
        "by": ", ".join(row["by"]),
        "note": row["note"],
    }


def _overall(row: Row) -> Row:
    score, tasks = row["score"], [one["numbers"] for one in row["tasks"].values()]
    return {
        "task": OVERALL,
        **_rank(row),
        "n_seeds": len(row["seeds"]),
        "seeds": _seeds(row["seeds"]),
        **_interval("score", score),
        **{f"spent_{axis}": _sum(one["spent"][axis] for one in tasks) for axis in AXES},
        **{name: _sum(one[name] for one in tasks) for name in MEASURED if name.endswith("_s")},
    }


def _on_tasks(table: Row, row: Row) -> Iterator[Row]:
    tasks = {task["task"]: task for task in table["tasks"]}
    for name, found in row["tasks"].items():
        task, numbers = tasks[name], found["numbers"]
        span = (task["floor"], task["reward_range"][1])
        gain, mode = numbers["gain"][table["primary"]], table["primary"]
        reached = numbers["time_to_target"].get("episodes")
        yield {
            "task": name,
            **_rank(found),
            "n_seeds": len(numbers["seeds"]),
            "seeds": _seeds(numbers["seeds"]),
            **_interval("reward", found),
            **_interval("score", {end: normalised(found[end], *span) for end in ("mean", "low", "high")}),
            "reward_se_items": found["se_items"],
            "floor": task["floor"],
            "target": task["target"],
            "target_reached": reached and reached["reached"],
            "start": numbers["start"][mode]["mean"],
            "gain": gain["difference"],
            "gain_low": gain["low"],
            "gain_high": gain["high"],
            "area": numbers["area"]["mean"],
            **{f"spent_{axis}": numbers["spent"][axis] for axis in AXES},
            **{name: numbers[name] for name in MEASURED},
        }


def _rank(found: Row) -> Row:
    first, last = found.get("rank") or (None, None)
    return {"rank_first": first, "rank_last": last}


def _interval(name: str, found: Row) -> Row:
    return {name: found["mean"], f"{name}_low": found["low"], f"{name}_high": found["high"]}


def _seeds(seeds: Sequence[int]) -> str:
    return " ".join(map(str, seeds))


def _sum(values: Iterator[float | None]) -> float | None:
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) if known and len(known) == len(found) else None


def _field(value: Any) -> str:
    """Return what stands in a field: nothing for what is missing, a number with all its digits, or a safe text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return repr(float(value))  # numpy has floats that say more
    return str(int(value)) if isinstance(value, int) else safe_text(str(value))
