"""The group of the processes that torchrun started, as this process joins and leaves it."""

import os
import sys
from collections.abc import Mapping
from datetime import timedelta

from eggym.errors import BadValue
from eggym.patience import with_ranks_s
from eggym.ranks import ALONE, Group, Ranks, naming_loss

_here: list[Ranks] = []


def world(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Return this process's rank and how many there are, by what torchrun left in the environment."""
    return int(environment.get("RANK", "0")), int(environment.get("WORLD_SIZE", "1"))


def here() -> Ranks:
    """Return the ranks that `form` has joined, or `ALONE`."""
    return _here[0] if _here else ALONE


def form(device: str) -> Ranks:
    """Join the group of the processes that torchrun started; once, and without torchrun nothing.

    Args:
        device: as a run names it; with GPUs every rank takes the one of its number on its machine.

    Raises:
        BadValue: one GPU was named for all ranks, or there are fewer than ranks.
    """
    rank, size = world()
    if size == 1 or _here:
        return here()
    import torch
    import torch.distributed as dist

    on_gpus = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if on_gpus:
        _take_gpu(int(os.environ["LOCAL_RANK"]))
    elif device not in ("auto", "cpu"):
        raise BadValue(f"device {device!r} cannot be shared by {size} ranks; give cpu, or cuda: each takes its own GPU")
    with naming_loss():
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo", timeout=timedelta(seconds=with_ranks_s()))
    _here.append(Group(rank, size))
    return here()


def leave() -> None:
    """Leave the group, if there is one, at the end of a run."""
    if _here:
        import torch.distributed as dist

        _here.clear()
        dist.destroy_process_group()


def end() -> None:
    """End this process after a run that ranks shared; one that is alone goes on.

    At once: of some sixty runs one rank aborted after the end, while the interpreter was taken apart with threads of
    the group still there.
    """
    if _here:
        leave()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _take_gpu(number: int) -> None:
    import torch

    if number >= torch.cuda.device_count():
        raise BadValue(
            f"rank {number} of this machine finds {torch.cuda.device_count()} GPUs; start torchrun with "
            f"--nproc-per-node {torch.cuda.device_count()}, or give --device cpu"
        )
    torch.cuda.set_device(number)
