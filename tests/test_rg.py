"""The tasks of reasoning-gym: the table, the adapter, and that no answer is ever run."""

import builtins
import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest

from eggym.check_sample import HOSTILE
from eggym.cli import main
from eggym.envs import FAMILIES, rg, rg_calculus, rg_scorers
from eggym.envs.rg_table import rows, task_id
from eggym.errors import BadValue, EggymError, TaskFault
from eggym.registry import family_table, load_task, task_table
from eggym.splits import normalise
from eggym.task import Item, VerdictState

ROOT = Path(__file__).parent.parent
SLOW_MS = 2.0  # tasks whose problems take longer are left to the slow tests
USABLE = [name for name, row in rows().items() if "refused" not in row]
FAST = [name for name in USABLE if rows()[name]["ms"] < SLOW_MS]
SLOW = [name for name in USABLE if name not in FAST]
CODE = [name for name in USABLE if rows()[name].get("runs_text")]


@pytest.fixture
def theirs():
    return pytest.importorskip("reasoning_gym")


def verdict(task, item, reply):
    state = task.begin(item, None)
    task.step(state, reply)
    return task.judge(state)


def answered(task, item, answer):
    return verdict(task, item, f"<answer>{answer}</answer>")


# -- the table, without reasoning-gym -------------------------------------------------------------------------------


def test_every_task_of_theirs_has_a_row(theirs):
    from reasoning_gym.factory import DATASETS

    assert rows().keys() == DATASETS.keys() - {"composite"}  # a mixture of others: nothing of its own


def test_a_listing_shows_the_family_in_one_row_and_on_request_in_full(capsys):
    assert not [name for name in task_table() if name.startswith("eggym/rg-")]
    title, ids = family_table()["rg"]
    assert title == "tasks of reasoning-gym" and len(ids) == len(rows()) == 105
    with pytest.raises(SystemExit):
        main(["list"])
    assert capsys.readouterr().out.count("eggym/rg-") == 1
    with pytest.raises(SystemExit):
        main(["list", "rg", "--json"])
    assert [one["id"] for one in json.loads(capsys.readouterr().out)["tasks"]] == sorted(map(task_id, rows()))


@pytest.mark.parametrize("name", rows())
def test_an_id_leads_to_its_class_and_the_row_is_whole(name):
    place, summary = FAMILIES["rg"][1][task_id(name)]
    assert place == f"eggym.envs.rg:{name}" and 0 < len(summary) <= 60
    task, row = load_task(task_id(name)), rows()[name]
    assert (task.id, type(task).__name__) == (task_id(name), name)
    assert type(pickle.loads(pickle.dumps(task))) is type(task)
    if "refused" not in row:
        assert row["score"] in ("theirs", *rg_scorers.OWN) and not (row["score"] == "theirs" and row.get("runs_text"))
        assert 0 <= task.floor == row["floor"] < 1 and row["longest"] >= 200 and len(row["items"]) == 16


def test_without_reasoning_gym_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)  # what Python calls a module that cannot be imported
    with pytest.raises(
        BadValue, match=r"'eggym/rg-gcd-v0' needs reasoning-gym; pip install \"eggym\[reasoning-gym\]\""
    ):
        load_task("rg-gcd").item("train", 0)


def test_refused_tasks_say_why():
    refused = {name for name, row in rows().items() if "refused" in row}
    assert refused == {
        "codeio", "intermediate_integration", "isomorphic_strings", "knight_swap", "list_functions",
        "polynomial_multiplication", "ransom_note", "word_ladder",
    }  # fmt: skip
    for name in refused:
        with pytest.raises(BadValue, match=f"task '{task_id(name)}' is refused: .*(the same index|code)"):
            load_task(task_id(name)).item("test", 0)


def test_levels_that_do_not_work_are_refused():
    with pytest.raises(BadValue, match=r"level 3; those that work are 0, 1$"):
        load_task("rg-jugs", level=3)  # its generator runs for minutes there
    with pytest.raises(BadValue, match="level 0; it has no levels"):
        load_task("rg-acre", level=0)
    with pytest.raises(BadValue, match="level True"):
        load_task("rg-gcd", level=True)


def test_the_page_shows_every_task():
    page = (ROOT / "docs" / "reasoning-gym.md").read_text()
    for name, row in rows().items():
        (line,) = [one for one in page.splitlines() if one.startswith(f"| `{name}` ")]
        if "refused" in row:
            assert row["refused"] in line
        else:
            assert f"| {row['floor']:.2f} |" in line and all(note in line for note in row["notes"])


# -- items ----------------------------------------------------------------------------------------------------------


def conforms(name, n_items=2):
    """Oracle, repetition and hostile replies on a few items of each side; the first problems are those of the table."""
    task, twin = load_task(task_id(name)), load_task(task_id(name))
    prompts = {}
    for split in ("train", "validation", "test"):
        items = [task.item(split, index) for index in range(n_items)]
        assert items[::-1] == [twin.item(split, index) for index in reversed(range(n_items))]
        prompts[split] = {normalise(item.prompt) for item in items}
        for item in items:
            best = task.oracle(item)
            if best is not None:
                found = verdict(task, item, best)
                assert (found.reward, found.state) == (1.0, VerdictState.CORRECT), (item.truth, found)
    assert len(set.union(*prompts.values())) == sum(map(len, prompts.values()))
    for reply in HOSTILE:
        text = reply if len(reply) < 50_000 else reply[:50_000]
        for found in (answered(task, items[0], text), verdict(task, items[0], text)):
            assert found.reward is not None and found.state is not VerdictState.ERROR, (text[:40], found.why)
            assert set(found.parts) == (set() if rows()[name].get("runs_text") else {"rg"})
            assert all(0.0 <= value <= 1.0 for value in found.parts.values())


@pytest.mark.parametrize("name", FAST)
def test_a_task_conforms(name, theirs, capsys):
    conforms(name)
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_a_task_that_takes_long_conforms(name, theirs, capsys):
    conforms(name)
    assert capsys.readouterr() == ("", "")


PRINTS = """
import hashlib, json
from eggym.envs.rg_table import rows, task_id
from eggym.registry import load_task
def first(name):
    task = load_task(task_id(name))
    made = [[one.prompt, one.truth] for one in (task.item("train", n) for n in range(4))]
    return hashlib.sha256(json.dumps(made).encode()).hexdigest()[:16]
usable = {name: row for name, row in rows().items() if "refused" not in row and row["ms"] < LIMIT}
print([name for name, row in usable.items() if first(name) != row["items"]])
"""


def changed(limit, hash_seed):
    program = PRINTS.replace("LIMIT", str(limit))
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_problems_are_those_of_the_table_in_any_process(theirs):
    # Their sets and dicts of texts change order with the hash seed; tasks are refused for it.
    assert changed(SLOW_MS, 1) == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", [2, 3])
def test_problems_of_all_tasks_are_those_of_the_table_in_any_process(theirs, hash_seed):
    assert changed(1e9, hash_seed) == "[]"


def test_neighbouring_items_share_nothing(theirs):
    task = load_task("rg-chain_sum")
    places = [task.item("train", index).meta["index"] for index in range(200)]
    assert len({place // 1000 for place in places}) == 200  # not seed, seed + 1, ...: spread over 2^30
    assert len({task.item("train", index).prompt for index in range(200)}) == 200


def test_splits_of_a_small_task_are_disjoint(theirs):
    task = load_task("rg-tower_of_hanoi")  # about 65 prompts in all
    sides = [{task.item(split, index).prompt for index in range(60)} for split in ("train", "validation", "test")]
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]


def test_tasks_that_take_long_draw_each_split_from_a_window_of_its_own(theirs, monkeypatch):
    task = load_task("rg-zebra_puzzles")
    monkeypatch.setattr(task, "_entry", lambda place: {"question": f"{place}?", "answer": "x", "metadata": {}})
    for number, split in enumerate(("train", "validation", "test", "test:salt")):
        places = {task.item(split, index).meta["index"] // rg.WINDOW for index in range(50)}
        assert places == {min(number, 2)}
    assert task.item("test", 0) != task.item("test:a", 0)


def test_where_a_generator_gives_up_another_index_is_drawn(theirs, monkeypatch):
    task, whole, asked = load_task("rg-gcd"), load_task("rg-gcd"), []
    item = whole.item("train", 3)

    def entry(place):
        asked.append(place)
        if len(asked) < 3:
            raise RuntimeError("Could not find a suitable number")
        return whole._entry(item.meta["index"])

    monkeypatch.setattr(task, "_entry", entry)
    assert task.generate(random.Random(0)).prompt == item.prompt
    assert len(set(asked)) == 3
    asked.clear()
    monkeypatch.setattr(rg, "TRIES", 2)
    with pytest.raises(TaskFault, match="task 'eggym/rg-gcd-v0': generate raised RuntimeError: Could not find"):
        task.item("train", 0)


def test_levels_change_the_problems(theirs):
    easy, hard = (load_task("rg-chain_sum", level=level).item("train", 0).prompt for level in (0, 3))
    assert len(easy) < len(hard)


# -- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "reward", "state"),
    [
        ("<answer>TRUTH</answer>", 1.0, VerdictState.CORRECT),
        ("so <answer>1</answer>, no: <answer> TRUTH\n</answer> I hope", 1.0, VerdictState.CORRECT),  # the last counts
        ("<answer>TRUTH</answer> or <answer>999999</answer>", 0.0, VerdictState.WRONG),
        ("<answer>x TRUTH x</answer>", 0.0, VerdictState.WRONG),  # theirs pays a third for holding the truth
        ("TRUTH", 0.0, VerdictState.UNPARSED),
        ("<answer>TRUTH", 0.0, VerdictState.UNPARSED),
        ("<answer></answer>", 0.0, VerdictState.UNPARSED),
        ("<ANSWER>TRUTH</ANSWER>", 0.0, VerdictState.UNPARSED),
        ("<answer>" + "TRUTH " * 200 + "</answer>", 0.0, VerdictState.REFUSED),
    ],
)
def test_the_last_closed_block_is_the_answer(theirs, reply, reward, state):
    task = load_task("rg-gcd")
    item = task.item("train", 1)
    found = verdict(task, item, reply.replace("TRUTH", item.truth))
    assert (found.reward, found.state) == (reward, state)


def test_crumbs_of_their_scorer_are_a_part_and_no_reward(theirs):
    task = load_task("rg-gcd")
    item = task.item("train", 1)
    found = answered(task, item, f"x{item.truth}x")  # len(truth) / len(answer): 1 / 3 for one digit
    assert found.reward == 0.0
    assert found.parts["rg"] == pytest.approx(len(item.truth) / (len(item.truth) + 2))


def test_broken_scorers_are_replaced(theirs):
    halting = load_task("rg-game_of_life_halting")
    item = halting.item("train", 0)
    assert answered(halting, item, "banana").parts["rg"] == 1.0  # any text is true: theirs pays for it
    assert answered(halting, item, "banana").reward == 0.0
    coins = load_task("rg-coin_flip")
    item = next(one for one in (coins.item("train", n) for n in range(200)) if float(one.truth) < 1e-4)
    assert answered(coins, item, "0").parts["rg"] == 1.0 and answered(coins, item, "0").reward == 0.0
    assert answered(coins, item, item.truth).reward == 1.0
    numbers = load_task("rg-number_sorting")
    item = numbers.item("train", 0)
    off = str([str(float(each) + 0.4) for each in json.loads(item.truth.replace("'", '"'))])
    assert answered(numbers, item, off).parts["rg"] == 1.0 and answered(numbers, item, off).reward == 0.0
    assert answered(numbers, item, item.truth.replace("'", "")).reward == 1.0


def test_a_scorer_that_raises_on_a_reply_leaves_it_unparsed(theirs):
    task = load_task("rg-prime_factorization")
    found = answered(task, task.item("train", 0), "two times three")
    assert (found.reward, found.state) == (0.0, VerdictState.UNPARSED) and "ValueError" in found.why


def test_a_scorer_that_raises_on_the_right_answer_too_is_an_error_and_no_zero(theirs, monkeypatch):
    task = load_task("rg-prime_factorization")
    item = task.item("train", 0)

    def broken(answer, entry):
        raise KeyError("gone")

    monkeypatch.setattr(task._dataset(), "score_answer", broken)
    found = answered(task, item, "2")
    assert found.reward is None and found.state is VerdictState.ERROR and "raises KeyError on any answer" in found.why


@pytest.mark.parametrize("value", [float("nan"), -3.0, 7.0])
def test_what_their_scorer_pays_is_clipped(theirs, monkeypatch, value):
    task = load_task("rg-ab")
    item = task.item("train", 0)
    monkeypatch.setattr(task._dataset(), "score_answer", lambda answer, entry: value)
    assert answered(task, item, "x").parts["rg"] == (1.0 if value == 7.0 else 0.0)


@pytest.mark.parametrize(("name", "answer"), [("rubiks_cube", "R999999999"), ("rush_hour", "A+999999999")])
def test_moves_that_would_be_repeated_for_ever_are_refused(theirs, name, answer):
    task = load_task(task_id(name))
    place = 7
    found = answered(task, task._item(place), answer)
    assert (found.reward, found.state) == (0.0, VerdictState.REFUSED)


# -- code -----------------------------------------------------------------------------------------------------------


def test_the_list_of_scorers_that_run_text_is_complete(theirs):
    import inspect

    from reasoning_gym.factory import DATASETS

    runs = []
    for name, (found, _) in DATASETS.items():
        source = inspect.getsource(found.score_answer)
        if "eval(answer)" in source or "parse_expr(answer" in source:
            runs.append(name)
    known = {name for name, row in rows().items() if row.get("runs_text")}
    known |= {"polynomial_multiplication", "intermediate_integration"}  # refused
    assert set(runs) == known and len(known) == 9


def test_a_scorer_that_runs_text_is_not_called_even_when_asked_to():
    class Trap:
        def score_answer(self, answer, entry):
            pytest.fail("it was called")

    with pytest.raises(EggymError, match="runs the answer as code"):
        rg_scorers.theirs(Trap(), {"runs_text": True}, {"answer": "1", "metadata": {}}, "1")


@pytest.mark.parametrize("name", CODE)
def test_no_answer_is_ever_run(name, theirs, tmp_path, monkeypatch):
    task = load_task(task_id(name))
    item = task._item(11)
    canary = tmp_path / "ran"
    entry = task._entry(11)
    attack = f"open({str(canary)!r}, 'w').close() or [1]"
    answers = [attack, f"__import__('pathlib').Path({str(canary)!r}).touch()", f"[{attack}]", f"(1)+({attack})"]
    for answer in answers:
        assert answered(task, item, answer).reward == 0.0
    assert not canary.exists()
    monkeypatch.setattr(builtins, "eval", lambda *_: pytest.fail("eval was called"))
    assert answered(task, item, item.truth).reward == 1.0 and answered(task, item, "1+1").reward == 0.0
    monkeypatch.undo()
    task._dataset().score_answer(answers[0], entry)
    assert canary.exists()  # their own scorer does run it: the canary works


@pytest.mark.parametrize(
    ("name", "change", "reward"),
    [
        ("countdown", "({0})", 1.0),
        ("countdown", "{0} + 1 - 1", 0.0),  # numbers that were not given
        ("countdown", "{0} = 5", 0.0),
        ("puzzle24", "({0})", 1.0),
        ("puzzle24", "6*4 + 5 - 5", 0.0),  # theirs takes any four numbers
        ("simple_integration", "{0} + 5", 1.0),
        ("simple_integration", "{0} + C*X", 0.0),
        ("simple_integration", "({0})*2", 0.0),
        ("simple_integration", "-(-1)*({0})", 1.0),
    ],
)
def test_answers_that_theirs_would_run_are_judged_by_what_they_mean(theirs, name, change, reward):
    task = load_task(task_id(name))
    for place in (3, 14):
        item = task._item(place)
        assert answered(task, item, change.format(item.truth)).reward == reward, item


@pytest.mark.parametrize(
    ("truth", "answer", "same"),
    [
        ("x**2/2 + C", "x^2/2", True),
        ("x**2/2 + C", "0.5*x**2 - 7 + C", True),
        ("x**2/2 + C", "x**2/2 + x/10**6", False),
        ("-x**2 + C", "-(x)**2", True),  # a sign binds less than a power
        ("2**x", "2**-x", False),
        ("sin(x)**2 + C", "-cos(x)**2 + C", True),  # they differ by 1
        ("sin(x)**2 + C", "(1 - cos(2*x))/2", True),
        ("log(x) + C", "ln(5*x)", True),  # log 5 is a constant
        ("log(x) + C", "log(x)*C", False),
        ("log(x) + C", "log(x) + C*x", False),  # no constant
        ("exp(x)/2", "E**x/2 + pi", True),
        ("x**2**3", "x**8", True),  # powers from the right: 2^3 = 8
        ("sqrt(x)*x", "x**(3/2)", True),
        ("x + C", "1/0 + x", False),
    ],
)
def test_antiderivatives_are_equal_up_to_a_constant(truth, answer, same):
    assert rg_calculus.same_derivative(truth, answer, "x") is same


@pytest.mark.parametrize(
    "text", ["", "x +", "2x", "f(x)", "x.real", "(x", "x)", "1e5", "sin x", "y", "(" * 99, "x " * 3]
)
def test_what_is_no_expression_is_unreadable(text):
    with pytest.raises(rg_calculus.Unreadable):
        rg_calculus.same_derivative("x + C", text, "x")


def test_a_small_difference_is_a_known_loss():
    # Floating point: a term of one part in 10^12 is not seen.
    assert rg_calculus.same_derivative("x**2 + C", "x**2 + x/10**12", "x")


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("0.25", True),
        ("1/4", True),
        ("2 / 8", True),
        (".2501", True),
        ("0.26", False),
        ("25", False),
        ("2.5e-01", True),
    ],
)
def test_probabilities_are_decimals_or_fractions(answer, right):
    entry = {"metadata": {"rational": {"numerator": 1, "denominator": 4}}}
    assert rg_scorers.probability({}, entry, answer) is right


@pytest.mark.parametrize("answer", ["25 %", ".", "1/0", "-0.25", "e-1", "1e9", "٣", "1/2/3"])
def test_what_is_no_probability_is_unreadable(answer):
    with pytest.raises(rg_scorers.Unreadable):
        rg_scorers.probability({}, {"metadata": {"rational": {"numerator": 1, "denominator": 4}}}, answer)


def test_an_item_is_scored_by_another_instance(theirs):
    item = load_task("rg-sokoban")._item(5)
    again = Item(**json.loads(json.dumps({"prompt": item.prompt, "truth": item.truth, "meta": dict(item.meta)})))
    assert answered(load_task("rg-sokoban"), again, item.truth).reward == 1.0
