"""Best of n: what it chooses, what it pays, and that one reply is what the frozen policy says."""

import json
import sys

import numpy as np
import pytest

from eggym.agents.best_of_n import SPEC, BestOfN
from eggym.asking import HeldOutViews
from eggym.config import RunConfig, resolve
from eggym.episode import Ending, Episode, EpisodeBatch, Segment, Turn
from eggym.errors import BadValue
from eggym.files import sha256_file
from eggym.record import load_record
from eggym.replies import read_shard
from eggym.result import deterministic_files
from eggym.task import Item, Verdict, VerdictState
from eggym.train import run_plan
from eggym.views import ParameterSpace

ITEMS = 10
QUICK = {"eval.items": ITEMS, "eval.points": 3, "eval.drift": 0, "eval.many": 0, "eval.train_items": 0}


def train(folder, learner="best-of-n", budget="60episodes", watch=lambda event: None, task="tiny-programs", **settings):
    return run_plan(resolve(RunConfig(task, learner, budget=budget, set={**QUICK, **settings})), folder, watch, True)


def wave(number, *rewards):
    episodes = [
        Episode(
            Item(f"p{slot}", index=slot, split="test"), 0, slot, number,
            [Segment([1, 2, 3], [False, True, True], [0.0, -1.0, -2.0])], [Turn(f"p{slot}", f"{number}", 0.0, 2)],
            Verdict(reward, VerdictState.ERROR if reward is None else VerdictState.WRONG), Ending.ANSWERED,
        )
        for slot, reward in enumerate(rewards)
    ]  # fmt: skip
    return EpisodeBatch(number, episodes, 1, len(rewards), 1)


def subject():
    return BestOfN(None, ParameterSpace(), 0, SPEC.resolve("tiny", {}))


def chosen(learner):
    """What it makes of greedy replies "g" worth .5 each, and of samples "s" of an evaluation."""
    greedy, sampled = wave(0, 0.5, 0.5, 0.5, 0.5), wave(0, 0.0, 0.0, 0.0, 0.0)
    for batch, name in ((greedy, "g"), (sampled, "s")):
        for episode in batch.episodes:
            episode.turns[0].reply = name
    found = learner.choose(greedy, sampled)
    return ["".join(episode.turns[0].reply for episode in batch.episodes) for batch in found]


def test_the_choice_worked_by_hand():
    learner = subject()
    assert chosen(learner) == ["gggg", "ssss"]  # nothing drawn yet
    assert learner.tell(wave(0, 0.0, 1.0, None, 0.5)) == {"n": 1.0, "best": 0.5}
    assert chosen(learner) == ["gggg", "0000"]  # one reply each: the greedy one, the first sample
    assert learner.tell(wave(1, 0.25, 0.0, None, 0.5)) == {"n": 2.0, "best": pytest.approx(1.75 / 3)}
    assert chosen(learner) == ["g0gg", "1000"]  # two each; the earlier of equals
    learner.tell(wave(2, 1.0, 1.0, 0.0, 1.0))
    assert chosen(learner) == ["g0gg", "2022"]
    learner.tell(wave(3, 0.0, 0.0, 0.0, 0.0))
    assert chosen(learner) == ["20g2", "2022"]


def test_what_it_asks_for_follows_from_how_often_it_was_told():
    learner = subject()
    assert learner.ask(0) == HeldOutViews(0, 1, 1.0, first_sample=0)
    learner.tell(wave(0, 0.0))
    assert learner.ask(1).first_sample == 1 == learner.ask(1).n_replies


def test_its_state_is_plain_and_complete():
    one, other = subject(), subject()
    for number, rewards in enumerate([(0.0, 1.0, None, 0.5), (0.5, 0.0, 1.0, 0.0)]):
        one.tell(wave(number, *rewards))
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert other.state_dict() == one.state_dict() and chosen(other) == chosen(one)
    assert other.ask(2) == one.ask(2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("best") / "run"
    return folder, train(folder)


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    return train(tmp_path_factory.mktemp("best") / "once", budget=f"{ITEMS}episodes")


def test_one_reply_is_what_the_frozen_policy_says(finished, once, tmp_path):
    _, many = finished
    frozen = train(tmp_path / "frozen", "frozen")
    assert once.n_steps == 1 and once.spent.episodes == ITEMS
    for mode in ("greedy", "sampled"):
        assert once.final(mode) == frozen.final(mode) == many.start(mode)


def test_its_curve_is_the_running_maximum_over_the_replies_that_it_paid(finished):
    folder, record = finished
    drawn_N_P = np.array([[one["reward"] for one in read_shard(folder, step)] for step in range(record.n_steps)])
    assert drawn_N_P.shape == (6, ITEMS) and [point.step for point in record.points] == [0, 2, 4, 6]
    greedy = record.points[0].greedy.rewards
    for point in record.points[1:]:
        n = point.step
        assert point.spent.episodes == n * ITEMS and point.fraction == n / 6
        assert point.sampled.rewards == drawn_N_P[:n].max(0).tolist()
        assert point.greedy.rewards == np.vstack([greedy, drawn_N_P[: n - 1]]).max(0).tolist()
        assert point.greedy.n_replies == point.sampled.n_replies == ITEMS
    assert record.final("sampled").mean > record.start("sampled").mean + 0.1


def test_the_training_budget_pays_and_no_weight_moves(finished):
    folder, record = finished
    assert record.weights_sha256 == record.model.sha256 and record.learner.kind == "baseline"
    assert record.spent.rollout_flops > 0 == record.spent.learner_flops
    assert record.evaluation_spent.episodes == len(record.points) * 2 * ITEMS
    lines = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    assert [line["reward"] for line in lines if (line["point"], line["mode"]) == (3, "greedy")] == record.final(
        "greedy"
    ).rewards


def test_the_replies_are_those_that_an_evaluation_would_draw(finished, tmp_path):
    folder, _ = finished
    train(tmp_path / "frozen", "frozen", **{"eval.replies": 3})
    lines = [json.loads(line) for line in (tmp_path / "frozen" / "evaluations.jsonl").read_text().splitlines()]
    sampled = {(line["item"], line["sample"]): line["turns"] for line in lines if line["mode"] == "sampled"}
    for step in range(3):
        kept = read_shard(folder, step)
        assert [one["turns"] for one in kept] == [sampled[one["item"], step] for one in kept]


def test_a_run_stopped_anywhere_continues_to_the_same_bytes(finished, tmp_path, monkeypatch):
    class Stop(Exception):
        pass

    seen = []

    def watch(event):
        seen.append(event)
        if len(seen) in (3, 7, 10):
            raise Stop

    monkeypatch.setattr(sys.modules["eggym.loop"], "CHECKPOINT_EVERY_S", 0.0)
    for _ in range(3):
        with pytest.raises(Stop):
            train(tmp_path / "run", watch=watch)
    train(tmp_path / "run", watch=watch)
    for name in [*deterministic_files(finished[0]), "record.json"]:
        assert sha256_file(tmp_path / "run" / name) == sha256_file(finished[0] / name), name


@pytest.mark.parametrize("budget", ["8e8flops", "2000tokens"])
def test_every_axis_buys_whole_replies_to_all_items(tmp_path, budget):
    record = train(tmp_path / "run", budget=budget, **{"eval.points": 1})
    assert record.n_steps > 2 and record.spent.episodes == ITEMS * record.n_steps
    spent = getattr(record.spent, record.budget.axis)
    assert spent <= record.budget.limit < spent * (record.n_steps + 2) / record.n_steps


def test_a_kl_in_the_reward_costs_it_nothing(once, tmp_path):
    record = train(tmp_path / "run", budget=f"{ITEMS}episodes", **{"reward.kl": 0.5})
    assert record.spent == once.spent and record.points == once.points


def test_several_turns_are_one_reply(tmp_path):
    record = train(tmp_path / "run", task="guess", budget="30episodes", **{"eval.points": 1})
    assert record.n_steps == 3 and record.final("sampled").mean >= record.start("sampled").mean


def test_whoever_shows_its_scores_says_what_they_are(finished, capsys):
    from rich.console import Console

    from eggym.outcome import summary
    from eggym.report import write_report
    from eggym.tables import print_summary

    folder, record = finished
    print_summary(Console(width=100), summary([record], {}))
    assert "best-of-n: an upper bound" in capsys.readouterr().out
    assert "an upper bound: it chooses among its replies" in write_report(folder.parent, [record], {}).read_text()


def test_it_has_no_control_and_says_what_it_is(finished):
    with pytest.raises(BadValue, match="best-of-n is a baseline and has no control"):
        resolve(RunConfig("tiny-programs", "random-reward:best-of-n"))
    assert "upper bound" in SPEC.note and load_record(finished[0]).learner.note == SPEC.note
