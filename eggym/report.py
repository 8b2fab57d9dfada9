"""The report of a duel: one HTML file with a picture, the numbers behind it, and replies to read.

Self-contained: no script, no address outside, fonts of the system, light or dark by the reader's own setting. Every
text that came from a model or a task is escaped, and the page's policy forbids anything to load.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eggym.against import ladder_panel, ladder_svgs, ladders
from eggym.arena import Arena, arrange
from eggym.axes import AXES, Axis, axes_of
from eggym.beyond_summary import known, note_on_many
from eggym.errors import EggymError
from eggym.files import write_bytes
from eggym.outcome import summary
from eggym.page import environment
from eggym.page_parts import CSS_OF, provenance, settings, timed_phases, whiskers
from eggym.picture import describe, panel, panel_svgs, sheet_svg
from eggym.plots import pass_at_svgs, profile_svg
from eggym.record import Measured, Record, find_runs, load_record
from eggym.transcripts import examples
from eggym.wording import notes_of

__all__ = ["REPORT_FILE", "picture_svg", "summary", "write_report"]

REPORT_FILE = "report.html"


def write_report(duel_folder: Path, records: Sequence[Record], measured: Mapping[str, Measured]) -> Path:
    """Write ``report.html`` into the folder of a duel and return its path.

    Args:
        duel_folder: where the run folders lie; transcripts are read from them where they exist.
        records: the finished runs.
        measured: by id of the record; may be incomplete.
    """
    arenas = arrange(records)
    found = summary(records, measured)
    verdicts = [_verdict(task) for task in found["tasks"]]
    folders = _folders(duel_folder)
    axes = axes_of(arenas, measured)
    page = (
        environment()
        .get_template("report.html.j2")
        .render(
            found=found,
            subtitle=_subtitle(arenas),
            axes=[(axis, AXES[axis], panel_svgs(arenas, axis, measured, verdicts)) for axis in axes],
            first_axis=_first_axis(arenas, axes),
            axis_names=AXES,
            ladders=ladder_svgs(arenas),
            profile=profile_svg(found["overall"], arenas),
            pass_plots=pass_at_svgs(found["tasks"], arenas),
            told_beyond=[one["learner"] for task in found["tasks"] for one in task["learners"] if known(one["beyond"])],
            note_on_many=note_on_many(found["tasks"]),
            whiskers=whiskers(found),
            timed_phases=timed_phases(found),
            shades=CSS_OF,
            settings=settings(arenas),
            notes=notes_of(found),
            examples=examples(arenas, folders),
            provenance=provenance(records, measured),
        )
    )
    path = duel_folder / REPORT_FILE
    write_bytes(path, page.encode())
    return path


def picture_svg(records: Sequence[Record]) -> str:
    """Return the headline picture as one SVG file, readable on white and on dark; the axis is that of the budget."""
    arenas = arrange(records)
    found = summary(records, {})
    axis = _first_axis(arenas, axes_of(arenas, {}))
    verdicts = map(_verdict, found["tasks"])
    panels = [panel(arena, axis, {}, verdict, arenas) for arena, verdict in zip(arenas, verdicts, strict=True)]
    panels += map(ladder_panel, ladders(arenas))
    label = " ".join([found["headline"], *(describe(arena, axis) for arena in arenas)])
    return sheet_svg(panels, found["headline"], _subtitle(arenas, axis), label)


def _verdict(task: Mapping[str, Any]) -> tuple[str, str]:
    """Return a few words on who is ahead, and the class that colours them."""
    pairs = task["comparisons"]
    if not pairs:
        return "", "mute"
    if len(pairs) > 1:
        ahead = {name: sum(one["verdict"] == name for one in pairs) for name in CSS_OF}
        said = [
            f"{name} in {count} of {len(pairs)}" for name, count in ahead.items() if count and name != "not resolved"
        ]
        return "; ".join(said) or f"not resolved in {len(pairs)} pairs", "ink"
    only = pairs[0]
    if only["verdict"] == "not resolved":
        few = "" if only["low"] is not None else f": {only['n']} seed{'s' * (only['n'] != 1)}"
        return f"not resolved{few}", "mute"
    return f"{only['verdict']} by {abs(only['difference']):.2f}", CSS_OF[only["verdict"]]


def _subtitle(arenas: Sequence[Arena], axis: Axis | None = None) -> str:
    every = [record for arena in arenas for side in arena.sides for record in side.records]
    seeds = len({record.seed for record in every})
    counts = {record.final(record.primary).n_items for record in every}
    items = str(max(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
    over = f" against {AXES[axis]} of training" if axis else ""
    band = "; bands are 95 % t intervals" if seeds >= 3 else "; fewer than 3 seeds allow no interval"
    return f"Mean {arenas[0].primary} reward on {items} held-out items{over}, {seeds} seed{'s' * (seeds != 1)}{band}"


def _first_axis(arenas: Sequence[Arena], axes: Sequence[Axis]) -> Axis:
    declared = arenas[0].sides[0].records[0].budget.axis
    return next((axis for axis in axes if axis == declared), "flops")


def _folders(duel_folder: Path) -> dict[str, Path]:
    found = {}
    for folder in find_runs(duel_folder):
        try:
            found[load_record(folder).id] = folder
        except EggymError:  # not one of ours: the report is about the records it was given
            continue
    return found
