"""From a YAML file and flags to a configuration: flags override the file, unknown names are refused with the nearest
known.

A file has the names of the flags: ``model: ...``, ``task: [..]``, ``learner: [..]``, ``budget: 1e18flops``, ``seeds:
5``, ``out: ...``, ``set: {eggroll.sigma: 0.02}``.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eggym.config import RunConfig
from eggym.config_file import read_file, with_flat_set
from eggym.duel import DEFAULT_LEARNERS, DuelConfig, seed_list
from eggym.errors import BadValue, unknown
from eggym.registry import learner_table
from eggym.variant import bare_name, sections, split_variant
from eggym.wording import slug

# a budget may look like a number
_TEXTS = ("model", "budget", "data", "split", "memory", "device", "dtype", "out", "tune_task", "tune_budget")


def gather(file: Path | None, flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a file, overridden by the flags that were given (those that are not None or empty).

    Raises:
        BadValue: a value of the wrong kind.
        UnknownName: a name that is no setting.
    """
    found = _merged(file, read_file(file) if file else {}, flags)
    if "learner" in found:
        _refuse_left_out(flags.get("set", {}), found["learner"])
    return found


def gather_parts(
    file: Path | None, flags: Mapping[str, Any], wanted: Sequence[str] = ()
) -> dict[str | None, dict[str, Any]]:
    """Return the settings of each duel that a file asks for, by the name of its part; None: the file has no parts.

    A part overrides what stands beside ``parts``, and flags override both. Its folder lies in that of the whole.

    Args:
        file: YAML.
        flags: those of the verb.
        wanted: names of parts; none: all.

    Raises: as `gather`.
    """
    found = _parts(file, flags, wanted)
    taking_part = dict.fromkeys(one for part in found.values() for one in part.get("learner", DEFAULT_LEARNERS))
    _refuse_left_out(flags.get("set", {}), list(taking_part))
    return found


def _refuse_left_out(settings: Iterable[str], learners: Sequence[str]) -> None:
    """Refuse settings of a registered learner that takes no part: they would do nothing, unseen.

    Of flags, which are said of these runs alone; a file may hold settings for learners that take part another time.
    The name of a learner from a file is not known yet: then the runs look themselves.
    """
    known, own = learner_table(), {section for one in learners for section in sections(one)}
    if any(split_variant(bare_name(one))[0] not in known for one in learners):
        return
    for name in settings:
        section, _, rest = name.partition(".")
        if rest and section not in own and split_variant(section)[0] in known:
            who = f"learner{' here is' if len(learners) == 1 else 's here are'} {', '.join(learners)}"
            raise BadValue(
                f"{name} sets {section}, which takes no part: the {who}; add --learner {section}, or leave it out"
            )


def _parts(file: Path | None, flags: Mapping[str, Any], wanted: Sequence[str]) -> dict[str | None, dict[str, Any]]:
    settings = read_file(file) if file else {}
    parts = settings.pop("parts", None)
    if file is None or parts is None:
        if wanted:
            raise BadValue(f"--part {wanted[0]} goes with a --config file that has parts")
        return {None: _merged(file, settings, flags)}
    if not isinstance(parts, dict) or not parts or not all(isinstance(one, dict) for one in parts.values()):
        raise BadValue(f"parts in {file} must hold names and settings, such as `small: {{budget: 1e11flops}}`")
    for name in wanted:
        if name not in parts:
            raise unknown(f"part in {file}:", name, parts)
    folders = [slug(str(name)) for name in parts]
    for number, name in enumerate(parts):
        first = folders.index(folders[number])
        if first < number:
            both = f"{list(parts)[first]!r} and {name!r}"
            raise BadValue(f"parts {both} in {file} would share the folder {folders[number]}; rename one")
    chosen = {str(name): part for name, part in parts.items() if not wanted or name in wanted}
    return {name: _part(file, settings, name, part, flags) for name, part in chosen.items()}


def _part(
    file: Path, shared: Mapping[str, Any], name: str, part: Mapping[str, Any], flags: Mapping[str, Any]
) -> dict[str, Any]:
    if "out" in part:
        raise BadValue(f"part {name} in {file} has no out of its own: give one for the whole, beside parts")
    own = with_flat_set(part, f"part {name} in {file}")
    if "seed" in own or "seeds" in own:
        shared = {key: value for key, value in shared.items() if key not in ("seed", "seeds")}
    found = _merged(file, {**shared, **own, "set": {**shared.get("set", {}), **own["set"]}}, flags)
    return {**found, "out": str(Path(found.get("out", Path("runs") / file.stem)) / slug(name))}


def _merged(file: Path | None, settings: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    known = [found.name for found in dataclasses.fields(DuelConfig)] + ["out", "seed", "force"]
    for name in settings:
        if name == "parts":
            raise BadValue(f"{file} holds parts, which only eggym duel runs")
        if name not in known:
            raise unknown(f"setting in {file}:", name, known)
    given = {name: value for name, value in flags.items() if value not in (None, [], {}, ())}
    if "seed" in given and "seeds" in given:
        raise BadValue("give --seeds (how many) or --seed (which ones), not both")
    if "seed" in given or "seeds" in given:  # either flag overrides either name in the file
        settings = {name: value for name, value in settings.items() if name not in ("seed", "seeds")}
    merged = {**settings, **given, "set": {**settings.get("set", {}), **given.get("set", {})}}
    return {name: _checked(name, value) for name, value in merged.items() if value is not None}


def duel_config(settings: Mapping[str, Any]) -> DuelConfig:
    """Return the duel that the settings ask for."""
    values = {name: value for name, value in settings.items() if name not in ("out", "seed", "seeds", "force")}
    for name in ("task", "learner"):
        if name in values:
            values[name] = tuple(values[name])
    if "seed" in settings:
        values["seeds"] = tuple(settings["seed"])
    elif "seeds" in settings:
        values["seeds"] = seed_list(settings["seeds"])
    return DuelConfig(**values)


def run_config(settings: Mapping[str, Any], verb: str = "train") -> RunConfig:
    """Return the single run that the settings of a verb ask for."""
    tuned = next((name for name in settings if name.startswith("tune")), None)
    if tuned is not None:
        raise BadValue(f"{tuned} is of no use to {verb}, which runs once; use eggym duel")
    values = {
        name: value for name, value in settings.items() if name not in ("out", "seeds", "seed", "workers", "force")
    }
    for name in ("task", "learner"):
        found = values.pop(name, [])
        if len(found) != 1:
            raise BadValue(f"{verb} takes exactly one --{name}, got {len(found)}; use eggym duel for several")
        values[name] = found[0]
    if "seeds" in settings:
        raise BadValue(f"{verb} runs one seed: give seed, not seeds; use eggym duel for several")
    seeds = settings.get("seed", [0])
    if len(seeds) != 1:
        raise BadValue(f"{verb} takes exactly one --seed, got {len(seeds)}; use eggym duel for several")
    return RunConfig(seed=seeds[0], **values)


def _checked(name: str, value: Any) -> Any:
    if name in ("task", "learner"):
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            raise BadValue(f"{name} must be a name or a list of names, got {value!r}")
    elif name == "seed":
        value = [value] if _whole(value) else value
        if not isinstance(value, list) or not all(_whole(one) and one >= 0 for one in value):
            raise BadValue(f"seed must be a whole number of at least 0, got {value!r}")
    elif name == "seeds":
        if not _whole(value) and not (isinstance(value, list) and all(map(_whole, value))):
            raise BadValue(f"seeds must be a count or a list of seeds, got {value!r}")
    elif name == "force":
        if not isinstance(value, bool):
            raise BadValue(f"force must be true or false, got {value!r}")
    elif name in ("workers", "tune", "tune_items"):
        if not _whole(value):
            raise BadValue(f"{name} must be a whole number, got {value!r}")
    elif name in _TEXTS:
        if not isinstance(value, str | int | float) or isinstance(value, bool) or not str(value).strip("\0"):
            raise BadValue(f"{name} must be a text, got {value!r}")
        value = str(value)
        if "\0" in value or not value.isprintable():
            raise BadValue(f"{name} holds characters that cannot be printed: {value!r}")
    return value


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
