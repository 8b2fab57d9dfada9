"""The curves of a run as TensorBoard's event files, in ``RUN/track``: no part of the run, and made anew at any time.

They are made of what the run itself writes, in one way only, whether it goes on or is finished: so a run that was
stopped and continued has no point twice. Against the step: the training reward, what was spent on each axis, the
learner's metrics, and the evaluations. Needs the extra ``tensorboard``; nothing of torch is imported.
"""

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from eggym.errors import BadValue
from eggym.files import unwritable
from eggym.folder import CONFIG, STEPS, TRACK, shard_name
from eggym.glimpse import State, look
from eggym.tail import Follower

TENSORBOARD = "tensorboard"
TRACKERS = (TENSORBOARD,)
_FILES = "events.out.tfevents.*"
Scalars = dict[str, float]
Watch = Callable[[Any], None]  # of the events of a run


class Tracker:
    """Writes the curves of one run. A context; call it with the run's events, or `sync` it."""

    def __init__(self, folder: Path) -> None:
        """Prepare; nothing is written before the run begins.

        Raises:
            BadValue: the extra is not installed.
        """
        refuse_without_tensorboard()
        self._folder = folder
        self._file: _EventFile | None = None
        self._broken = False

    def __enter__(self) -> Self:
        """Do nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left, unless the run failed before it began, and end."""
        if kind is None:
            self(None)
        if self._file is not None:
            with suppress(OSError):  # it would try to write again what a full disk did not take, and was told then
                self._file.close()

    def __call__(self, event: Any) -> None:
        """Write what came since the last call. A disk that fails ends the tracking, and not the run."""
        if self._broken:
            return
        try:
            self.sync(steps_only=event is not None and event.kind == "step")
        except OSError as problem:
            self._broken = True
            line = f"eggym: tracking ends: {problem.strerror}; later, eggym track {self._folder} writes all of it anew"
            print(line, file=sys.stderr)

    def sync(self, steps_only: bool = False) -> int:
        """Write what came since the last call; return how many steps and evaluations that were.

        Evaluations are read in the checkpoint, which costs more than a line: ``steps_only`` leaves them for later.
        """
        if self._file is None:
            self._steps, self._n_points, self._at = Follower(self._folder / STEPS), 0, _began(self._folder)
            self._file = _EventFile(self._folder / TRACK, self._at)
        n = 0
        for line in self._steps.new_lines():
            self._file.add(line["step"], self._time(line["step"]), _of_step(line))
            n += 1
        points = () if steps_only else look(self._folder).points
        for point in points[self._n_points :]:
            self._file.add(point["step"], self._time(point["step"] - 1), _of_point(point))
            n += 1
        self._n_points = max(self._n_points, len(points))
        self._file.flush()
        return n

    def _time(self, step: int) -> float:
        """Return when a step was written, as its shard tells; without one, as early as it can have been."""
        with suppress(OSError):
            self._at = max(self._at, (self._folder / shard_name(step)).stat().st_mtime)
        return self._at


def convert(folder: Path) -> int:
    """Write the curves of a run as far as it is; return how many steps and evaluations they hold.

    Raises:
        BadValue: the extra is not installed, the run is damaged, or it is being tracked at this moment.
        EggymError: the folder cannot be written.
    """
    seen = look(folder)
    if seen.state is State.DAMAGED:
        raise BadValue(f"{folder} is damaged: {seen.why}")
    for path in (folder / TRACK).glob(_FILES):
        if _is_written(path):
            raise BadValue(f"{folder} is being tracked as it runs; look at {folder / TRACK}")
    try:
        with Tracker(folder) as tracker:
            return tracker.sync()
    except OSError as problem:
        raise unwritable(folder / TRACK, problem) from problem


@contextmanager
def tracking(tracker: str | None, folder: Path, watch: Watch) -> Iterator[Watch]:
    """Give a watcher of a run that also writes its curves, if somebody asked for them.

    Raises:
        BadValue: there is no such tracker, or its extra is not installed.
    """
    if tracker is None:
        yield watch
        return
    if tracker not in TRACKERS:
        raise BadValue(f"curves are written for {', '.join(TRACKERS)}, got --track {tracker!r}")
    with Tracker(folder) as curves:

        def both(event: Any) -> None:
            watch(event)
            curves(event)

        yield both


def refuse_without_tensorboard() -> None:
    """Refuse to track where the extra is not installed.

    Raises:
        BadValue: it is not.
    """
    try:
        import tensorboard.summary.writer.record_writer  # noqa: F401
    except ImportError as problem:
        raise BadValue('curves are written with TensorBoard; pip install "eggym[tensorboard]"') from problem


class _EventFile:
    """One event file, in place of those that were there before."""

    def __init__(self, folder: Path, began: float) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"events.out.tfevents.{time.time_ns()}.eggym"
        self._handle = path.open("wb")
        fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._writer = RecordWriter(self._handle)
        self._write(Event(wall_time=began, file_version="brain.Event:2"))
        # a TensorBoard that is open now forgets what it has read of an older file
        self._write(Event(wall_time=began, step=0, session_log=SessionLog(status=SessionLog.START)))
        self.flush()
        for other in folder.glob(_FILES):
            if other != path:
                _empty(other)

    def add(self, step: int, at: float, scalars: Scalars) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        if values:
            self._write(Event(wall_time=at, step=step, summary=Summary(value=values)))

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._handle.close()

    def _write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())


def _empty(path: Path) -> None:
    """Take what a file holds; the next time the file too. An open TensorBoard never goes on from one that is gone."""
    if path.stat().st_size:
        os.truncate(path, 0)
    else:
        path.unlink()


def _of_step(line: Mapping[str, Any]) -> Scalars:
    return dict(
        _known({"train/reward": line["reward"]}) | _under("spent", line["spent"]) | _under("metrics", line["metrics"])
    )


def _of_point(point: Mapping[str, Any]) -> Scalars:
    scores = {f"held-out/{mode}": point[mode]["mean"] for mode in ("greedy", "sampled")}
    validation = point.get("validation")
    more = {"held-out/validation": validation["mean"] if validation else None, "held-out/kl_base": point.get("kl_base")}
    return _known(scores | more)


def _under(prefix: str, values: Mapping[str, Any]) -> Scalars:
    return _known({f"{prefix}/{name}": value for name, value in values.items()})


def _known(values: Mapping[str, float | None]) -> Scalars:
    return {name: float(value) for name, value in values.items() if value is not None}


def _began(folder: Path) -> float:
    return (folder / CONFIG).stat().st_mtime if (folder / CONFIG).exists() else time.time()


def _is_written(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
