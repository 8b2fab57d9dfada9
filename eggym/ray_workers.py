"""Workers of an executor as actors of a Ray cluster: on other machines, or on this one.

Frames go through Ray as plain bytes; what a worker may be asked is the same as on a pipe (`eggym.hand`). Ray places
actors, and tells when one is gone. Its own transport unpickles and listens on ports: whoever reaches a cluster runs
code on it (SECURITY.md). A cluster that is started here listens on the loopback address alone and ends with the run.
"""

import contextlib
import io
import os
import platform
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

from eggym.errors import BadValue, EggymError
from eggym.executor_parts import Inbox, Lost, Start
from eggym.frames import dump, read
from eggym.local_workers import ONE_THREAD

_LOOPBACK, _LOCAL = "127.0.0.1", "local"
_ANSWER_S = 10.0  # in which the head of a cluster must take a connection


class Actor:
    """What runs on the cluster: frames in, answers out."""

    def __init__(self) -> None:
        """Prepare a process as `eggym.hand` does."""
        import torch

        from eggym.hand import Attendant
        from eggym.usage import keep_memory

        torch.set_num_threads(1)
        keep_memory()
        self._attendant = Attendant()

    def where(self) -> str:
        """Return which process this is."""
        return f"process {os.getpid()} on {platform.node()}"

    def take(self, data: bytes) -> bytes:
        """Do what a frame asks; return the answer as a frame, or nothing to a note."""
        frame = read(io.BytesIO(data))
        if frame is None:
            raise ValueError("an empty frame")
        answer = self._attendant.take(frame)
        return b"" if answer is None else dump(answer)


class RayHand:
    """One actor, as the executor sees it."""

    def __init__(self, number: int, inbox: Inbox, n_gpus: int = 0) -> None:
        """Ask Ray for it; nobody waits until it is placed."""
        import ray

        options: dict[str, Any] = {"num_cpus": 1, "num_gpus": n_gpus, "max_restarts": 0, "max_task_retries": 0}
        # frames are answered in the order in which they were sent: one caller, one thread
        self._actor = ray.remote(Actor).options(**options, runtime_env={"env_vars": ONE_THREAD}).remote()
        self._inbox, self._number = inbox, number
        self.name = f"{number} (Ray)"
        self._actor.where.remote().future().add_done_callback(self._placed)

    def send(self, data: bytes) -> None:
        """Hand over a frame."""
        self._actor.take.remote(data).future().add_done_callback(self._answered)

    def stop(self) -> None:
        """Kill it."""
        import ray

        with contextlib.suppress(Exception):  # it is gone, or the whole cluster
            ray.kill(self._actor, no_restart=True)

    def _placed(self, found: "Future[str]") -> None:
        if found.exception() is None:
            self.name = f"{self._number} ({found.result()})"

    def _answered(self, found: "Future[bytes]") -> None:
        problem = found.exception()
        if problem is not None:
            self._inbox.put((self, Lost(_ending(problem))))
            return
        try:
            frame = read(io.BytesIO(found.result()))
        except BadValue as damaged:
            self._inbox.put((self, Lost(str(damaged))))
            return
        if frame is not None:
            self._inbox.put((self, frame))


@contextlib.contextmanager
def cluster(n_workers: int, n_gpus: int) -> Iterator[Start]:
    """Join the Ray cluster of RAY_ADDRESS, or start one of this machine; give how workers are made on it.

    Args:
        n_workers: each takes one CPU of the cluster.
        n_gpus: that each worker takes.

    Raises:
        EggymError: Ray is not installed or does not start, or the cluster has no room for so many.
    """
    try:
        import ray
    except ImportError as problem:
        raise BadValue("--executor ray needs Ray: pip install 'eggym[ray]'") from problem
    joined = _begin(ray)
    try:
        _refuse_crowd(ray.cluster_resources(), n_workers, n_gpus)
        yield lambda number, inbox: RayHand(number, inbox, n_gpus)
    finally:
        if joined:
            ray.shutdown()


def _begin(ray: Any) -> bool:
    """Start or join a cluster; return False where this process was part of one already."""
    if ray.is_initialized():
        return False
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as future versions of Ray; else it warns
    given = os.environ.get("RAY_ADDRESS", _LOCAL)
    if given == _LOCAL:
        ray.init(address=_LOCAL, include_dashboard=False, _node_ip_address=_LOOPBACK, **quiet)
        return True
    if given != "auto":  # which Ray looks up on this machine
        _refuse_silence(given)
    try:
        ray.init(address=given, **quiet)
    except ConnectionError as problem:
        raise EggymError(
            f"the Ray cluster at {given} (RAY_ADDRESS) does not take this process in; it may want its token: give "
            "RAY_AUTH_MODE=token, and the token in RAY_AUTH_TOKEN or ~/.ray/auth_token"
        ) from problem
    return True


def _refuse_silence(address: str) -> None:
    """Refuse an address at which nobody listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_S).close()
    except (OSError, ValueError, OverflowError) as problem:
        raise BadValue(
            f"no Ray cluster at {address!r} (RAY_ADDRESS): {problem}; give HOST:PORT of its head, or unset it"
        ) from problem


def _refuse_crowd(resources: dict[str, float], n_workers: int, n_gpus: int) -> None:
    for name, each in (("CPU", 1), ("GPU", n_gpus)):
        there = int(resources.get(name, 0))
        if each * n_workers > there:
            raise BadValue(
                f"{n_workers} workers take {each * n_workers} {name}s, the Ray cluster has {there}; "
                "give --workers fewer, or RAY_ADDRESS=HOST:PORT of a larger one"
            )


def _ending(problem: BaseException) -> str:
    """Return Ray's reason without its details, which name everything that it knows of the actor."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    said = [line for line in lines if "actor is dead because" in line.lower() or "unavailable" in line.lower()]
    return f"Ray: {(said or lines or [type(problem).__name__])[0]}"
