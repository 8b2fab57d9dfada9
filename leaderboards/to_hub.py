"""Publishing to the Hugging Face hub: a dataset repository, or a static Space that shows the site.

One commit, so a publication is there as a whole or not at all, and the one before it stays in the repository's history.
A repository with anything else in it than an earlier publication is refused. The token is the one that the hub's own
library finds (``hf auth login``, or HF_TOKEN); it is never asked for, kept or shown here.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from eggym.errors import BadValue, EggymError

from .publication import SUMS, Kind, Plan, Planned

if TYPE_CHECKING:
    from huggingface_hub import HfApi

README = "README.md"
# what the hub itself lays into a new repository
_FRESH = {"dataset": {".gitattributes", README}, "space": {".gitattributes", README, "index.html", "style.css"}}
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_LARGE = 10 << 20  # bytes from which the hub takes no regular file


def plan_hub(files: tuple[Planned, ...], kind: Kind, repo: str, target: str) -> Plan:
    """Return what publishing to the hub would send; nobody is asked.

    Raises:
        BadValue: it is no name of a repository, or the site has a README of its own.
    """
    if not _NAME.fullmatch(repo) or ".." in repo or "--" in repo:
        raise BadValue(f"{target!r} names no repository; write hf://{kind}s/ORG/NAME")
    if any(file.path == README for file in files):
        raise BadValue(f"the site has a {README}, where the repository's own goes; take it away")
    whole = tuple(sorted([*files, Planned(README, card(kind).encode())], key=lambda one: one.path))
    large = [file.path for file in files if file.bytes > _LARGE]
    notes = ["A repository that does not exist yet is made, open to all unless your organisation has it otherwise."]
    notes += ["The hub decides which files go as LFS (packed ones do); huggingface_hub uploads those by itself."]
    if large:
        notes.append(f"Above 10 MiB, so surely as LFS: {', '.join(large)}")
    notes.append("What an earlier publication has and this one has not is removed in the same commit.")
    return Plan(kind, repo, target, whole, (), tuple(notes))


def card(kind: Kind) -> str:
    """Return the README of a repository, with the front matter that the hub reads."""
    import yaml

    facts: dict[str, Any] = {
        "dataset": {"pretty_name": "eggym boards", "viewer": False},
        "space": {"title": "eggym boards", "sdk": "static", "app_file": "index.html", "pinned": False},
    }[kind]
    facts["tags"] = ["eggym", "leaderboard", "evolution-strategies", "reinforcement-learning"]
    return f"---\n{yaml.safe_dump(facts, sort_keys=False)}---\n\n{_WORDS}"


_WORDS = f"""# eggym boards

Evolution strategies and reinforcement learning at equal budgets: tables, curves and every record behind them. Open
`index.html`; the numbers of a board are in `BOARD/board.csv` and `BOARD/board.json`.

Everything but this page was built from records by one command. `sha256sum -c {SUMS}` tells whether a copy is whole.
This repository is written by `eggym board publish`: what is changed here by hand is lost with the next publication.
"""


def push(plan: Plan, endpoint: str | None = None) -> str:
    """Send it, and return the address of the commit.

    Args:
        plan: of a dataset or Space.
        endpoint: of the hub; None: the one that its library knows (HF_ENDPOINT).

    Raises:
        EggymError: the hub refused, or cannot be reached; in one line.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    # of whichever HTTP library this version uses
    network_error = cast("type[Exception]", HfHubHTTPError.__bases__[0])
    try:
        return _push(HfApi(endpoint=endpoint), plan)
    except EggymError:
        raise
    except (network_error, OSError, ValueError, RuntimeError) as problem:
        # a file that fails on its way to LFS is a RuntimeError over what went wrong
        raise _told(plan, (problem.__cause__ if isinstance(problem, RuntimeError) else None) or problem) from problem


def _push(api: "HfApi", plan: Plan) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    api.create_repo(
        plan.where,
        repo_type=plan.kind,
        exist_ok=True,
        space_sdk="static" if plan.kind == "space" else None,
    )
    there = set(api.list_repo_files(plan.where, repo_type=plan.kind))
    if SUMS not in there and there - _FRESH[plan.kind]:
        raise BadValue(
            f"{plan.target} holds something else than an earlier publication ({min(there - _FRESH[plan.kind])}); "
            "publish to another repository"
        )
    gone = there - {file.path for file in plan.files} - {".gitattributes"}
    operations: list[Any] = [CommitOperationAdd(file.path, file.content) for file in plan.files]
    operations += [CommitOperationDelete(path) for path in sorted(gone)]
    told = f"Boards as built: {_sum_of(plan.files)}"
    return str(api.create_commit(plan.where, operations, commit_message=told, repo_type=plan.kind).commit_url)


def _sum_of(files: Iterable[Planned]) -> str:
    return next(f"{SUMS} is {file.sha256}" for file in files if file.path == SUMS)


def _told(plan: Plan, problem: BaseException) -> EggymError:
    """Return what the hub's answer means, in one line."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(problem, OfflineModeIsEnabled):
        return EggymError("HF_HUB_OFFLINE is set, so nothing can be sent; unset it and give the same command again")
    status = problem.response.status_code if isinstance(problem, HfHubHTTPError) else None
    why = {
        401: "your token is missing or no longer valid; log in with `hf auth login`, or set HF_TOKEN",
        403: "your token may not write there; use one with write access to it",
        404: "it does not exist, or your token may not see it; look at the name",
        429: "too many requests; wait, then give the same command again",
    }
    if status is None:
        said = " ".join(str(problem).split()) or type(problem).__name__
        return EggymError(f"cannot publish to {plan.target}: the hub cannot be reached or understood: {said}")
    said = " ".join((getattr(problem, "server_message", None) or "").split())
    if status in why:
        return EggymError(
            f"the hub refused {plan.target} ({status}): {why[status]}{f' [it says: {said}]' if said else ''}"
        )
    return EggymError(f"the hub failed at {plan.target} ({status}): {said or 'without a word'}; try again later")
