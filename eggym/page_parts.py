"""Parts of the page that are worked out in Python: whiskers, settings, provenance, and how numbers are written."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eggym.arena import FROZEN, Arena
from eggym.record import Measured, Record
from eggym.wording import amount, short

CSS_OF = {"ES ahead": "es0", "RL ahead": "rl0", "not resolved": "mute"}
_SECTIONS = ("reward", "space", "prompt", "eval", "engine")  # of a run's config; equal for all that are compared
_LEAST_S = 0.05  # shown as 0.1
_NONE = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"


def whiskers(found: Mapping[str, Any]) -> dict[str, str]:
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
        shade = CSS_OF[one["verdict"]]
        drawn[f"{task}|{one['es']}|{one['rl']}"] = (
            f'<svg class="whisker {shade}" viewBox="0 0 220 22" width="220" height="22" aria-hidden="true">{body}</svg>'
        )
    return drawn


def settings(arenas: Sequence[Arena]) -> dict[str, Any]:
    """Return what all runs share, and the options of every learner; values that vary by task are listed."""
    every = [record for arena in arenas for side in arena.sides for record in side.records]
    options: dict[str, dict[str, Any]] = {}
    for arena in arenas:
        for side in arena.sides:
            learner = side.records[0].learner
            told = options.setdefault(side.label, {})
            for name, value in {"profile": learner.profile, **learner.options}.items():
                told.setdefault(name, {})[short(arena.task)] = value
    first = every[0]
    shared = {
        "model": ", ".join(sorted({record.model.name for record in every})),
        "weights that may change": f"{first.model.n_trainable:,} of {first.model.n_parameters:,}",
        "number type": first.model.dtype,
        "budget": ", ".join(sorted({f"{amount(record.budget.limit)} {record.budget.axis}" for record in every})),
        "metric that decides": f"mean {first.primary} reward",
        "point that counts": "chosen on the validation split" if first.chosen is not None else "the last",
    }
    learners = {
        label: {name: _one_or_each(values) for name, values in told.items()}
        for label, told in options.items()
        if label != FROZEN
    }
    return {"shared": shared | _sections(arenas), "learners": learners}


def timed_phases(found: Mapping[str, Any]) -> list[str]:
    """Return the phases that took time enough to be seen in tenths of a second, ``sandbox`` last."""
    told = [one for task in found["tasks"] for one in task["learners"] if one["phases"]]
    names = list(dict.fromkeys(name for one in told for name in one["phases"]))
    seen = [name for name in names if any((one["phases"].get(name) or 0.0) >= _LEAST_S for one in told)]
    return seen + ["sandbox"] * any((one["sandbox_s"] or 0.0) >= _LEAST_S for one in told)


def _sections(arenas: Sequence[Arena]) -> dict[str, Any]:
    """Return what all learners were asked, as `--set` writes it; what differs from task to task is listed."""
    found: dict[str, dict[str, Any]] = {}
    for arena in arenas:
        config = arena.sides[0].records[0].config
        for section in _SECTIONS:
            for name, value in config.get(section, {}).items():
                found.setdefault(f"{section}.{name}", {})[short(arena.task)] = value
    return {name: _one_or_each(values) for name, values in found.items()}


def _one_or_each(by_task: Mapping[str, Any]) -> Any:
    values = list(by_task.values())
    if all(value == values[0] for value in values):
        return values[0]
    return "; ".join(f"{task}: {value}" for task, value in by_task.items())


def provenance(records: Sequence[Record], measured: Mapping[str, Measured]) -> dict[str, str]:
    """Return which code made the runs, and on what."""
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


def number(value: float | None, places: int = 2) -> str:
    """Return a number with its places, or a dash."""
    return _NONE if value is None else f"{value:z.{places}f}".replace("-", _MINUS)


def signed(value: float | None, places: int = 2) -> str:
    """Return a number with its sign, or a dash."""
    return _NONE if value is None else f"{value:+z.{places}f}".replace("-", _MINUS)


def small(value: float | None) -> str:
    """Return a number of which the size matters, in three digits; or a dash."""
    return _NONE if value is None else f"{value:.3g}"


def interval(found: Mapping[str, Any] | None, how: str = "number") -> str:
    """Return ``0.52 to 0.61``, or nothing where there is no interval."""
    if found is None or found["low"] is None:
        return ""
    write: Callable[[float], str] = {"number": number, "signed": signed, "small": small}[how]
    return f"{write(found['low'])} to {write(found['high'])}".replace("-", _MINUS)


def half_width(found: Mapping[str, Any] | None, how: str = "number") -> str:
    """Return ``± 0.05``, half of an interval that lies evenly around its mean; or nothing where there is none."""
    if found is None or found["low"] is None:
        return ""
    write: Callable[[float], str] = {"number": number, "small": small}[how]
    return f"\N{PLUS-MINUS SIGN} {write((found['high'] - found['low']) / 2)}"


def p_value(value: float | None) -> str:
    """Return a p value in three places, or a dash."""
    if value is None:
        return _NONE
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def amount_or_dash(value: float | None) -> str:
    """Return an amount in few characters, or a dash."""
    return _NONE if value is None else amount(value)


def mib(value: int | None) -> str:
    """Return bytes as MiB, or a dash."""
    return _NONE if value is None else f"{value / 2**20:,.0f} MiB"


FILTERS: dict[str, Callable[..., Any]] = {
    "amount": amount_or_dash,
    "num": number,
    "signed": signed,
    "small": small,
    "interval": interval,
    "half": half_width,
    "p": p_value,
    "mib": mib,
    "short": short,
}
