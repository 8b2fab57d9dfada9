import importlib.metadata
import json
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from types import ModuleType

import pytest

import eggym
from eggym import plugins, registry
from eggym.cli import main
from eggym.errors import BadValue, EggymError, TaskFault, UnknownName
from eggym.registry import learner_table, load_learner, load_task, register, task_table

TASK_FILE = """
    import eggym

    class Sums(eggym.SingleTurnTask):
        id = "me/sums-v0"

        def generate(self, rng, largest=50):
            a, b = rng.randint(0, largest), rng.randint(0, largest)
            return eggym.Item(f"{a}+{b}=", a + b)

        def score(self, item, reply):
            return float(reply.strip() == str(item.truth))
"""


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(plugins, "_plugins", {})
    monkeypatch.setattr(plugins, "_faults", {})
    monkeypatch.setattr(plugins, "_loaded", False)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def task_file(tmp_path):
    def write(body=TASK_FILE, name="my_task.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(body))
        return str(path)

    return write


def a_task(task_id, name="Mine"):
    return type(name, (eggym.SingleTurnTask,), {"id": task_id, "__doc__": "Mine to test with.\n\nMore."})


@pytest.mark.parametrize(
    "ref", ["eggym/tiny-arithmetic-v0", "eggym/tiny-arithmetic", "tiny-arithmetic-v0", "tiny-arithmetic"]
)
def test_an_id_may_leave_out_version_and_house(ref):
    assert load_task(ref).id == "eggym/tiny-arithmetic-v0"


def test_without_a_version_the_highest_is_meant():
    for version in (2, 10, 9):  # as numbers: 10 is above 9
        register(a_task(f"me/odd-v{version}", f"Mine{version}"))
    assert load_task("me/odd").id == "me/odd-v10"


def test_an_unknown_task_names_its_neighbour():
    with pytest.raises(
        UnknownName, match=r"^no task 'eggym/tiny-aritmetic-v0'; did you mean 'eggym/tiny-arithmetic-v0'"
    ):
        load_task("eggym/tiny-aritmetic-v0")


def test_an_unknown_version_names_one_that_exists():
    with pytest.raises(UnknownName, match="did you mean 'eggym/guess-v0'"):
        load_task("eggym/guess-v7")


def test_a_file_with_one_task_is_that_task(task_file):
    task = load_task(task_file(), largest=1)
    assert (task.id, task.item("train", 0).truth in (0, 1, 2)) == ("me/sums-v0", True)


def test_an_unchanged_file_is_run_once_and_an_edited_one_again(task_file):
    path = task_file()
    assert type(load_task(path)) is type(load_task(path))
    old = type(load_task(path))
    task_file(TASK_FILE.replace("sums-v0", "sums-v1"))
    assert type(load_task(path)) is not old
    assert load_task(path).id == "me/sums-v1"


def test_a_file_may_import_its_neighbour(task_file):
    task_file("SIZE = 3", "neighbour_of_task.py")
    path = task_file(TASK_FILE.replace("import eggym", "import eggym, neighbour_of_task", 1))
    assert load_task(path).id == "me/sums-v0"


def test_a_file_with_several_tasks_asks_which(task_file):
    path = task_file(TASK_FILE + "\n    class More(Sums):\n        id = 'me/more-v0'\n")
    with pytest.raises(BadValue, match=r"defines 2 tasks \(More, Sums\); choose one, as in .*my_task.py:"):
        load_task(path)
    assert load_task(f"{path}:More").id == "me/more-v0"


def test_a_base_without_an_id_does_not_count(task_file):
    path = task_file("    import eggym\n    class Base(eggym.SingleTurnTask): pass\n" + TASK_FILE)
    assert load_task(path).id == "me/sums-v0"


def test_a_file_that_only_makes_a_task_of_rows(task_file):
    path = task_file("""
        import eggym
        eggym.dataset_task("me/rows-v0", [{"q": f"{n}?", "a": n} for n in range(50)], prompt="{q}", answer="a")
    """)
    assert load_task(path).id == "me/rows-v0"
    assert load_task("me/rows").n_items("train") > 30


def test_a_file_of_rows_may_be_edited_and_may_fail_in_between(task_file):
    body = """
        import eggym
        eggym.dataset_task("me/rows-v0", [{"q": f"{n}?", "a": n} for n in range(SIZE)], prompt="{q}", answer="a")
    """
    assert load_task(task_file(body.replace("SIZE", "50"))).id == "me/rows-v0"
    assert load_task(task_file(body.replace("SIZE", "60"))).id == "me/rows-v0"
    with pytest.raises(TaskFault):
        load_task(task_file(body.replace("SIZE", "70") + "\n        1 / 0\n"))
    task = load_task(task_file(body.replace("SIZE", "80")))
    assert sum(map(task.n_items, ("train", "validation", "test"))) == 80


def test_a_file_may_not_take_an_id_of_the_house(task_file):
    with pytest.raises(BadValue, match=r"'eggym/guess-v0' of Sums in .* belongs to eggym\.envs\.guess:Guess"):
        load_task(task_file(TASK_FILE.replace("me/sums-v0", "eggym/guess-v0")))


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("x = 1\nraise RuntimeError('no\\nway')", TaskFault, "raised RuntimeError in line 2 of my_task.py: no way"),
        ("def f(:", TaskFault, "raised SyntaxError in line 1"),
        ("import nothing_like_it", TaskFault, "ModuleNotFoundError in line 1 of my_task.py: No module named"),
        ("x = 1", BadValue, "defines no task; subclass eggym.SingleTurnTask"),
        (TASK_FILE.replace("me/sums-v0", "sums"), BadValue, "task id 'sums' of Sums in .* is not of the form"),
        (TASK_FILE.replace("me/sums-v0", ""), BadValue, 'Sums in .* has no id; give its class one, such as id = "me/'),
    ],
)
def test_a_file_that_is_no_task_is_refused_in_one_line(task_file, body, kind, message):
    with pytest.raises(kind, match=message) as caught:
        load_task(task_file(body))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("max_turns = 0", "task 'me/sums-v0': max_turns must be a whole number from 1 to 1000, got 0"),
        ("stop = 'ab'", "task 'me/sums-v0': stop must be a tuple of texts that are not empty"),
        ("floor = None", "task 'me/sums-v0': floor must be a finite number, got None"),
        ("def __init__(self): pass", r"difficulty must be the options .* must call super\(\).__init__"),
    ],
)
def test_attributes_are_looked_at_when_a_task_is_loaded(task_file, line, message):
    with pytest.raises(BadValue, match=message):
        load_task(task_file(TASK_FILE + f"\n        {line}\n"))


def test_a_task_that_fails_when_it_is_made_is_at_fault(task_file):
    file = task_file(TASK_FILE + "\n        def __init__(self): raise SystemExit(0)\n")
    with pytest.raises(TaskFault, match="task 'me/sums-v0': making it raised SystemExit: 0"):
        load_task(file)


def test_an_option_that_an_init_of_its_own_does_not_take_is_refused():
    with pytest.raises(UnknownName, match="no option of task 'eggym/gsm8k-v0' 'size'; known: data"):
        load_task("gsm8k", size=3)


@pytest.mark.parametrize("task_id", [5, ["me/x-v0"], ("a", "b")])
def test_an_id_is_a_text(task_id):
    with pytest.raises(BadValue, match="is not of the form namespace/name-vN"):
        register(a_task(task_id))


def test_a_plugin_cannot_end_the_program(plugin, monkeypatch):
    class Point:
        name, value = "odd", "some_plugin"

        def load(self):
            raise SystemExit(0)

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [Point()])
    with pytest.raises(EggymError, match=r"plugin 'odd' \(some_plugin\) raised SystemExit: 0; mend or uninstall it"):
        load_task("them/odd-v0")


def test_a_failed_file_is_not_half_loaded(task_file):
    path = task_file("import eggym\nraise ValueError('x')")
    for _ in range(2):
        with pytest.raises(TaskFault, match="raised ValueError in line 2"):
            load_task(path)


def test_a_missing_file_is_named():
    with pytest.raises(BadValue, match=r"no task file 'nowhere/my_task.py'; give a path to an existing Python file"):
        load_task("nowhere/my_task.py")


def test_a_name_in_a_module():
    assert load_task("eggym.envs.guess:Guess").id == "eggym/guess-v0"


@pytest.mark.parametrize(
    ("ref", "kind", "message"),
    [
        ("eggym.envs.guess:Guesss", UnknownName, "'Guesss'; did you mean 'Guess'"),
        ("not_a_module:Task", UnknownName, "no module 'not_a_module' for task 'not_a_module:Task'; is it installed"),
        ("json:dumps", BadValue, "json:dumps is no task but <function dumps"),
        ("eggym.task:SingleTurnTask", BadValue, "SingleTurnTask in eggym.task:SingleTurnTask has no id"),
    ],
)
def test_a_name_that_is_no_task_is_refused(ref, kind, message):
    with pytest.raises(kind, match=message):
        load_task(ref)


def test_a_module_that_raises_is_named(task_file, monkeypatch):
    monkeypatch.syspath_prepend(task_file("1 / 0", "raises_at_import.py").rpartition("/")[0])
    with pytest.raises(TaskFault, match="task module 'raises_at_import' raised ZeroDivisionError in line 1 of raises"):
        load_task("raises_at_import:Task")


def test_a_registered_task_is_listed_and_loaded():
    mine = register(a_task("me/mine-v0"))
    assert task_table()["me/mine-v0"] == "Mine to test with."
    assert type(load_task("me/mine-v0")) is mine


def test_registering_the_same_again_replaces_it():
    register(a_task("me/mine-v0"))
    second = register(a_task("me/mine-v0"))
    assert type(load_task("me/mine-v0")) is second


def test_an_id_belongs_to_one_task():
    register(a_task("me/mine-v0"))
    with pytest.raises(BadValue, match=r"task id 'me/mine-v0' of Yours belongs to .*:Mine; give yours another id"):
        register(a_task("me/mine-v0", "Yours"))
    with pytest.raises(BadValue, match=r"'eggym/guess-v0' of Mine belongs to eggym\.envs\.guess:Guess"):
        register(a_task("eggym/guess-v0"))


@pytest.mark.parametrize("task_id", ["mine", "me/mine", "mine-v0", "me/mine-v", "me/a/b-v0", "me/my task-v0", "/x-v0"])
def test_an_id_has_a_form(task_id):
    with pytest.raises(BadValue, match="is not of the form namespace/name-vN"):
        register(a_task(task_id))


def test_listing_names_every_learner():
    assert {"eggroll", "openai-es", "dr_grpo", "grpo", "frozen", "random-reward"} <= learner_table().keys()


# -- learners -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FakeSpec:
    """Looks like a LearnerSpec."""

    name: str
    kind: str = "es"
    options: type = dict
    build: object = None

    def resolve(self, profile, overrides):
        return {}


@pytest.fixture
def house(monkeypatch):
    """Two learners and the wrapper, as a plugin's tables would bring them."""
    module = ModuleType("house_of_learners")
    module.FIRST = FakeSpec("first")
    module.WRAP = lambda inner: FakeSpec(f"random-reward:{inner.name}", "control")
    module.LEARNERS = {
        "first": ("house_of_learners:FIRST", "the first"),
        "random-reward": ("house_of_learners:WRAP", ""),
    }
    monkeypatch.setitem(sys.modules, "house_of_learners", module)
    monkeypatch.setattr(registry, "_LEARNER_LEAVES", ("house_of_learners",))
    return module


def test_a_learner_by_name(house):
    assert load_learner("first") is house.FIRST


def test_a_learner_by_module_and_name(house):
    assert load_learner("house_of_learners:FIRST") is house.FIRST


def test_a_learner_from_a_file(house, task_file):
    path = task_file("from house_of_learners import FIRST as SPEC", "my_learner.py")
    assert load_learner(path).name == "first"
    assert load_learner(f"{path}:SPEC").name == "first"


@pytest.mark.parametrize("inner", ["first", "house_of_learners:FIRST"])
def test_random_reward_wraps_another(house, inner):
    assert load_learner(f"random-reward:{inner}").name == "random-reward:first"


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("frist", UnknownName, "no learner 'frist'; did you mean 'first'?"),
        (
            "random-reward",
            BadValue,
            "random-reward needs another learner's name behind it, such as random-reward:eggroll",
        ),
        ("random-reward:", BadValue, "needs another learner's name"),
        ("random-reward:frist", UnknownName, "did you mean 'first'"),
        ("json:dumps", BadValue, "json:dumps is no LearnerSpec"),
        ("nowhere.py", BadValue, "no learner file 'nowhere.py'"),
    ],
)
def test_a_learner_that_is_none_is_refused(house, name, kind, message):
    with pytest.raises(kind, match=message):
        load_learner(name)


def test_a_file_without_a_learner_is_refused(task_file):
    with pytest.raises(BadValue, match="defines no LearnerSpec; exactly one is needed"):
        load_learner(task_file("x = 1", "my_learner.py"))


BORROWED = """
from dataclasses import replace
from eggym.registry import load_learner

SPEC = replace(load_learner("dr_grpo"), name={name!r})
"""


def test_a_learner_of_ones_own_is_not_called_as_a_registered_one(task_file):
    """Its record would pass for that one's, on a board too."""
    for name in ("dr_grpo", "eggroll"):
        with pytest.raises(BadValue, match=f"calls its learner '{name}', which is the name of eggym"):
            load_learner(task_file(BORROWED.format(name=name), f"{name}_of_mine.py"))
    assert load_learner(task_file(BORROWED.format(name="mine"), "mine.py")).name == "mine"
    assert load_learner("eggym.es.eggroll:SPEC").name == "eggroll"  # itself, by its place


# -- plugins --------------------------------------------------------------------------------------------------------


@pytest.fixture
def plugin(monkeypatch):
    """A distribution that names a module under the group; ``loads`` counts how often it was asked."""
    module = ModuleType("some_plugin")
    module.TASKS = {"them/odd-v0": ("some_plugin:Odd", "odd")}
    module.LEARNERS = {"theirs": ("some_plugin:SPEC", "their learner")}
    module.Odd, module.SPEC, module.loads = a_task(""), FakeSpec("theirs"), 0
    monkeypatch.setitem(sys.modules, "some_plugin", module)

    class Point:
        name, value = "odd", "some_plugin"

        def load(self):
            module.loads += 1
            if module.loads > 1:
                raise RuntimeError("loaded twice")
            return module

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [Point()] if group == "eggym.plugins" else [])
    return module


def test_a_plugin_brings_tasks_and_learners(plugin):
    assert load_task("them/odd-v0").id == "them/odd-v0"
    assert load_learner("theirs") is plugin.SPEC
    assert task_table()["them/odd-v0"] == "odd" and learner_table()["theirs"] == "their learner"
    assert plugin.loads == 1


def test_a_plugin_is_not_loaded_for_what_is_known_without_it(plugin):
    load_task("guess")
    assert plugin.loads == 0


def test_a_plugin_that_raises_is_left_out_of_a_listing_and_named_for_an_unknown_name(plugin, capsys):
    plugin.loads = 1
    line = r"plugin 'odd' \(some_plugin\) raised RuntimeError: loaded twice; mend or uninstall it"
    assert "eggym/guess-v0" in task_table() and "them/odd-v0" not in task_table()
    with pytest.raises(EggymError, match=line):
        load_task("them/odd-v0")
    with pytest.raises(EggymError, match=line):
        load_learner("theirs")
    with pytest.raises(SystemExit) as stop:
        main(["list", "--json"])
    assert stop.value.code == 0 and re.search(line, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("table", "line"),
    [
        (["them/odd-v0"], r"has TASKS that is no dict but \['them/odd-v0'\]; write \{\"me/sums-v0\": "),
        ({"them/odd-v0": "some_plugin:Odd"}, r"has a row 'them/odd-v0': 'some_plugin:Odd' in TASKS, which is not ID: "),
        ({"them/odd-v0": ("some_plugin:Odd", 3)}, "which is not ID: "),
        ({"them/odd": ("some_plugin:Odd", "odd")}, "task id 'them/odd' of TASKS is not of the form namespace/name-vN"),
    ],
)
def test_a_table_of_another_form_is_named(plugin, table, line):
    plugin.TASKS = table
    task_table()
    (fault,) = plugins.faults()
    assert re.search(line, fault) and fault.startswith("plugin 'odd' (some_plugin) ") and "\n" not in fault


def test_a_class_and_its_table_agree_on_the_id(plugin):
    plugin.TASKS = {"them/even-v0": ("some_plugin:Odd", "odd")}
    plugin.Odd.id = "them/odd-v0"
    with pytest.raises(BadValue, match="has some_plugin:Odd as 'them/even-v0', and its class says id = 'them/odd-v0'"):
        load_task("them/even-v0")


def test_a_namespace_is_listed(plugin, capsys):
    with pytest.raises(SystemExit):
        main(["list", "them", "--json"])
    assert [one["id"] for one in json.loads(capsys.readouterr().out)["tasks"]] == ["them/odd-v0"]


def test_a_plugin_may_not_take_an_id_of_the_house(plugin):
    plugin.TASKS = {"eggym/guess-v0": ("some_plugin:Odd", "odd")}
    with pytest.raises(BadValue, match=r"'eggym/guess-v0' of odd is already taken by eggym\.envs\.guess:Guess"):
        task_table()


# -- Gymnasium ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["import eggym, gymnasium", "import gymnasium, eggym"])
def test_gymnasium_knows_the_tasks_in_either_order(order):
    code = f"""
        {order}
        import sys
        env = gymnasium.make("eggym/tiny-countdown-v0", split="test")
        many = gymnasium.make_vec("eggym/tiny-countdown-v0", num_envs=3)
        print(type(env.unwrapped).__name__, type(many.unwrapped).__name__)
        print(any("gymnasium_hook" in type(finder).__module__ for finder in sys.meta_path))
    """
    done = subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.stdout.split() == ["TextEnv", "TextVectorEnv", "False"], done.stderr


def test_the_watcher_survives_a_mere_search_and_leaves_the_module_as_it_is():
    code = """
        import eggym, importlib.util, sys
        assert importlib.util.find_spec("gymnasium") is not None
        assert "gymnasium" not in sys.modules
        from gymnasium.envs.registration import registry
        import gymnasium, inspect
        assert "eggym/guess-v0" in registry
        assert type(gymnasium.__loader__).__name__ == "SourceFileLoader" and inspect.getsource(gymnasium)
        print("good")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.stdout.strip() == "good", done.stderr


def test_a_registered_class_is_made_by_gymnasium(monkeypatch):
    import gymnasium

    monkeypatch.setattr(gymnasium.envs.registration, "registry", gymnasium.registry)
    register(a_task("me/for-gymnasium-v0"))
    try:
        assert gymnasium.make("me/for-gymnasium-v0").unwrapped.task.id == "me/for-gymnasium-v0"
    finally:
        del gymnasium.registry["me/for-gymnasium-v0"]


def test_a_spec_survives_json():
    import gymnasium
    from gymnasium.envs.registration import EnvSpec

    env = gymnasium.make("eggym/tiny-arithmetic-v0", split="test")
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.reset(options={"index": 5})[0] == env.reset(options={"index": 5})[0]
    assert again.unwrapped.split == "test"
