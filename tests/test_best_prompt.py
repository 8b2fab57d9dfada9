"""Best prompt: candidates, halving by hand, asking members differently, and the frozen policy where nothing changes."""

import json
import sys

import numpy as np
import pytest

from eggym.agents.best_prompt import SPEC, BestPrompt
from eggym.agents.prompt_candidates import candidates, examples_of, read_systems, shot_counts
from eggym.askable import prepared
from eggym.asking import OracleViews, PromptedViews
from eggym.budget import FlopModel, Meter
from eggym.config import RunConfig, resolve
from eggym.engine import Engine
from eggym.episode import Ending, Episode, EpisodeBatch, Turn
from eggym.errors import BadValue
from eggym.files import sha256_file
from eggym.fitness import FitnessLog
from eggym.forecast import forecast
from eggym.policy import Prompting
from eggym.registry import load_task
from eggym.result import PROMPT, deterministic_files
from eggym.rollout import Rollout
from eggym.task import Item, Verdict, VerdictState
from eggym.train import run_plan
from eggym.views import ParameterSpace, PolicyViews

QUICK = {
    "eval.items": 8,
    "eval.points": 2,
    "eval.drift": 0,
    "eval.many": 0,
    "eval.train_items": 0,
    "best-prompt.items": 4,
}
OWN = Prompting(system="own")
END = Ending.ANSWERED


def config(learner="best-prompt", budget="200episodes", task="tiny-programs", **settings):
    quick = {name: value for name, value in QUICK.items() if name.partition(".")[0] in ("eval", learner)}
    return RunConfig(task, learner, budget=budget, set={**quick, **settings})


def train(folder, *words, watch=lambda event: None, **settings):
    return run_plan(resolve(config(*words, **settings)), folder, watch, force=True)


def subject(fits=lambda prompting: True, **options):
    learner = BestPrompt(None, ParameterSpace(), 0, SPEC.resolve("tiny", options))
    learner.begin(OWN, fits)
    return learner


def shown(*states):
    """Demonstrations of items 0, 1, ..., of two turns each."""
    episodes = [
        Episode(Item(f"p{n}"), 0, n, 0, [], [Turn(f"p{n}", f"r{n}"), Turn("more", "x")], Verdict(1.0, s), END)
        for n, s in enumerate(states)
    ]
    return EpisodeBatch(0, episodes, 1, len(episodes), 1)


def rewards(*means, n_items=4):
    """A comparison in which each member earned a mean; None: nothing of it could be judged."""
    verdicts = [Verdict(mean, VerdictState.ERROR if mean is None else VerdictState.WRONG) for mean in means]
    episodes = [
        Episode(Item("p"), m, slot, 0, [], [], v, Ending.ANSWERED)
        for m, v in enumerate(verdicts)
        for slot in range(n_items)
    ]
    return EpisodeBatch(0, episodes, len(means), n_items, 1)


RIGHT, WRONG = VerdictState.CORRECT, VerdictState.WRONG


def example(n):
    return ((f"p{n}", f"r{n}"), ("more", "x"))


def test_candidates_are_the_runs_own_the_best_so_far_systems_and_examples():
    one, two = examples_of(shown(RIGHT, RIGHT).episodes), examples_of(shown(RIGHT, WRONG).episodes)
    assert two == [example(0), None]
    found, left_out = candidates(OWN, OWN, ["s"], [one, two], 2, lambda prompting: True)
    shots = [(one.system, len(one.few_shot)) for one in found]
    # the one example is the same in both sets, and the second pair is missing from the second set
    assert shots == [("own", 0), ("own", 2), ("own", 4), ("s", 0), ("s", 2), ("s", 4)] and left_out == 2
    assert found[2].few_shot == example(0) + example(1)
    best = Prompting(system="best")
    found, left_out = candidates(OWN, best, [], [one], 1, lambda prompting: not prompting.few_shot)
    assert found == [OWN, best] and left_out == 1
    assert shot_counts(0) == [] and shot_counts(4) == [1, 2, 4] and shot_counts(3) == [1, 2]


def test_system_prompts_are_texts_or_a_file_that_holds_them(tmp_path):
    assert read_systems(" a b |||c|||| | ") == ("a b", "c", "| |")
    (tmp_path / "systems.txt").write_text("Think first.\n|||\nAnswer\nonly.\n")
    options = SPEC.resolve("tiny", {"systems": f"@{tmp_path / 'systems.txt'}"})
    assert options.systems == "Think first.|||Answer\nonly."  # what is recorded is what was tried
    assert SPEC.resolve("tiny", {"systems": options.systems}) == options
    with pytest.raises(BadValue, match=r"systems '@nowhere' cannot be read"):
        read_systems("@nowhere")
    with pytest.raises(BadValue, match=r"begins with @"):
        read_systems("a|||@b")


def test_halving_worked_by_hand():
    learner = subject(items=4, sets=2, most_shots=2)
    assert learner.ask(0) == OracleViews(4, 1, instead="try no examples with --set best-prompt.most_shots=0")
    assert learner.tell(shown(RIGHT, WRONG, RIGHT, RIGHT)) == {"dropped": 1.0, "candidates": 4.0, "left_out": 1.0}
    first = learner.ask(1)
    a, b, c, d = first.promptings_N
    assert (first.n_members, first.n_items, first.coupling, learner.prompting) == (4, 4, "shared", OWN)
    assert [one.few_shot for one in (a, b, c, d)] == [(), example(0), example(2), example(2) + example(3)]
    found = learner.tell(rewards(0.25, 0.5, None, 0.5))
    assert found == {"candidates": 4.0, "leader": 0.5, "shots": 2.0, "changed": 1.0} and learner.prompting == b
    second = learner.ask(2)
    assert second.promptings_N == (b, d) and second.n_items == 8  # twice as many items for the better half
    # over the bracket b has (4 x .5 + 8 x .25) / 12 and d (4 x .5 + 8 x .5) / 12
    assert learner.tell(rewards(0.25, 0.5, n_items=8))["leader"] == 0.5 and learner.prompting == d
    assert isinstance(learner.ask(3), OracleViews)  # a new bracket, with new examples
    learner.tell(shown(RIGHT, RIGHT, RIGHT, RIGHT))
    assert learner.ask(4).promptings_N[:2] == (OWN, d)  # the best so far is tried again
    learner.tell(rewards(*[0.5] * learner.ask(4).n_members))
    assert learner.prompting == d and d in learner.ask(5).promptings_N  # the bracket is not at its end
    while learner._candidates:
        learner.tell(rewards(*[0.5] * learner.ask(5).n_members, n_items=learner.ask(5).n_items))
    assert learner.prompting == OWN  # of equals, the earlier


def test_only_the_end_of_a_bracket_takes_the_place_of_the_winner_of_an_earlier_one():
    learner = subject(items=4, sets=2, most_shots=2)
    learner.tell(shown(*[RIGHT] * 4))
    a = learner.ask(1).promptings_N
    learner.tell(rewards(0.0, 0.5, 0.0, 0.0, 0.0))
    while learner._candidates:
        asked = learner.ask(2)
        learner.tell(rewards(*[float(one == a[1]) for one in asked.promptings_N], n_items=asked.n_items))
    best = learner.prompting
    assert best == a[1]
    learner.tell(shown(WRONG, RIGHT, RIGHT, RIGHT))  # the second bracket
    first = learner.ask(3).promptings_N
    place = first.index(best)
    means = [0.5] * len(first)
    means[place] = 0.0  # the winner so far is the last of all, on four items
    learner.tell(rewards(*means))
    assert learner.prompting == best and best in learner.ask(4).promptings_N
    while learner._candidates:
        asked = learner.ask(5)
        assert best in asked.promptings_N and learner.prompting == best
        learner.tell(rewards(*[0.5 * (one != best) for one in asked.promptings_N], n_items=asked.n_items))
    assert learner.prompting != best  # who is ahead at the end


def test_without_examples_the_same_candidates_go_on_and_rewards_add_up():
    learner = subject(items=4, most_shots=0, systems="s")
    assert learner.ask(0).n_members == 2
    learner.tell(rewards(0.0, 1.0))
    again = learner.ask(1)
    assert learner.prompting.system == "s" and again.n_members == 2 and again.n_items == 4
    assert learner.tell(rewards(0.9, 0.0))["leader"] == 0.5  # over both: .45 and .5
    assert learner.prompting.system == "s"


def test_nothing_to_choose_from_is_the_end():
    assert subject(most_shots=0).ask(0) is None and subject(most_shots=0).preview() is None
    learner = subject(most_shots=1, sets=1)
    learner.tell(shown(WRONG))
    assert learner.ask(1) is None and learner.prompting == OWN
    learner = subject(lambda prompting: not prompting.few_shot, most_shots=1, sets=1)
    assert learner.tell(shown(RIGHT))["left_out"] == 1.0 and learner.ask(1) is None


def test_its_state_is_plain_and_complete():
    one, other = subject(items=4), subject(items=4)
    one.tell(shown(*[RIGHT] * 8))
    one.tell(rewards(*np.linspace(0, 1, one.ask(1).n_members).tolist()))
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert other.ask(2) == one.ask(2) and other.prompting == one.prompting != OWN
    assert other.state_dict() == one.state_dict()


@pytest.mark.parametrize(("name", "options"), [("tiny-programs", {}), ("guess", {}), ("exam", {"turns": 2})])
def test_members_are_asked_each_in_its_own_way_with_shared_random_numbers(policy, name, options):
    task = load_task(name, **options)
    own = Prompting.of(task, {"max_new_tokens": 12})
    ways = (own, Prompting.of(task, {"max_new_tokens": 12, "few_shot": [["1", "2"]], "system": "say"}))
    items = [task.item("train", index) for index in range(5)]

    def run(views, prompting):
        return Rollout(Engine(policy, Meter(FlopModel.of(policy.model))), task, prompting, 3).run(views, items, 4)

    both = run(PromptedViews(5, 2, 1.0, 2, "shared", promptings_N=ways), own).episodes
    for member, way in enumerate(ways):
        # the policy itself, prompted so, with the same random numbers: shared names leave the member out
        alone = run(PromptedViews(5, 2, 1.0, 1, "shared", promptings_N=(way,)), own).episodes
        mine = [one for one in both if one.member == member]
        assert [[s.ids for s in e.segments] for e in mine] == [[s.ids for s in e.segments] for e in alone]
        again = run(PolicyViews(5, 2, 1.0, coupling="shared"), way).episodes
        assert [[s.ids for s in e.segments] for e in mine] == [[s.ids for s in e.segments] for e in again]
        for episode in mine:
            for segment in episode.segments[: 1 if not task.fresh_context else None]:
                text = policy.text(segment.ids)
                assert text.startswith("say\n1\n2") == (member == 1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prompt") / "run"
    return folder, train(folder)


def test_the_runs_own_prompt_alone_is_the_frozen_policy(tmp_path):
    frozen = train(tmp_path / "frozen", "frozen")
    alone = train(tmp_path / "alone", **{"best-prompt.most_shots": 0})
    assert alone.points == frozen.points and alone.n_steps == 0 and alone.spent.episodes == 0


def test_the_budget_pays_for_examples_and_comparisons_and_no_weight_moves(finished):
    folder, record = finished
    assert record.learner.kind == "baseline" and record.weights_sha256 == record.model.sha256
    assert record.spent.rollout_flops > 0 == record.spent.learner_flops and record.n_steps >= 4
    shapes = [step.rewards_N_P_G.shape for step in FitnessLog(folder / "fitness.bin").read()]
    assert shapes[:2] == [(1, 8, 1), (7, 4, 1)] and shapes[2] == (4, 8, 1) and shapes[3] == (2, 16, 1)
    found = json.loads((folder / PROMPT).read_text())
    assert record.files[PROMPT] == sha256_file(folder / PROMPT) and found["max_new_tokens"]


def test_an_evaluation_asks_as_the_search_says(tmp_path):
    # a system prompt that the embedded model has never seen spoils its replies: to evaluate with it must show
    plan = resolve(config(**{"best-prompt.most_shots": 0, "best-prompt.systems": "zzz zzz"}))
    from eggym.evaluate import Evaluator

    learner = prepared(plan)
    evaluator = Evaluator(plan, Meter(FlopModel.of(plan.policy.model)))
    before = evaluator.run(0, learner)
    learner.tell(rewards(0.0, 1.0))
    after = evaluator.run(0, learner)
    assert learner.prompting.system == "zzz zzz" and after.greedy != before.greedy
    assert before.greedy == evaluator.run(0).greedy


def test_what_the_model_cannot_read_is_left_out(tmp_path):
    many = {"best-prompt.systems": "é|||ok", "best-prompt.most_shots": 0}
    learner = prepared(resolve(config(**many)))
    assert [one.system for one in learner.ask(0).promptings_N] == [None, "ok"]
    long = {"best-prompt.systems": "a" * 1000, "best-prompt.most_shots": 0}
    assert prepared(resolve(config(**long))).ask(0) is None


def test_a_run_stopped_anywhere_continues_to_the_same_bytes(finished, tmp_path, monkeypatch):
    class Stop(Exception):
        pass

    seen = []

    def watch(event):
        seen.append(event)
        if len(seen) in (3, 6, 9):
            raise Stop

    monkeypatch.setattr(sys.modules["eggym.loop"], "CHECKPOINT_EVERY_S", 0.0)
    for _ in range(3):
        with pytest.raises(Stop):
            train(tmp_path / "run", watch=watch)
    train(tmp_path / "run", watch=watch)
    for name in [*deterministic_files(finished[0]), "record.json"]:
        assert sha256_file(tmp_path / "run" / name) == sha256_file(finished[0] / name), name


def test_the_forecast_is_that_of_a_comparison():
    plan = resolve(config(budget="2000episodes"))
    assert forecast(plan, prepared(plan)).steps == 2000 // (7 * 4)


def test_the_last_point_counts_whatever_the_checkpoint_rule(tmp_path):
    more = {"best-prompt.most_shots": 0, "best-prompt.systems": "ok", "eval.checkpoint": "best"}
    record = train(tmp_path / "run", budget="60episodes", **more)
    assert record.n_steps > 1 and record.chosen is None and record.points[-1].validation is None


def test_a_task_without_an_oracle_is_refused_with_the_way_out(tmp_path):
    file = tmp_path / "bare.py"
    file.write_text(
        "from eggym import Item, SingleTurnTask\n\nclass Bare(SingleTurnTask):\n    id = 'test/bare-v0'\n"
        "    max_new_tokens = 4\n\n    def generate(self, rng):\n        return Item(f'say {rng.randrange(999)}')\n\n"
        "    def score(self, item, reply):\n        return float(len(reply) > 2)\n"
    )
    with pytest.raises(BadValue, match=r"has no oracle .* try no examples with --set best-prompt\.most_shots=0"):
        train(tmp_path / "run", task=f"{file}:Bare")
    assert not (tmp_path / "run").exists()
    more = {"best-prompt.most_shots": 0, "best-prompt.systems": "ok"}
    assert train(tmp_path / "run", task=f"{file}:Bare", budget="40episodes", **more).n_steps == 5


def test_a_file_of_system_prompts_is_named_on_the_command_line(tmp_path):
    from eggym.config_file import parse_set

    (tmp_path / "systems.txt").write_text("Think first.\n|||\nAnswer only.\n")
    found = parse_set([f"best-prompt.systems=@{tmp_path / 'systems.txt'}", "best-prompt.sets=3"])
    options = SPEC.resolve("tiny", {name.removeprefix("best-prompt."): value for name, value in found.items()})
    assert (options.systems, options.sets) == ("Think first.|||Answer only.", 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"items": 0}, "items must lie from 1 to 65536, got 0"),
        ({"sets": 0}, "sets must lie from 1 to 64, got 0"),
        ({"sets": 1 << 30}, "sets must lie from 1 to 64, got 1073741824"),
        ({"most_shots": 33}, "most_shots must lie from 0"),
        ({"temperature": -1.0}, "temperature must be 0 .greedy. or at least 0.001, got -1"),
    ],
)
def test_options_out_of_range_are_refused_by_the_name_of_the_learner(options, message):
    with pytest.raises(BadValue, match=f"best-prompt: {message}"):
        SPEC.resolve("tiny", options)
