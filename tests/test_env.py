import copy
import json
import pickle
import random
import warnings

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector.utils import batch_space

import eggym.envs
from eggym.env import MAX_CHARACTERS, TextEnv, UnicodeText, ending
from eggym.errors import BadValue, TaskFault
from eggym.registry import load_task
from eggym.task import Item, MultiTurnTask, SingleTurnTask, Verdict, VerdictState


class Echo(SingleTurnTask):
    """Say it again; half for the wrong case."""

    id = "me/echo-v0"

    def generate(self, rng):
        word = f"wörd {rng.randint(0, 10**6)}"
        return Item(word, word)

    def score(self, item, reply):
        if reply == item.truth:
            return Verdict(1.0, VerdictState.CORRECT, reply, parts={"letters": 1.0})
        return Verdict(0.0, VerdictState.WRONG, reply, f"expected {item.truth}", {"letters": 0.0})


class Dice(MultiTurnTask):
    """The environment throws; the episode ends at "stop", or after three turns. Paid: the last throw over six."""

    id = "me/dice-v0"
    max_turns = 3

    def generate(self, rng):
        return Item(f"table {rng.randint(0, 10**6)}")

    def start(self, item, rng):
        return {"throws": [rng.randint(1, 6) for _ in range(3)], "turn": 0}

    def reply(self, state, text):
        state["turn"] += 1
        return f"a {state['throws'][state['turn'] - 1]}", text == "stop"

    def score(self, state):
        return state["throws"][state["turn"] - 1] / 6


@pytest.fixture(scope="session")
def options_of(tmp_path_factory):
    """What it takes to make a registered task without a network."""
    order = {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    rows = {
        "gsm8k": [{"question": f"What is {n} + {n}?", "answer": f"{n} + {n}\n#### {2 * n}"} for n in range(40)],
        "math500": [
            {"problem": f"What is {n} + {n}?", "solution": f"\\boxed{{{2 * n}}}", "answer": str(2 * n)}
            for n in range(40)
        ],
        "humaneval": [
            {
                "task_id": f"Test/{n}",
                "prompt": f"def plus(x):\n    ''' x and {n}. '''\n",
                "canonical_solution": f"    return x + {n}\n",
                "entry_point": "plus",
                "test": f"def check(candidate):\n    assert candidate(1) == {n + 1}\n",
            }
            for n in range(40)
        ],
        "mbpp": [
            {
                "task_id": 20 * n + 1,
                "prompt": f"Add {n}.",
                "code": f"def plus(x): return x + {n}",
                "test_list": [f"assert plus({x}) == {x + n}" for x in (1, 2, 3)],
            }
            for n in range(48)
        ],
        "ifeval": [{"key": n, "prompt": f"Say {n} without commas.", **order} for n in range(40)],
    }
    files = {f"eggym/{name}-v0": tmp_path_factory.mktemp(name) / "rows.jsonl" for name in rows}
    for file, lines in zip(files.values(), rows.values(), strict=True):
        file.write_text("\n".join(map(json.dumps, lines)))
    return lambda task_id: {"data": str(files[task_id])} if task_id in files else {}


# -- every registered id --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task_id", eggym.envs.TASKS)
def test_check_env_passes_without_a_warning(task_id, options_of):
    env = gymnasium.make(task_id, split="test", **options_of(task_id))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env.unwrapped)
    assert [str(warning.message) for warning in caught] == []


@pytest.mark.parametrize("task_id", eggym.envs.TASKS)
def test_make_vec_works(task_id, options_of):
    split = "test" if task_id == "eggym/humaneval-v0" else "validation"  # which has test alone
    envs = gymnasium.make_vec(task_id, num_envs=4, share_items=2, split=split, **options_of(task_id))
    prompts, _ = envs.reset(seed=3)
    assert prompts[0] == prompts[1] and prompts[2] == prompts[3]
    assert envs.observation_space.contains(prompts)
    observations, rewards, *_ = envs.step(envs.action_space.sample())
    assert envs.observation_space.contains(observations) and rewards.shape == (4,)


WITH_OPTIONS = [
    ("eggym/wordle-v0", {"turns": 2, "listed": True}),
    ("eggym/mastermind-v0", {"pegs": 3, "colours": 5, "reward": "partial"}),
    ("eggym/guess-number-v0", {"numbers": 30, "slack": 0}),
]


@pytest.mark.parametrize(("task_id", "options"), [*((task_id, {}) for task_id in eggym.envs.TASKS), *WITH_OPTIONS])
def test_an_environment_made_from_its_spec_as_json_plays_the_same(task_id, options, options_of):
    env = gymnasium.make(task_id, split="test", **options, **options_of(task_id))
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.task.difficulty == env.unwrapped.task.difficulty == env.unwrapped.task.difficulty | options
    traces = []
    for one in (env, again):
        traces.append([one.reset(seed=11)])
        while not any(traces[-1][-1][2:4]):
            traces[-1].append(one.step(traces[-1][0][0]))
    assert traces[0] == traces[1]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_gymnasiums_own_vector_environments_work(mode):
    extra = {"vector_kwargs": {"shared_memory": False}} if mode == "async" else {}
    envs = gymnasium.make_vec("eggym/guess-v0", num_envs=2, vectorization_mode=mode, **extra)
    try:
        prompts, _ = envs.reset(seed=1)
        assert len(prompts) == 2 and envs.step(("50", "50"))[1].shape == (2,)
    finally:
        envs.close()


# -- one episode ----------------------------------------------------------------------------------------------------


def test_one_turn():
    env = TextEnv(Echo(), "test")
    prompt, info = env.reset(options={"index": 4})
    assert prompt == Echo().item("test", 4).prompt
    assert info == {"split": "test", "index": 4, "verdict": "", "found": None, "why": "", "reward_parts": {}}
    observation, reward, terminated, truncated, info = env.step(prompt)
    assert (observation, reward, terminated, truncated) == ("", 1.0, True, False)
    assert (info["verdict"], info["found"], info["reward_parts"]) == ("correct", prompt, {"letters": 1.0})
    assert env.messages == [{"role": "user", "content": prompt}, {"role": "assistant", "content": prompt}]


def test_several_turns_are_paid_at_the_end_alone():
    env = TextEnv(Dice())
    env.reset(seed=0)
    first, reward, terminated, truncated, info = env.step("go")
    assert (reward, terminated, truncated, info["verdict"]) == (0.0, False, False, "")
    second, reward, terminated, truncated, info = env.step("stop")
    assert (reward, terminated, truncated) == (pytest.approx(int(second[-1]) / 6), True, False)
    assert [message["role"] for message in env.messages] == ["user", "assistant"] * 2 + ["user"]
    assert env.messages[2]["content"] == first


def test_the_cap_on_turns_truncates_and_still_judges():
    env = TextEnv(Dice())
    env.reset(seed=0)
    results = [env.step("go") for _ in range(3)]
    assert [(step[2], step[3]) for step in results] == [(False, False), (False, False), (False, True)]
    assert results[-1][1] == pytest.approx(int(results[-1][0][-1]) / 6)


@pytest.mark.parametrize(
    ("max_turns", "n_turns", "done", "expected"),
    [
        (1, 1, True, (True, False)),
        (1, 1, False, (True, False)),  # a limit of one turn is the nature of the task
        (3, 1, False, (False, False)),
        (3, 3, False, (False, True)),
        (3, 3, True, (True, False)),  # never both
    ],
)
def test_how_an_episode_ends(max_turns, n_turns, done, expected):
    task = type("Capped", (Dice,), {"max_turns": max_turns})()
    assert ending(task, n_turns, done) == expected


def test_a_seed_decides_item_and_dice_and_nothing_else_does():
    def play(env, seed):
        trace = [env.reset(seed=seed)[0], env.step("go")[0]]
        return [*trace, env.reset()[0], env.step("go")[0]]

    env, other = TextEnv(Dice()), TextEnv(Dice())
    first = play(env, 5)
    random.seed(0)
    other.reset(seed=9)  # an interleaved instance
    assert play(other, 5) == first == play(env, 5)
    assert play(env, 6) != first


def test_items_come_from_the_split():
    env = TextEnv(Echo(), "validation")
    assert {env.reset(seed=seed)[1]["split"] for seed in range(5)} == {"validation"}


# -- refusals -------------------------------------------------------------------------------------------------------


def test_a_step_outside_an_episode_is_refused():
    env = TextEnv(Echo())
    with pytest.raises(BadValue, match=r"no episode is going on; call reset\(\) first"):
        env.step("x")
    env.reset(seed=0)
    env.step("x")
    with pytest.raises(BadValue, match="no episode is going on"):
        env.step("x")


def test_an_action_must_be_text():
    env = TextEnv(Echo())
    env.reset(seed=0)
    with pytest.raises(BadValue, match="an action is a str, got int: 3"):
        env.step(3)


def test_an_unknown_option_or_split_is_refused():
    with pytest.raises(BadValue, match="reset has no option 'indx'; its options: index"):
        TextEnv(Echo()).reset(options={"indx": 3})
    with pytest.raises(BadValue, match="no split 'tset'"):
        TextEnv(Echo(), "tset")


def test_an_empty_split_is_named():
    task = type("None", (Echo,), {"n_items": lambda self, split: 0})()
    with pytest.raises(BadValue, match="task 'me/echo-v0' has no items in split 'train'"):
        TextEnv(task).reset(seed=0)


@pytest.mark.parametrize("score", [float("nan"), "1", None, 7.0])
def test_a_broken_grader_is_no_zero(score):
    env = TextEnv(type("Broken", (Echo,), {"score": lambda self, item, reply: score})(), "test")
    env.reset(options={"index": 2})
    with pytest.raises(TaskFault, match=r"task 'me/echo-v0' could not judge the reply to item test\[2\]: task"):
        env.step("x")


# -- the space ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "plain", "ünï ∀ 😀 \n\0", "x" * MAX_CHARACTERS])
def test_any_text_is_inside(text):
    assert text in UnicodeText()


@pytest.mark.parametrize("thing", [None, 3, b"bytes", ["a"], "x" * 11])
def test_what_is_no_text_or_too_long_is_outside(thing):
    assert thing not in UnicodeText(10)


def test_a_space_is_known_by_type_and_bound():
    assert UnicodeText(10) == UnicodeText(10) != UnicodeText(11)
    assert UnicodeText(10) != gymnasium.spaces.Text(10)
    assert repr(UnicodeText()) == "UnicodeText(1000000)"


def test_samples_are_short_repeatable_and_sometimes_hold_a_marker():
    space = UnicodeText()
    space.seed(1)
    samples = [space.sample() for _ in range(200)]
    space.seed(1)
    assert [space.sample() for _ in range(200)] == samples
    assert all(sample in space and len(sample) < 60 for sample in samples)
    assert any("####" in sample for sample in samples) and any("\\boxed{" in sample for sample in samples)
    assert all(UnicodeText(3).sample() in UnicodeText(3) for _ in range(50))


def test_a_space_can_be_copied_pickled_and_batched():
    space = UnicodeText(50)
    assert pickle.loads(pickle.dumps(space)) == copy.deepcopy(space) == space
    assert batch_space(space, 3).contains(("a", "é", ""))


def test_a_task_may_be_given_options_through_make():
    with pytest.raises(BadValue, match="has no option 'colour'"):
        gymnasium.make("eggym/tiny-arithmetic-v0", colour=3)
    assert load_task("tiny-arithmetic").id == "eggym/tiny-arithmetic-v0"
