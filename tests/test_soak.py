"""A short soak; longer ones are ``python tests/soak.py --faults 250``."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_whatever_happens(tmp_path):
    script = Path(__file__).parent / "soak.py"
    words = [sys.executable, script, "--faults", "20", "--out", tmp_path / "soak.json"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = json.loads((tmp_path / "soak.json").read_text())["runs"]
    assert found["n_faults"] >= 20 and len(found["faults"]) >= 3
    assert (found["differing"], found["episodes_lost"], found["episodes_doubled"]) == ([], 0, 0)
    # a driver ended by itself for no other reason than a work item that nobody survived
    assert set(found["driver_endings"]) <= {"finished", "code 1: WorkersLost"}
