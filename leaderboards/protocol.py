"""From a board to the runs that its rules ask for."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from eggym.config import SECTIONS
from eggym.duel import DuelConfig
from eggym.duel_verb import Asked
from eggym.errors import BadValue
from eggym.registry import load_learner
from eggym.variant import WRAPPER, labelled, sections, split_variant
from eggym.wording import slug

from .board import ANY, Board
from .collecting import collect
from .pinned import read_pinned
from .pinning import division
from .place import Place
from .rules import controls_for

_RULES = tuple(one.name for one in fields(DuelConfig))  # the names that a file of a duel gives them


def asked_for(
    place: Place,
    name: str,
    learners: Sequence[str],
    model: str | None = None,
    data: str | None = None,
    settings: Mapping[str, Any] | None = None,
    out: str | None = None,
    workers: int | None = None,
    force: bool = False,
    with_controls: bool = True,
) -> Asked:
    """Return the duel that puts learners on a board.

    Args:
        place: where the board's records lie.
        name: of the board.
        learners: names.
        model: the user's own, where the board leaves it open.
        data: where the rows of a data-set task lie.
        settings: options of these learners by hand; everything else is the board's.
        out: folder; None: one under ``runs/``, named by board and model.
        workers: processes; None: as many as a duel takes.
        force: also run a budget that is too small for 5 updates.
        with_controls: also what the rows will need beside them, and does not stand on the board yet.

    Raises:
        EggymError: no such board or learner, a split that is not revealed, or a setting that the board has fixed.
    """
    board, path = place.board(name)
    read_pinned(path, board)
    for setting in settings or {}:
        if setting.partition(".")[0] in (*SECTIONS, *_RULES):
            raise BadValue(f"board {board.name!r} has fixed {setting}; only options of the learners may be set")
    for learner in learners:
        _refuse_empty_variant(board, learner, settings or {})
    everyone = list(dict.fromkeys(learners))
    if with_controls:
        everyone += [one for one in _controls(place, board, learners) if one not in everyone]
    config = board.duel(everyone, settings, model or ANY, data)
    if workers is not None:
        config = replace(config, workers=workers)
    folder = Path(out) if out else Path("runs") / f"board-{board.name}{_of(config.model) if model else ''}"
    return Asked(config, folder, force)


def _controls(place: Place, board: Board, learners: Sequence[str]) -> list[str]:
    standing = set()
    if board.model.name != ANY:  # on an open board, rows of other models are no controls of these
        standing = {
            entry.record.learner.label
            for entry, _ in collect(place, board.name).found
            if not division(board, entry.record)
        }
    wanted: dict[str, str] = {}  # what the control of a learner from a file is called, and how it is asked for
    for learner in learners:
        spec = load_learner(learner)
        label = labelled(spec.name, split_variant(learner)[1])
        wanted |= {
            named: f"{WRAPPER}:{learner}" if named == f"{WRAPPER}:{label}" else named
            for named in controls_for(board, label, spec.kind)
        }
    return [one for named, one in wanted.items() if named not in standing]


def _refuse_empty_variant(board: Board, learner: str, settings: Mapping[str, Any]) -> None:
    """Refuse a second name for a learner that would do the same under it; tuning may find it settings of its own."""
    ref, variant = split_variant(learner)
    if variant is None or board.tuning.trials:
        return
    own = sections(learner, load_learner(learner).name)[-1]
    if not any(name.rpartition(".")[0].endswith(f"@{variant}") for name in (*settings, *board.settings)):
        raise BadValue(f"{learner!r} has no settings of its own; give --set {own}.OPTION=VALUE, or run {ref!r}")


def _of(model: str) -> str:
    return f"-{slug(Path(model).name)}"
