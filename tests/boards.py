"""A small real place: a board of two tasks, trained on in seconds, with every learner that its rules want.

Take it as the fixture `small_place`: it is made once for all workers of pytest. Tests that change it copy its folder.
"""

import fcntl
import hashlib
import json
from unittest import mock

import yaml

from eggym.config import RunConfig, resolve
from eggym.files import canonical_json, sha256_json
from eggym.leaderboards.adding import add
from eggym.leaderboards.board import ANY, read_board
from eggym.leaderboards.packing import pack, unpack
from eggym.leaderboards.pinning import pin
from eggym.leaderboards.place import Place
from eggym.leaderboards.stored import MANIFEST
from eggym.leaderboards.writing import Submission
from eggym.train import identify, run_plan

NAME = "small"
TASKS = ("eggym/tiny-programs-v0", "eggym/tiny-orders-v0")
LEARNERS = ("eggroll", "dr_grpo", "frozen", "random-reward:eggroll", "random-reward:dr_grpo")
SEEDS = (0, 1, 2)
SAID = Submission(by="a tester", note="made for tests")
SETTINGS = {
    "eval.items": 8,
    "eval.points": 2,
    "eval.drift": 0,
    "eval.many": 2,
    "eval.many_items": 2,
    "eval.train_items": 2,
    "eggroll.population": 8,
    "eggroll.items": 2,
    "dr_grpo.items": 2,
    "dr_grpo.replies": 8,
}


def board_file(folder, tasks=TASKS, seeds=SEEDS, **changes):
    """Write the board ``small``, pinned, and return its file."""
    plan = resolve(RunConfig(tasks[0], "frozen", device="cpu", dtype="float32"))
    digests = {task: identify(resolve(RunConfig(task, "frozen", device="cpu")))["task_digest"] for task in tasks}
    rules = {
        "schema": 1,
        "name": NAME,
        "version": 1,
        "title": "A small board",
        "about": "Two tasks, a few updates: for tests.",
        "opened": "2026-01-02",
        "model": {"name": "embedded-v0", "sha256": identify(plan)["model_sha256"]},
        "tasks": [{"task": task, "digest": digest} for task, digest in digests.items()],
        "budget": "32episodes",
        "seeds": list(seeds),
        "split": "test:small",
        "dtype": "float32",
        "set": SETTINGS,
        **changes,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}.yaml"
    path.write_text(yaml.safe_dump(rules, sort_keys=False), encoding="utf-8")
    pin(path)
    return path


def make_runs(board, folder, learners=LEARNERS, settings=None, model=ANY):
    """Run what a board asks for, and return the folders of the runs."""
    duel = board.duel(learners, settings, model)
    found = []
    for task in duel.task:
        for learner in learners:
            for seed in duel.seeds:
                out = folder / task.rpartition("/")[2] / learner.replace(":", "-") / f"seed-{seed}"
                out.mkdir(parents=True)
                run_plan(resolve(duel.run(task, learner, seed)), out, lambda event: None, force=True)
                found.append(out)
    return found


def make_place(folder, learners=LEARNERS, said=SAID, models=(ANY,), **changes):
    """Make a place below a folder, its runs beside it, and everything added to the board ``small``.

    ``models`` are those of the submitters, where the board leaves that open.
    """
    place = Place(folder / "leaderboards")
    board = read_board(board_file(place.root / "boards", **changes))
    with mock.patch("os.fsync"):  # nothing here has to survive a power cut
        for model in models:
            runs = folder / "runs" / ("" if model == ANY else model)
            add(place, NAME, make_runs(board, runs, learners, model=model), said)
    return place


def shared_place(folder):
    """Return the place below a folder; the first process to ask makes it, and others wait."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            make_place(folder)
            (folder / "whole").touch()
    return Place(folder / "leaderboards")


def folder_of(place, learner="eggroll", task="tiny-programs", seed=0):
    """Return the folder of one record of the small place."""
    found = (path for path in place.folders(NAME) if path.parts[-2] == learner)
    return next(path for path in found if path.name.startswith(f"{task}-v0-seed-{seed}-"))


def everything(folder):
    """Return all files below a folder, by their paths, locks apart."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def reseal(folder, **changes):
    """Write a manifest anew, with a right seal, as somebody would who knows how."""
    manifest = {**json.loads((folder / MANIFEST).read_text()), **changes}
    manifest.pop("content_sha256")
    (folder / MANIFEST).write_text(canonical_json({**manifest, "content_sha256": sha256_json(manifest)}))


def edit_record(folder, change):
    """Change a record and make it right in itself, as somebody would who knows how; return it."""
    path = folder / "record.json"
    record = json.loads(path.read_text())
    change(record)
    record["provenance"]["config_sha256"] = sha256_json(record["config"])
    ids = [record["provenance"]["config_sha256"], record["seed"], record["task"]["digest"], record["model"]["sha256"]]
    record["id"] = sha256_json(ids)[:16]
    record["content_sha256"] = sha256_json({key: one for key, one in record.items() if key != "content_sha256"})
    path.write_text(canonical_json(record))
    return record


def forge(folder, name, change, also_record=True):
    """Change what a packed file of a record holds, and make all digests of the folder right again."""
    path, record = folder / f"{name}.xz", folder / "record.json"
    files = json.loads((folder / MANIFEST).read_text())["files"]
    content = change(unpack(path.read_bytes(), files[path.name]["content_bytes"], name))
    path.write_bytes(pack(content))
    files[path.name] = {**_digest(path.read_bytes()), "content_bytes": len(content)}
    files[path.name]["content_sha256"] = _digest(content)["sha256"]
    if also_record:
        told = json.loads(record.read_text())
        told["files"][name] = files[path.name]["content_sha256"]
        told["content_sha256"] = sha256_json({key: one for key, one in told.items() if key != "content_sha256"})
        record.write_text(canonical_json(told))
        files[record.name] = _digest(record.read_bytes())
    reseal(folder, files=files)


def _digest(data):
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
