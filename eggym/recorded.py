"""What a record names, looked up: a record may come from a stranger, and no code is run on its word.

Tasks and learners that come with eggym, with an installed plugin or that were registered in this process are found by
their names. A file or ``module:NAME`` is run only if the person who looks gave it.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from eggym.errors import BadValue, unknown
from eggym.registry import is_task, learner_table, load_learner, load_task, parted, task_table
from eggym.source import FILE_REFERENCE
from eggym.task import Task
from eggym.variant import bare_name, split_variant

if TYPE_CHECKING:
    from eggym.learner import LearnerSpec


def recorded_task(task_id: str, options: Mapping[str, Any], given: str | None = None) -> Task:
    """Return the task of a record.

    Args:
        task_id: what the record calls it.
        options: those of the record; what ``given`` has behind its ``@`` goes before them.
        given: a reference by the person who looks, where the record's name is not known here.

    Raises:
        UnknownName: no task of this name is registered, and none was given.
        BadValue: an option names code.
        EggymError: as `load_task`.
    """
    if given is None and (parted(task_id)[1] or not is_task(task_id)):
        raise unknown("task", task_id, task_table())
    own = parted(given)[1] if given else {}
    for name, value in options.items():
        code = next(filter(_is_code, _texts(value)), None)
        if name not in own and code is not None:
            raise BadValue(
                f"the record's option {name} of task {task_id!r} names code, {code!r:.120}, and none is run on a "
                f"record's word; if you trust it, give it yourself, as in --task '{task_id}@{name}=...'"
            )
    return load_task(given or task_id, **options)


def recorded_learner(name: str, given: str | None = None) -> "LearnerSpec":
    """Return the learner of a record, or the one that was given.

    Raises:
        UnknownName: no learner of this name is registered, and none was given.
        EggymError: as `load_learner`.
    """
    if given is None and split_variant(bare_name(name))[0] not in learner_table():
        raise unknown("learner", name, learner_table())
    return load_learner(given or name)


def _is_code(ref: str) -> bool:
    """Whether a text, as the reference of a task, is a file or ``module:NAME``, or has options that are."""
    try:
        bare, own = parted(ref)
    except BadValue:  # `load_task` would refuse it as well
        return False
    if own:
        return _is_code(bare) or any(map(_is_code, _texts(own)))
    place, colon, name = bare.partition(":")
    dotted = bool(colon) and all(part.isidentifier() for part in [*place.split("."), name])
    return dotted or bool(FILE_REFERENCE.fullmatch(bare))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
