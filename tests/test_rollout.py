import pytest

from eggym.budget import FlopModel, Meter
from eggym.engine import Engine
from eggym.episode import Ending
from eggym.errors import TaskFault
from eggym.policy import Prompting
from eggym.registry import load_task
from eggym.rollout import Rollout
from eggym.session import Session
from eggym.task import Item, MultiTurnTask, SingleTurnTask
from eggym.views import PolicyViews


class Counts(MultiTurnTask):
    """Answers each reply with how many there were, and a random letter that all who answer the item share."""

    id = "test/counts-v0"
    max_turns = 3
    max_new_tokens = 6

    def generate(self, rng):
        return Item(f"say {rng.randrange(1000)}")

    def start(self, item, rng):
        return {"n": 0, "letter": rng.choice("abcdef"), "texts": []}

    def reply(self, state, text):
        state["n"] += 1
        state["texts"].append(text)
        return f"{state['letter']}{state['n']}", state["n"] == 3 or text.startswith("q")

    def score(self, state):
        return min(1.0, len("".join(state["texts"])) / 18)


class Half(SingleTurnTask):
    """Cannot judge some replies."""

    id = "test/half-v0"
    max_new_tokens = 3
    bad = 1.0

    def generate(self, rng):
        return Item(f"say {rng.randrange(1000)}")

    def score(self, item, reply):
        if int(item.prompt.split()[1]) % 100 < 100 * self.bad:
            raise RuntimeError("no idea")
        return 1.0


def rollout(policy, task, memory=None, **prompting):
    engine = Engine(policy, Meter(FlopModel.of(policy.model)))
    if memory:
        engine.memory = memory
    return Rollout(engine, task, Prompting.of(task, prompting), seed=3)


def run(policy, task, n_items=5, n_replies=4, temperature=1.0, memory=None, **prompting):
    items = [task.item("train", index) for index in range(n_items)]
    return rollout(policy, task, memory, **prompting).run(PolicyViews(n_items, n_replies, temperature), items, step=2)


def test_episodes_come_by_item_and_sample_with_their_whole_story(policy):
    batch = run(policy, Counts())
    assert [(e.slot, e.sample) for e in batch.episodes] == [(slot, sample) for slot in range(5) for sample in range(4)]
    for episode in batch.episodes:
        (segment,) = episode.segments
        assert len(segment.ids) == len(segment.actions) == len(segment.logprobs)
        assert sum(turn.n_tokens for turn in episode.turns) == episode.n_action_tokens == sum(segment.actions)
        assert all(p == 0 for p, action in zip(segment.logprobs, segment.actions, strict=True) if not action)
        assert all(p < 0 for p, action in zip(segment.logprobs, segment.actions, strict=True) if action)
        assert episode.turns[0].observation == episode.item.prompt
        assert [turn.observation[1:] for turn in episode.turns[1:]] == [str(n) for n in range(1, len(episode.turns))]


def test_tokens_are_never_tokenised_again(policy):
    # the ids of an episode are its prompt, its sampled tokens and the fresh observations, in this order
    prompting = Prompting.of(Counts(), {})
    for episode in run(policy, Counts()).episodes:
        segment = episode.segments[0]
        rest = list(segment.ids)
        taken = policy.prompt_ids(prompting, episode.item.prompt)
        for turn in episode.turns:
            assert rest[: len(taken)] == taken
            rest = rest[len(taken) :]
            reply, rest = rest[: turn.n_tokens], rest[turn.n_tokens :]
            ended = reply[-1] in policy.eos_ids
            assert policy.text(reply) == turn.reply
            following = episode.turns.index(turn) + 1
            if following < len(episode.turns):
                taken = policy.continuation_ids(prompting, episode.turns[following].observation, ended)
        assert rest == []


def test_the_environments_own_randomness_is_shared_by_item_and_sample_not_by_row(policy):
    batch = run(policy, Counts())
    letters = {}
    for episode in batch.episodes:
        for turn in episode.turns[1:]:
            letters.setdefault((episode.slot, episode.sample), set()).add(turn.observation[0])
    assert all(len(found) == 1 for found in letters.values())
    assert len({tuple(found) for found in letters.values()}) > 1


def story(batch):
    return [(e.segments[0].ids, e.segments[0].logprobs, e.reward, e.ending) for e in batch.episodes]


def test_nothing_depends_on_the_chunks(policy):
    whole = run(policy, Counts(), n_items=20)
    assert story(run(policy, Counts(), n_items=20, memory=4 << 20)) == story(whole)
    small = rollout(policy, Counts(), 4 << 20).engine.plan_rows(48, 16, 0)
    assert small < 80  # or this test would test nothing


def test_replies_differ_by_sample_step_and_seed_and_repeat_by_name(policy):
    task = Counts()
    items = [task.item("train", 0)]
    base = rollout(policy, task)
    texts = story(base.run(PolicyViews(1, 8), items, 0))
    assert len({tuple(ids) for ids, *_ in texts}) > 4
    assert story(base.run(PolicyViews(1, 8), items, 0)) == texts
    assert story(base.run(PolicyViews(1, 8), items, 1)) != texts
    other = Rollout(base.engine, task, base.prompting, seed=4)
    assert story(other.run(PolicyViews(1, 8), items, 0)) != texts


def test_endings_are_told_apart(policy):
    endings = {e.ending for e in run(policy, Counts(), n_items=30).episodes}
    assert endings <= {Ending.ANSWERED, Ending.OUT_OF_TOKENS}
    short = run(policy, Counts(), max_new_tokens=1)
    assert {e.ending for e in short.episodes} <= {Ending.ANSWERED, Ending.OUT_OF_TOKENS}
    assert Ending.OUT_OF_TOKENS in {e.ending for e in short.episodes}


def test_an_observation_that_does_not_fit_ends_the_episode(policy, monkeypatch):
    monkeypatch.setattr(policy.model.config, "max_position_embeddings", 22)
    episodes = run(policy, Counts()).episodes
    assert {e.ending for e in episodes} >= {Ending.OUT_OF_CONTEXT}
    assert all(e.reward is not None for e in episodes)
    assert max(len(e.segments[0].ids) for e in episodes) <= 22


def test_a_scorer_that_fails_too_often_stops_the_run(policy):
    with pytest.raises(TaskFault, match=r"could not judge 20 of 20 replies \(score raised RuntimeError: no idea\)"):
        run(policy, Half())


def test_a_rare_failure_is_missing_and_never_zero(policy, monkeypatch):
    monkeypatch.setattr(Half, "bad", 0.1)
    monkeypatch.setattr("eggym.rollout.MAX_ERROR_SHARE", 0.5)
    batch = run(policy, Half(), n_items=60, n_replies=2)
    rewards = batch.rewards_N_P_G()
    missing = [e for e in batch.episodes if e.reward is None]
    assert missing and (rewards == rewards).sum() == 120 - len(missing)
    assert set(rewards[rewards == rewards].tolist()) == {1.0}


def test_the_meter_counts_what_the_episodes_hold(policy):
    task = load_task("eggym/guess-v0")
    base = rollout(policy, task)
    items = [task.item("train", index) for index in range(4)]
    episodes = base.run(PolicyViews(4, 5), items, 0).episodes
    spend = base.engine.meter.spend
    assert spend.episodes == 20
    assert spend.action_tokens == sum(e.n_action_tokens for e in episodes)
    assert spend.tokens == sum(len(e.segments[0].ids) for e in episodes)


def test_computed_flops_hold_pads_and_low_rank_terms_and_budget_flops_do_not(policy):
    from eggym.es.eggroll import SPEC, Eggroll
    from eggym.views import ParameterSpace

    task = load_task("eggym/tiny-programs-v0")
    items = [task.item("train", index) for index in range(4)]
    found = {}
    for name in ("plain", "population"):
        base = rollout(policy, task)
        learner = Eggroll(
            policy, ParameterSpace(), 0, SPEC.resolve("tiny", {"population": 8, "items": 4, "sigma": 1e-30})
        )
        views = learner.ask(0) if name == "population" else PolicyViews(4, 1, 0.0, 8)
        with base.engine.meter.watch(policy.model):
            base.run(views, items, 0)
        found[name] = base.engine.meter.spend
    assert found["plain"].flops == found["population"].flops  # the same transcripts cost the same
    assert found["plain"].computed_flops > found["plain"].flops
    extra = found["population"].computed_flops - found["plain"].computed_flops
    per_position = 2 * sum(32 + 32 if "attn" in name else 32 + 48 for name in ParameterSpace().select(policy.model))
    assert extra > 0 and extra % per_position == 0


@pytest.mark.parametrize("name", ["tiny-arithmetic", "guess", "exam@turns=2"])
def test_replies_to_one_prompt_read_it_once_and_come_to_the_same_bits(policy, monkeypatch, name):
    found = {}
    for shared in (True, False):
        if not shared:
            alone = lambda self, turns, places: (list(range(len(turns))), list(range(len(turns))))  # noqa: E731
            monkeypatch.setattr(Session, "_alike", alone)
        task = load_task(name)
        base = rollout(policy, task)
        items = [task.item("train", index) for index in range(3)]
        episodes = base.run(PolicyViews(3, 16), items, 0).episodes
        transcripts = [(part.ids, part.logprobs) for episode in episodes for part in episode.segments]
        found[shared] = transcripts, base.engine.meter.spend
    assert found[True][0] == found[False][0]
    assert found[True][1].flops == found[False][1].flops
    assert found[True][1].computed_flops < found[False][1].computed_flops
