"""Where the workers of a run live: the executors that ``--executor`` names."""

import contextlib
from collections.abc import Iterator

from eggym.errors import unknown
from eggym.executor_parts import Start
from eggym.local_workers import LocalHand
from eggym.ray_workers import cluster

PROCESSES, RAY = EXECUTORS = ("processes", "ray")


@contextlib.contextmanager
def transport(executor: str, n_workers: int, device: str) -> Iterator[Start]:
    """Give how workers are made, as long as they may live.

    Args:
        executor: ``processes`` of this machine, or ``ray``: actors of a cluster.
        n_workers: how many there are to be.
        device: that they compute on; on a cluster, each is given a GPU of its own where this is one.

    Raises:
        EggymError: there is no such executor, or it cannot be had.
    """
    if executor == PROCESSES:
        yield LocalHand
    elif executor == RAY:
        with cluster(n_workers, int(device == "cuda")) as start:
            yield start
    else:
        raise unknown("executor", executor, EXECUTORS)
