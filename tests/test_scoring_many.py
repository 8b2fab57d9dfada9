"""Batch scorers, groups, turn rewards and fresh contexts: what a task may do beyond one reply, one score."""

import random

import pytest

from eggym.budget import FlopModel, Meter
from eggym.engine import Engine
from eggym.env import TextEnv
from eggym.errors import BadValue, TaskFault
from eggym.evaluate import score_of
from eggym.policy import Prompting
from eggym.registry import load_task
from eggym.rollout import Rollout
from eggym.task import Item, MultiTurnTask, SingleTurnTask, Verdict, VerdictState
from eggym.vector import TextVectorEnv
from eggym.views import PolicyViews


class Batched(SingleTurnTask):
    """Scores whole batches, and remembers how large they were."""

    id = "test/batched-v0"
    max_new_tokens = 4

    def __init__(self):
        super().__init__()
        self.sizes = []

    def generate(self, rng):
        return Item(f"say {rng.randrange(1000)}")

    def score_all(self, items, replies):
        self.sizes.append(len(replies))
        if "bad" in replies:
            raise RuntimeError("no idea")
        return [min(1.0, len(reply) / 4) for reply in replies]


class Ranked(Batched):
    """The share of the others that a reply is longer than: nothing without its group."""

    grouped = True

    def score_all(self, items, replies):
        self.sizes.append(len(replies))
        groups = {}
        for item, reply in zip(items, replies, strict=True):
            groups.setdefault(id(item), []).append(len(reply))
        shares = []
        for item, reply in zip(items, replies, strict=True):
            others = groups[id(item)]
            shares.append(sum(length < len(reply) for length in others) / max(1, len(others) - 1))
        return shares


class Letters(MultiTurnTask):
    """A quarter for every reply that holds an "a"; told as it is earned."""

    id = "test/letters-v0"
    max_turns = 4
    max_new_tokens = 3

    def generate(self, rng):
        return Item(f"say {rng.randrange(1000)}")

    def start(self, item, rng):
        return {"right": 0, "turns": 0}

    def reply(self, state, text):
        state["right"] += "a" in text
        state["turns"] += 1
        return f"now {state['turns']}", state["turns"] == 4

    def so_far(self, state):
        return state["right"] / 4

    def score(self, state):
        return state["right"] / 4


class Exams(Letters):
    """The same, every question in a context of its own."""

    id = "test/exams-v0"
    fresh_context = True


def judged(task, replies, same=True):
    item = task.item("train", 0)
    items = [item if same else task.item("train", row) for row in range(len(replies))]
    env = TextVectorEnv(task, 1)
    env.begin(items, [random.Random(0)] * len(replies))
    env.reply(range(len(replies)), replies)
    return env.judge(range(len(replies)))


def roll(policy, task, n_items=3, n_replies=4):
    items = [task.item("train", index) for index in range(n_items)]
    meter = Meter(FlopModel.of(policy.model))
    rollout = Rollout(Engine(policy, meter), task, Prompting.of(task, {}), seed=3)
    return rollout.run(PolicyViews(n_items, n_replies, 1.0), items, step=0), meter


def test_a_batch_scorer_is_asked_once_for_different_replies():
    task = Batched()
    assert [one.reward for one in judged(task, ["a", "abc", "a", ""])] == [0.25, 0.75, 0.25, 0.0]
    assert task.sizes == [3]
    assert task.score(task.item("train", 0), "ab") == 0.5  # one reply is a batch of one


def test_one_reply_that_breaks_a_batch_takes_no_other_along():
    verdicts = judged(Batched(), ["a", "bad", "abc"])
    assert [one.reward for one in verdicts] == [0.25, None, 0.75]
    assert verdicts[1].state is VerdictState.ERROR
    assert "no idea" in verdicts[1].why


def test_a_batch_scorer_must_answer_for_every_reply():
    task = type("Short", (Batched,), {"score_all": lambda self, items, replies: [1.0]})()
    assert [one.reward for one in judged(task, ["a"])] == [1.0]
    task = type("None_", (Batched,), {"score_all": lambda self, items, replies: []})()
    verdicts = judged(task, ["a", "b"])
    assert {one.state for one in verdicts} == {VerdictState.ERROR}
    assert "score_all gave 0 verdicts on 1 replies" in verdicts[0].why


def test_a_batch_scorer_is_held_to_the_range_of_rewards():
    task = type("Wide", (Batched,), {"score_all": lambda self, items, replies: [7.0 for _ in replies]})()
    assert "outside its reward_range" in judged(task, ["a"])[0].why


def test_a_group_keeps_equal_replies_and_is_judged_whole():
    # lengths 1, 1, 3: the third is longer than both others, the equal ones than none
    task = Ranked()
    assert [one.reward for one in judged(task, ["a", "b", "abc"])] == [0.0, 0.0, 1.0]
    assert [one.reward for one in judged(task, ["a", "a", "abc"])] == [0.0, 0.0, 1.0]
    assert [one.reward for one in judged(task, ["a", "abc"], same=False)] == [0.0, 0.0]  # two groups of one
    assert task.sizes == [3, 3, 2]


def test_a_rollout_judges_all_members_and_replies_in_one_call(policy):
    task = Ranked()
    batch, _ = roll(policy, task)
    assert task.sizes == [12]
    lengths = [len(one.turns[0].reply) for one in batch.episodes]
    for first in (0, 4, 8):
        group = lengths[first : first + 4]
        want = [sum(other < mine for other in group) / 3 for mine in group]
        assert [one.reward for one in batch.episodes[first : first + 4]] == pytest.approx(want)


@pytest.mark.parametrize("kind", [Letters, Exams])
def test_turn_rewards_sum_to_the_return(policy, kind):
    task = kind()
    batch, _ = roll(policy, task)
    for episode in batch.episodes:
        assert [turn.reward for turn in episode.turns] == [0.25 * ("a" in turn.reply) for turn in episode.turns]
        assert sum(turn.reward for turn in episode.turns) == pytest.approx(episode.reward)
    assert len({one.reward for one in batch.episodes}) > 1


def test_turn_rewards_in_gymnasium():
    replies = ["a", "b", "a", "a"]
    env = TextEnv(Letters())
    env.reset(seed=1)
    assert [env.step(reply)[1] for reply in replies] == [0.25, 0.0, 0.25, 0.25]
    many = TextVectorEnv(Letters(), 2)
    for _ in range(2):  # a second episode starts from nothing
        many.reset(seed=1)
        assert [many.step([reply, "b"])[1].tolist() for reply in replies] == [
            [0.25, 0.0],
            [0.0, 0.0],
            [0.25, 0.0],
            [0.25, 0.0],
        ]


def test_what_is_earned_must_be_a_number():
    task = type("Odd", (Letters,), {"so_far": lambda self, state: "much"})()
    with pytest.raises(TaskFault, match="so_far must return a finite number"):
        task.earned({})
    task = type("Odd", (Letters,), {"so_far": lambda self, state: 1 / 0})()
    with pytest.raises(TaskFault, match="so_far raised ZeroDivisionError"):
        task.earned({})


def test_every_question_of_an_exam_has_a_context_of_its_own(policy):
    batch, meter = roll(policy, Exams())
    prompting = Prompting.of(Exams(), {})
    for episode in batch.episodes:
        assert len(episode.segments) == len(episode.turns) == 4
        for segment, turn in zip(episode.segments, episode.turns, strict=True):
            opening = policy.prompt_ids(prompting, turn.observation)
            assert segment.ids[: len(opening)] == opening
            assert sum(segment.actions) == turn.n_tokens == len(segment.ids) - len(opening)
    assert meter.spend.env_tokens == 0  # all of it is read as prompts
    assert meter.spend.tokens == sum(len(segment.ids) for one in batch.episodes for segment in one.segments)


def test_a_fresh_context_sees_nothing_of_the_turns_before(policy):
    """The second question alone, with the same random numbers, is answered as in the exam."""

    class Second(Exams):
        max_turns = 1

        def item(self, split, index):
            return Item("now 1", None, {}, index, split)

        def reply(self, state, text):
            return "", True

    exam, _ = roll(policy, Exams())
    rollout = Rollout(Engine(policy, Meter(FlopModel.of(policy.model))), Second(), Prompting.of(Second(), {}), seed=3)
    keys = Rollout.key

    class Later(Rollout):
        def key(self, views, place, step, turn):
            return keys(self, views, place, step, turn + 1)

    later = Later(**{name: getattr(rollout, name) for name in ("engine", "task", "prompting", "seed")})
    alone = later.run(PolicyViews(3, 4, 1.0), [Second().item("train", index) for index in range(3)], step=0)
    assert [one.turns[0].reply for one in alone.episodes] == [one.turns[1].reply for one in exam.episodes]


def test_the_messages_of_an_env_begin_anew_with_every_context():
    env = TextEnv(Exams())
    env.reset(seed=1)
    env.step("x")
    assert env.messages == [{"role": "user", "content": "now 1"}]


def test_a_score_holds_the_mean_of_every_part(policy):
    class Proxy(SingleTurnTask):
        id = "test/proxy-v0"
        max_new_tokens = 4

        def generate(self, rng):
            return Item(f"say {rng.randrange(1000)}")

        def score(self, item, reply):
            parts = {"true": float("a" in reply)} if reply else {}
            return Verdict(min(1.0, len(reply) / 4), VerdictState.WRONG, parts=parts)

    batch, _ = roll(policy, Proxy())
    said = [one.turns[0].reply for one in batch.episodes if one.turns[0].reply]
    assert score_of(1.0, batch).parts == {"true": pytest.approx(sum("a" in text for text in said) / len(said))}


@pytest.mark.parametrize(
    ("options", "want"),
    [
        ("largest=7", {"largest": 7}),
        ("largest=7,kind=odd ones", {"largest": 7, "kind": "odd ones"}),
        ("largest=[3,6],kind=eggym/guess-v0", {"largest": [3, 6], "kind": "eggym/guess-v0"}),
        ("largest=1e-3,kind=a=b", {"largest": 0.001, "kind": "a=b"}),
    ],
)
def test_a_name_may_carry_options(tmp_path, options, want):
    path = tmp_path / "at@home.py"
    path.write_text(
        "import eggym\nclass Own(eggym.SingleTurnTask):\n    id = 'me/own-v0'\n"
        "    def generate(self, rng, largest=1, kind=''):\n        return eggym.Item('x')\n"
    )
    task = load_task(f"{path}@{options}")
    assert task.difficulty == want
    assert load_task(str(path), kind="even").difficulty == {"kind": "even"}
    assert load_task(f"{path}@kind=odd", kind="even", largest=2).difficulty == {"kind": "odd", "largest": 2}
    assert task.label.startswith("me/own-v0@")


def test_options_that_cannot_be_read_are_refused():
    with pytest.raises(BadValue, match="cannot be read; write them as in exam@turns=16,mode=needle"):
        load_task("guess@a=[1")
    with pytest.raises(BadValue, match="no option 'a'"):
        load_task("guess@a=1")
