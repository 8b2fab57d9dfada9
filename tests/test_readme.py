"""Every block of code in the README and in PAGES is run: those marked ``run`` as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"(?:<!-- ([^\n]*) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)
BLOCKS = BLOCK.findall(TEXT)
PAGES = ("tasks", "programs", "learners")  # of docs/
MORE = [block for page in PAGES for block in BLOCK.findall((ROOT / "docs" / f"{page}.md").read_text())]
PROGRAMS = [(kind, body) for mark, kind, body in BLOCKS + MORE if mark == "run"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    for mark, _, body in BLOCKS + MORE:
        if mark.startswith("file: "):
            (folder / mark.removeprefix("file: ")).write_text(body)
    return folder


def run(words, place):
    scripts = str(Path(sys.executable).parent)
    env = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(words, cwd=place, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(("kind", "body"), PROGRAMS, ids=[f"{kind}-{i}" for i, (kind, _) in enumerate(PROGRAMS)])
@pytest.mark.slow
def test_a_block_of_the_readme_runs(kind, body, place):
    words = [sys.executable, "-c", body] if kind == "python" else ["sh", "-ec", body]
    done = run(words, place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_no_block_escapes():
    # what is neither run nor a file needs a hub; its flags are tried on a local model in test_real_model.py
    left = [body for mark, _, body in BLOCKS if not mark]
    assert len(left) == 1 and "Qwen/Qwen2.5-0.5B-Instruct" in left[0]
    assert "make duel" in TEXT and "make test" in TEXT


def test_a_new_task_is_at_most_twelve_lines():
    (task,) = [body for mark, _, body in BLOCKS if mark.startswith("file: ")]
    assert len([line for line in task.splitlines() if line.strip()]) <= 12


def test_the_tables_name_every_verb_and_learner():
    from eggym.registry import learner_table

    verbs = run(["eggym", "--help"], ROOT).stdout.split("Commands:")[1].split()
    for name in [*learner_table(), *(verb for verb in verbs if f"`{verb}`" in TEXT)]:
        assert f"`{name}" in TEXT


def test_the_settings_that_it_names_exist():
    from eggym.setting_notes import SOURCES, run_settings

    named = re.findall(rf"`(?:--set )?((?:{'|'.join(SOURCES)})\.\w+)=", TEXT)
    assert len(set(named)) >= 6 and set(named) <= {note.name for note in run_settings()}


PAGES_WITH_LINKS = [*ROOT.glob("*.md"), *ROOT.glob("[!.]*/*.md"), *ROOT.glob("docs/*/*.md")]


@pytest.mark.parametrize("page", PAGES_WITH_LINKS, ids=[str(path.relative_to(ROOT)) for path in PAGES_WITH_LINKS])
def test_what_a_page_links_to_is_there(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not target.startswith(("http://", "https://", "mailto:")):
            file, _, place = target.partition("#")
            found = page.parent / file if file else page
            assert found.exists(), f"{page.name} links to {target}"
            assert not place or place in anchors(found), f"{page.name} links to {target}"


def anchors(page):
    """Return the anchors of a page's headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
