"""What a run changed beside its reward: before and after, off the budget, and the same over stops."""

import csv
import json
import sys

import pytest

from eggym.budget import FlopModel, Meter
from eggym.config import RunConfig, resolve
from eggym.duel import DuelConfig
from eggym.errors import BadValue, RunMismatch, UnknownName
from eggym.evaluate import evaluate
from eggym.evaluation import retention_names
from eggym.files import sha256_file
from eggym.forecast import forecast
from eggym.registry import load_task
from eggym.result import deterministic_files
from eggym.train import run_plan
from eggym.training_items import first_training_items, training_item

OFF = {"eval.many": 0, "eval.train_items": 0}
ON = {
    "eval.many": 4, "eval.many_items": 3, "eval.train_items": 5,
    "eval.retention": "tiny-orders,guess", "eval.retention_items": 4,
}  # fmt: skip
QUICK = {"eval.items": 6, "eval.points": 2, "eval.drift": 2}
SIZES = {
    "eggroll": {"eggroll.population": 4, "eggroll.items": 3},
    "dr_grpo": {"dr_grpo.items": 3, "dr_grpo.replies": 4},
    "frozen": {},
}
UNREADABLE = (
    "from eggym import Item, SingleTurnTask\n"
    "class Mine(SingleTurnTask):\n    id = 'me/umlauts-v0'\n"
    "    def generate(self, rng):\n        return Item('ä' + str(rng.randrange(10**6)))\n"
    "    def score(self, item, reply):\n        return 0.25\n"
)


def plan(learner="eggroll", settings=ON, task="tiny-programs", **fields):
    return resolve(
        RunConfig(task, learner, **{"budget": "40episodes", **fields}, set={**QUICK, **SIZES[learner], **settings})
    )


def train(folder, *words, watch=lambda event: None, **fields):
    return run_plan(plan(*words, **fields), folder, watch, force=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("beyond")
    return {learner: (train(folder / learner, learner), folder / learner) for learner in SIZES}


def test_both_sides_are_there_for_everything_that_was_asked(finished):
    for record, _ in finished.values():
        beyond = record.beyond
        assert (beyond.many.start.n_items, beyond.many.start.n_replies, beyond.many.end.n_replies) == (3, 12, 12)
        assert beyond.many.start.temperature == 1 and list(beyond.many.end.pass_at) == ["1", "2", "4"]
        assert 0.25 <= beyond.many.end.distinct <= 1
        assert beyond.train.start.n_items == beyond.train.end.n_items == 5
        assert sorted(beyond.retention) == ["eggym/guess-v0", "eggym/tiny-orders-v0"]
        assert all(one.start.n_items == one.end.n_items == 4 for one in beyond.retention.values())
        layers = [f"model.layers.{number}" for number in range(4)]
        assert sorted(beyond.weight_change) == ["all", *layers]


def test_learners_start_alike_and_those_that_learn_end_elsewhere(finished):
    sides = [record.beyond for record, _ in finished.values()]
    for name in ("many", "train"):
        assert len({getattr(one, name).start.model_dump_json() for one in sides}) == 1
    assert len({one.retention["eggym/guess-v0"].start.model_dump_json() for one in sides}) == 1
    assert sides[0].weight_change["all"] > 0 < sides[1].weight_change["all"]


def test_who_does_not_learn_is_evaluated_once_and_has_changed_nothing(finished):
    record, _ = finished["frozen"]
    beyond = record.beyond
    assert beyond.many.start == beyond.many.end and beyond.train.start == beyond.train.end
    assert all(one.start == one.end for one in beyond.retention.values())
    assert set(beyond.weight_change.values()) == {0.0} and beyond.kl_base == 0.0
    assert record.evaluation_spent.episodes == 2 * 6 + 2 + (3 * 4 + 5 + 2 * 4)


def test_it_is_evaluation_and_training_stays_the_same(finished, tmp_path):
    record, folder = finished["eggroll"]
    off = train(tmp_path / "off", settings=OFF)
    assert sha256_file(tmp_path / "off" / "steps.jsonl") == sha256_file(folder / "steps.jsonl")
    assert off.points == record.points and off.spent == record.spent
    assert off.weights_sha256 == record.weights_sha256
    assert record.evaluation_spent.episodes == off.evaluation_spent.episodes + 2 * (3 * 4 + 5 + 2 * 4)
    assert off.beyond.many is off.beyond.train is None and off.beyond.retention == {}
    assert off.beyond.weight_change == record.beyond.weight_change


def test_points_tell_the_drift_of_their_step(finished):
    record, folder = finished["eggroll"]
    steps = [json.loads(line)["metrics"]["kl_base"] for line in (folder / "steps.jsonl").read_text().splitlines()]
    assert [point.kl_base for point in record.points] == [0.0, *(steps[one.step - 1] for one in record.points[1:])]
    assert record.beyond.kl_base == record.points[-1].kl_base > 0
    with (folder / "curve.csv").open() as file:
        assert [float(row["kl_base"]) for row in csv.DictReader(file)] == [one.kl_base for one in record.points]


def test_without_drift_nothing_is_said_of_it(tmp_path):
    record = train(tmp_path / "run", "frozen", settings={**OFF, "eval.drift": 0})
    assert record.points[0].kl_base is None and record.beyond.kl_base is None


@pytest.mark.parametrize("learner", ["eggroll", pytest.param("dr_grpo", marks=pytest.mark.slow)])
def test_a_run_stopped_anywhere_continues_to_the_same_bytes(finished, tmp_path, learner, monkeypatch):
    class Stop(Exception):
        pass

    def stop_at(number):
        seen = []

        def watch(event):
            seen.append(event)
            if len(seen) == number:
                raise Stop

        return watch

    _, folder = finished[learner]
    monkeypatch.setattr(sys.modules["eggym.loop"], "CHECKPOINT_EVERY_S", 0.0)
    for number in (2, 3, 3):
        with pytest.raises(Stop):
            train(tmp_path / "run", learner, watch=stop_at(number))
    real = sys.modules["eggym.loop"].finish

    def no_power(run):
        raise Stop

    with monkeypatch.context() as broken:  # the last step is saved and its point is not there
        broken.setattr(sys.modules["eggym.loop"].Run, "_evaluate", no_power)
        with pytest.raises(Stop):
            train(tmp_path / "run", learner)
    monkeypatch.setattr(sys.modules["eggym.loop"], "finish", no_power)  # all is evaluated and nothing is written
    with pytest.raises(Stop):
        train(tmp_path / "run", learner)
    monkeypatch.setattr(sys.modules["eggym.loop"], "finish", real)
    train(tmp_path / "run", learner)
    for name in [*deterministic_files(folder), "record.json"]:
        assert sha256_file(tmp_path / "run" / name) == sha256_file(folder / name)


def test_retention_is_the_other_tasks_own_evaluation(finished):
    record, _ = finished["frozen"]
    alone = evaluate("tiny-orders", items=4)
    assert record.beyond.retention["eggym/tiny-orders-v0"].start == alone.greedy


def test_another_task_is_prompted_in_its_own_way(tmp_path, finished):
    other = {**ON, "prompt.few_shot": [["add 1:", "x+1"]], "prompt.max_new_tokens": 9}
    record = train(tmp_path / "run", "frozen", settings=other)
    assert record.beyond.retention == finished["frozen"][0].beyond.retention


def test_training_items_are_the_first_different_ones_of_the_stream():
    asked = plan("frozen", settings={}, seed=3)
    items = first_training_items(asked, 5)
    assert items[0] == training_item(asked, 0) and {item.split for item in items} == {"train"}
    assert len({item.prompt for item in items}) == 5
    assert first_training_items(asked, 3) == items[:3]


def test_a_split_with_an_end_gives_each_of_its_items_once(monkeypatch):
    asked = plan("frozen", settings={})
    monkeypatch.setattr(type(asked.task), "n_items", lambda self, split: 4)
    assert sorted(item.index for item in first_training_items(asked, 100)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"eval.retention": "tiny-order"}, UnknownName, "did you mean 'tiny-orders'"),
        ({"eval.retention": "tiny-programs"}, BadValue, "eggym/tiny-programs-v0 is the task that the run trains on"),
        ({"eval.retention": "guess,eggym/guess-v0"}, BadValue, "eggym/guess-v0 is there twice"),
        ({"eval.retention": "others"}, BadValue, "others means the other tasks of a duel, and one run knows none"),
        ({"eval.retention": "UNREADABLE"}, BadValue, "me/umlauts-v0 does not fit this run: .* cannot write 'ä'"),
        (
            {"eval.retention_items": 0},
            BadValue,
            r"eval\.retention_items must be a whole number from 1 to 100000, got 0",
        ),
        ({"eval.many": 1}, BadValue, r"eval\.many must be 0 \(not at all\) or at least 2"),
        ({"eval.many": -2}, BadValue, r"eval\.many must be a whole number from 0 to 4096, got -2"),
        ({"eval.many": 1 << 30}, BadValue, r"eval\.many must be a whole number from 0 to 4096, got 1073741824"),
        ({"eval.items": 1 << 30}, BadValue, r"eval\.items must be a whole number from 1 to 100000, got 1073741824"),
        ({"eval.train_items": -1}, BadValue, r"eval\.train_items must be a whole number from 0 to 100000, got -1"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_is_written(tmp_path, settings, error, message):
    (tmp_path / "mine.py").write_text(UNREADABLE)
    asked = {name: str(tmp_path / "mine.py") if value == "UNREADABLE" else value for name, value in settings.items()}
    with pytest.raises(error, match=message):
        train(tmp_path / "run", settings=asked)
    assert not (tmp_path / "run").exists()


def test_another_version_of_a_retention_task_is_another_run(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(UNREADABLE.replace("ä", "a"))
    asked = {**OFF, "eval.retention": str(file), "eval.retention_items": 2}
    record = train(tmp_path / "run", "frozen", settings=asked)
    assert record.config["eval"]["retention"] == "me/umlauts-v0"
    file.write_text(UNREADABLE.replace("ä", "a").replace("0.25", "0.75"))
    with pytest.raises(RunMismatch, match=r"retention_digests\.me/umlauts-v0"):
        train(tmp_path / "run", "frozen", settings=asked)


def test_names_with_options_are_told_apart():
    text = "corridor@turns=4,keys=[1,2], tiny-orders,exam@task=tiny-programs,turns=3 ,"
    assert retention_names(text) == ["corridor@turns=4,keys=[1,2]", "tiny-orders", "exam@task=tiny-programs,turns=3"]
    assert retention_names("") == []


def test_a_duel_knows_the_others_and_a_run_does_not():
    tasks = ("tiny-programs", "tiny-orders", "guess")
    settings = {"eval.retention": "others", "eggroll.sigma": 0.02}
    duel = DuelConfig(task=tasks, learner=("eggroll", "frozen"), set=settings)
    assert duel.run("tiny-programs", "eggroll", 0).set["eval.retention"] == "guess,tiny-orders"
    assert duel.run("guess", "frozen", 1).set == {"eval.retention": "tiny-orders,tiny-programs"}
    turned = DuelConfig(task=tasks[::-1], learner=("eggroll",), set=settings)
    assert turned.run("guess", "frozen", 1).set["eval.retention"] == "tiny-orders,tiny-programs"
    more = DuelConfig(task=tasks, set={"eval.retention": "corridor, others"}).run("guess", "frozen", 0)
    assert more.set["eval.retention"] == "corridor,tiny-orders,tiny-programs"
    with pytest.raises(
        BadValue, match=r"eval\.retention=others needs a duel of several tasks, and 'guess' is the only"
    ):
        DuelConfig(task=("guess",), set=settings).run("guess", "frozen", 0)


def test_the_others_have_the_options_that_the_duel_gives_to_all():
    settings = {"eval.retention": "others", "task.turns": 4}
    duel = DuelConfig(task=("exam@task=tiny-programs,turns=2", "corridor"), data="rows.jsonl", set=settings)
    (other,) = retention_names(duel.run("corridor", "frozen", 0).set["eval.retention"])
    assert other == "exam@data=rows.jsonl,task=tiny-programs,turns=2"
    (other,) = retention_names(duel.run("exam@task=tiny-programs,turns=2", "frozen", 0).set["eval.retention"])
    assert other == "corridor@data=rows.jsonl,turns=4"
    assert load_task("corridor@turns=4").difficulty == {"turns": 4}


def test_the_forecast_counts_all_evaluation(monkeypatch):
    meter = Meter(FlopModel(1, 1, 1))
    meter.spend.episodes = 10
    monkeypatch.setattr(
        sys.modules["eggym.forecast"], "played", lambda asked, *size: (meter, 5.0, [asked.task.item("train", 0)])
    )

    def seconds(learner, settings):
        asked = plan(learner, settings=settings)
        return forecast(asked, asked.spec.build(asked.policy, asked.space, 0, asked.options)).evaluation_seconds

    beside = 3 * 4 + 5 + 2 * 4
    assert seconds("eggroll", OFF) == pytest.approx(0.5 * 3 * 12)
    assert seconds("eggroll", ON) == pytest.approx(0.5 * (3 * 12 + 2 * beside))
    assert seconds("frozen", ON) == pytest.approx(0.5 * (12 + beside))
    best = {**OFF, "eval.checkpoint": "best", "eval.validation_items": 7}
    assert seconds("eggroll", best) == pytest.approx(0.5 * 3 * (12 + 7))
