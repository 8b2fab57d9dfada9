"""The site of boards: whole, the same bytes every time, all links inside it, and nothing that a record wrote runs.

Small real runs (`boards`); what strangers might write is put into copies of them, with every digest made to fit.
"""

import base64
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from boards import NAME, board_file

from eggym.errors import BadValue, EggymError
from eggym.files import canonical_json, sha256_file, sha256_json
from eggym.leaderboards import board_site
from eggym.leaderboards.adding import withdraw
from eggym.leaderboards.board_site import SUMS, build_site
from eggym.leaderboards.ledger import append
from eggym.leaderboards.names import record_name
from eggym.leaderboards.packing import pack
from eggym.leaderboards.place import Place
from eggym.leaderboards.stored import MANIFEST, read_entry, sealed
from eggym.record import load_record, run_id

VOID = {"meta", "br", "input", "path", "circle", "wbr"}
OURS = {
    "a", "article", "b", "body", "button", "caption", "circle", "code", "dd", "details", "div", "dl", "dt", "footer",
    "form", "g", "h1", "h2", "h3", "h4", "head", "header", "html", "input", "label", "li", "main", "meta", "nav", "ol",
    "option", "output", "p", "path", "pre", "script", "section", "select", "small", "span", "style", "summary", "svg",
    "table", "tbody", "td", "text", "th", "thead", "title", "tr", "tspan", "ul", "wbr",
}  # fmt: skip


class Page(HTMLParser):
    """A page's tags with their attributes; each must be closed."""

    def __init__(self, path):
        super().__init__()
        self.path, self.tags, self.words, self._open = path, [], [], []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)
        assert not self._open, f"{path.name}: {self._open} left open"

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs), (self.path.name, tag, attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag, f"{self.path.name}: </{tag}>"

    def handle_data(self, data):
        self.words.append(data)

    def of(self, name):
        return [values[name] for _, values in self.tags if name in values]


def pages_of(site):
    return [Page(path) for path in sorted(site.rglob("*.html"))]


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def copied(place, folder):
    shutil.copytree(place.root, folder / "leaderboards")
    return Place(folder / "leaderboards")


@pytest.fixture(scope="module")
def site(small_place, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "site"
    assert [path.relative_to(out).as_posix() for path in build_site(small_place, out, [NAME])] == sorted(files_of(out))
    return out


@pytest.fixture(scope="module")
def pages(site):
    return pages_of(site)


# -- the folder -------------------------------------------------------------------------------------------------------


def test_the_same_records_give_the_same_bytes_wherever_they_lie(small_place, site, tmp_path):
    place = copied(small_place, tmp_path / "elsewhere")
    build_site(place, tmp_path / "other", [NAME])
    assert files_of(tmp_path / "other") == files_of(site)
    build_site(place, tmp_path / "other", [NAME])  # over the earlier one
    assert files_of(tmp_path / "other") == files_of(site)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "other"]


@pytest.mark.slow
def test_another_order_of_hashes_gives_the_same_bytes(small_place, site, tmp_path):
    program = """
import sys
from pathlib import Path
from eggym.leaderboards.board_site import build_site
from eggym.leaderboards.place import Place
build_site(Place(Path(sys.argv[1])), Path(sys.argv[2]), ["small"])
"""
    words = [sys.executable, "-c", program, str(small_place.root), str(tmp_path / "site")]
    subprocess.run(words, check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert files_of(tmp_path / "site") == files_of(site)


def test_every_file_is_in_the_list_with_its_digest(site):
    lines = dict(line.split("  ")[::-1] for line in (site / SUMS).read_text().splitlines())
    assert list(lines) == sorted(lines)
    assert lines == {
        name: hashlib.sha256(content).hexdigest() for name, content in files_of(site).items() if name != SUMS
    }


def test_the_site_is_a_place_that_can_be_verified(site):
    from eggym.leaderboards.collecting import collect

    found = collect(Place(site), NAME, thorough=True)
    assert found.ok and len(found.found) == 30


def test_pages_name_nothing_of_the_machine(small_place, site):
    for page in site.rglob("*.html"):
        text = page.read_text()
        for word in (str(small_place.root), str(site.parent), str(Path.home()) + "/"):
            assert word not in text


@pytest.mark.parametrize("there", ["file", "folder", "link"])
def test_what_is_no_earlier_site_is_left_alone(small_place, tmp_path, there):
    out = tmp_path / "out"
    if there == "file":
        out.write_text("mine")
    elif there == "link":
        (tmp_path / "real").mkdir()
        out.symlink_to(tmp_path / "real")
    else:
        out.mkdir()
        (out / "mine.txt").write_text("mine")
    before = files_of(tmp_path)
    with pytest.raises(BadValue, match="choose another"):
        build_site(small_place, out, [NAME])
    assert files_of(tmp_path) == before


def test_a_build_that_fails_leaves_the_earlier_site(small_place, site, tmp_path, monkeypatch):
    out = tmp_path / "site"
    shutil.copytree(site, out)

    def fails(*_):
        raise EggymError("no row")

    monkeypatch.setattr(board_site, "row_page", fails)
    with pytest.raises(EggymError, match="no row"):
        build_site(small_place, out, [NAME])
    assert files_of(out) == files_of(site) and [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_site_that_cannot_be_put_in_its_place_leaves_the_earlier_one(small_place, site, tmp_path, monkeypatch):
    out, rename = tmp_path / "site", Path.rename
    shutil.copytree(site, out)

    def fails(path, target):
        if path.name == ".site.part":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(EggymError, match="no space left while writing"):
        build_site(small_place, out, [NAME])
    assert files_of(out) == files_of(site) and [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_board_cannot_be_named_after_a_folder_of_the_site(tmp_path):
    path = board_file(tmp_path / "boards")
    for one, name in ((path, "records.yaml"), (path.parent / "pinned/small.json", "records.json")):
        one.rename(one.with_name(name))
    board = tmp_path / "boards/records.yaml"
    board.write_text(board.read_text().replace("name: small", "name: records"))
    with pytest.raises(BadValue, match="name of a folder of the site"):
        build_site(Place(tmp_path), tmp_path / "site", ["records"])


# -- the pages --------------------------------------------------------------------------------------------------------


def test_every_link_leads_to_a_file_of_the_site_and_to_a_place_in_it(site, pages):
    ids = {page.path: set(page.of("id")) for page in pages}
    links = [(page, link) for page in pages for link in page.of("href")]
    assert len(links) > 200
    for page, link in links:
        path, fragment = urldefrag(link)
        target = (page.path.parent / unquote(path)).resolve() if path else page.path
        assert target.is_file() and target.is_relative_to(site.resolve()), (page.path.name, link)
        if fragment:
            assert fragment in ids[target], (page.path.name, link)
    linked = {(page.path.parent / unquote(urldefrag(link)[0])).resolve() for page, link in links}
    assert {path.resolve() for path in site.rglob("*") if path.is_file()} <= linked  # each file, from some page


def test_nothing_is_loaded_from_anywhere(pages):
    for page in pages:
        assert not page.of("src") and not page.of("style") and not re.search(r"@import|url\(", page.text)
        assert not [name for _, values in page.tags for name in values if name.startswith("on")]
        assert not [link for link in page.of("href") if ":" in link or link.startswith("/")]
        assert {tag for tag, _ in page.tags} <= OURS


def test_the_policy_names_style_and_script_by_their_hashes(pages):
    for page in pages:
        (told,) = [values["content"] for _, values in page.tags if "http-equiv" in values]
        for tag in ("style", "script"):
            texts = re.findall(f"<{tag}>(.*?)</{tag}>", page.text, re.S)
            sources = re.findall(f"{tag}-src '([^']*)'", told)
            assert sources == [
                f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}" for text in texts
            ]
            assert len(texts) <= 1 and all(len(text.encode()) < 2048 for text in texts if tag == "script")
        assert told.startswith("default-src 'none'")
        assert ("script-src" in told) == (page.path.name == "index.html" and page.path.parent.name == NAME)


def test_pages_are_in_order_for_those_who_cannot_see_them(pages):
    for page in pages:
        ids = page.of("id")
        assert len(set(ids)) == len(ids)
        levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(later <= before + 1 for before, later in itertools.pairwise(levels))
        for landmark in ("header", "nav", "main", "footer"):
            assert sum(tag == landmark for tag, _ in page.tags) == 1
        assert all(values.get("aria-label") or values.get("aria-hidden") for tag, values in page.tags if tag == "svg")
        assert all(values.get("scope") for tag, values in page.tags if tag == "th")
        labels = {values["for"] for tag, values in page.tags if tag == "label" and "for" in values}
        assert {values["id"] for tag, values in page.tags if tag == "input" and "id" in values} == labels


def test_the_page_of_a_board_is_small(site):
    assert (site / NAME / "index.html").stat().st_size < 100_000
    assert max(path.stat().st_size for path in (site / NAME).glob("*.html")) < 120_000


def test_the_board_tells_ranks_controls_levels_and_how_to_verify(site):
    page = Page(site / NAME / "index.html")
    rows = {values["id"]: values["data-k"] for tag, values in page.tags if tag == "tr" and "id" in values}
    assert rows == {
        "r-eggroll": "es", "r-dr_grpo": "rl", "r-frozen": "control", "r-random-reward-eggroll": "control",
        "r-random-reward-dr_grpo": "control",
    }  # fmt: skip
    assert [values["aria-sort"] for _, values in page.tags if "aria-sort" in values] == ["ascending"]
    text = " ".join("".join(page.words).split())
    for words in (
        "30 records of 5 rows, 2 of them ranked", "submitted bya tester",
        "eggym board verify small --regrade --replay",
        "L1", "Head to head", "32 episodes of training for each run", "Performance profiles over 2 tasks",
        "What happened to the records of this board", "test:small",
    ):  # fmt: skip
        assert words in text, words


def test_a_row_tells_its_runs_files_replies_and_how_to_cite_it(site):
    page = Page(site / NAME / "eggroll.html")
    text = " ".join("".join(page.words).split())
    folder = next((site / "records" / NAME / "eggroll").iterdir())
    for words in (
        "eggym board verify small/eggroll --rerun", sha256_file(folder / MANIFEST), "Change of the weights",
        "best: item", "seed 2", "@misc{eggym-small-eggroll,", "none yet", "made for tests", "Beyond the reward",
        "population", "Peak memory",
    ):  # fmt: skip
        assert words in text, words
    assert sum(tag == "svg" and values.get("class") == "strip" for tag, values in page.tags) == 2


# -- what is not whole ------------------------------------------------------------------------------------------------


def test_a_board_without_records_has_a_page(tmp_path):
    board_file(tmp_path / "boards")
    build_site(Place(tmp_path), tmp_path / "site", [NAME])
    text = Page(tmp_path / "site" / NAME / "index.html").text
    assert f"eggym board run {NAME} --learner my_learner.py" in text
    assert "No record stands on this board yet." in text and "Nothing has happened yet." in text
    assert "Nothing stands on it yet." in (tmp_path / "site/index.html").read_text()


def test_away_from_any_board_there_is_nothing_to_build(small_place, tmp_path):
    with pytest.raises(BadValue, match=r"there is no folder .*away; stand in a copy of the repository, or name"):
        build_site(Place(tmp_path / "away"), tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_changed_record_is_shown_with_its_reason_and_not_handed_on(small_place, tmp_path):
    place = copied(small_place, tmp_path)
    folder = next(place.folders(NAME))
    with (folder / "measured.json").open("ab") as file:
        file.write(b" ")
    build_site(place, tmp_path / "site", [NAME])
    page = Page(tmp_path / "site" / NAME / "index.html")
    text = " ".join("".join(page.words).split())
    name = "/".join(folder.parts[-3:])
    assert f"Refused: {name}" in text and f"{name}/measured.json was changed" in text
    assert "lacks seed" in text  # the row is no longer whole
    assert not (tmp_path / "site/records" / name).exists()
    assert f"../records/{name}" not in page.of("href")


def test_withdrawn_and_missing_records_are_told(small_place, tmp_path):
    place = copied(small_place, tmp_path)
    withdraw(place, [f"{NAME}/dr_grpo"], "ran on <two> test items")
    gone = next(path for path in place.folders(NAME) if path.parent.name == "eggroll")
    shutil.rmtree(gone)
    build_site(place, tmp_path / "site", [NAME])
    page = Page(tmp_path / "site" / NAME / "index.html")
    text = " ".join("".join(page.words).split())
    assert text.count("ran on <two> test items") >= 6 and "Missing: small/eggroll/" in text
    assert not (tmp_path / "site" / NAME / "dr_grpo.html").exists()
    assert len(list((tmp_path / "site/records" / NAME / "dr_grpo").iterdir())) == 6  # they stay readable
    for link in page.of("href"):
        path = unquote(urldefrag(link)[0])
        assert not path or (page.path.parent / path).is_file(), link


EVIL = (
    "</pre></script><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\u202egnp.exe\x00[a](javascript:b)\"'&"
)


# of printable ASCII, as a learner's name must be
PLAIN_EVIL = "eggroll\"'></pre><script>alert(1)</script><img src=x onerror=alert(1)>[a](javascript:b)"


def forged(place, folder):
    """Put hostile texts wherever a record has a text, with every digest made to fit; return its name."""
    entry = read_entry(folder)
    body = json.loads((folder / "record.json").read_bytes())
    body["learner"]["name"] = body["config"]["learner"] = PLAIN_EVIL
    body["learner"]["note"] = EVIL
    body["learner"]["options"] = body["config"]["options"] = {EVIL: EVIL}
    body["provenance"]["libraries"] = {EVIL: EVIL}
    body["provenance"]["eggym"] = EVIL
    body["provenance"]["config_sha256"] = sha256_json(body["config"])
    body["id"] = run_id(
        body["provenance"]["config_sha256"], body["seed"], body["task"]["digest"], body["model"]["sha256"]
    )
    rows = [
        {**row, "prompt": EVIL, "found": EVIL, "state": EVIL, "turns": [{"observation": EVIL, "reply": EVIL}] * 2}
        for row in entry.rows("evaluations.jsonl")
    ]
    said = "".join(map(canonical_json, rows)).encode()
    body["content_sha256"] = sha256_json({name: value for name, value in body.items() if name != "content_sha256"})
    packed, whole = pack(said), canonical_json(body).encode()
    (folder / "record.json").write_bytes(whole)
    (folder / "evaluations.jsonl.xz").write_bytes(packed)
    files = {name: one.model_dump() for name, one in entry.manifest.files.items()}
    files["record.json"] |= {"bytes": len(whole), "sha256": hashlib.sha256(whole).hexdigest()}
    files["evaluations.jsonl.xz"] = {
        "bytes": len(packed), "sha256": hashlib.sha256(packed).hexdigest(), "content_bytes": len(said),
        "content_sha256": hashlib.sha256(said).hexdigest(),
    }  # fmt: skip
    told = {"by": EVIL, "note": EVIL, "links": ["javascript:alert(1)", EVIL], "run": body["id"], "files": files}
    manifest = type(entry.manifest).model_validate({**entry.manifest.model_dump(by_alias=True), **told})
    (folder / MANIFEST).write_bytes(canonical_json(sealed(manifest)).encode())
    board, _ = place.board(NAME)
    name = record_name(board, load_record(folder), files["record.json"]["sha256"])
    (place.records / name).parent.mkdir(exist_ok=True)
    folder.rename(place.records / name)
    return name


def test_nothing_that_a_record_wrote_runs_or_hides(small_place, tmp_path):
    place = copied(small_place, tmp_path)
    names = [
        forged(place, path) if path.parent.name == "eggroll" else "/".join(path.parts[-3:])
        for path in list(place.folders(NAME))
    ]
    place.ledger_path.unlink()
    lines = [
        {"kind": "added", "record": name, "manifest_sha256": sha256_file(place.records / name / MANIFEST)}
        for name in names
    ]
    append(place.ledger_path, lines)
    withdraw(place, [f"{NAME}/dr_grpo"], EVIL)
    build_site(place, tmp_path / "site", [NAME])
    shown = pages_of(tmp_path / "site")
    assert len(shown) == 6
    for page in shown:
        script = re.search(r"<script>(.*?)</script>", page.text, re.S)
        body = page.text.replace(script.group(0), "") if script else page.text
        assert "<script" not in body and "<img" not in body
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", page.text)
        assert {tag for tag, _ in page.tags} <= OURS
        assert not [name for _, values in page.tags for name in values if name.startswith("on")]
        assert not [link for link in page.of("href") if ":" in link]
    (row,) = [page for page in shown if page.path.name.startswith("eggroll")]
    assert row.text.count("\\x1b[31m\\u202egnp.exe\\x00") > 40 and "&lt;img src=x" in row.text
    assert "javascript:alert(1)" in "".join(row.words)  # as a text


# -- the verbs --------------------------------------------------------------------------------------------------------


def test_the_site_is_served_on_this_machine_alone(site):
    from eggym.leaderboards.site_verbs import _server

    with _server(site, 0) as server:
        host, port = server.server_address
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{NAME}/") as answer:
                assert answer.read() == (site / NAME / "index.html").read_bytes()
            with pytest.raises(EggymError, match=f"port {port} of 127.0.0.1 cannot be used.*--port"):
                _server(site, port)
        finally:
            server.shutdown()
            thread.join()
    assert host == "127.0.0.1"


def test_build_tells_where_the_site_is(small_place, tmp_path, capsys):
    from eggym.leaderboards.site_verbs import build

    build(small_place.root, tmp_path / "site", [NAME])
    assert re.fullmatch(rf"{tmp_path}/site/index.html: \d+ files, 0\.\d MB\n", capsys.readouterr().out)
    build(small_place.root, tmp_path / "site", [NAME], as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == str(tmp_path / "site") and f"{NAME}/eggroll.html" in told["files"]
