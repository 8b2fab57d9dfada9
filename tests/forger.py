"""A forger who knows eggym: changes the replies of a record, and makes every number and digest follow from them."""

import hashlib
import json

from boards import reseal

from eggym.files import canonical_json, sha256_json
from eggym.leaderboards.chain import dump, evaluation_links, root, training_head
from eggym.leaderboards.packing import pack
from eggym.leaderboards.stored import MANIFEST, read_entry
from eggym.result import curve_csv
from eggym.score import Point
from eggym.stats import clustered_mean, item_means


def forge_rows(folder, change):
    """Let ``change`` return other rows of ``evaluations.jsonl``, and write record, curve, chain and manifest anew."""
    entry = read_entry(folder)
    rows = change(entry.rows("evaluations.jsonl"))
    record = json.loads((folder / "record.json").read_text())
    for place, point in enumerate(record["points"]):
        for mode in ("greedy", "sampled"):
            scored(point[mode], [row for row in rows if (row["point"], row["mode"]) == (place, mode)])
    points = [Point.model_validate_json(json.dumps(point)) for point in record["points"]]
    links = [link for link in entry.links if link.part == "training"]
    links += evaluation_links(training_head(links, record["id"]), rows)
    write(folder, record, {
        "evaluations.jsonl": "".join(map(canonical_json, rows)).encode(),
        "curve.csv": curve_csv(points).encode(),
        "chain.jsonl": dump(links).encode(),
    }, chain_root=root(links, record["id"]))  # fmt: skip


def write(folder, record, contents, **manifest):
    """Write a record and files of it, with all digests right, the manifest's seal included."""
    files = json.loads((folder / MANIFEST).read_text())["files"]
    for name, content in contents.items():
        stored = name if name in files else f"{name}.xz"
        data = content if stored == name else pack(content)
        (folder / stored).write_bytes(data)
        files[stored].update(digest(data))
        if stored != name:
            files[stored].update(content_bytes=len(content), content_sha256=digest(content)["sha256"])
        if name in record["files"]:
            record["files"][name] = digest(content)["sha256"]
    record["content_sha256"] = sha256_json({key: one for key, one in record.items() if key != "content_sha256"})
    text = canonical_json(record).encode()
    (folder / "record.json").write_bytes(text)
    files["record.json"].update(digest(text))
    reseal(folder, files=files, **manifest)


def scored(score, rows):
    """Give an evaluation the numbers that follow from its replies."""
    items = {}
    for row in rows:
        items.setdefault(row["item"], []).append(row["reward"])
    states = [row["state"] for row in rows]
    mean, error = clustered_mean(items.values())
    score.update(rewards=item_means(items.values()), mean=mean, se=error, n_items=len(items), n_replies=len(rows))
    score.update(states={state: states.count(state) for state in states})


def digest(data):
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
