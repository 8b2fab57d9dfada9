"""Names of tasks and learners, and how to get from a name to the thing.

The leaves bring import-free tables of strings, and so do other distributions (`eggym.plugins`); a module is imported
only when its name is asked for. What is registered in this process lives here.
"""

import inspect
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from eggym import plugins
from eggym.contract import check_settings
from eggym.errors import BadValue, EggymError, TaskFault, unknown
from eggym.plugins import ID, Table, check_id
from eggym.source import FILE_REFERENCE, check_reference, load_file, named, told
from eggym.task import Task, label_of
from eggym.values import as_meant
from eggym.variant import WRAPPER, split_variant

if TYPE_CHECKING:
    from eggym.learner import LearnerSpec

AnyTask = TypeVar("AnyTask", bound=Task)

_TASK_LEAVES = ("eggym.envs",)
_LEARNER_LEAVES = ("eggym.es", "eggym.agents")
_OPTIONS = re.compile(r"(?P<ref>[^@]*(?:@[^@]*)*)@(?P<options>[A-Za-z_]\w*=.*)", re.DOTALL)
_NAMED = re.compile(r"(^|,)\s*([A-Za-z_]\w*)=")
_SPEC_FIELDS = ("name", "kind", "options", "build", "resolve")

_registered: dict[str, type[Task]] = {}


def register(task_class: type[AnyTask]) -> type[AnyTask]:
    """Make a task of your own known by its ``id``, here and to Gymnasium; usable as a decorator.

    A change that moves scores takes a new version of the id. Registering a class again, from the same module under the
    same name, replaces it (a notebook's cell may run twice).

    Raises:
        BadValue: the id is not of the form ``namespace/name-vN``, or another class has it.
    """
    _check_free(task_class, task_class.__name__)
    _registered[task_class.id] = task_class
    announce()
    return task_class


def load_task(ref: str, **difficulty: Any) -> Task:
    """Return a task by id, by ``module:NAME``, or from a file, ``my_task.py`` or ``my_task.py:NAME``.

    An id may leave out its version (the highest is taken) and the namespace ``eggym/``. ``difficulty`` goes to the
    task; options behind an ``@``, as in ``exam@turns=16,mode=needle``, go before it.

    Raises:
        UnknownName: no such task, module or name; the nearest known one is named.
        BadValue: the reference has no known form, the file holds no task, or several, the task has no such option, or
            one of its attributes is not what `eggym.task.Task` says.
        TaskFault: the file or module raised when it was imported, or the task when it was made.
    """
    ref, own = parted(ref)
    found, difficulty = task_class(ref), {**difficulty, **own}
    accepted = inspect.signature(found).parameters
    unnamed = [name for name in difficulty if name not in accepted]
    if unnamed and not any(one.kind is one.VAR_KEYWORD for one in accepted.values()):
        raise unknown(f"option of task {found.id!r}", unnamed[0], accepted)
    try:
        inspect.signature(found).bind(**difficulty)
    except TypeError as problem:
        raise BadValue(f"task {found.id!r} cannot be made with these options: {problem}") from problem
    try:
        task = found(**difficulty)
    except (EggymError, KeyboardInterrupt):
        raise
    except BaseException as problem:  # an author's __init__ may raise anything, sys.exit() included
        raise TaskFault(f"task {found.id!r}: making it raised {told(problem)}") from problem
    check_settings(task)
    return task


def task_class(ref: str) -> type[Task]:
    """Return the class that `load_task` would make an instance of."""
    check_reference(ref, "task")
    ref, _ = parted(ref)
    file = FILE_REFERENCE.fullmatch(ref)
    if file:
        found = _from_file(file["path"], file["name"])
    elif ":" in ref and "/" not in ref:
        found = _as_task(named(ref, "task"), ref)
    else:
        return _by_id(ref)
    _check_free(found, f"{found.__name__} in {ref}")
    return found


def is_task(ref: str) -> bool:
    """Return whether `load_task` knows this as an id, whole or in part; imports no task."""
    return _resolve(parted(ref)[0], _tasks(with_plugins=True)) is not None


def with_options(ref: str, options: Mapping[str, Any]) -> str:
    """Return a reference of a task with more options; those that it has already stay."""
    bare, own = parted(ref)
    return label_of(bare, {**options, **own})


def load_learner(name: str) -> "LearnerSpec":
    """Return a learner by name, by ``module:NAME``, from a file, or ``random-reward:`` before any of these.

    A variant, ``eggroll@t1``, is the learner itself: only its settings differ.

    Raises: as `load_task`.
    """
    check_reference(name, "learner")
    name, _ = split_variant(name)
    if name.split(":", 1)[0] == WRAPPER:
        return _random_reward(name.partition(":")[2])
    file = FILE_REFERENCE.fullmatch(name)
    if file:
        return _own(_spec_from_file(file["path"], file["name"]), name)
    if ":" in name:
        return _own(_as_spec(named(name, "learner"), name), name)
    table = _learners() if name in _learners() else _learners(with_plugins=True)
    if name not in table:
        _blame_plugins()
        raise unknown("learner", name, table)
    return _as_spec(named(table[name][0], "learner"), name)


def _own(spec: "LearnerSpec", ref: str) -> "LearnerSpec":
    """Refuse a learner that is called as a registered one and is another: its record would pass for that one's."""
    table = _learners(with_plugins=True)
    if spec.name in table and named(table[spec.name][0], "learner") is not spec:
        raise BadValue(
            f"{ref} calls its learner {spec.name!r}, which is the name of {table[spec.name][0]}; give yours another"
        )
    return spec


def task_table() -> dict[str, str]:
    """Return every known task id with its one-line summary, those of `family_table` left out; imports no task."""
    known = _tasks(with_plugins=True)
    grouped = {name for _, table in plugins.families(_TASK_LEAVES).values() for name in table}
    return {name: line for name, (_, line) in sorted(known.items()) if name not in grouped}


def family_table() -> dict[str, tuple[str, dict[str, str]]]:
    """Return each family of tasks by name: what it is, and its ids with their summaries; imports no task."""
    _tasks(with_plugins=True)
    return {
        name: (title, {task_id: line for task_id, (_, line) in sorted(table.items())})
        for name, (title, table) in sorted(plugins.families(_TASK_LEAVES).items())
    }


def learner_table() -> dict[str, str]:
    """Return every known learner's name with its one-line summary; imports no learner.

    ``random-reward`` stands there once; it is used as ``random-reward:NAME``.
    """
    return {name: summary for name, (_, summary) in sorted(_learners(with_plugins=True).items())}


def _check_free(task_class: type[Task], owner: str) -> None:
    """Refuse an id of another form, or one that another class has."""
    check_id(task_class.id, owner)
    holder = _registered.get(task_class.id)
    if holder is not None and (_home(holder) == _home(task_class) or holder.__module__ not in sys.modules):
        return  # the same again, or what is left of a file that failed
    place = _place(holder) if holder else _tasks().get(task_class.id, ("", ""))[0]
    if place not in ("", _place(task_class)):
        raise BadValue(f"task id {task_class.id!r} of {owner} belongs to {place}; give yours another id")


def announce() -> None:
    """Tell Gymnasium, if it is imported, of every task known so far.

    Entry points are strings and arguments are JSON, so a spec can be stored and read back; nothing of ours is imported.
    """
    gymnasium = sys.modules.get("gymnasium")
    if gymnasium is None or not hasattr(gymnasium, "register"):
        return
    for task_id in _tasks():
        if task_id not in gymnasium.registry:
            gymnasium.register(
                id=task_id,
                entry_point="eggym.gymnasium_hook:make_env",
                vector_entry_point="eggym.gymnasium_hook:make_vec_env",
                kwargs={"task": task_id},
            )


def _tasks(with_plugins: bool = False) -> Table:
    """Return all tables of tasks in one, those of the plugins included where asked or already loaded."""
    own = {task_id: (_place(found), _first_line(found)) for task_id, found in _registered.items()}
    return own | _shipped(with_plugins)


def _shipped(with_plugins: bool = False) -> Table:
    together = _table(_TASK_LEAVES, "TASKS", with_plugins)
    for _, table in plugins.families(_TASK_LEAVES).values():
        together |= table
    return together


def _learners(with_plugins: bool = False) -> Table:
    return _table(_LEARNER_LEAVES, "LEARNERS", with_plugins)


def _table(leaves: tuple[str, ...], attribute: str, with_plugins: bool) -> Table:
    if with_plugins and plugins.load_plugins():
        announce()
    return plugins.tables(leaves, attribute)


def parted(ref: str) -> tuple[str, dict[str, Any]]:
    """Part ``ID@name=value,name=value`` into the reference and the options, whose values are YAML."""
    match = _OPTIONS.fullmatch(ref) if isinstance(ref, str) else None
    if match is None:
        return ref, {}
    import yaml  # late: listing needs none of it

    try:
        found = yaml.safe_load("{" + _NAMED.sub(r"\1\2: ", match["options"]) + "}")
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise BadValue(
            f"the options of task {ref!r:.200} cannot be read; write them as in exam@turns=16,mode=needle"
        ) from problem
    return match["ref"], {name: as_meant(value) for name, value in found.items()}


def _by_id(ref: str) -> type[Task]:
    task_id = _resolve(ref, _tasks()) or _resolve(ref, _tasks(with_plugins=True))
    if task_id is None:
        _blame_plugins()
        raise unknown("task", ref, _as_written(ref))
    if task_id in _registered:
        return _registered[task_id]
    place = _tasks()[task_id][0]
    found = _as_task(named(place, "task"), task_id)
    own = vars(found).get("id") or task_id  # one that is inherited is another task's
    if own != task_id:
        raise BadValue(f"the table has {place} as {task_id!r}, and its class says id = {own!r}; make them equal")
    found.id = task_id
    return found


def _blame_plugins() -> None:
    """Tell of a plugin that could not be loaded where a name is unknown: it may be the one that has it."""
    for fault in plugins.faults():
        raise EggymError(fault)


def _as_written(ref: str) -> list[str]:
    """Return the known ids in the form in which ``ref`` was written, so that the nearest one is found."""
    ids = list(_tasks())
    if "/" not in ref:
        ids = [name.removeprefix("eggym/") for name in ids]
    return ids if re.search(r"-v\d+$", ref) else [re.sub(r"-v\d+$", "", name) for name in ids]


def _resolve(ref: str, table: Table) -> str | None:
    """Return the id that is meant: as it stands, with the house's namespace, or with the highest version."""
    full = ref if "/" in ref else f"eggym/{ref}"
    if full in table:
        return full
    versions = [match for match in map(ID.fullmatch, table) if match and match["family"] == full]
    return max(versions, key=lambda match: int(match["version"])).string if versions else None


def _from_file(path: str, name: str | None) -> type[Task]:
    module = load_file(path, "task")
    if name:
        return _as_task(_attribute(module, name, path), f"{path}:{name}")
    own = {
        id(value): value
        for value in [*vars(module).values(), *_registered.values()]
        if inspect.isclass(value) and issubclass(value, Task) and value.__module__ == module.__name__
    }
    tasks = [value for value in own.values() if value.id] or list(own.values())
    if len(tasks) == 1:
        return tasks[0]
    environments = [value for value in vars(module).values() if _is_environment(value)]
    if not tasks and environments:
        raise BadValue(f"{path} defines no task; its {environments[-1].__name__} {_wrap(environments[-1].__name__)}")
    if not tasks:
        raise BadValue(f"{path} defines no task; subclass eggym.SingleTurnTask or eggym.MultiTurnTask in it")
    names = ", ".join(sorted(value.__name__ for value in tasks))
    raise BadValue(f"{path} defines {len(tasks)} tasks ({names}); choose one, as in {path}:{tasks[0].__name__}")


def _spec_from_file(path: str, name: str | None) -> "LearnerSpec":
    module = load_file(path, "learner")
    if name:
        return _as_spec(_attribute(module, name, path), f"{path}:{name}")
    specs = {key: value for key, value in vars(module).items() if _is_spec(value)}
    if len(specs) == 1:
        return _as_spec(next(iter(specs.values())), path)
    held = f"{len(specs)} learners ({', '.join(sorted(specs))})" if specs else "no LearnerSpec"
    raise BadValue(f"{path} defines {held}; exactly one is needed, or say which, as in {path}:SPEC")


def _random_reward(inner: str) -> "LearnerSpec":
    if not inner:
        raise BadValue(f"{WRAPPER} needs another learner's name behind it, such as {WRAPPER}:eggroll")
    wrap = named(_learners()[WRAPPER][0], "learner")
    return _as_spec(wrap(load_learner(inner)), f"{WRAPPER}:{inner}")


def _is_environment(value: Any) -> bool:
    gymnasium = sys.modules.get("gymnasium")  # who defines an environment has imported it
    kind = getattr(gymnasium, "Env", None)
    return kind is not None and inspect.isclass(value) and issubclass(value, kind)


def _wrap(name: str) -> str:
    return f'is a gymnasium.Env; wrap it, as in MyTask = eggym.gym_task("me/name-v0", {name})'


def _as_task(value: Any, ref: str) -> type[Task]:
    if _is_environment(value):
        raise BadValue(f"{ref} {_wrap(value.__name__)}")
    if not (inspect.isclass(value) and issubclass(value, Task)):
        raise BadValue(f"{ref} is no task but {value!r:.80}; a task is a subclass of eggym.Task")
    return value


def _as_spec(value: Any, ref: str) -> "LearnerSpec":
    if not _is_spec(value):
        raise BadValue(f"{ref} is no LearnerSpec but {value!r:.80}; see eggym.learner.LearnerSpec")
    spec: LearnerSpec = value
    return spec


def _is_spec(value: Any) -> bool:
    # By its attributes: importing LearnerSpec would import torch, and a listing must not.
    return not inspect.isclass(value) and all(hasattr(value, name) for name in _SPEC_FIELDS)


def _attribute(module: Any, name: str, path: str) -> Any:
    try:
        return getattr(module, name)
    except AttributeError:
        raise unknown(f"name in {path}", name, [key for key in vars(module) if not key.startswith("_")]) from None


def _importable(name: str) -> bool:
    """Return whether a fresh process could import a module: what merely stands in `sys.modules` is no answer."""
    top = name.partition(".")[0]
    return any(finder.find_spec(top, None) for finder in sys.meta_path if hasattr(finder, "find_spec"))


def _place(found: type[Any]) -> str:
    return f"{found.__module__}:{found.__qualname__}"


def _home(found: type[Any]) -> tuple[str, str]:
    """Return file and name: a file that was edited and run again is the same home, though another module."""
    module = sys.modules.get(found.__module__)
    return getattr(module, "__file__", None) or found.__module__, found.__qualname__


def _first_line(found: type[Any]) -> str:
    return (inspect.getdoc(found) or "").partition("\n")[0]


def reference(task: str | type[Task]) -> str:
    """Return a reference by which another process finds a task: ids of this process alone become ``module:name``.

    Raises:
        BadValue: the class stands in no module that can be imported: a script, a notebook, a function.
    """
    if isinstance(task, str) and parted(task)[1]:
        ref, _, options = task.rpartition("@")
        return f"{reference(ref)}@{options}"
    found = task if isinstance(task, type) else _registered.get(task)
    if found is None or (isinstance(task, str) and task in _shipped()):
        return str(task)
    module = sys.modules.get(found.__module__)
    names = [name for name, value in vars(module).items() if value is found] if module else []
    if not names or found.__module__ == "__main__" or not _importable(found.__module__):
        raise BadValue(
            f"task {found.id!r} is known to this process only; put it into a file of its own and give the file's path, "
            "or module:NAME"
        )
    return f"{found.__module__}:{names[0]}"
