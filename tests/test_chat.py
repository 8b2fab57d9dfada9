import warnings

import gymnasium
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

from eggym import ChatObservation, Item, MultiTurnTask, TextEnv
from eggym.errors import BadValue


class Polite(MultiTurnTask):
    """Answers twice."""

    id = "me/polite-v0"
    system = "Be polite."
    few_shot = (("hello 0", "good day"),)

    def generate(self, rng):
        return Item(f"hello {rng.randint(1, 10**6)}")

    def start(self, item, rng):
        return []

    def reply(self, state, text):
        state.append(text)
        return ("", True) if len(state) == 2 else ("and then? ∀", False)

    def score(self, state):
        return 1.0


def test_an_observation_is_the_whole_conversation():
    env = ChatObservation(TextEnv(Polite()))
    before = (
        {"role": "system", "content": "Be polite."},
        {"role": "user", "content": "hello 0"},
        {"role": "assistant", "content": "good day"},
    )
    first, _ = env.reset(seed=0)
    assert first[:-1] == before and first[-1]["content"].startswith("hello ")
    second, *_ = env.step("well")
    assert second == (*first, {"role": "assistant", "content": "well"}, {"role": "user", "content": "and then? ∀"})
    last, reward, terminated, _, _ = env.step("bye")
    assert last == (*second, {"role": "assistant", "content": "bye"}) and (reward, terminated) == (1.0, True)
    assert all(observation in env.observation_space for observation in (first, second, last))


@pytest.mark.parametrize(
    ("options", "roles"),
    [
        ({"system": False}, ["user", "assistant", "user"]),
        ({"few_shot": False}, ["system", "user"]),
        ({"system": False, "few_shot": False}, ["user"]),
    ],
)
def test_what_stands_before_may_be_left_out(options, roles):
    messages, _ = ChatObservation(TextEnv(Polite()), **options).reset(seed=0)
    assert [message["role"] for message in messages] == roles


def test_a_fresh_context_shows_its_own_messages_alone():
    env = ChatObservation(TextEnv(type("Fresh", (Polite,), {"fresh_context": True})()), system=False, few_shot=False)
    env.reset(seed=0)
    assert env.step("well")[0] == ({"role": "user", "content": "and then? ∀"},)


def test_what_a_caller_does_to_an_observation_stays_with_the_caller():
    env = ChatObservation(TextEnv(Polite()))
    first, _ = env.reset(seed=0)
    for message in first:
        message["content"] = "changed"
    assert "changed" not in {message["content"] for message in env.step("well")[0]}


def test_check_env_passes():
    env = ChatObservation(gymnasium.make("eggym/wordle-v0").unwrapped)
    env.action_space.seed(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env, skip_close_check=True)
    left = [str(one.message) for one in caught if "different from the unwrapped version" not in str(one.message)]
    assert left == []  # that one is said of every wrapper


def test_a_spec_with_the_wrapper_survives_json_and_many_run_side_by_side():
    env = ChatObservation(gymnasium.make("eggym/guess-v0", split="test"), system=False)
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.reset(seed=3)[0] == env.reset(seed=3)[0]
    envs = gymnasium.make_vec("eggym/guess-v0", 2, vectorization_mode="sync", wrappers=[ChatObservation])
    observations, _ = envs.reset(seed=1)
    assert [observation[0]["role"] for observation in observations] == ["user", "user"]


def test_another_environment_is_refused():
    with pytest.raises(BadValue, match="ChatObservation needs an environment of eggym, got"):
        ChatObservation(gymnasium.make("CartPole-v1"))
