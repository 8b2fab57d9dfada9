"""The report of a duel: one HTML file with a picture, the numbers behind it, and replies to read.

Self-contained: no script, no address outside, fonts of the system, light or dark by the reader's own setting. Every
text that came from a model or a task is escaped, and the page's policy forbids anything to load.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eggym.against import ladder_panel, ladder_svgs, ladders
from eggym.arena import FROZEN, Arena, arrange
from eggym.axes import AXES, Axis, axes_of
from eggym.errors import EggymError
from eggym.files import write_bytes
from eggym.outcome import summary
from eggym.picture import STYLE, describe, panel, panel_svgs, sheet_svg
from eggym.record import Measured, Record, find_runs, load_record
from eggym.transcripts import examples
from eggym.wording import amount, short

__all__ = ["REPORT_FILE", "picture_svg", "summary", "write_report"]

REPORT_FILE = "report.html"
_CSS_OF = {"ES ahead": "es0", "RL ahead": "rl0", "not resolved": "mute"}
_NONE = "\N{EN DASH}"


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
    page = _template().render(
        found=found,
        subtitle=_subtitle(arenas),
        axes=[(axis, AXES[axis], panel_svgs(arenas, axis, measured, verdicts)) for axis in axes],
        first_axis=_first_axis(arenas, axes),
        ladders=ladder_svgs(arenas),
        whiskers=_whiskers(found),
        shades=_CSS_OF,
        settings=_settings(arenas),
        examples=examples(arenas, folders),
        provenance=_provenance(records, measured),
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
        ahead = {name: sum(one["verdict"] == name for one in pairs) for name in _CSS_OF}
        said = [
            f"{name} in {count} of {len(pairs)}" for name, count in ahead.items() if count and name != "not resolved"
        ]
        return "; ".join(said) or f"not resolved in {len(pairs)} pairs", "ink"
    only = pairs[0]
    if only["verdict"] == "not resolved":
        few = "" if only["low"] is not None else f": {only['n']} seed{'s' * (only['n'] != 1)}"
        return f"not resolved{few}", "mute"
    return f"{only['verdict']} by {abs(only['difference']):.2f}", _CSS_OF[only["verdict"]]


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


def _whiskers(found: Mapping[str, Any]) -> dict[str, str]:
    """Draw every difference ES - RL on one common scale: a dot, its interval and the line of no difference."""
    pairs = [(task["task"], one) for task in found["tasks"] for one in task["comparisons"]]
    ends = [
        abs(value) for _, one in pairs for value in (one["difference"], one["low"], one["high"]) if value is not None
    ]
    widest = max([*ends, 1e-9]) * 1.05

    def x(value: float) -> str:
        return f"{110 + value / widest * 104:.1f}"

    drawn = {}
    for task, one in pairs:
        body = '<path class="mute" stroke="currentColor" stroke-dasharray="2 2" d="M110 1V21"/>'
        if one["low"] is not None:
            ends_at = f"M{x(one['low'])} 11H{x(one['high'])}"
            body += f'<path stroke="currentColor" stroke-width="3" opacity=".45" d="{ends_at}"/>'
        if one["difference"] is not None:
            body += f'<circle fill="currentColor" cx="{x(one["difference"])}" cy="11" r="4.5"/>'
        shade = _CSS_OF[one["verdict"]]
        drawn[f"{task}|{one['es']}|{one['rl']}"] = (
            f'<svg class="whisker {shade}" viewBox="0 0 220 22" width="220" height="22" aria-hidden="true">{body}</svg>'
        )
    return drawn


def _settings(arenas: Sequence[Arena]) -> dict[str, Any]:
    """Return what all runs share, and the options of every learner; values that vary by task are listed."""
    every = [record for arena in arenas for side in arena.sides for record in side.records]
    options: dict[str, dict[str, Any]] = {}
    for arena in arenas:
        for side in arena.sides:
            learner = side.records[0].learner
            options[side.label] = {"profile": learner.profile, **learner.options}
    first = every[0]
    shared = {
        "model": ", ".join(sorted({record.model.name for record in every})),
        "weights that may change": f"{first.model.n_trainable:,} of {first.model.n_parameters:,}",
        "number type": first.model.dtype,
        "budget": ", ".join(sorted({f"{amount(record.budget.limit)} {record.budget.axis}" for record in every})),
        "metric that decides": f"mean {first.primary} reward",
    }
    return {"shared": shared, "learners": {name: each for name, each in options.items() if name != FROZEN}}


def _provenance(records: Sequence[Record], measured: Mapping[str, Measured]) -> dict[str, str]:
    code = records[0].provenance
    commit = "not from a checkout" if code.git_commit is None else code.git_commit + " (changed)" * bool(code.git_dirty)
    hosts = {", ".join(f"{key} {value}" for key, value in sorted(one.host.items())) for one in measured.values()}
    return {
        "eggym": code.eggym,
        "commit": commit,
        "Python": code.python,
        "libraries": ", ".join(f"{name} {version}" for name, version in sorted(code.libraries.items())),
        "machine": "; ".join(sorted(hosts)) or "not recorded",
        "runs": str(len(records)),
    }


def _folders(duel_folder: Path) -> dict[str, Path]:
    found = {}
    for folder in find_runs(duel_folder):
        try:
            found[load_record(folder).id] = folder
        except EggymError:  # not one of ours: the report is about the records it was given
            continue
    return found


def _template() -> Any:
    import jinja2

    loader = jinja2.PackageLoader("eggym")
    site = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    source, _, _ = loader.get_source(site, "report.css")
    style = STYLE + "\n" + source
    # The policy names the one style sheet by its hash, so that nothing injected can bring another.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    site.globals.update(style=style, style_hash=f"sha256-{digest}")
    site.filters.update(amount=_amount, num=_num, signed=_signed, interval=_interval, mib=_mib, short=short)
    return site.get_template("report.html.j2")


def _num(value: float | None, places: int = 2) -> str:
    return _NONE if value is None else f"{value:.{places}f}"


def _signed(value: float | None) -> str:
    return _NONE if value is None else f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _interval(found: Mapping[str, Any], signed: bool = False) -> str:
    """Return ``0.52 to 0.61``, or nothing where there is no interval."""
    if found["low"] is None:
        return ""
    write = _signed if signed else _num
    return f"{write(found['low'])} to {write(found['high'])}"


def _amount(value: float | None) -> str:
    return _NONE if value is None else amount(value)


def _mib(value: int | None) -> str:
    return _NONE if value is None else f"{value / 2**20:,.0f} MiB"
