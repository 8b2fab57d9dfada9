import sys

import pytest

from eggym.errors import BadValue, EggymError, TaskFault, UnknownName
from eggym.registry import load_learner, load_task
from eggym.source import check_reference, load_file, named, told


@pytest.fixture(autouse=True)
def path(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


def write(folder, body, name="my_task.py"):
    (folder / name).write_text(body)
    return str(folder / name)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("raise SystemExit(0)", "SystemExit in line 2 of my_task.py: 0"),
        ("import sys; sys.exit()", "SystemExit in line 2 of my_task.py"),
        ("raise GeneratorExit", "GeneratorExit in line 2"),
        ("class Odd(BaseException): pass\nraise Odd('x')", "Odd in line 3 of my_task.py: x"),
    ],
)
def test_a_file_cannot_end_the_program(tmp_path, line, what):
    file = write(tmp_path, "x = 1\n" + line)
    for _ in range(2):  # and is not half-loaded
        with pytest.raises(TaskFault, match=rf"task file '.*my_task\.py' raised {what}"):
            load_file(file, "task")


def test_a_module_cannot_end_the_program(tmp_path, monkeypatch):
    write(tmp_path, "import sys\nsys.exit(3)", "leaves_at_import.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(TaskFault, match=r"module 'leaves_at_import' raised SystemExit in line 2 of leaves_at.*: 3"):
        named("leaves_at_import:Task", "task")


def test_ctrl_c_is_nobodys_fault(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        load_file(write(tmp_path, "raise KeyboardInterrupt"), "task")


@pytest.mark.parametrize("load", [load_task, load_learner])
@pytest.mark.parametrize(
    "ref",
    [
        "a\0b.py",
        "a\0b:C",
        "a\0b",
        "\ud800.py",
        "\udcff.py:Task",
        "m\ud800:Task",
        "line\nbreak.py",
        "x" * 300 + ".py",
        "d/" * 3000 + "x.py",
        "x" * 100_000,
        "x" * 100_000 + ":C",
        "~nobody_here/x.py",
        "",
        " ",
        ".py",
        None,
        7,
        "..relative:C",
        ":C",
        "json:",
        "a-b:C",
    ],
    ids=lambda ref: repr(ref)[:20],
)
def test_a_reference_that_leads_nowhere_is_one_short_line(load, ref):
    with pytest.raises((BadValue, UnknownName)) as caught:
        load(ref)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 700
    line.encode()


def test_a_reference_says_what_is_wrong_with_it():
    with pytest.raises(BadValue, match=r"task 'a\\x00b\.py' holds a character that no name and no file name may hold"):
        load_file("a\0b.py", "task")
    with pytest.raises(BadValue, match=r"a task is given by at most 4096 characters, got 5000: 'x{40}'\.\.\."):
        check_reference("x" * 5000, "task")
    with pytest.raises(BadValue, match=r"task file 'x+.* cannot be read: File name too long"):
        load_file("x" * 300 + ".py", "task")


def test_a_file_whose_name_has_dots_is_loaded(tmp_path):
    module = load_file(write(tmp_path, "x = 1", "my.odd-task.py"), "task")
    assert module.x == 1 and module.__name__.isidentifier()


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    file = write(tmp_path, "x = 1")

    def forbid(self):
        raise PermissionError(13, "Permission denied", file)

    monkeypatch.setattr("pathlib.Path.read_bytes", forbid)
    with pytest.raises(BadValue, match=r"task file '.*my_task\.py' cannot be read: Permission denied"):
        load_file(file, "task")


class Mute(Exception):
    def __str__(self):
        raise SystemExit


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError("two\n lines"), "ValueError: two lines"),
        (SystemExit(), "SystemExit"),
        (Mute(), "Mute: its message cannot be shown"),
    ],
)
def test_any_exception_is_told_in_one_line(problem, line):
    assert told(problem) == line


def test_an_error_of_ours_passes_as_it_is(tmp_path):
    with pytest.raises(EggymError, match=r"^mine$"):
        load_file(write(tmp_path, "from eggym.errors import BadValue\nraise BadValue('mine')"), "task")
