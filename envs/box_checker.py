"""The checker's process: runs the tests, with stubs in the place of the solution's functions.

A stub sends a name and plain values to the solution's process and gets plain values back, built anew here; what the
tests expect never leaves this process. Objects that are not plain come as `Opaque`: they may be passed on and have a
truth, and any other use makes the test fail, whatever the test does about it. Tests are trusted, values are not.

To the parent go {"test": number, "passed": bool, "why": text, "given": text, "fault": text} for every test, at last
{"end": status, "why": text, "given": text, "cpu_us": of this process so far}; in between {"calling": text} when a call
has gone on for long, and with "" when it is over. ``given`` is the last call, ``fault`` what the solution says that it
raised: neither tells what a test expects.
"""

import builtins
import gc
import json
import os
import random
import re
import socket
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import CodeType
from typing import Any

from .box_channel import Channel
from .box_session import Session, Stop, Stub
from .box_trace import MOST_TRACE

MOST_WORDS = 200


def serve_checks(report: Channel, orders: socket.socket) -> None:
    """Run one check after another, each from a file in memory and against a link of its own, until nobody asks."""
    while True:
        asked, files, _, _ = socket.recv_fds(orders, 1, 2)
        if not asked:
            return
        work, link = files
        request = json.loads(os.read(work, os.fstat(work).st_size))
        os.close(work)
        check(report, Channel(link), request)
        os.close(link)
        _forget()


def _forget() -> None:
    """Let go of what a check has left: its names hold each other, and patterns that it compiled are kept by `re`."""
    re.purge()
    gc.collect()


def check(report: Channel, link: Channel, request: Mapping[str, Any]) -> None:
    """Run the tests and report on each."""
    random.seed(0)  # verdicts repeat
    session = Session(link, report)
    try:
        names, tests = _compiled(session, request)
        if session.receive() != {"ready": True}:
            raise session.stop("protocol", "a beginning that is none")
        for number, test in enumerate(tests):
            passed, why = _try(session, test, names)
            told = {} if passed else {"given": session.given, "fault": session.fault[:MOST_TRACE]}
            report.send({"test": number, "passed": passed, "why": why, **told})
    except Stop as end:
        status, why = end.args
    else:
        status, why = "ok", ""
    report.send({"end": status, "why": why, "given": session.given, "cpu_us": time.process_time_ns() // 1000})


def _compiled(session: Session, request: Mapping[str, Any]) -> tuple[dict[str, Any], list[CodeType]]:
    """Run the imports of the tests; every other name that they use is the solution's."""
    names: dict[str, Any] = {"__name__": "tests"}
    try:
        imports, *tests = [_code(text) for text in (request["imports"], *request["tests"])]
        exec(imports, names)
    except Exception as problem:
        raise session.stop("setup_error", f"the tests cannot be run: {_words(problem)}") from None
    for name in _used((imports, *tests)):
        if name not in names and not hasattr(builtins, name):
            names[name] = Stub(session, name)
    for name, meant in request["names"].items():
        names[name] = Stub(session, meant)
    return names, tests


@lru_cache(maxsize=512)  # a policy is asked about the same tests again and again
def _code(text: str) -> CodeType:
    return compile(text, "<test>", "exec", dont_inherit=True)


def _used(codes: Iterable[CodeType]) -> set[str]:
    """Return the global names of tests; those of attributes are among them, and do no harm."""
    names: set[str] = set()
    for code in codes:
        names.update(code.co_names, _used(part for part in code.co_consts if isinstance(part, CodeType)))
    return names


def _try(session: Session, test: CodeType, names: dict[str, Any]) -> tuple[bool, str]:
    session.begin()
    why = ""
    try:
        exec(test, names)
    except Exception as problem:
        why = _words(problem)
    if session.stopped:  # whatever the test did with it
        raise session.stopped
    why = session.misused or why
    return not why, why


def _words(problem: Exception) -> str:
    try:
        return ": ".join(filter(None, (type(problem).__name__, str(problem)[:MOST_WORDS])))
    except Exception:
        return type(problem).__name__
