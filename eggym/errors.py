"""What eggym raises when the caller can mend it.

EggymError              anything below; the command line prints it as one line and exits with 2
  BadValue              a value outside what is allowed (also a ValueError)
  UnknownName           a task, learner, model or key that does not exist (also a KeyError)
  TaskFault             a task's own code raised, or scored with something that is no finite number
  RunMismatch           a folder holds a run of another configuration
  Astray                a worker's copy of a run is not where the run is
  Diverged              weights or metrics of a run are no longer finite
  OutOfMemory           this machine, or its GPU, has too little memory

A message names the thing, the value and the way out, in one line.
"""

import difflib
import errno
from collections.abc import Iterable, Sequence


class EggymError(Exception):
    """Base of all errors that a user of eggym can mend."""


class BadValue(EggymError, ValueError):
    """A value outside what is allowed."""


class UnknownName(EggymError, KeyError):
    """A name that does not exist."""

    def __str__(self) -> str:
        """Return the message itself: KeyError would put quotes around it."""
        return str(self.args[0]) if self.args else ""


class TaskFault(EggymError):
    """A task's own code failed, or its score is not a finite number."""


class RunMismatch(EggymError):
    """A run folder belongs to another configuration."""


class Astray(EggymError):
    """A worker's copy of a run is not where the run is; another copy takes its place."""


class Diverged(EggymError):
    """A run came to weights or metrics that are not finite; ``flops`` is what its training had spent."""

    def __init__(self, message: str, flops: int = 0) -> None:
        """Keep the cost beside the message."""
        super().__init__(message)
        self.flops = flops


class OutOfMemory(EggymError):
    """The memory of this machine, or of its GPU, does not suffice."""


# what libraries say where the system gives them no memory, no room for a library's code, no thread
_SCARCE = ("out of memory", "allocate memory", "failed to map segment", "can't start new thread")


def scarcity(problem: BaseException | None) -> OutOfMemory | None:
    """Return an error for one that is for want of memory, or follows from one that is, whatever libraries made of it.

    None: it is about something else.
    """
    while problem is not None:
        scarce = isinstance(problem, MemoryError) or getattr(problem, "errno", None) == errno.ENOMEM
        if scarce or any(words in str(problem) for words in _SCARCE):
            return OutOfMemory(
                f"too little memory ({_first_line(problem)}); give a smaller --memory or model, or a machine with "
                "more: --dry-run tells what a run takes"
            )
        problem = problem.__cause__ or (None if problem.__suppress_context__ else problem.__context__)
    return None


def _first_line(problem: BaseException) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return (lines or [type(problem).__name__])[0][:160].rstrip(".")


_MOST_LISTED = 24  # names in a message


def unknown(kind: str, name: str, known: Iterable[str], meant: Sequence[str] = ()) -> UnknownName:
    """Build the error for an unknown name, with the nearest known one, or with those that are ``meant`` by it.

    >>> str(unknown("task", "gues", ["guess", "sums"]))
    "no task 'gues'; did you mean 'guess'?"
    """
    choices = sorted(known)
    near = meant or difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    listed = ", ".join(choices[:_MOST_LISTED]) or "none"
    more = f" and {len(choices) - _MOST_LISTED} more" if len(choices) > _MOST_LISTED else ""
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {listed}{more}"
    return UnknownName(f"no {kind} {name!r}; {hint}")
