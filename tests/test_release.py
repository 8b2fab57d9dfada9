"""The wheel and the sdist: what is in them, and that each works alone, installed outside of the checkout.

Run by .ci/release, which builds them: EGGYM_DIST names their folder, EGGYM_SOURCE the tree that they were built from.
"""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from test_readme import BLOCKS

import eggym

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("EGGYM_DIST" not in os.environ, reason="run by .ci/release, which builds what is tried"),
]

LEAVES = ("envs", "es", "agents", "leaderboards")
OURS = ("eggym", "__editable__", "pip", "setuptools", "_distutils_hack", "distutils-precedence")  # not lent to others
LEFT_OUT = ("leaderboards/records/", "leaderboards/README.md", "leaderboards/ledger.jsonl")  # the boards' own, no code
LICENCES = ("LICENSE", "NOTICE")
OF_THE_SDIST = {
    "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "NOTICE", "PKG-INFO", "README.md", "SECURITY.md",
    "constraints.txt", "pyproject.toml", "setup.cfg",
}  # fmt: skip
SMALL = ["--set", "eval.items=8", "--set", "eval.points=1", "--set", "eval.drift=2", "--set", "eval.many=0", "--force"]


@pytest.fixture(scope="module")
def dist():
    return Path(os.environ["EGGYM_DIST"])


@pytest.fixture(scope="module")
def tracked():
    """What the wheel has to have: path in the tree -> path in the wheel."""
    source = Path(os.environ["EGGYM_SOURCE"])
    paths = [path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()]
    code = [path for path in paths if path.split("/")[0] in ("eggym", *LEAVES) and not path.startswith(LEFT_OUT)]
    return {path: path if path.startswith("eggym/") else f"eggym/{path}" for path in code}


def names_in(archive):
    if archive.suffix == ".whl":
        return set(zipfile.ZipFile(archive).namelist())
    with tarfile.open(archive) as opened:
        files = [member for member in opened if not member.isdir()]
    assert all(member.isreg() for member in files)
    return {member.name.partition("/")[2] for member in files}


def test_the_wheel_holds_the_package_and_nothing_else(dist, tracked):
    (wheel,) = dist.glob("*.whl")
    names = names_in(wheel)
    info = f"eggym-{eggym.__version__}.dist-info/"
    assert len(tracked) > 300
    assert {name for name in names if not name.startswith(info)} == set(tracked.values())
    assert {f"{info}licenses/{name}" for name in LICENCES} <= names


def test_the_sdist_holds_the_package_and_how_it_is_built(dist, tracked):
    (sdist,) = dist.glob("*.tar.gz")
    names = {name for name in names_in(sdist) if not name.startswith("eggym.egg-info/")}
    assert names == set(tracked) | OF_THE_SDIST


@pytest.fixture(scope="module", params=["*.whl", "*.tar.gz"], ids=["wheel", "sdist"])
def installed(request, dist, tmp_path_factory):
    """An environment of its own, which sees the dependencies of this one and nothing of the checkout."""
    place = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", place / "env"], check=True)
    (site,) = (place / "env" / "lib").glob("*/site-packages")
    (place / "lent").mkdir()
    for found in Path(sysconfig.get_path("purelib")).iterdir():
        if not found.name.startswith(OURS):
            (place / "lent" / found.name).symlink_to(found)
    (site / "lent.pth").write_text(f"{place / 'lent'}\n")
    (archive,) = dist.glob(request.param)
    python = place / "env" / "bin" / "python"
    constraints = Path(os.environ["EGGYM_SOURCE"]) / "constraints.txt"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", constraints, archive]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(pip, check=True, env=clean)
    (place / "home").mkdir()
    (place / "work").mkdir()
    return place


def run(installed, *words, **more):
    """Run a command in the environment, from an empty folder, with an empty home and no variable of ours."""
    env = {"PATH": f"{installed / 'env' / 'bin'}:/usr/bin:/bin", "HOME": str(installed / "home"), "NO_COLOR": "1"}
    env |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(words, cwd=installed / "work", env=env, capture_output=True, text=True, **more)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_it_is_the_one_that_was_installed(installed):
    program = "import eggym, eggym.envs, eggym.leaderboards as l; print(eggym.__file__, l.__file__, eggym.__version__)"
    core, leaf, version = run(installed, "python", "-c", program).split()
    assert Path(core).is_relative_to(installed / "env") and Path(leaf).is_relative_to(installed / "env")
    assert version == eggym.__version__
    assert run(installed, "eggym", "--version") == f"eggym {version}\n"
    assert run(installed, "python", "-m", "pip", "check").strip() == "No broken requirements found."


def test_every_module_is_imported_and_every_model_loaded(installed):
    program = """
import importlib, pkgutil, eggym
from eggym.policy import EMBEDDED, load_policy
optional = {"trl", "openai", "ray", "verifiers", "reasoning_gym"}
programs = {"eggym.__main__", "eggym.envs.answer_worker"}
for module in pkgutil.walk_packages(eggym.__path__, "eggym."):
    if module.name not in programs:
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as problem:
            assert problem.name.partition(".")[0] in optional, problem
for name in EMBEDDED:
    print(load_policy(name, "cpu").name)
"""
    assert run(installed, "python", "-c", program).split() == ["embedded-v0", "embedded-v1", "embedded-v2"]


def test_the_verbs_of_the_readme_run(installed):
    (task,) = [body for mark, _, body in BLOCKS if mark.startswith("file: ")]
    (installed / "work" / "my_task.py").write_text(task)
    assert eggym.__version__ in run(installed, "eggym", "doctor")
    listed = run(installed, "eggym", "list")
    assert "eggym/tiny-arithmetic-v0" in listed and "eggym/rg-*" in listed  # the second from a table in a file
    assert run(installed, "eggym", "check", "my_task.py").strip()
    program = "from eggym import load_task; print(load_task('stdin-stdout').item('train', 0).prompt)"
    assert run(installed, "python", "-c", program).strip()


def test_a_duel_ends_with_its_page(installed):
    small = ["--budget", "100episodes", "--seeds", "1", "--task", "tiny-programs", "--out", "duel", *SMALL]
    sizes = {"eggroll.population": 8, "eggroll.items": 2, "dr_grpo.items": 3, "dr_grpo.replies": 4}
    small += [word for name, value in sizes.items() for word in ("--set", f"{name}={value}")]
    out = run(installed, "eggym", "duel", *small, "--learner", "eggroll", "--learner", "dr_grpo")
    assert "not resolved" in out
    assert "<html" in (installed / "work" / "duel" / "report.html").read_text()


def test_a_run_is_trained_replayed_and_exported(installed):
    sizes = ["--set", "eggroll.population=8", "--set", "eggroll.items=2", "--budget", "100episodes", "--out", "run"]
    run(installed, "eggym", "train", "--task", "tiny-programs", "--learner", "eggroll", *sizes, *SMALL)
    assert "equal" in run(installed, "eggym", "replay", "run")
    run(installed, "eggym", "export", "run", "--to", "model")
    assert (installed / "work" / "model" / "model.safetensors").is_file()


def test_the_boards_that_are_shipped_are_known(installed):
    out = run(installed, "eggym", "board", "list")
    assert all(name in out for name in ("gsm8k", "long-horizon", "tiny-default"))
