"""docs/scaling.md: its tables are what the script prints, and its commands are copied and pasted."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import hosts
import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")


def test_the_tables_on_paper_are_those_of_the_script():
    script = [sys.executable, ROOT / "benchmarks/paper_cost.py"]
    printed = subprocess.run(script, capture_output=True, text=True, check=True).stdout.strip().split("\n\n")
    assert len(printed) == 2 and all(table in PAGE for table in printed)


@pytest.mark.slow
@pytest.mark.skipif(hosts.why_not() is not None, reason=str(hosts.why_not()))
def test_the_run_on_two_hosts_is_as_the_page_says(tmp_path):
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (block,) = re.findall(r"<!-- two hosts -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        ["bash", "-e", "-c", block], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = next(line for line in done.stdout.splitlines() if line.startswith('"worker_items"'))
    played = json.loads("{" + told + "}")["worker_items"]
    assert len(played) == 2 and all(played.values()), played  # each host has room for one
