"""How long the site of a board takes, and how large its pages are, with as many records as are asked for.

Claim:  1,000 records in less than 10 s of wall time on two cores; a board of 30 rows has a page below 150 kB, one of
        200 rows below 600 kB.
Work:   copies of the records of a real board, each under a variant's name of its own (eggroll@c1, its control beside
        it), with seeds in turn, so that pairs differ; digests, manifests and the ledger are made anew. Their replies
        and chains are those of the original, so nobody could verify them: the site reads them like any other.
Run:    python benchmarks/board.py --place leaderboards --out benchmarks/results/board.json       (minutes)

Every build is a process of its own, so that reading modules counts, and goes to a new folder; those before it stay
until the end. (ext4 without a journal goes around inodes that were freed in the last half minute, one by one: where
thousands of files have just been removed, making as many takes seconds more.)
"""

import argparse
import hashlib
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from eggym.config import CONFIG
from eggym.files import canonical_json, sha256_file, sha256_json, write_json
from eggym.leaderboards.board import FROZEN, Board
from eggym.leaderboards.collecting import collect
from eggym.leaderboards.ledger import LEDGER, append
from eggym.leaderboards.names import record_name
from eggym.leaderboards.pinned import PINNED, pinned_path
from eggym.leaderboards.place import Place
from eggym.leaderboards.stored import MANIFEST, Entry, Stored, sealed
from eggym.machine import describe
from eggym.record import RECORD_FILE, Record, run_id

SIZES = (150, 450, 1000, 3000)  # records: 10, 30, 67 and 200 rows of 15
_BUILD = """
import resource, sys, time
began = time.perf_counter()
from pathlib import Path
from eggym.leaderboards.pinned import PINNED, pinned_path
from eggym.leaderboards.place import Place
from eggym.leaderboards.board_site import build_site
files = build_site(Place(Path(sys.argv[1])), Path(sys.argv[2]), [sys.argv[3]])
usage = resource.getrusage(resource.RUSAGE_SELF)
children = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = usage.ru_utime + usage.ru_stime + children.ru_utime + children.ru_stime
print(time.perf_counter() - began, cpu, len(files), usage.ru_maxrss * 1024)
"""


def main() -> None:
    """Build sites of growing boards, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--place", type=Path, required=True)
    parser.add_argument("--board", default="tiny-default")
    parser.add_argument("--records", type=int, nargs="*", default=SIZES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="folder in which the copies and their sites stay")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for size in given.records:
            root = (given.keep or Path(temporary)) / f"records-{size}"
            copies(Place(given.place), given.board, root, size)
            rows.append(measure(root, given.board, given.rounds))
            print(rows[-1])
    if given.out:
        write_json(given.out, {"benchmark": "board", "format": 1, "machine": describe(), "rows": rows})


def copies(place: Place, name: str, root: Path, size: int) -> None:
    """Write a place with at least ``size`` records: whole rows, copies of those of a board."""
    shutil.rmtree(root, ignore_errors=True)
    board, path = place.board(name)
    rows: dict[str, list[Entry]] = {}
    for entry in place.entries(name):
        rows.setdefault(entry.record.learner.label, []).append(entry)
    (root / "boards" / PINNED).mkdir(parents=True)
    shutil.copyfile(path, root / "boards" / path.name)
    shutil.copyfile(pinned_path(path), root / "boards" / PINNED / f"{path.stem}.json")
    lines: list[dict[str, Any]] = []
    for number, label in ((number, label) for number in itertools.count() for label in rows):
        if len(lines) >= size:
            break
        if label != FROZEN or number == 0:  # there is one frozen base
            lines += [_copy(board, entry, root / "records", number) for entry in rows[label]]
    append(root / LEDGER, lines)
    refused = collect(Place(root), board.name).refused
    if refused:  # a site of refused records is another work
        raise SystemExit(f"copies are not taken: {refused[0].faults[0]}")


def _copy(board: Board, entry: Entry, records: Path, number: int) -> dict[str, Any]:
    """Write one copy of a record, and return its line for the ledger."""
    body = json.loads((entry.folder / RECORD_FILE).read_bytes())
    config, provenance = body["config"], body["provenance"]
    if number:
        body["learner"]["variant"] = config["variant"] = f"c{number}"
    place = board.seeds.index(body["seed"]) + number
    body["seed"] = config["seed"] = board.seeds[place % len(board.seeds)]
    provenance["config_sha256"] = sha256_json(config)
    body["id"] = run_id(provenance["config_sha256"], body["seed"], body["task"]["digest"], body["model"]["sha256"])
    files = {CONFIG: canonical_json(config).encode()}
    body["files"][CONFIG] = hashlib.sha256(files[CONFIG]).hexdigest()
    body["content_sha256"] = sha256_json({key: value for key, value in body.items() if key != "content_sha256"})
    files[RECORD_FILE] = canonical_json(body).encode()
    record = Record.model_validate_json(files[RECORD_FILE])
    name = record_name(board, record, hashlib.sha256(files[RECORD_FILE]).hexdigest())
    target = records / name
    shutil.copytree(entry.folder, target)
    for file, content in files.items():
        (target / file).write_bytes(content)
    told = {file: Stored(bytes=len(one), sha256=hashlib.sha256(one).hexdigest()) for file, one in files.items()}
    manifest = entry.manifest.model_copy(update={"run": body["id"], "files": {**entry.manifest.files, **told}})
    (target / MANIFEST).write_bytes(canonical_json(sealed(manifest)).encode())
    return {"kind": "added", "record": name, "manifest_sha256": sha256_file(target / MANIFEST)}


def measure(root: Path, board: str, rounds: int) -> dict[str, Any]:
    """Build the site of a place some times, each in a process of its own; return the median of each figure."""
    found = []
    for number in range(rounds):
        site = root.with_name(f"{root.name}-site-{number}")
        command = [sys.executable, "-c", _BUILD, str(root), str(site), board]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append([float(one) for one in done.stdout.split()])
    wall, cpu, files, memory = map(statistics.median, zip(*found, strict=True))
    pages = {path.name: path.stat().st_size for path in (site / board).glob("*.html")}
    page = pages.pop("index.html")
    return {
        "records": sum(1 for _ in Place(root).folders(board)),
        "rows": len(pages),
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "readings": [{"wall_s": round(one[0], 2), "cpu_s": round(one[1], 2)} for one in found],
        "peak_mib": round(memory / 2**20),
        "files": int(files),
        "page_bytes": page,
        "largest_row_page_bytes": max(pages.values()),
    }


if __name__ == "__main__":
    main()
