"""The checker's side of one solution: calls of its functions, and what stands for its objects.

A solution is a stranger: what it sends is read as bytes, and values are built anew here. Errors of the protocol, and an
end of the solution, stop the tests, whatever a test does about it.
"""

import builtins
import os
from typing import Any

from .box_channel import Channel, ProtocolFault
from .box_trace import call_of
from .box_values import TooDeep, Unsendable, pack, unpack

_LONG_CALL_S = 0.2  # a call that takes longer is told to the parent, who may have to end it
_MOST_WORDS = 200
_ENDS_LOOPS = ("StopIteration", "StopAsyncIteration")  # raised in `all(map(f, cases))` it would leave cases out


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
        self._has_values = False  # of the solution, of which a test may make an argument

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
        except TooDeep as problem:
            raise self._too_large(problem) from None
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
        """Send to the solution's process.

        Raises:
            Stop: it has ended, or the message is too large.
        """
        try:
            self._link.send(message)
        except OSError:
            raise self.stop("died", "the solution ended while it was called") from None
        except ValueError as problem:
            raise self._too_large(problem) from None

    def receive(self) -> Any:
        """Return what the solution's process sends next.

        Raises:
            Stop: it has ended, or sent what no honest program sends.
        """
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

    def _too_large(self, problem: ValueError) -> Stop:
        """Return the stop for an argument that is too long or too deep.

        It is the tests' fault, which is no zero, unless it may have been made of what the solution returned.
        """
        if self._has_values:
            return self.stop("protocol", f"an argument made of what the solution returned: {problem}")
        return self.stop("setup_error", f"an argument of the tests cannot be sent: {problem}")

    def _value(self, answer: Any, number: str) -> Any:
        if type(answer) is not dict or answer.get("id") != number or len(answer) != 2:
            raise self.stop("protocol", "an answer to no question")
        if "value" in answer:
            self._has_values = True
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
    """An object that stays with the solution: it can be passed back, and has a truth.

    Nothing else may be learnt of it, its class neither; it has no ``__call__``, or `callable` would say yes.
    """

    def __init__(self, session: Session, number: int, truth: bool) -> None:
        """Keep the number under which the solution knows it."""
        for name, value in (("_session", session), ("_number", number), ("_truth", truth)):
            object.__setattr__(self, name, value)

    def __bool__(self) -> bool:
        """Return the truth that the solution gave."""
        return bool(_own(self, "_truth"))

    def _refuse(self, *_: Any, **__: Any) -> Any:
        session = _own(self, "_session")
        session.misused = "the solution returned an object that is no plain value"
        raise Misuse(session.misused)

    __getattribute__ = __setattr__ = __delattr__ = __str__ = __repr__ = __format__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _refuse
    __len__ = __iter__ = __next__ = __reversed__ = __contains__ = __getitem__ = __setitem__ = __delitem__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __divmod__ = __rdivmod__ = __pow__ = __rpow__ = _refuse
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __lshift__ = __rlshift__ = _refuse
    __rshift__ = __rrshift__ = __matmul__ = __rmatmul__ = __neg__ = __pos__ = __invert__ = __abs__ = _refuse
    __int__ = __float__ = __complex__ = __index__ = __round__ = __bytes__ = _refuse


_own = object.__getattribute__


class Stub:
    """A name of the solution: it can be called, and passed as an argument."""

    def __init__(self, session: Session, name: str) -> None:
        """Keep the name."""
        self._session, self.__name__ = session, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the solution's function."""
        return self._session.call(self.__name__, args, kwargs)


def _exception(name: str, words: str) -> Exception:
    """Return an exception of Python's own by its name, or a `RemoteError`."""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception) and name not in _ENDS_LOOPS:
        try:
            return kind(words[:_MOST_WORDS])
        except TypeError:  # such as UnicodeDecodeError, which wants five arguments
            pass
    return RemoteError(f"{name[:60]}: {words[:_MOST_WORDS]}")


def _argument(value: Any) -> Any:
    """Return how an argument that is no plain value is named to the solution."""
    if type(value) is Opaque:
        return ["o", _own(value, "_number")]
    if type(value) is Stub:
        return ["n", value.__name__]
    name = getattr(value, "__name__", "")
    if getattr(builtins, name, None) is value and name:
        return ["b", name]
    raise Unsendable(f"{type(value).__name__} is no plain value")
