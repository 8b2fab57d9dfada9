"""The oracle answers: in the policy's tokens, within its limits, judged for real."""

import random

from eggym.asking import OracleViews
from eggym.budget import FlopModel, Meter
from eggym.demonstration import demonstrate, end_token, has_oracle
from eggym.engine import Engine
from eggym.episode import Ending
from eggym.policy import Prompting
from eggym.registry import load_task
from eggym.rollout import Rollout
from eggym.task import Item, MultiTurnTask, SingleTurnTask, VerdictState


class Sums(SingleTurnTask):
    """One reply; the oracle is wrong on odd sums, silent on 4, and says too much on 6."""

    id = "test/demonstrated-sums-v0"
    max_new_tokens = 6

    def generate(self, rng):
        a, b = rng.randrange(5), rng.randrange(5)
        return Item(f"{a}+{b}=", a + b)

    def score(self, item, reply):
        return float(reply == str(item.truth))

    def oracle(self, item):
        said = {4: None, 6: "6" * 9}.get(item.truth, str(item.truth))
        return "0" if item.truth % 2 else said


class Stops(MultiTurnTask):
    """Three turns whose replies end at a stop string, which the oracle writes or leaves out."""

    id = "test/demonstrated-stops-v0"
    stop = (";", "!")
    max_new_tokens = 8
    max_turns = 3

    def generate(self, rng):
        return Item(f"say {rng.randrange(1000)}:", rng.choice(("a;", "a", "a!b;")))

    def start(self, item, rng):
        return {"said": [], "truth": item.truth, "letter": rng.choice("xyz")}

    def reply(self, state, text):
        state["said"].append(text)
        return f"{state['letter']}{len(state['said'])}", len(state["said"]) == 3

    def score(self, state):
        return float(state["said"] == ["a"] * 3)

    def so_far(self, state):
        return 0.0 if len(state["said"]) < 2 else 0.25

    def oracle(self, state):
        return state["truth"]


def rollout(policy, task, **prompting):
    engine = Engine(policy, Meter(FlopModel.of(policy.model)))
    return Rollout(engine, task, Prompting.of(task, prompting), seed=3)


def shown(policy, task, n_items=24, **prompting):
    items = [task.item("train", index) for index in range(n_items)]
    return rollout(policy, task, **prompting).run(OracleViews(n_items, 1), items, step=2).episodes


def test_a_reply_is_its_text_and_an_end_token_after_the_prompt(policy):
    task = load_task("tiny-programs")
    for episode in shown(policy, task):
        (segment,) = episode.segments
        prompt = policy.prompt_ids(Prompting.of(task, {}), episode.item.prompt)
        reply = task.oracle(episode.item)
        assert segment.ids[: len(prompt)] == prompt and segment.actions.index(True) == len(prompt)
        assert policy.text(segment.ids[len(prompt) :]) == reply == episode.turns[0].reply
        assert segment.ids[-1] in policy.eos_ids and all(segment.actions[len(prompt) :])
        assert set(segment.logprobs) == {0.0} and episode.reward == episode.turns[0].reward == 1.0
        assert episode.turns[0].n_tokens == len(segment.ids) - len(prompt) and episode.ending is Ending.ANSWERED


def test_what_the_oracle_says_is_judged_and_not_believed(policy):
    for episode in shown(policy, Sums(), 60):
        truth = episode.item.truth
        right = truth % 2 == 0 and truth not in (4, 6)
        assert episode.verdict.state is (VerdictState.CORRECT if right else VerdictState.WRONG)
        if truth == 4:  # silent: an end token alone
            assert episode.turns[0].reply == "" and episode.n_action_tokens == 1
        if truth == 6:  # cut where a sampled reply would be
            assert episode.turns[0].reply == "666666" and episode.ending is Ending.OUT_OF_TOKENS
    assert {e.item.truth for e in shown(policy, Sums(), 60)} >= {1, 4, 6, 8}


def test_a_stop_string_ends_a_reply_in_place_of_the_end_token(policy):
    seen = set()
    for episode in shown(policy, Stops()):
        (segment,) = episode.segments
        written = policy.text([t for t, action in zip(segment.ids, segment.actions, strict=True) if action])
        ends = sum(t in policy.eos_ids for t, action in zip(segment.ids, segment.actions, strict=True) if action)
        assert (written, ends) == {"a;": ("a;a;a;", 0), "a": ("aaa", 3), "a!b;": ("a!a!a!", 0)}[episode.item.truth]
        assert [turn.reply for turn in episode.turns] == ["a"] * 3 and episode.reward == 1.0
        assert [turn.reward for turn in episode.turns] == [0.0, 0.25, 0.75]
        assert [turn.observation[1:] for turn in episode.turns[1:]] == ["1", "2"]
        seen.add(episode.item.truth)
    assert len(seen) == 3


def test_the_environments_randomness_is_that_of_a_rollout(policy):
    from eggym.views import PolicyViews

    task, n = Stops(), 6
    items = [task.item("train", index) for index in range(n)]
    base = rollout(policy, task)
    sampled = base.run(PolicyViews(n, 2), items, 5).episodes
    letters = {(e.slot): e.turns[1].observation[0] for e in sampled if e.sample == 0}
    assert {e.slot: e.turns[1].observation[0] for e in base.run(OracleViews(n, 1), items, 5).episodes} == letters


def test_later_observations_continue_the_same_context_or_open_a_fresh_one(policy):
    task = load_task("guess")
    prompting = Prompting.of(task, {})
    for episode in shown(policy, task, 8):
        ids = policy.prompt_ids(prompting, episode.item.prompt)
        for place, turn in enumerate(episode.turns):
            if place:
                ids += policy.continuation_ids(prompting, turn.observation, True)
            ids += [*policy.tokenizer.encode(turn.reply, add_special_tokens=False), end_token(policy, prompting)]
        assert episode.segments[0].ids == ids and episode.reward == 1.0
    exam = load_task("exam", turns=3)
    for episode in shown(policy, exam, 4, max_new_tokens=40):
        assert len(episode.segments) == len(episode.turns) == 3
        for segment, turn in zip(episode.segments, episode.turns, strict=True):
            assert policy.text(segment.ids).startswith(turn.observation)


def test_the_limits_on_turns_and_context_hold(policy, monkeypatch):
    monkeypatch.setattr(Stops, "max_turns", 2)
    assert {(len(e.turns), e.ending) for e in shown(policy, Stops())} == {(2, Ending.OUT_OF_TURNS)}
    monkeypatch.setattr(policy.model.config, "max_position_embeddings", 20)
    assert {(len(e.turns), e.ending) for e in shown(policy, Stops())} == {(1, Ending.OUT_OF_CONTEXT)}


def test_tokens_are_counted_and_no_flops_of_sampling(policy):
    run = rollout(policy, load_task("guess"))
    items = [run.task.item("train", index) for index in range(6)]
    with run.engine.meter.watch(policy.model):
        episodes = run.run(OracleViews(6, 1), items, 0).episodes
    spend = run.engine.meter.spend
    assert spend.episodes == spend.reward_calls == 6 and spend.flops == spend.computed_flops == 0
    assert spend.tokens == sum(len(e.segments[0].ids) for e in episodes)
    assert spend.action_tokens == sum(e.n_action_tokens for e in episodes) and spend.env_tokens > 0


def test_the_end_token_is_the_templates_where_there_is_one(policy, monkeypatch):
    prompting = Prompting()
    assert end_token(policy, prompting) == policy.tokenizer.eos_token_id
    other = policy.tokenizer.pad_token_id
    monkeypatch.setattr(policy.model.generation_config, "eos_token_id", [other, policy.tokenizer.eos_token_id])
    monkeypatch.setattr(type(policy), "chats", lambda self, prompting: True)
    monkeypatch.setattr(type(policy), "continuation_ids", lambda self, *words: [other, 40, 41])
    assert end_token(policy, prompting) == other
    monkeypatch.setattr(type(policy), "continuation_ids", lambda self, *words: [40, other])
    assert end_token(policy, prompting) == policy.tokenizer.eos_token_id


def test_a_task_says_whether_it_has_an_oracle():
    item = Sums().item("train", 0)
    assert has_oracle(load_task("guess"), load_task("guess").item("train", 0), random.Random(0))
    assert not has_oracle(Sums(), Item("1+3=", 4), random.Random(0)) and has_oracle(Sums(), Item("1+1=", 2), None)
    assert item.prompt


def test_a_demonstration_needs_no_rollout(policy):
    task = Sums()
    items = [Item("1+1=", 2), Item("1+2=", 3)]
    found = demonstrate(policy, task, Prompting.of(task, {}), items, [random.Random(0)] * 2)
    assert [(e.slot, e.sample, e.member, e.reward) for e in found] == [(0, 0, 0, 1.0), (1, 0, 0, 0.0)]
