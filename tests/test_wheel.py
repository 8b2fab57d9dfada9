"""The wheel holds what the package needs, and works outside the checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_a_wheel_works_outside_the_checkout(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    data = [name for name in tracked if name.startswith(("eggym/data/", "eggym/templates/", "eggym/py.typed"))]
    assert len(data) > 8 and set(data) <= names
    assert {
        "eggym/envs/guess.py",
        "eggym/es/eggroll.py",
        "eggym/agents/presets.py",
        "eggym/leaderboards/__init__.py",
    } <= names
    program = f"""
import sys
site = {str(tmp_path / "site")!r}
sys.path = [site] + [path for path in sys.path if path != {str(ROOT)!r}]
import eggym, eggym.report, eggym.envs.guess
from eggym.evaluate import evaluate
assert eggym.__file__.startswith(site) and eggym.envs.guess.__file__.startswith(site)
print(evaluate("tiny-programs", set={{"eval.items": 16}}).greedy.mean)
"""
    alone = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
