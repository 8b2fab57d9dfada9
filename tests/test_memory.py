"""Too little memory: one line that says so, whatever a library made of it, and nothing that blames the model."""

import errno
import os
import subprocess
import sys

import pytest
import torch

from eggym import cli, hand
from eggym.errors import BadValue, EggymError, OutOfMemory, scarcity
from eggym.frames import Frame
from eggym.local_workers import NO_MEMORY

CRAMPED = 700 << 20  # bytes of addresses: torch is there, transformers or a model no longer


def caused(cause, of=BadValue):
    """Return an error that follows from another."""
    try:
        raise of("no model 'mine'") from cause
    except of as problem:
        return problem


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (MemoryError(), "(MemoryError)"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "Cannot allocate memory)"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 bytes.\nmore"), "8 bytes)"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nGPU 0 has"), "20.00 MiB)"),
        (ImportError("libgfortran.so.5: failed to map segment from shared object"), "shared object)"),
        (caused(MemoryError()), "(MemoryError)"),
        (caused(caused(RuntimeError("can't start new thread"), ImportError)), "can't start new thread)"),
    ],
)
def test_errors_for_want_of_memory_are_known_as_such(problem, line):
    found = scarcity(problem)
    assert isinstance(found, OutOfMemory) and isinstance(found, EggymError)
    assert line in str(found) and "\n" not in str(found) and "smaller --memory" in str(found)


@pytest.mark.parametrize("problem", [None, BadValue("lr is 3"), OSError(errno.ENOSPC, "full"), caused(KeyError("a"))])
def test_others_are_not(problem):
    assert scarcity(problem) is None


def test_what_an_error_does_not_follow_from_is_no_reason():
    try:
        try:
            raise MemoryError
        except MemoryError:
            raise BadValue("the program took too much") from None
    except BadValue as problem:
        assert scarcity(problem) is None


@pytest.mark.parametrize("problem", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried")])
def test_the_command_says_it_in_one_line(problem, monkeypatch, capsys):
    monkeypatch.setattr(cli, "app", lambda *words, **options: (_ for _ in ()).throw(problem))
    with pytest.raises(SystemExit) as ended:
        cli.main(["train"])
    told = capsys.readouterr().err
    assert ended.value.code == 2 and told.startswith("eggym: too little memory (") and told.count("\n") == 1


def test_a_bug_stays_one(monkeypatch):
    monkeypatch.setattr(cli, "app", lambda *words, **options: (_ for _ in ()).throw(RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        cli.main(["train"])


@pytest.mark.skipif(sys.platform != "linux", reason="addresses are limited on Linux alone")
def test_a_model_that_does_not_fit_is_not_called_unknown():
    code = "from eggym.policy import load_policy\nimport resource\n"
    code += f"resource.setrlimit(resource.RLIMIT_AS, ({CRAMPED}, {CRAMPED}))\n"
    code += "try:\n load_policy('embedded-v0')\nexcept Exception as problem:\n print(repr(problem), flush=True)\n"
    code += "import os\nos._exit(0)"  # what torch does at the end wants memory too
    words = [sys.executable, "-c", code]
    found = subprocess.run(words, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert found.stdout.startswith("OutOfMemory('too little memory ("), found.stdout + found.stderr


class Greedy:
    """A worker's role whose library finds no memory, and is misunderstood."""

    def __init__(self, frame):
        raise caused(MemoryError())


def test_a_worker_without_memory_ends_and_refuses_nothing(monkeypatch):
    monkeypatch.setitem(hand.ROLES, "greedy", f"{__name__}:Greedy")
    monkeypatch.setattr(hand.os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as ended:
        hand.Attendant().take(Frame({"do": "begin", "role": "greedy"}))
    assert ended.value.code == NO_MEMORY
