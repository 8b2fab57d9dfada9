"""`gymnasium.make("eggym/...")` works as soon as both packages are imported, in either order.

Gymnasium knows an id only after someone registered it. Importing it from ``import eggym`` would do, and would cost
every command a quarter of a second and numpy. So: if Gymnasium is there already, register at once; if not, watch for
its import. The watcher is an entry of `sys.meta_path`: it finds the module as Python would, and has its loader tell us
when it is done. `make_env` and `make_vec_env` are what the registered ids point to.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eggym.env import TextEnv
    from eggym.vector import TextVectorEnv

_WATCHED = "gymnasium"


def install() -> None:
    """Register eggym's tasks with Gymnasium now, or right after its import."""
    if _WATCHED in sys.modules:
        _announce()
    elif not any(isinstance(finder, _Watcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watcher())


def make_env(task: str, split: str = "train", **difficulty: Any) -> "TextEnv":
    """Build what ``gymnasium.make`` returns for a task's id; ``difficulty`` goes to the task."""
    from eggym.env import TextEnv
    from eggym.registry import load_task

    return TextEnv(load_task(task, **difficulty), split)


def make_vec_env(
    num_envs: int,
    task: str,
    split: str = "train",
    share_items: int = 1,
    autoreset_mode: str = "Disabled",
    **difficulty: Any,
) -> "TextVectorEnv":
    """Build what ``gymnasium.make_vec`` returns for a task's id; ``difficulty`` goes to the task."""
    from eggym.registry import load_task
    from eggym.vector import TextVectorEnv

    loaded = load_task(task, **difficulty)
    return TextVectorEnv(loaded, num_envs, split, share_items=share_items, autoreset_mode=autoreset_mode)


class _Watcher:
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return what the other finders find; a mere search (is it installed?) leaves the watcher in place."""
        if name != _WATCHED:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((each for each in found if each is not None), None)
        if spec is not None and spec.loader is not None:
            self._follow(spec)
        return spec

    def _follow(self, spec: ModuleSpec) -> None:
        loader = spec.loader
        assert loader is not None  # noqa: S101 - the caller has looked
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            _announce()

        loader.exec_module = exec_module  # type: ignore[method-assign]  # on this one loader object, not its class


def _announce() -> None:
    from eggym.registry import announce  # late: the registry costs more than this file, and most commands need neither

    announce()
