"""Publishing a built site: to a folder, or to the Hugging Face hub as a dataset or a static Space.

Two halves. A plan says what would be written, byte for byte, and needs neither network nor token. Only when it is
pushed does anything leave this machine or change on it.
"""

from pathlib import Path

from eggym.errors import BadValue

from .publication import Plan, built_files
from .to_folder import plan_folder, write_folder
from .to_hub import plan_hub, push

HUB = "hf://"


def plan(built: Path, target: str) -> Plan:
    """Return what publishing a built site would write.

    Args:
        built: the folder of the site.
        target: a folder, ``hf://datasets/ORG/NAME`` or ``hf://spaces/ORG/NAME``.

    Raises:
        BadValue: the site is not whole, or the target is none, or holds something else than an earlier publication.
    """
    if "://" in target and not target.startswith(HUB):
        raise BadValue(
            f"cannot publish to {target!r}; there are a folder, hf://datasets/ORG/NAME, hf://spaces/ORG/NAME"
        )
    files = built_files(built)
    if not target.startswith(HUB):
        return plan_folder(files, built, target)
    kind, _, repo = target.removeprefix(HUB).partition("/")
    if kind == "datasets":
        return plan_hub(files, "dataset", repo, target)
    if kind == "spaces":
        return plan_hub(files, "space", repo, target)
    raise BadValue(f"cannot publish to {target!r}; write hf://datasets/ORG/NAME or hf://spaces/ORG/NAME")


def publish(planned: Plan, push_it: bool = False, endpoint: str | None = None) -> str | None:
    """Carry a plan out, if it is to be pushed.

    Returns:
        Where it is now: the folder, or the address of the commit; None: nothing was done.

    Raises:
        EggymError: the folder cannot be written, or the hub refused.
    """
    if not push_it:
        return None
    if planned.kind == "folder":
        write_folder(planned)
        return planned.where
    return push(planned, endpoint)
