"""Who may import whom. The rules are in CONTRIBUTING; the floors are listed here and nowhere else."""

import ast
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEAVES = ("envs", "es", "agents", "leaderboards")

# A core file imports from lower floors, or from those left of it on its own.
FLOORS = (
    (
        "errors",
        "seeding",
        "counter",
        "files",
        "unpacking",
        "folder",
        "plausible",
        "run_files",
        "lock",
        "tail",
        "peek",
        "pace",
        "source",
        "origin",
        "wording",
        "values",
        "timing",
        "usage",
        "patience",
        "ranks",
        "torchrun",
    ),
    ("child", "frames", "executor_parts", "executor", "local_workers", "hand", "ray_workers", "transports"),
    (
        "item",
        "splits",
        "verdict",
        "task",
        "digest",
        "contract",
        "episode",
        "quantised",
        "adapters",
        "views",
        "weights",
        "weight_change",
        "start_model",
        "shards",
        "policy",
        "asking",
        "rows",
    ),
    (
        "env",
        "chat",
        "vector",
        "sampling",
        "budget",
        "shares",
        "cache",
        "plain_pass",
        "pass_attention",
        "pass_parts",
        "prefixes",
        "teacher_pass",
        "lanes",
        "step",
        "stops",
        "machine",
        "doctor",
    ),
    (
        "learner",
        "plugins",
        "variant",
        "glimpse",
        "scan",
        "registry",
        "recorded",
        "gymnasium_hook",
        "dataset",
        "gym_task",
        "session",
        "engine",
    ),
    ("recording", "completion", "endpoint"),
    (
        "demonstration",
        "rollout",
        "stats",
        "score",
        "record",
        "many",
        "fitness",
        "checkpoint",
        "replies",
        "passes",
        "evaluation",
        "config",
        "parcels",
        "gist",
        "trials",
    ),
    ("held_out",),
    ("check_sample", "check_child", "check_replies", "check_blind", "check_rules", "check", "play"),
    (
        "evaluate",
        "training_items",
        "drift",
        "kl_reward",
        "askable",
        "choice",
        "beyond",
        "sample_cost",
        "forecast",
        "result",
        "enlisting",
        "gang",
        "judges",
        "crew",
        "run_state",
        "loop",
        "follower",
        "train",
        "replica",
    ),
    (
        "base_model",
        "base_score",
        "base_card",
        "recipe",
        "muon",
        "bake",
        "export",
        "reopen",
        "spot",
        "replay",
        "sigma",
        "probe",
    ),
    ("outside", "to_trl", "to_verifiers", "verifiers_taskset"),
    (
        "gap",
        "tuned",
        "arena",
        "axes",
        "versus",
        "beyond_summary",
        "overall",
        "outcome",
        "transcripts",
        "curves",
        "drawing",
        "picture",
        "against",
        "plots",
        "page_parts",
        "page",
        "report",
    ),
    ("worker", "pool", "tune", "duel", "talks", "served"),
    ("bench_arms", "bench_naive", "bench_parts", "bench_play", "bench_memory", "bench"),
    ("bench_answers", "bench_exam", "bench_rates", "bench_graders", "bench_envs", "bench_peer", "bench_sandbox"),
    ("bench_rl_work", "bench_rl", "bench_step", "bench_ray", "bench_resume", "bench_scale"),
    (
        "setting_notes",
        "task_notes",
        "config_file",
        "settings",
        "columns",
        "tables",
        "progress",
        "flags",
        "glimpse_json",
        "watch_tables",
        "exposition",
        "track",
        "watch_verbs",
        "served_verb",
        "run_verbs",
        "duel_verb",
        "task_verbs",
        "es_verbs",
        "bench_verbs",
        "doctor_verb",
        "cli",
        "__main__",
    ),
)
RANK = {name: (floor, place) for floor, names in enumerate(FLOORS) for place, name in enumerate(names)}

CORE_FILES = sorted(path for path in (ROOT / "eggym").glob("*.py") if path.stem != "__init__")
LEAF_FILES = sorted(path for leaf in LEAVES for path in (ROOT / leaf).glob("*.py"))
TEST_FILES = sorted((ROOT / "tests").glob("*.py"))


def imported(source):
    """Every (level, dotted name) that a file imports anywhere: in functions and for type checkers too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module in (None, "eggym"):
            yield from ((node.level, ".".join(filter(None, (node.module, alias.name)))) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module


def breaches_of_core(name, source):
    """What a core file imports and must not."""
    found = []
    for level, target in imported(source):
        top, _, rest = target.partition(".")
        module = rest.split(".")[0]
        if level:
            found.append(f"{name} imports {'.' * level}{target}: write eggym.{target}")
        elif top in LEAVES or (top == "eggym" and module in LEAVES):
            found.append(f"{name} imports the leaf {target}: the core loads leaves by name")
        elif top == "eggym" and module not in RANK:
            found.append(f"{name} imports {target}, which is no core file; the package's face is above all of them")
        elif top == "eggym" and RANK[module] >= RANK[name]:
            found.append(f"{name} imports {target}, which is not below it")
    return found


def breaches_of_leaf(leaf, source):
    """What a file of a leaf imports and must not."""
    found = []
    for level, target in imported(source):
        top, _, rest = target.partition(".")
        if level > 1:
            found.append(f"{leaf} imports {'.' * level}{target}: a leaf ends at its own folder")
        elif level == 0 and top in LEAVES:
            found.append(f"{leaf} imports {target}: own siblings as `from .x import y`")
        elif level == 0 and top == "eggym" and rest.split(".")[0] in LEAVES:
            found.append(f"{leaf} imports {target}: leaves meet in the core alone")
    return found


def test_every_core_file_has_a_floor():
    assert {path.stem for path in CORE_FILES} <= RANK.keys(), "give the new file a floor in FLOORS"


def test_no_core_file_stands_on_two_floors():
    assert len(RANK) == sum(map(len, FLOORS))


@pytest.mark.parametrize("path", CORE_FILES, ids=lambda path: path.stem)
def test_the_core_imports_downward(path):
    if path.stem in RANK:
        assert breaches_of_core(path.stem, path.read_text()) == []


@pytest.mark.parametrize("path", LEAF_FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_leaves_import_the_core_and_their_siblings(path):
    assert breaches_of_leaf(path.parent.name, path.read_text()) == []


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_tests_name_leaves_by_their_package(path):
    assert [name for _, name in imported(path.read_text()) if name.split(".")[0] in LEAVES] == []


def test_leaves_are_flat():
    assert [path for leaf in LEAVES for path in (ROOT / leaf).glob("*/**/*.py")] == []


def test_no_file_of_a_leaf_hides_a_standard_module():
    assert [path.name for path in LEAF_FILES if path.stem in sys.stdlib_module_names] == []


def test_packages_are_the_folders():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert sorted(setuptools["packages"]) == sorted(setuptools["package-dir"])
    folders = {name: name.rpartition(".")[2] for name in setuptools["packages"]}
    assert setuptools["package-dir"] == folders
    assert set(folders.values()) == {"eggym", *LEAVES}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("task", "from eggym.registry import load_task"),  # upward
        ("task", "from eggym.task import Item"),  # itself
        ("seeding", "from eggym.counter import uniform"),  # to the right
        ("train", "import eggym.envs.guess"),
        ("train", "from eggym.es import LEARNERS"),
        ("train", "import envs"),
        ("train", "from eggym import Task"),  # the face
        ("train", "import eggym"),
        ("train", "from .errors import BadValue"),
        ("task", "def f():\n    import eggym.cli"),
        ("task", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from eggym.learner import LearnerSpec"),
    ],
)
def test_a_breach_of_the_core_is_seen(name, line):
    assert len(breaches_of_core(name, line)) == 1


def test_the_core_may_import_downward_and_leftward():
    assert breaches_of_core("train", "import numpy\nfrom eggym.task import Item\nfrom eggym import errors") == []
    assert breaches_of_core("seeding", "from eggym.errors import BadValue") == []


@pytest.mark.parametrize("line", ["from eggym.es import x", "import es.x", "from ..es import x", "import eggym.agents"])
def test_a_breach_of_a_leaf_is_seen(line):
    assert len(breaches_of_leaf("envs", line)) == 1


def test_a_leaf_may_import_the_core_and_a_sibling():
    assert breaches_of_leaf("envs", "from eggym.task import Item\nfrom .answers import last_number\nimport torch") == []
