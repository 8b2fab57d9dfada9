"""What a row of a board says on a model's page on the hub: files under ``.eval_results``, and the older model-index.

Neither form has a place for budget, seeds or an interval, and a reward without them says little: so they go into the
notes, and the source is a link to the records, which hold everything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from eggym.errors import BadValue
from eggym.wording import printable, short, slug

from .board import Board
from .ranking import LEVEL

if TYPE_CHECKING:
    from huggingface_hub import EvalResultEntry, ModelCardData

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Links:
    """Where a board is on the web."""

    dataset: str  # ORG/NAME of the dataset that it was published as: the benchmark, for the hub
    records: str  # address of the folder with its records: https://.../leaderboards/records


def entries(board: Board, table: Row, learner: str, links: Links) -> list["EvalResultEntry"]:
    """Return the results of one row, one for each task of the board.

    Args:
        board: of the table.
        table: as `standing.standings` returns it.
        learner: which row.
        links: where the board is on the web.

    Raises:
        BadValue: there is no such row, or the address is none.
    """
    from huggingface_hub import EvalResultEntry

    return [
        EvalResultEntry(
            dataset_id=links.dataset,
            task_id=slug(name),
            value=found["mean"],
            source_url=_source(links, row),
            source_name=f"eggym board {board.name}",
            notes=_notes(board, table, row, name),
        )
        for row, name, found in _results(table, learner, links)
    ]


def eval_results_yaml(board: Board, table: Row, learner: str, links: Links) -> str:
    """Return the file ``.eval_results/eggym-BOARD.yaml`` of a model's repository; see `entries`."""
    import yaml
    from huggingface_hub import eval_result_entries_to_yaml

    found = eval_result_entries_to_yaml(entries(board, table, learner, links))
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=1000)


def model_index(board: Board, table: Row, learner: str, links: Links, model_name: str) -> "ModelCardData":
    """Return metadata for a model's README, in the form from before ``.eval_results``; see `entries`."""
    from huggingface_hub import EvalResult, ModelCardData

    found: list[EvalResult] = [
        EvalResult(
            task_type="text-generation",
            task_name=short(name),
            dataset_type=links.dataset,
            dataset_name=f"{board.title} ({short(name)})",
            dataset_config=slug(name),
            dataset_split=board.split,
            metric_type="reward",
            metric_name=f"mean {table['primary']} reward",
            metric_value=one["mean"],
            metric_args={"notes": _notes(board, table, row, name)},
            source_name=f"eggym board {board.name}",
            source_url=_source(links, row),
        )
        for row, name, one in _results(table, learner, links)
    ]
    return ModelCardData(model_name=model_name, eval_results=found, tags=["eggym"])


def _results(table: Row, learner: str, links: Links) -> Iterator[tuple[Row, str, Row]]:
    """Yield the row, a task and what came of it, where anything did."""
    row = next((row for row in table["rows"] if row["learner"] == learner), None)
    if row is None:
        known = ", ".join(row["learner"] for row in table["rows"])
        raise BadValue(f"the board has no row {learner!r}; there are {known or 'none yet'}")
    if not links.records.startswith(("https://", "http://")):
        raise BadValue(f"{links.records!r} is no address of records; give one that begins with https://")
    if links.dataset.count("/") != 1:
        raise BadValue(f"{links.dataset!r} is no dataset of the hub; write ORG/NAME")
    return ((row, name, found) for name, found in row["tasks"].items() if found["mean"] is not None)


def _source(links: Links, row: Row) -> str:
    """Return the address of the folder that holds all records of a row."""
    return f"{links.records.rstrip('/')}/{quote(row['records'][0].rpartition('/')[0])}"


def _notes(board: Board, table: Row, row: Row, task: str) -> str:
    """Return in one line what a number has to be read with."""
    found, floor = row["tasks"][task], next(one["floor"] for one in table["tasks"] if one["task"] == task)
    interval = "no interval below 3 seeds"
    if found["low"] is not None:
        interval = f"{LEVEL * 100:.0f} % t interval over seeds {found['low']:.4g} to {found['high']:.4g}"
    parts = [
        f"{row['learner']} after {board.budget} of training on {short(task)}",
        f"from {table['division']}" if table["division"] else f"from {board.model.name}",
        f"mean {table['primary']} reward on {board.split}, where guessing gives {floor:.4g}",
        f"{len(found['numbers']['seeds'])} seeds",
        interval,
        "at no level of verification" if row["level"] is None else f"verified at level L{row['level']} of 3",
        f"settings of its own: {', '.join(row['own_settings'])}" if row["own_settings"] else "",
        row["note"],
    ]
    return printable("; ".join(" ".join(part.split()) for part in parts if part))
