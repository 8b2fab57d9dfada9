"""eggym: decide between evolution strategies and reinforcement learning for post-training a language model.

The names below are loaded when they are first used, so that ``import eggym`` costs next to nothing.
"""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# In a bare checkout (no install) the leaves lie beside this folder; an installed package has them inside it.
_checkout = Path(__file__).parent.parent
if (_checkout / "pyproject.toml").is_file():
    __path__.append(str(_checkout))

if TYPE_CHECKING:
    from eggym.chat import ChatObservation
    from eggym.check import check_task
    from eggym.dataset import DatasetTask, dataset_task
    from eggym.duel import duel
    from eggym.env import TextEnv
    from eggym.evaluate import evaluate
    from eggym.gym_task import gym_task
    from eggym.probe import probe
    from eggym.registry import load_task, register
    from eggym.replay import replay
    from eggym.task import Item, MultiTurnTask, SingleTurnTask, Task, Verdict, VerdictState
    from eggym.to_trl import trl_dataset, trl_reward
    from eggym.to_verifiers import export_verifiers
    from eggym.train import train
    from eggym.vector import TextVectorEnv

__all__ = [
    "ChatObservation",
    "DatasetTask",
    "Item",
    "MultiTurnTask",
    "SingleTurnTask",
    "Task",
    "TextEnv",
    "TextVectorEnv",
    "Verdict",
    "VerdictState",
    "check_task",
    "dataset_task",
    "duel",
    "evaluate",
    "export_verifiers",
    "gym_task",
    "load_task",
    "probe",
    "register",
    "replay",
    "train",
    "trl_dataset",
    "trl_reward",
]

_HOMES = {  # public name -> the module that has it
    "ChatObservation": "eggym.chat",
    "DatasetTask": "eggym.dataset",
    "Item": "eggym.task",
    "MultiTurnTask": "eggym.task",
    "SingleTurnTask": "eggym.task",
    "Task": "eggym.task",
    "TextEnv": "eggym.env",
    "TextVectorEnv": "eggym.vector",
    "Verdict": "eggym.task",
    "VerdictState": "eggym.task",
    "check_task": "eggym.check",
    "dataset_task": "eggym.dataset",
    "duel": "eggym.duel",
    "evaluate": "eggym.evaluate",
    "export_verifiers": "eggym.to_verifiers",
    "gym_task": "eggym.gym_task",
    "load_task": "eggym.registry",
    "probe": "eggym.probe",
    "register": "eggym.registry",
    "replay": "eggym.replay",
    "train": "eggym.train",
    "trl_dataset": "eggym.to_trl",
    "trl_reward": "eggym.to_trl",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'eggym' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Face(ModuleType):
    """This package. ``eggym.duel`` is a function *and* a module; as an attribute it is always the function.

    Importing a submodule binds it as an attribute of its package. Here that binding is left out for names of the public
    face: ``from eggym.duel import ...`` does not need it.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
import_module("eggym.gymnasium_hook").install()
