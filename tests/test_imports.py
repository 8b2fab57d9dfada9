"""What a light import may cost, and the lazy face of the package. In subprocesses: this one has everything loaded."""

import subprocess
import sys
import textwrap

import pytest

import eggym

HEAVY = ("numpy", "torch", "gymnasium", "transformers", "datasets", "pydantic", "scipy", "sympy", "rich", "jinja2")


def run(code):
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "code",
    [
        "import eggym",
        "import eggym.errors, eggym.seeding, eggym.task, eggym.source, eggym.registry",
        "from eggym.registry import task_table, learner_table; assert task_table() and learner_table()",
        "import eggym; eggym.load_task('tiny-arithmetic').item('train', 0)",
        "import eggym; dir(eggym); eggym.Task, eggym.register, eggym.dataset_task",
    ],
)
def test_light_imports_stay_light(code):
    assert run(f"{code}\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])") == "[]"


@pytest.mark.parametrize(
    "words", [["--help"], ["duel", "--help"], ["train", "--help"], ["list"], ["list", "--json"], ["list", "settings"]]
)
def test_help_and_lists_import_nothing_heavy(words):
    # rich draws the tables of `list`, and typer brings pydantic; both are light enough
    heavy = tuple(name for name in HEAVY if name not in ("rich", "pydantic"))
    out = run(f"""
        import sys
        from eggym.cli import main
        try:
            main({words!r})
        except SystemExit as stop:
            assert not stop.code
        print([name for name in {heavy} if name in sys.modules])
    """)
    assert out.splitlines()[-1] == "[]"


def test_every_public_name_is_there_and_says_where_it_lives():
    out = run("""
        import eggym
        for name in eggym.__all__:
            value = getattr(eggym, name)
            assert callable(value) and name in dir(eggym), name
        print("good")
    """)
    assert out == "good"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'eggym' has no attribute 'nothing'"):
        _ = eggym.nothing


@pytest.mark.slow
@pytest.mark.parametrize("order", ["module first", "attribute first"])
def test_a_name_that_is_module_and_function_is_always_the_function(order):
    first, second = "import_module(f'eggym.{name}')", "getattr(eggym, name)"
    if order == "attribute first":
        first, second = second, first
    out = run(f"""
        import eggym, types
        from importlib import import_module
        for name in ("evaluate", "train", "duel", "probe", "replay"):
            {first}
            {second}
            module = import_module(f"eggym.{{name}}")
            assert isinstance(module, types.ModuleType)
            assert getattr(eggym, name) is getattr(module, name), name
        from eggym.train import train
        print(train is eggym.train)
    """)
    assert out == "True"


def test_other_submodules_are_bound_as_usual():
    assert run("import eggym.task; print(eggym.task.__name__)") == "eggym.task"


def test_a_module_that_fails_leaves_no_half_name():
    out = run("""
        import eggym, sys
        sys.modules["eggym.duel"] = None  # what Python calls a module that must not be imported
        try:
            eggym.duel
        except ModuleNotFoundError as problem:
            print("duel" in vars(eggym))
    """)
    assert out == "False"
