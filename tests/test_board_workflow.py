"""The workflows: what they may, what they run, and what they make of a text from a stranger."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".github" / "workflows"
NAMES = ("board", "board-comment", "pages")
# what a pull request may hold, and would be run by a shell that finds it in a script
UNTRUSTED = re.compile(
    r"github\.(head_ref|event\.(pull_request\.(title|body|head)|workflow_run\.head|comment|issue|review|commits))"
)


def load(name):
    # YAML 1.1 reads the key `on` as true
    return {"on" if key is True else key: value for key, value in yaml.safe_load(text(name)).items()}


def text(name):
    return (FOLDER / f"{name}.yml").read_text(encoding="utf-8")


def steps(name):
    return [step for job in load(name)["jobs"].values() for step in job["steps"]]


def step(name, title):
    return next(one for one in steps(name) if one.get("name") == title)


def bash(script, folder, **env):
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script], cwd=folder, env={**keep, **env}, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip


def test_these_are_the_workflows():
    assert {path.stem for path in FOLDER.iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_stranger_is_run_with_a_token_that_writes(name):
    found = load(name)
    assert "pull_request_target" not in found["on"]
    assert found["permissions"] in ({"contents": "read"}, {})  # whatever a job does not ask for, it has not
    writes = {
        job: {what for what, how in one.get("permissions", {}).items() if how != "read"}
        for job, one in found["jobs"].items()
    }
    allowed = {"board": {"verify": set()}, "board-comment": {"comment": {"pull-requests"}}}
    assert writes == allowed.get(name, {"build": set(), "deploy": {"pages", "id-token"}})
    if "pull_request" in found["on"]:
        assert not any(writes.values())
    for job, one in found["jobs"].items():
        if writes[job]:  # it takes what others made, and runs none of it
            assert not any("checkout" in each.get("uses", "") for each in one["steps"])
            assert not re.search(r"pip|eggym|python|npm", " ".join(each.get("run", "") for each in one["steps"]))


@pytest.mark.parametrize("name", NAMES)
def test_no_script_has_a_text_of_a_stranger_in_it(name):
    for one in steps(name):
        assert "${{" not in one.get("run", ""), "give it by env, where a shell does not read it"
    assert "secrets." not in text(name)
    paths = [one["with"].get("ref", "") for one in steps(name) if "checkout" in one.get("uses", "")]
    assert not any(UNTRUSTED.search(ref) for ref in paths)


@pytest.mark.parametrize("name", NAMES)
def test_actions_are_githubs_own_at_a_version_and_checkouts_keep_no_token(name):
    for one in steps(name):
        if "uses" in one:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", one["uses"])
        if "checkout" in one.get("uses", ""):
            assert one["with"]["persist-credentials"] is False
    for job in load(name)["jobs"].values():
        assert job["timeout-minutes"] <= 60


def test_the_judge_is_the_target_branch():
    judge, asked = (one["with"] for one in steps("board") if "checkout" in one.get("uses", ""))
    assert judge["ref"] == "${{ github.event.pull_request.base.sha }}" and "ref" not in asked
    assert step("board", "Install")["run"] == f"pip install -c {judge['path']}/constraints.txt ./{judge['path']}"
    verify = step("board", "Verify what is new")
    assert verify["working-directory"] == asked["path"] and "HEAD^1" in verify["run"]
    assert load("board")["on"] == {"pull_request": {"paths": ["leaderboards/**"]}}
    assert load("board-comment")["on"]["workflow_run"]["workflows"] == [load("board")["name"]]


HOSTILE = """```
@everyone [x](https://evil) <img src=x>
# title
<!--
::set-output name=x::y
$(touch pwned) `touch pwned`
"""


@pytest.mark.parametrize("outcome", ["success", "failure"])
def test_what_records_say_is_shown_as_it_is(tmp_path, outcome):
    (tmp_path / "board.txt").write_text(HOSTILE * 3000)
    summary = tmp_path / "summary.md"
    done = bash(
        step("board", "Tell")["run"],
        tmp_path,
        RUNNER_TEMP=str(tmp_path),
        GITHUB_STEP_SUMMARY=str(summary),
        OUTCOME=outcome,
    )
    assert done.returncode == 0, done.stderr
    first, empty, *lines, end = summary.read_text().splitlines()
    assert outcome in first and empty == "" and end.startswith("L0 by the rules")
    assert all(line.startswith("    ") or line == "" for line in lines)
    assert summary.read_bytes() == (tmp_path / "comment.md").read_bytes() and summary.stat().st_size < 65_536 * 1.5
    assert not (tmp_path / "pwned").exists()


GH = """#!{python}
import json, sys
from pathlib import Path
here = Path(__file__).parent
with (here / "asked").open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1] == "api":
    print((here / "pulls.json").read_text())
"""


@pytest.fixture
def commenting(tmp_path):
    """Run the step that comments, with a `gh` that notes what it is asked."""
    if shutil.which("jq") is None:
        pytest.skip("needs jq")
    tool = tmp_path / "gh"
    tool.write_text(GH.format(python=sys.executable))
    tool.chmod(0o755)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "comment.md").write_text("found")
    (tmp_path / "pulls.json").write_text(
        '[{"number": 3, "head": {"sha": "other"}}, {"number": 7, "head": {"sha": "abc"}}]'
    )

    def comment(commit="abc", branch="b"):
        path = f"{tmp_path}:{os.environ['PATH']}"
        named = {"OWNER": "o", "BRANCH": branch, "COMMIT": commit, "GH_REPO": "a/b", "RUNNER_TEMP": str(tmp_path)}
        done = bash(step("board-comment", "Comment")["run"], tmp_path, **named, PATH=path)
        return done, (tmp_path / "asked").read_text() if (tmp_path / "asked").exists() else ""

    return comment


def test_the_comment_goes_to_the_pull_request_with_this_commit(commenting, tmp_path):
    done, asked = commenting()
    assert done.returncode == 0, done.stderr
    assert '["pr", "comment", "7", "--edit-last", "--create-if-none"' in asked
    assert (tmp_path / "comment.md").read_text() == "found"


def test_nobody_is_told_where_no_pull_request_has_the_commit(commenting):
    done, asked = commenting(commit="gone")
    assert done.returncode == 0 and '"comment"' not in asked


def test_the_name_of_a_branch_is_no_command(commenting, tmp_path):
    done, asked = commenting(branch='$(touch pwned)";touch pwned;"')
    assert done.returncode == 0 and "o:$(touch pwned)" in asked and not (tmp_path / "pwned").exists()


def test_a_link_in_place_of_the_text_is_not_followed(commenting, tmp_path):
    (tmp_path / "text" / "comment.md").unlink()
    (tmp_path / "text" / "comment.md").symlink_to("/etc/passwd")
    done, asked = commenting()
    assert done.returncode != 0 and '"comment"' not in asked


def git(folder, *words):
    config = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *config, *words], check=True, capture_output=True)


@pytest.mark.slow
def test_a_pull_request_is_verified_and_one_that_changes_records_fails(small_place, tmp_path):
    asked, temp = tmp_path / "asked", tmp_path / "temp"
    temp.mkdir()
    shutil.copytree(small_place.root / "boards", asked / "leaderboards" / "boards")
    git(tmp_path, "init", "-q", str(asked))
    git(asked, "add", "-A")
    git(asked, "commit", "-qm", "a board")
    shutil.copytree(small_place.root, asked / "leaderboards", dirs_exist_ok=True)
    git(asked, "add", "-A")
    git(asked, "commit", "-qm", "rows")
    script = step("board", "Verify what is new")["run"]
    env = {"RUNNER_TEMP": str(temp), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = bash(script, asked, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "eggroll" in (temp / "board.txt").read_text()
    record = next((asked / "leaderboards" / "records").rglob("curve.csv"))
    record.write_text(record.read_text() + "\n")
    git(asked, "commit", "-qam", "a number that looks better")
    done = bash(script, asked, **env)
    assert done.returncode != 0 and "was changed since HEAD^1" in (temp / "board.txt").read_text()
