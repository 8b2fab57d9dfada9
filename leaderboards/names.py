"""Names on a board: what a record is called, and learners that would pass for others.

The folder of a record follows from what is in it, so no record lies under another's name. A learner that does not come
with eggym may have any plain name but one that a reader would take for a registered learner's.
"""

import re
from collections.abc import Iterator

from eggym.record import Record
from eggym.registry import learner_table, load_learner
from eggym.variant import bare_name, labelled, split_variant
from eggym.wording import slug

from .board import Board

_PLAIN = re.compile(r"[!-~](?:[ -~]{0,98}[!-~])?")  # printable ASCII: no letter of another script looks like one of it


def record_name(board: Board, record: Record, sha256: str) -> str:
    """Return the name of a record: board/learner/run, where the run names task, seed and content.

    ``sha256`` is that of ``record.json``: of the file, for later versions add fields to what is read.
    """
    run = f"{slug(record.task.label)}-seed-{record.seed}-{sha256[:12]}"
    return f"{board.name}/{slug(record.learner.label)}/{run}"


def registered(record: Record) -> bool:
    """Whether a record's learner comes with eggym or a plugin here; else its code is not known, nor looked for."""
    return split_variant(bare_name(record.learner.name))[0] in learner_table()


def learner_faults(record: Record) -> Iterator[str]:
    """Yield what is wrong with who a record says has learned, each as a sentence."""
    told = record.learner
    if not _PLAIN.fullmatch(told.name):
        yield f"the learner's name {told.name!r:.120} is not plain: letters, digits and signs of ASCII, at most 100"
        return
    if split_variant(labelled(told.name, told.variant)) != (told.name, told.variant):
        yield f"{told.name!r} with the variant {told.variant!r:.60} is no name of a learner, such as eggroll@mine"
        return
    if not registered(record):
        like = {_folded(name): name for name in learner_table()}.get(_folded(bare_name(told.name)))
        if like is not None:
            yield f"the learner's name {told.name!r} would be taken for {like!r}; give it another"
        return
    spec = load_learner(told.name)
    if spec.kind != told.kind:
        yield f"{told.name} is of kind {spec.kind}, not {told.kind}"


def note_of(record: Record) -> str:
    """Return what must be said wherever a record's scores are shown: of a registered learner, what is said here."""
    return load_learner(record.learner.name).note if registered(record) else record.learner.note


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
