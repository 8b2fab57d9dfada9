"""A bare interpreter: how one is started, and how it finds the modules of the sandbox.

It reads no site, no folder of a user or of the caller and no variable but the seed of its hashes: with that, sets have
the same order in every process, and verdicts repeat. (``-I`` would shut that variable out too.)
"""

import os
import sys
from typing import Any

# The folder of this file as a package that imports nothing else of eggym.
_PROGRAM = """
import sys, types
from importlib import import_module
box = sys.modules["box"] = types.ModuleType("box")
box.__path__ = [sys.argv[1]]
import_module("box." + sys.argv[2]).main(*sys.argv[3:])
"""
BARE: dict[str, Any] = {"env": {"PYTHONHASHSEED": "0"}, "cwd": "/"}  # how to start it, for `subprocess`


def bare_python(module: str, *arguments: str) -> list[str]:
    """Return the command that calls ``main`` of a module beside this one."""
    folder = os.path.dirname(os.path.abspath(__file__))
    return [sys.executable, "-B", "-P", "-s", "-S", "-X", "utf8", "-c", _PROGRAM, folder, module, *arguments]
