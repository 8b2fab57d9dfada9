"""What .ci/audit says where it cannot audit: loudly that it did not, and never that nothing was found."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / ".ci" / "audit"


def audit(url):
    """Run it against another database; it has to end before it installs anything."""
    done = subprocess.run([SCRIPT], env={**os.environ, "EGGYM_OSV_URL": url}, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == "NOT RUN: dependency audit: its database cannot be reached"
    return done.stderr


def test_nobody_answers():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and does not listen
        assert "refused" in audit(f"http://127.0.0.1:{free.getsockname()[1]}/v1/query")


@pytest.mark.parametrize("answer", ["{}", '{"vulns": []}', "[]", "<html>"])
def test_an_answer_that_knows_of_nothing_is_no_audit(tmp_path, answer):
    (tmp_path / "osv").write_text(answer)  # a mirror may answer so for everything
    audit((tmp_path / "osv").as_uri())
