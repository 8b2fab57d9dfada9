import copy
import pickle
import random
import textwrap
import time

import gymnasium
import pytest
from gymnasium.spaces import Discrete

import eggym
from eggym import check_rules, registry
from eggym.check import check_task
from eggym.check_rules import RULES
from eggym.check_sample import Broken, Sample
from eggym.env import TextEnv, UnicodeText
from eggym.errors import BadValue, TaskFault, UnknownName
from eggym.gym_task import Played, gym_task
from eggym.splits import SPLITS
from eggym.task import VerdictState

LIVES = 3


class Echo(gymnasium.Env):
    """Repeat the words, one a turn; a word that is wrong costs a life."""

    observation_space = UnicodeText()
    action_space = UnicodeText()
    closed = 0

    def __init__(self, words=2):
        self.n_words = words

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.words = [f"{self.np_random.integers(16**6):06x}" for _ in range(self.n_words)]
        self.lives = LIVES
        return "say " + " ".join(self.words), {"clock": time.perf_counter()}

    def step(self, action):
        if action == "crash":
            raise RuntimeError("out\nof order")
        right = action == self.words[0]
        if right:
            self.words.pop(0)
        else:
            self.lives -= 1
        reward = right / self.n_words
        return f"{len(self.words)} left", reward, not self.words, self.lives == 0, {}

    def close(self):
        type(self).closed += 1


def first_word(env):
    return env.words[0]


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(Echo, "closed", 0)
    known = set(gymnasium.registry)
    yield
    for name in gymnasium.registry.keys() - known:
        del gymnasium.registry[name]


@pytest.fixture
def task():
    return gym_task("me/echo-v0", Echo, oracle=first_word, max_turns=6, max_new_tokens=9)()


def play(task, replies, index=0, split="train"):
    item = task.item(split, index)
    state, seen = task.begin(item, random.Random(0)), []
    for reply in replies:
        observation, done = task.step(state, reply(item) if callable(reply) else reply)
        seen.append((observation, done))
        if done:
            break
    return state, seen


def word(place):
    return lambda item: item.prompt.split()[1 + place]


def test_the_prompt_is_the_first_observation_of_a_seed(task):
    item = task.item("test", 3)
    assert item.prompt == Echo().reset(seed=item.meta["seed"])[0]
    assert item == task.item("test", 3)


def test_rewards_are_summed_and_come_by_turn(task):
    state, seen = play(task, [word(0), "no", word(1)])
    assert seen == [("1 left", False), ("1 left", False), ("0 left", True)]
    assert state.rewards == [0.5, 0.0, 0.5]
    assert (task.judge(state).reward, task.judge(state).state) == (1.0, "correct")
    env = TextEnv(task)
    prompt, _ = env.reset(options={"index": 0})
    assert [env.step(text)[1:4] for text in ("x", *prompt.split()[1:])] == [
        (0.0, False, False),
        (0.5, False, False),
        (0.5, True, False),
    ]


def test_a_truncated_episode_keeps_what_it_earned(task):
    state, seen = play(task, [word(0), "no", "no", "no"])
    assert seen[-1] == ("1 left", True)
    assert (task.judge(state).reward, task.judge(state).state) == (0.5, "wrong")


def test_an_episode_owns_its_environment_and_closes_it_at_the_end(task):
    one, _ = play(task, [word(0)])
    other, _ = play(task, ["no"])
    assert one.env is not other.env and Echo.closed == 0
    task.judge(one)  # cut short by a cap on turns
    assert (one.env, Echo.closed) == (None, 1)
    play(task, [word(0), word(1)])
    assert Echo.closed == 2
    del other  # left in the middle
    assert Echo.closed == 3


def test_a_state_in_the_middle_is_pickled_as_seed_and_actions(task):
    state, _ = play(task, [word(0), "no"])
    for again in (pickle.loads(pickle.dumps(state)), copy.deepcopy(state)):
        assert again.env is None and again == state
        assert task.oracle(again) == task.oracle(state)
        assert task.step(again, "no") == ("1 left", False)  # two lives are gone
        assert task.step(again, "no") == ("1 left", True)
    assert state.rewards == [0.5, 0.0]  # a branch leaves the trunk alone


def test_what_an_environment_raises_on_a_text_is_an_error_and_no_crash(task):
    state, seen = play(task, [word(0), "crash"])
    assert seen[-1] == ("", True)
    verdict = task.judge(state)
    assert (verdict.reward, verdict.state) == (None, VerdictState.ERROR)
    assert verdict.why == "the environment raised RuntimeError: out of order"
    assert state.env is None and task.oracle(state) is None


def test_options_go_to_the_environment(task):
    assert len(type(task)(words=4).item("train", 0).prompt.split()) == 5
    with pytest.raises(TaskFault, match=r"making its environment raised TypeError: .*'wrods'"):
        type(task)(wrods=4).item("train", 0)
    with pytest.raises(BadValue, match="must be JSON values"):
        type(task)(words={1})


def test_check_finds_nothing_to_complain_of(task, monkeypatch):
    monkeypatch.setattr(check_rules, "N_SPLIT", dict.fromkeys(SPLITS, 100))
    report = check_task(task, n_items=6)
    assert [finding for finding in report.findings if not finding.passed] == []


def test_an_id_of_gymnasium_and_a_name_in_a_module(monkeypatch, tmp_path):
    gymnasium.register("them/echo-v3", entry_point=Echo, kwargs={"words": 3}, max_episode_steps=2)
    task = gym_task("me/theirs-v0", "them/echo-v3", oracle=first_word)()
    state, seen = play(task, [word(0), word(1), word(2)])
    assert seen == [("2 left", False), ("1 left", True)]  # Gymnasium's own limit
    assert task.judge(state).reward == pytest.approx(2 / 3)
    assert task.oracle(play(task, [])[0]) in task.item("train", 0).prompt
    (tmp_path / "their_words.py").write_text("from gymnasium import Env\nclass Silent(Env):\n    reset = step = None\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert gym_task("me/named-v0", "their_words:Silent")()._make() is not None
    with pytest.raises(UnknownName, match="'Silnt'; did you mean 'Silent'"):
        gym_task("me/odd-v0", "their_words:Silnt")().item("train", 0)
    with pytest.raises(TaskFault, match="making its environment raised NameNotFound"):
        gym_task("me/none-v0", "them/ehco-v3")().item("train", 0)


class Numbers(Echo):
    action_space = Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return int(self.np_random.integers(10**6)), {}

    def step(self, action):
        return action, float(action == 2), True, False, {}


def test_what_is_no_text_is_refused_with_the_way_out_and_functions_are_the_way():
    with pytest.raises(BadValue, match=r"'me/n-v0': its environment takes Discrete\(3\), not text; give gym_task act="):
        gym_task("me/n-v0", Numbers)().item("train", 0)
    with pytest.raises(BadValue, match=r"its environment shows [0-9]+, not text; give gym_task observe="):
        gym_task("me/n-v1", Numbers, act=len)().item("train", 0)
    task = gym_task("me/n-v2", Numbers, act=len, observe="number {}".format, oracle=lambda env: "ab")()
    assert task.item("train", 0).prompt.startswith("number ")
    state, seen = play(task, ["xy"])
    assert (seen, task.judge(state).reward) == ([("number 2", True)], 1.0)


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (("", 1.5, True, False, {}), "its rewards sum to 1.5, outside [0, 1]; give gym_task another reward_range"),
        (("", None, True, False, {}), "the reward of a step is a finite number, got None"),
        (("", float("nan"), True, False, {}), "the reward of a step is a finite number, got nan"),
        (("", 1.0, True, {}), "step must return the five values of gymnasium.Env, got"),
        ((b"", 1.0, True, False, {}), "its environment shows b'', not text; give gym_task observe="),
    ],
)
def test_a_step_that_is_none_is_an_error(step, why):
    task = gym_task("me/odd-v0", type("Odd", (Echo,), {"step": lambda self, action: step}))()
    state, seen = play(task, ["x"])
    verdict = task.judge(state)
    assert seen[-1][1] and (verdict.reward, verdict.state) == (None, "error")
    assert why in verdict.why


class Moody(Echo):
    """Draws from a generator of its own, whatever the seed."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return f"{random.Random().random()}", {}


class Sloppy(Echo):
    """Pays by chance."""

    def step(self, action):
        return "", random.Random().random(), False, False, {}


def test_an_environment_that_does_not_repeat_is_convicted():
    task = gym_task("me/moody-v0", Moody)()
    with pytest.raises(Broken, match=r"once and .* another time"):
        RULES["items repeat"](Sample(task, [task.item("train", index) for index in range(3)]))
    verdict = task.judge(play(task, ["x"])[0])
    assert verdict.state == "error" and "does not repeat under the seed" in verdict.why
    task = gym_task("me/sloppy-v0", Sloppy)()
    state = pickle.loads(pickle.dumps(play(task, ["x"])[0]))
    task.step(state, "y")
    assert "does not repeat under the seed" in task.judge(state).why


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("echo", Echo), BadValue, "is not of the form namespace/name-vN"),
        (("me/e-v0", Echo()), BadValue, "makes no environments; give its class, not an instance"),
    ],
)
def test_arguments_that_are_none_are_refused(arguments, kind, message):
    with pytest.raises(kind, match=message):
        gym_task(*arguments)


def test_a_setting_that_does_not_exist_is_refused():
    with pytest.raises(UnknownName, match="no setting of a task 'max_tokens'; did you mean 'max_new_tokens'"):
        gym_task("me/e-v0", Echo, max_tokens=3)
    with pytest.raises(BadValue, match=r"is no gymnasium\.Env; give its class, its id or a function"):
        gym_task("me/e-v1", dict)().item("train", 0)


@pytest.mark.parametrize("name", ["", ":Mine"])
def test_a_file_of_an_environment_alone_says_how_to_wrap_it(tmp_path, name):
    path = tmp_path / "mine.py"
    path.write_text("import gymnasium\n\nclass Mine(gymnasium.Env):\n    pass\n")
    with pytest.raises(BadValue, match=r'wrap it, as in MyTask = eggym.gym_task\("me/name-v0", Mine\)') as caught:
        eggym.load_task(f"{path}{name}")
    assert "\n" not in str(caught.value)


def test_a_file_with_a_wrapped_environment_is_a_task(tmp_path):
    path = tmp_path / "coin.py"
    path.write_text(
        textwrap.dedent("""
        import eggym, gymnasium

        class Coin(gymnasium.Env):
            "Call a coin."

            def reset(self, *, seed=None, options=None):
                super().reset(seed=seed)
                self.side = ("heads", "tails")[self.np_random.integers(2)]
                return f"toss {self.np_random.integers(10**6)}: {self.side}, I think", {}

            def step(self, action):
                return "", float(action == self.side), True, False, {}

        Toss = eggym.gym_task("me/coin-v0", Coin, oracle=lambda env: env.side, floor=0.5)
        """)
    )
    task = eggym.load_task(str(path))
    assert (task.id, task.floor, registry.task_table()["me/coin-v0"]) == ("me/coin-v0", 0.5, "Call a coin.")
    state, _ = play(task, [task.oracle(Played(task.item("train", 0).meta["seed"], task.item("train", 0).prompt))])
    assert task.judge(state).reward == 1.0


def test_many_episodes_at_once(task):
    envs = eggym.TextVectorEnv(task, 4, "validation", share_items=2)
    prompts, _ = envs.reset(seed=1)
    assert prompts[0] == prompts[1] != prompts[2]
    for place in (1, 2):
        _, rewards, over, _, _ = envs.step([prompt.split()[place] for prompt in prompts])
        assert rewards.tolist() == [0.5] * 4 and over.all() == (place == 2)
