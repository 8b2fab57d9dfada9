"""The solution's process: runs the code, and answers calls of its functions.

Everything here shares an interpreter with model code, which may bend all of it; nothing here decides anything. The
verdict is made by processes that read what this one sends as bytes from a stranger.

To the parent goes one message at the end: {"end": "ok" | "exception" | "memory", "why": text, "trace": text}. To the
checker goes, if there is one, {"ready": true} when the code has run, then for every call {"id", "name", "args",
"kwargs"} an answer {"id", "value"} or {"id", "raised": [type, message, trace]}.
"""

import builtins
import os
import sys
import types
from collections.abc import Mapping
from typing import Any

from .box_channel import Channel
from .box_trace import SOLUTION, trace_of
from .box_values import Unsendable, pack, unpack

MOST_WORDS = 200  # characters of an exception's message


def run_program(report: Channel, request: Mapping[str, Any]) -> None:
    """Run the code as a script; standard input and output are the descriptors 0 and 1."""
    module = _module("__main__")
    end = _execute(request["code"], module)
    _wind_up()
    report.send(end)


def serve_calls(report: Channel, link: Channel, request: Mapping[str, Any]) -> None:
    """Run the code as a module, then answer calls until the link closes."""
    module = _module("solution")
    end = _execute(request["code"], module)
    if end["end"] == "ok" and request["setup"]:
        end = _execute(request["setup"], module, "<setup>")
    report.send(end)
    if end["end"] != "ok":
        return
    link.send({"ready": True})
    served = Served(module.__dict__, request["code"])
    while True:
        try:
            call = link.receive()
            answer = served.answer(call)
            try:
                link.send(answer)
            except ValueError as problem:  # too long
                link.send({"id": call["id"], "raised": ["Unsendable", str(problem), ""]})
        except (EOFError, BrokenPipeError):
            return


def _module(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    sys.modules[name] = module
    return module


def _execute(code: str, module: types.ModuleType, name: str = SOLUTION) -> dict[str, str]:
    try:
        exec(compile(code, name, "exec", dont_inherit=True), module.__dict__)
    except SystemExit as problem:
        if problem.code not in (None, 0):
            return {"end": "exception", "why": _words(problem), "trace": trace_of(problem, code)}
    except MemoryError as problem:
        return {"end": "memory", "why": _words(problem), "trace": ""}
    except BaseException as problem:
        return {"end": "exception", "why": _words(problem), "trace": trace_of(problem, code)}
    return {"end": "ok", "why": "", "trace": ""}


def _words(problem: BaseException) -> str:
    """Return class and message of an exception in one line; model code may have made both odd."""
    try:
        return ": ".join(filter(None, (type(problem).__name__, str(problem)[:MOST_WORDS])))
    except BaseException:
        return "an exception that cannot be told"


def _wind_up() -> None:
    """Wait for threads, run what was registered for the end, and flush."""
    threading = sys.modules.get("threading")
    try:
        if threading is not None:
            threading._shutdown()  # what the interpreter calls at its end
        sys.modules["atexit"]._run_exitfuncs()
    except BaseException as problem:
        os.write(2, f"{_words(problem)}\n".encode("utf-8", "replace"))
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()  # type: ignore[union-attr]  # model code may have put anything there
        except BaseException:
            continue


class Served:
    """The names of a solution, and the objects that it returned which are not plain."""

    def __init__(self, names: dict[str, Any], code: str) -> None:
        """Serve the names of a module; its code is quoted in traces."""
        self._names, self._code = names, code
        self._opaque: list[Any] = []

    def answer(self, call: Mapping[str, Any]) -> dict[str, Any]:
        """Make a call and return what is to be sent."""
        try:
            function = self._named(call["name"])
            args = unpack(call["args"], self._meant)
            kwargs = unpack(call["kwargs"], self._meant)
            return {"id": call["id"], "value": pack(function(*args, **kwargs), self._kept)}
        except (Unsendable, RecursionError) as problem:
            words = str(problem)[:MOST_WORDS]
            return {"id": call["id"], "raised": [type(problem).__name__, words, trace_of(problem, self._code)]}
        except BaseException as problem:
            name, _, words = _words(problem).partition(": ")
            return {"id": call["id"], "raised": [name, words, trace_of(problem, self._code)]}

    def _named(self, name: str) -> Any:
        if name not in self._names:
            raise NameError(f"the solution has no name {name!r}")
        return self._names[name]

    def _meant(self, tag: str, body: Any) -> Any:
        if tag == "o":
            return self._opaque[body]
        return self._named(body) if tag == "n" else getattr(builtins, body)

    def _kept(self, value: Any) -> Any:
        self._opaque.append(value)
        try:
            truth = bool(value)
        except Exception:
            truth = False
        return ["o", [len(self._opaque) - 1, truth]]
