"""The hash chain over a run's episodes: one root that follows from everything that was said, in order.

Training steps come first, evaluations after them. A row is one episode as `eggym.replies` keeps it, as canonical JSON:
so the chain is over what was said and not over the bytes of some container. From the head h before it, a row r makes
the head SHA-256(h || SHA-256(r)); the first head is that of the run's id.

A link keeps the head after each training step and after each evaluation. Training replies are not kept on a board; who
has the shard of one step, or makes that step again, can still tell whether it is what the chain says, from the link
before it.

What it buys: later edits show. It proves nothing against its own author, who could write it anew.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from eggym.errors import BadValue
from eggym.files import canonical_json
from eggym.replies import read_shard
from eggym.score import Count, Strict

Row = dict[str, Any]


class Link(Strict):
    """The chain after one training step, or after one evaluation in one mode."""

    part: Literal["training", "evaluation"]
    place: Count  # step of training, or point of the curve
    mode: Literal["greedy", "sampled"] | None = None  # None: training
    episodes: Count
    head: str


def first_head(run_id: str) -> str:
    """Return the head before any episode."""
    return hashlib.sha256(f"eggym chain 1 {run_id}".encode()).hexdigest()


def extend(head: str, rows: Iterable[Row]) -> str:
    """Return the head after more rows."""
    now = bytes.fromhex(head)
    for row in rows:
        now = hashlib.sha256(now + hashlib.sha256(canonical_json(row).encode()).digest()).digest()
    return now.hex()


def chain(folder: Path, run_id: str, n_steps: int, evaluations: Sequence[Row]) -> list[Link]:
    """Return the links of a finished run.

    Args:
        folder: of the run, with the shards of its training replies.
        run_id: of its record.
        n_steps: of training.
        evaluations: the rows of ``evaluations.jsonl``.

    Raises:
        BadValue: a shard is missing or cannot be read.
    """
    links: list[Link] = []
    head = first_head(run_id)
    for step in range(n_steps):
        rows = read_shard(folder, step)
        head = extend(head, rows)
        links.append(Link(part="training", place=step, episodes=len(rows), head=head))
    return links + list(evaluation_links(head, evaluations))


def evaluation_links(head: str, rows: Sequence[Row]) -> Iterator[Link]:
    """Yield a link for each run of rows of one point and mode."""
    start = 0
    for place, row in enumerate(rows):
        key = (row.get("point"), row.get("mode"))
        following = rows[place + 1] if place + 1 < len(rows) else None
        if following is None or (following.get("point"), following.get("mode")) != key:
            head = extend(head, rows[start : place + 1])
            told = {"part": "evaluation", "place": key[0], "mode": key[1], "episodes": place + 1 - start}
            yield Link.model_validate({**told, "head": head})
            start = place + 1


def training_head(links: Sequence[Link], run_id: str) -> str:
    """Return the head after training."""
    return next((link.head for link in reversed(links) if link.part == "training"), first_head(run_id))


def root(links: Sequence[Link], run_id: str) -> str:
    """Return the last head."""
    return links[-1].head if links else first_head(run_id)


def dump(links: Iterable[Link]) -> str:
    """Return the links as JSON lines."""
    return "".join(canonical_json(link) for link in links)


def parse(text: str, name: str) -> list[Link]:
    """Read the links again; the text must be what `dump` writes.

    Raises:
        BadValue: a line is no link.
    """
    try:
        links = [Link.model_validate(json.loads(line)) for line in text.splitlines()]
    except (ValueError, ValidationError, RecursionError) as problem:
        raise BadValue(f"{name} holds a line that is no link of a chain: {str(problem).splitlines()[0]}") from problem
    if dump(links) != text:
        raise BadValue(f"{name} is not in the form in which it is written")
    return links
