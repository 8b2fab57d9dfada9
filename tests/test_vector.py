import random
import time

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from eggym.env import TextEnv
from eggym.errors import BadValue, TaskFault, UnknownName
from eggym.task import Item, MultiTurnTask, SingleTurnTask, Verdict, VerdictState
from eggym.vector import TextVectorEnv


class Sums(SingleTurnTask):
    id = "me/sums-v0"
    judged = 0

    def generate(self, rng):
        a, b = rng.randint(0, 999), rng.randint(0, 999)
        return Item(f"{a}+{b}=", a + b)

    def score(self, item, reply):
        self.judged += 1
        return float(reply == str(item.truth))


class Lengths(MultiTurnTask):
    """Ends when told to; otherwise after four turns. Paid: one, if the number of turns was said; tells a throw."""

    id = "me/lengths-v0"
    max_turns = 4

    def generate(self, rng):
        return Item(f"case {rng.randint(0, 10**6)}")

    def start(self, item, rng):
        return {"turn": 0, "last": "", "rng": rng}

    def reply(self, state, text):
        state["turn"] += 1
        state["last"] = text
        return f"turn {state['turn']}, {state['rng'].randint(0, 10**6)}", text.startswith("end")

    def score(self, state):
        return float(state["last"] == f"end {state['turn']}")


def answer(prompt):
    a, b = prompt.rstrip("=").split("+")
    return str(int(a) + int(b))


# -- the face of rollouts -------------------------------------------------------------------------------------------


def test_begin_reply_judge():
    task = Sums()
    env = TextVectorEnv(task, 1)
    items = [task.item("train", 0)] * 2 + [task.item("train", 1)]
    prompts = env.begin(items, [random.Random(0)] * 3)
    assert prompts == [item.prompt for item in items]
    assert env.reply([0, 1, 2], [answer(prompts[0]), "7", answer(prompts[2])]) == [("", True)] * 3
    assert [verdict.reward for verdict in env.judge([2, 1, 0])] == [1.0, 0.0, 1.0]


def test_equal_replies_to_one_item_are_judged_once_per_call():
    task = Sums()
    env = TextVectorEnv(task, 1)
    shared = task.item("train", 0)
    env.begin([shared] * 6, [random.Random(0)] * 6)
    env.reply(range(6), ["1", "2", "1", "2", "1", "3"])
    verdicts = env.judge(range(6))
    assert task.judged == 3
    assert verdicts[0] is verdicts[2]
    env.judge([0])
    assert task.judged == 4  # not remembered from call to call


def test_equal_items_that_are_two_objects_are_judged_apart():
    task = Sums()
    env = TextVectorEnv(task, 1)
    env.begin([task.item("train", 0), task.item("train", 0)], [random.Random(0)] * 2)
    env.reply([0, 1], ["1", "1"])
    env.judge([0, 1])
    assert task.judged == 2


def test_a_task_with_its_own_judge_is_always_asked():
    class Own(Sums):
        def judge(self, state):
            return Verdict(random.Random(id(state)).random(), VerdictState.WRONG)

    task = Own()
    env = TextVectorEnv(task, 1)
    env.begin([task.item("train", 0)] * 2, [random.Random(0)] * 2)
    env.reply([0, 1], ["1", "1"])
    assert len({verdict.reward for verdict in env.judge([0, 1])}) == 2


def test_some_rows_may_go_on_while_others_rest():
    task = Lengths()
    env = TextVectorEnv(task, 1)
    env.begin([task.item("train", 0)] * 3, [random.Random(7) for _ in range(3)])
    first = env.reply([0, 1, 2], ["a", "end 1", "b"])
    assert [done for _, done in first] == [False, True, False]
    assert first[0][0] == first[2][0]  # equal generators: common random numbers
    assert env.reply([2], ["end 9"])[0][1]
    assert [verdict.reward for verdict in env.judge([0, 1, 2])] == [0.0, 1.0, 0.0]  # row 0 was cut


def test_a_failing_grader_is_an_error_and_an_author_who_raises_is_named():
    task = type("Odd", (Lengths,), {"score": lambda self, state: 1 / 0})()
    env = TextVectorEnv(task, 1)
    env.begin([task.item("train", 0)], [random.Random(0)])
    env.reply([0], ["end"])
    assert env.judge([0])[0].state is VerdictState.ERROR
    task = type("Odd", (Lengths,), {"reply": lambda self, state, text: 1 / 0})()
    env = TextVectorEnv(task, 1)
    env.begin([task.item("train", 0)], [random.Random(0)])
    with pytest.raises(TaskFault, match="reply raised ZeroDivisionError"):
        env.reply([0], ["x"])


def test_a_hundred_thousand_episodes_in_a_second():
    task = Sums()
    items = [task.item("train", index) for index in range(16)] * 256
    texts = [str(row % 300) for row in range(len(items))]
    idle = [random.Random(0)] * len(items)
    env = TextVectorEnv(task, 1)
    rates = []
    for _ in range(5):
        start = time.process_time()
        env.begin(items, idle)
        env.reply(range(len(items)), texts)
        env.judge(range(len(items)))
        rates.append(len(items) / (time.process_time() - start))
    assert max(rates) > 100_000


# -- the face of Gymnasium ------------------------------------------------------------------------------------------


def test_a_batch_of_one_turn():
    env = TextVectorEnv(Sums(), 6, "test", share_items=3)
    prompts, infos = env.reset(seed=1)
    assert len(set(prompts[:3])) == len(set(prompts[3:])) == 1 and prompts[0] != prompts[3]
    assert infos["index"][0] == infos["index"][2] != infos["index"][3]
    actions = [answer(prompts[0]), "x", answer(prompts[0]), "x", "x", answer(prompts[5])]
    observations, rewards, terminated, truncated, infos = env.step(actions)
    assert observations == ("",) * 6
    assert rewards.tolist() == [1.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    assert terminated.all() and not truncated.any() and not env.active.any()
    assert infos["verdict"].tolist() == ["correct", "wrong", "correct", "wrong", "wrong", "correct"]
    assert infos["_verdict"].all()


def test_it_agrees_with_the_single_environment():
    many = TextVectorEnv(Lengths(), 3, "test")
    one = TextEnv(Lengths(), "test")
    prompts, _ = many.reset(seed=0, options={"index": [4, 5, 6]})
    for row, index in enumerate((4, 5, 6)):
        assert one.reset(options={"index": index})[0] == prompts[row]
    steps = [many.step(["go", "go", "end 1"]), many.step(["end 2", "go", ""]), many.step(["", "go", ""])]
    steps.append(many.step(["", "go", ""]))
    one.reset(options={"index": 5})
    for step in steps:
        _, reward, terminated, truncated, _ = one.step("go")
        assert (reward, terminated, truncated) == (step[1][1], step[2][1], step[3][1])
    # row 2 ends in turn 1, row 0 in turn 2, row 1 at the cap
    assert [step[1].tolist() for step in steps] == [[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert steps[-1][2].tolist() == [True, False, True] and steps[-1][3].tolist() == [False, True, False]


def test_the_same_seed_gives_the_same_batch():
    def play(seed):
        env = TextVectorEnv(Lengths(), 4, share_items=2)
        return env.reset(seed=seed)[0], env.step(["a"] * 4)[0], env.reset()[0]

    assert play(3) == play(3) != play(4)
    observations = play(3)[1]
    assert observations[0] == observations[1] != observations[2]  # equal dice within a group


def test_ended_rows_rest_and_ignore_their_action():
    env = TextVectorEnv(Lengths(), 2)
    env.reset(seed=0)
    env.step(["end 1", "go"])
    assert env.active.tolist() == [False, True]
    observations, rewards, terminated, _, infos = env.step(["end 2", "end 2"])
    assert observations[0] == "" and rewards.tolist() == [0.0, 1.0] and terminated.all()
    assert infos["_verdict"].tolist() == [False, True]
    with pytest.raises(BadValue, match="no episode is going on in any row"):
        env.step(["x", "x"])


def test_some_rows_can_be_reset():
    env = TextVectorEnv(Lengths(), 3)
    first, _ = env.reset(seed=0)
    env.step(["end 1", "go", "end 1"])
    prompts, infos = env.reset(options={"reset_mask": np.array([True, False, False])})
    assert prompts[0] not in ("", first[0]) and prompts[1:] == ("", "")
    assert infos["_index"].tolist() == [True, False, False]
    assert env.active.tolist() == [True, True, False]


def test_turns_are_counted_from_the_last_reset():
    env = TextVectorEnv(Lengths(), 1)
    for _ in range(2):  # the cap is four turns, each time
        env.reset(seed=0)
        assert [bool(env.step(["go"])[3][0]) for _ in range(4)] == [False, False, False, True]


def test_next_step_resets_in_the_step_after_and_ignores_its_action():
    env = TextVectorEnv(Sums(), 2, autoreset_mode=AutoresetMode.NEXT_STEP)
    prompts, _ = env.reset(seed=0)
    _, rewards, terminated, _, _ = env.step([answer(prompts[0]), "x"])
    assert rewards.tolist() == [1.0, 0.0] and terminated.all()
    again, rewards, terminated, _, infos = env.step(["ignored", "ignored"])
    assert all(again) and again != prompts and rewards.tolist() == [0.0, 0.0] and not terminated.any()
    assert infos["verdict"].tolist() == ["", ""]
    assert env.step([answer(again[0]), "x"])[1].tolist() == [1.0, 0.0]


def test_same_step_resets_at_once_and_keeps_the_end():
    env = TextVectorEnv(Lengths(), 2, autoreset_mode="SameStep")
    first, before = env.reset(seed=0)
    observations, rewards, terminated, _, infos = env.step(["end 1", "go"])
    assert rewards.tolist() == [1.0, 0.0] and terminated.tolist() == [True, False]
    assert observations[0].startswith("case ") and observations[0] != first[0]
    assert observations[1].startswith("turn 1")
    assert infos["final_obs"][0].startswith("turn 1") and infos["final_obs"][1] is None
    assert infos["final_info"]["verdict"].tolist() == ["correct", None]
    assert infos["_final_info"].tolist() == [True, False] and infos["verdict"].tolist() == ["", ""]
    assert infos["final_info"]["index"][0] == before["index"][0] != infos["index"][0]
    assert env.active.all()
    observations, *_, infos = env.step(["go", "go"])
    assert "final_obs" not in infos and observations[0].startswith("turn 1") and observations[1].startswith("turn 2")


def test_a_reply_that_could_not_be_judged_is_nan_and_says_why():
    task = type("Odd", (Sums,), {"score": lambda self, item, reply: 1 / 0 if reply == "bad" else 1.0})()
    env = TextVectorEnv(task, 2)
    env.reset(seed=0)
    _, rewards, _, _, infos = env.step(["bad", "good"])
    assert np.isnan(rewards[0]) and rewards[1] == 1.0
    assert infos["verdict"].tolist() == ["error", "correct"] and "ZeroDivisionError" in infos["why"][0]


def test_thousands_of_rows_cost_nothing_to_make():
    start = time.process_time()
    TextVectorEnv(Sums(), 4096)
    assert time.process_time() - start < 0.01  # the aim is 1 ms; this is no benchmark


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"num_envs": 0}, "got 0 and 1"),
        ({"num_envs": 6, "share_items": 4}, "num_envs must be a multiple of share_items, got 6 and 4"),
    ],
)
def test_rows_must_divide_into_groups(numbers, message):
    with pytest.raises(BadValue, match=message):
        TextVectorEnv(Sums(), **numbers)


def test_an_unknown_mode_is_named():
    with pytest.raises(UnknownName, match="no autoreset mode 'NextSteps'; did you mean 'NextStep'"):
        TextVectorEnv(Sums(), 2, autoreset_mode="NextSteps")


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (["x"], "step needs one text for each of 2 rows"),
        ("xy", "step needs one text for each of 2 rows"),
        (["x", 3], "an action is a str, got int for row 1: 3"),
    ],
)
def test_actions_that_are_not_one_text_per_row_are_refused(actions, message):
    env = TextVectorEnv(Sums(), 2)
    env.reset(seed=0)
    with pytest.raises(BadValue, match=message):
        env.step(actions)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reset_mask": np.array([True])}, "reset_mask must be 2 truth values, not all False"),
        ({"reset_mask": np.zeros(2, bool)}, "reset_mask must be 2 truth values, not all False"),
        ({"reset_mask": np.array([1, 0])}, "reset_mask must be 2 truth values"),
        ({"index": [1, 2, 3]}, "index must be one whole number or 2 of them"),
        ({"index": 1.5}, "index must be one whole number"),
        ({"indices": 1}, "reset has no option 'indices'; its options: index, reset_mask"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(BadValue, match=message):
        TextVectorEnv(Sums(), 2).reset(options=options)


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_step_before_the_first_reset_is_refused(mode):
    with pytest.raises(BadValue, match=r"call reset\(\) first"):
        TextVectorEnv(Sums(), 2, autoreset_mode=mode).step(["x", "x"])
