"""Publishing: what a plan says is what is written, to the byte, and nothing is written before it is asked for."""

import hashlib
import json
import os
import subprocess
import sys

import pytest
import yaml
from fake_hub import TOKEN, FakeHub

from eggym.errors import BadValue, EggymError
from eggym.leaderboards.publication import SUMS
from eggym.leaderboards.publish import plan, publish
from eggym.leaderboards.to_hub import card

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of the hub's library, at LFS

SITE = {
    "index.html": b"<!doctype html>\n<title>boards</title>\n",
    "small/index.html": "<p>caf\u00e9</p>\n".encode(),
    "small/board.csv": b"a,b\r\n1,2\n",
    "records/small/x/run/evaluations.jsonl.xz": bytes(range(256)) * 9,
    "ledger.jsonl": b"",
}
DATASET, SPACE = "hf://datasets/some-org/boards", "hf://spaces/some-org/boards"


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items())]
    (folder / SUMS).write_text("".join(lines))
    return folder


def read(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def built(tmp_path):
    return write(tmp_path / "built", SITE)


@pytest.fixture
def hub(monkeypatch):
    """A hub, and this process online and logged in to it."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # its own protocol; without it large files go as LFS
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    found = FakeHub(lfs=[".xz"])
    yield found
    found.close()


def send(built, hub, target=DATASET):
    return publish(plan(built, target), True, hub.url)


def there(hub, kind="dataset"):
    return hub.repos[kind, "some-org/boards"]


@pytest.mark.parametrize(("target", "kind"), [(DATASET, "dataset"), (SPACE, "space")])
def test_the_hub_gets_the_site_byte_for_byte(built, hub, target, kind):
    where = send(built, hub, target)
    files = there(hub, kind)
    assert files.keys() == {*SITE, SUMS, "README.md", ".gitattributes"}
    assert {name: files[name] for name in (*SITE, SUMS)} == read(built)
    assert files["README.md"].decode() == card(kind)
    assert where == f"{hub.url}/{kind}s/some-org/boards/commit/{1:040x}"
    assert hub.created.get("sdk") == ("static" if kind == "space" else None)
    assert hub.commits == [f"Boards as built: {SUMS} is {hashlib.sha256(files[SUMS]).hexdigest()}"]
    # what the hub keeps as LFS went there, and not in the commit
    assert list(hub.store.values()) == [SITE["records/small/x/run/evaluations.jsonl.xz"]]


def test_a_plan_says_all_that_is_sent(built, hub):
    told = {file["path"]: file for file in plan(built, DATASET).as_dict()["files"]}
    send(built, hub)
    files = {name: data for name, data in there(hub).items() if name != ".gitattributes"}
    assert told.keys() == files.keys()
    for name, data in files.items():
        assert (told[name]["bytes"], told[name]["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_without_push_nothing_is_asked_of_anyone(built, hub, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a dry run went to the network"))
    for target in (DATASET, SPACE):
        planned = plan(built, target)
        assert publish(planned, False, hub.url) is None
        text = "\n".join(planned.lines())
        assert "some-org/boards" in text and all(hashlib.sha256(one).hexdigest() in text for one in SITE.values())
    assert hub.requests == []


def test_the_next_publication_removes_what_is_gone_in_the_same_commit(built, hub, tmp_path):
    send(built, hub)
    smaller = {**SITE, "index.html": b"new"}
    del smaller["small/board.csv"]
    send(write(tmp_path / "next", smaller), hub)
    assert there(hub).keys() == {*smaller, SUMS, "README.md", ".gitattributes"}
    assert there(hub)["index.html"] == b"new" and len(hub.commits) == 2


def test_a_repository_with_something_else_is_left_alone(built, hub):
    hub.repos["dataset", "some-org/boards"] = {"precious.csv": b"1"}
    with pytest.raises(BadValue, match=r"holds something else than an earlier publication \(precious.csv\)"):
        send(built, hub)
    assert there(hub) == {"precious.csv": b"1"} and hub.commits == []


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "missing or no longer valid; log in with `hf auth login`"),
        (403, "may not write there"),
        (404, "does not exist, or your token may not see it"),
        (400, r"the hub failed at hf://datasets/some-org/boards \(400\): as the test wants it"),
    ],
)
@pytest.mark.parametrize("part", ["/repos/create", "/preupload/", "/store/", "/commit/"])
def test_a_refusal_of_the_hub_is_one_line(built, hub, status, words, part):
    hub.refuse[part] = status
    with pytest.raises(EggymError, match=words) as found:
        send(built, hub)
    assert "\n" not in str(found.value) and TOKEN not in str(found.value)
    assert hub.commits == []


def test_a_wrong_token_is_one_line_without_the_token(built, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret_of_somebody")
    with pytest.raises(EggymError, match=r"the hub refused hf://.* \(401\): your token is missing") as found:
        send(built, hub)
    assert "secret" not in str(found.value)


def test_a_hub_that_is_not_there_is_one_line(built, hub):
    hub.close()
    with pytest.raises(EggymError, match="cannot be reached") as found:
        send(built, hub)
    assert "\n" not in str(found.value)
    hub.__init__()


def test_offline_says_so(built, hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EggymError, match="HF_HUB_OFFLINE is set"):
        send(built, hub)
    assert hub.requests == []


@pytest.mark.parametrize("kind", ["dataset", "space"])
def test_the_front_matter_is_what_the_library_reads(kind):
    from huggingface_hub import DatasetCard, SpaceCard

    found = {"dataset": DatasetCard, "space": SpaceCard}[kind](card(kind)).data.to_dict()
    assert found == yaml.safe_load(card(kind).split("---")[1])
    if kind == "space":
        assert (found["sdk"], found["app_file"]) == ("static", "index.html")


def test_large_files_are_told_before(tmp_path):
    site = write(tmp_path / "built", {"index.html": b"x", "big.bin": bytes((10 << 20) + 1)})
    assert "Above 10 MiB, so surely as LFS: big.bin" in plan(site, DATASET).notes


@pytest.mark.parametrize(
    "target", ["hf://models/a/b", "hf://datasets/a", "hf://datasets/a/../b", "hf://spaces/a/b/c", "s3://x/y", "hf://"]
)
def test_a_target_that_is_none_is_refused(built, target):
    with pytest.raises(BadValue, match="hf://"):
        plan(built, target)


# Folders


def test_a_folder_gets_the_site_byte_for_byte(built, tmp_path):
    target = tmp_path / "pages" / "site"
    planned = plan(built, str(target))
    assert publish(planned) is None and not target.parent.exists()
    assert publish(planned, True) == str(target)
    assert read(target) == {**read(built), ".nojekyll": b""}
    assert list(target.parent.iterdir()) == [target]  # nothing was left beside it


def test_the_next_publication_changes_what_differs_and_leaves_what_is_not_its_own(built, tmp_path):
    target = tmp_path / "site"
    publish(plan(built, str(target)), True)
    (target / ".git").mkdir()
    (target / ".git" / "HEAD").write_bytes(b"ref")
    (target / "CNAME").write_bytes(b"x.org")
    before = (target / "index.html").stat().st_mtime_ns
    smaller = {**SITE, "small/index.html": b"new", "more/a.html": b"a"}
    del smaller["records/small/x/run/evaluations.jsonl.xz"]
    planned = plan(write(tmp_path / "next", smaller), str(target))
    assert planned.removed == ("records/small/x/run/evaluations.jsonl.xz",)
    publish(planned, True)
    own = {".nojekyll": b"", ".git/HEAD": b"ref", "CNAME": b"x.org"}
    assert read(target) == {**read(tmp_path / "next"), **own}
    assert not (target / "records").exists()
    assert (target / "index.html").stat().st_mtime_ns == before  # it was not written again


def test_a_folder_with_something_else_is_left_alone(built, tmp_path):
    target = tmp_path / "precious"
    target.mkdir()
    (target / "thesis.tex").write_bytes(b"1")
    with pytest.raises(BadValue, match="something else than an earlier publication"):
        plan(built, str(target))
    assert read(target) == {"thesis.tex": b"1"}


def test_a_clone_of_an_empty_branch_is_a_folder_to_publish_to(built, tmp_path):
    target = tmp_path / "clone"
    (target / ".git").mkdir(parents=True)
    publish(plan(built, str(target)), True)
    assert read(target) == {**read(built), ".nojekyll": b""} and (target / ".git").is_dir()


def test_a_list_that_leads_elsewhere_removes_nothing(built, tmp_path):
    (tmp_path / "victim").write_bytes(b"1")
    target = write(tmp_path / "site", {"index.html": b"1"})
    for path in ("../victim", str(tmp_path / "victim"), "a/../../victim"):
        (target / SUMS).write_text(f"{'0' * 64}  {path}\n")
        with pytest.raises(BadValue, match="line 1, is no digest and path"):
            plan(built, str(target))
    (target / ".git").mkdir()
    (target / ".git" / "HEAD").write_bytes(b"ref")
    (target / SUMS).write_text(f"{'0' * 64}  .git/HEAD\n")
    assert plan(built, str(target)).removed == ()


def test_nothing_is_written_through_a_link(built, tmp_path):
    target, elsewhere = write(tmp_path / "site", {"index.html": b"1"}), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (target / "small").symlink_to(elsewhere)
    with pytest.raises(BadValue, match="small is a link"):
        plan(built, str(target))
    (tmp_path / "alias").symlink_to(target)
    with pytest.raises(BadValue, match="is no folder"):
        plan(built, str(tmp_path / "alias"))


def test_what_was_stopped_in_between_is_finished_by_the_same_command(built, tmp_path, monkeypatch):
    from pathlib import Path

    target = write(tmp_path / "site", {"index.html": b"1", "old.html": b"2", "small/index.html": b"3"})
    real, seen = Path.replace, []

    def replace(path, other):
        seen.append(other)
        if len(seen) == 3:
            raise OSError(5, "Input/output error")
        return real(path, other)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(EggymError, match="Input/output error"):
        publish(plan(built, str(target)), True)
    monkeypatch.undo()
    assert read(target) != {**read(built), ".nojekyll": b""}
    publish(plan(built, str(target)), True)
    assert read(target) == {**read(built), ".nojekyll": b""}


def test_a_full_disk_changes_nothing(built, tmp_path, monkeypatch):
    from pathlib import Path

    target = write(tmp_path / "site", {"index.html": b"1", "old.html": b"2"})
    before = read(target)
    planned = plan(built, str(target))
    monkeypatch.setattr(Path, "write_bytes", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(EggymError, match="no space left while writing"):
        publish(planned, True)
    assert read(target) == before and not (tmp_path / ".site.part").exists()


def test_a_site_that_is_not_whole_is_not_published(built):
    for name, content in (("index.html", b"edited"), ("extra.html", b"x")):
        before = (built / name).read_bytes() if (built / name).exists() else None
        (built / name).write_bytes(content)
        with pytest.raises(BadValue, match=rf"{name} in .* is not what {SUMS} says"):
            plan(built, DATASET)
        (built / name).unlink() if before is None else (built / name).write_bytes(before)
    (built / "ledger.jsonl").unlink()
    with pytest.raises(BadValue, match=r"ledger.jsonl in"):
        plan(built, DATASET)
    (built / SUMS).unlink()
    with pytest.raises(BadValue, match="is no built site"):
        plan(built, DATASET)


def test_a_link_in_a_site_is_not_followed(built, tmp_path):
    (tmp_path / "secret").write_bytes(b"1")
    (built / "index.html").unlink()
    (built / "index.html").symlink_to(tmp_path / "secret")
    with pytest.raises(BadValue, match=r"index.html in .* is no plain file"):
        plan(built, DATASET)


def test_a_site_is_not_published_into_itself(built):
    for target in (built, built / "small"):
        with pytest.raises(BadValue, match="publish to another folder"):
            plan(built, str(target))


# The verb


RUN = "import sys, typer; from eggym.leaderboards.publish_verb import publish; typer.run(publish)"


def verb(*words, **env):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_OFFLINE"))}
    done = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, words)],
        env={**clean, "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1", **env},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_verb_builds_and_publishes_to_a_hub_that_its_library_knows(small_place, tmp_path):
    from eggym.leaderboards.board_site import build_site

    build_site(small_place, tmp_path / "site", ["small"])
    common = ("--root", small_place.root, "--board", "small", "--to", DATASET)
    hub = FakeHub(lfs=[".xz"])
    try:
        env = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "home")}
        dry = verb(*common, **env)
        assert dry.splitlines()[-1] == "nothing was sent or written; add --push to do it" and hub.requests == []
        told = json.loads(verb(*common, "--push", "--json", **env))
        files = there(hub)
    finally:
        hub.close()
    assert told["pushed"] and told["at"].startswith(hub.url)
    site = read(tmp_path / "site")
    assert {name: files[name] for name in site} == site
    assert files.keys() - site.keys() == {"README.md", ".gitattributes"}
