"""The checker's process: runs the tests, with stubs in the place of the solution's functions.

A stub sends a name and plain values to the solution's process and gets plain values back, built anew here; what the
tests expect never leaves this process. Objects that are not plain come as `Opaque`: they may be passed on and have a
truth, and any other use makes the test fail, whatever the test does about it. Tests are trusted, values are not.

To the parent go {"test": number, "passed": bool, "why": text, "given": text, "fault": text} for every test, at last
{"end": status, "why": text, "given": text}; in between {"calling": text} when a call has gone on for long, and with ""
when it is over. ``given`` is the last call, ``fault`` what the solution says that it raised: neither tells what a test
expects.
"""

import ast
import builtins
import os
import random
from collections.abc import Mapping
from typing import Any

from .box_channel import Channel, ProtocolFault
from .box_trace import MOST_TRACE, call_of
from .box_values import Unsendable, pack, unpack

MOST_WORDS = 200
_LONG_CALL_S = 0.2  # a call that takes longer is told to the parent, who may have to end it


class Stop(BaseException):
    """The tests cannot go on: (status, why). No handler of a test takes it."""


class Misuse(Exception):
    """A test looked into an object that is not plain."""


class RemoteError(Exception):
    """The solution raised an exception that is none of Python's own."""


class Session:
    """The connection to one solution."""

    def __init__(self, link: Channel, report: Channel) -> None:
        """Take the links; `misused` says whether a test looked into an opaque object."""
        self._link, self._report = link, report
        self._last: tuple[str, Any, Any] | None = None
        self.misused = self.fault = ""
        self.stopped: Stop | None = None

    def begin(self) -> None:
        """Forget what the last test did."""
        self.misused = self.fault = ""
        self._last = None

    @property
    def given(self) -> str:
        """The last call of the test, as text."""
        return call_of(*self._last) if self._last else ""

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of the solution."""
        if self.stopped:
            raise self.stopped
        number = os.urandom(8).hex()
        try:
            packed = {"args": pack(args, _argument), "kwargs": pack(kwargs, _argument)}
        except Unsendable as problem:
            raise self.stop("setup_error", f"an argument of the tests cannot be sent: {problem}") from None
        self._last, self.fault = (name, packed["args"], packed["kwargs"]), ""
        self.send({"id": number, "name": name, **packed})
        is_long = not self._link.ready(_LONG_CALL_S)
        if is_long:
            self._report.send({"calling": self.given})
        answer = self.receive()
        if is_long:
            self._report.send({"calling": ""})
        return self._value(answer, number)

    def send(self, message: Any) -> None:
        try:
            self._link.send(message)
        except OSError:
            raise self.stop("died", "the solution ended while it was called") from None
        except ValueError as problem:
            raise self.stop("setup_error", f"an argument of the tests cannot be sent: {problem}") from None

    def receive(self) -> Any:
        try:
            return self._link.receive()
        except EOFError:
            raise self.stop("died", "the solution ended while it was called") from None
        except ProtocolFault as problem:
            raise self.stop("protocol", str(problem)) from None

    def stop(self, status: str, why: str) -> Stop:
        """Note that nothing more can be asked, and return what to raise."""
        self.stopped = Stop(status, why)
        return self.stopped

    def _value(self, answer: Any, number: str) -> Any:
        if type(answer) is not dict or answer.get("id") != number or len(answer) != 2:
            raise self.stop("protocol", "an answer to no question")
        if "value" in answer:
            try:
                return unpack(answer["value"], self._opaque)
            except (ProtocolFault, RecursionError) as problem:
                raise self.stop("protocol", str(problem)) from None
        raised = answer.get("raised")
        if type(raised) is not list or [type(each) for each in raised] != [str, str, str]:
            raise self.stop("protocol", "an answer of no kind")
        name, words, self.fault = raised
        raise _exception(name, words)

    def _opaque(self, tag: str, body: Any) -> Any:
        if tag != "o" or type(body) is not list or [type(each) for each in body] != [int, bool]:
            raise ProtocolFault("a value of no kind")
        return Opaque(self, *body)


class Opaque:
    """An object that stays with the solution: it can be passed back, and has a truth."""

    def __init__(self, session: Session, number: int, truth: bool) -> None:
        """Keep the number under which the solution knows it."""
        self._session, self._number, self._truth = session, number, truth

    def __bool__(self) -> bool:
        """Return the truth that the solution gave."""
        return self._truth

    def _refuse(self, *_: Any, **__: Any) -> Any:
        self._session.misused = "the solution returned an object that is no plain value"
        raise Misuse(self._session.misused)

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _refuse
    __len__ = __iter__ = __getitem__ = __contains__ = __call__ = __getattr__ = __str__ = __repr__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __int__ = __float__ = __index__ = __abs__ = _refuse


class Stub:
    """A name of the solution: it can be called, and passed as an argument."""

    def __init__(self, session: Session, name: str) -> None:
        """Keep the name."""
        self._session, self.__name__ = session, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the solution's function."""
        return self._session.call(self.__name__, args, kwargs)


def check(report: Channel, link: Channel, request: Mapping[str, Any]) -> None:
    """Run the tests and report on each."""
    random.seed(0)  # verdicts repeat
    session = Session(link, report)
    try:
        names = _names(session, request)
        if session.receive() != {"ready": True}:
            raise session.stop("protocol", "a beginning that is none")
        for number, test in enumerate(request["tests"]):
            passed, why = _try(session, test, names)
            told = {} if passed else {"given": session.given, "fault": session.fault[:MOST_TRACE]}
            report.send({"test": number, "passed": passed, "why": why, **told})
    except Stop as end:
        report.send({"end": end.args[0], "why": end.args[1], "given": session.given})
    else:
        report.send({"end": "ok", "why": ""})


def _names(session: Session, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run the imports of the tests; every other name that they use is the solution's."""
    names: dict[str, Any] = {"__name__": "tests"}
    try:
        trees = [ast.parse(text) for text in (request["imports"], *request["tests"])]
        exec(compile(request["imports"], "<imports>", "exec", dont_inherit=True), names)
    except Exception as problem:
        raise session.stop("setup_error", f"the tests cannot be run: {_words(problem)}") from None
    for name in {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}:
        if name not in names and not hasattr(builtins, name):
            names[name] = Stub(session, name)
    for name, meant in request["names"].items():
        names[name] = Stub(session, meant)
    return names


def _try(session: Session, test: str, names: dict[str, Any]) -> tuple[bool, str]:
    session.begin()
    why = ""
    try:
        exec(compile(test, "<test>", "exec", dont_inherit=True), names)
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


def _exception(name: str, words: str) -> Exception:
    """Return an exception of Python's own by its name, or a `RemoteError`."""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(words[:MOST_WORDS])
        except TypeError:  # such as UnicodeDecodeError, which wants five arguments
            pass
    return RemoteError(f"{name[:60]}: {words[:MOST_WORDS]}")


def _argument(value: Any) -> Any:
    """Return how an argument that is no plain value is named to the solution."""
    if type(value) is Opaque:
        return ["o", value._number]
    if type(value) is Stub:
        return ["n", value.__name__]
    name = getattr(value, "__name__", "")
    if getattr(builtins, name, None) is value and name:
        return ["b", name]
    raise Unsendable(f"{type(value).__name__} is no plain value")
