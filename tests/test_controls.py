import pytest

from eggym.agents.controls import FROZEN
from eggym.episode import Ending, Episode, EpisodeBatch
from eggym.errors import BadValue
from eggym.registry import load_learner
from eggym.task import Item, Verdict, VerdictState
from eggym.views import ParameterSpace


class Listener:
    """Records what it was told."""

    def __init__(self):
        self.told = []

    def tell(self, batch):
        self.told.append([episode.reward for episode in batch.episodes])
        return {}


def batch(step):
    verdicts = [Verdict(float(i), VerdictState.WRONG) for i in range(64)]
    episodes = [Episode(Item("p"), i, 0, 0, [], [], verdict, Ending.ANSWERED) for i, verdict in enumerate(verdicts)]
    return EpisodeBatch(step, episodes, 64, 1, 1)


def test_frozen_asks_for_nothing(policy):
    learner = FROZEN.build(policy, ParameterSpace(), 0, FROZEN.resolve("tiny", {}))
    assert learner.ask(0) is None and learner.state_dict() == {}


def test_rewards_are_shuffled_by_name_and_nothing_else_changes():
    from eggym.agents.controls import RandomReward

    told = []
    for seed in (0, 0, 1):
        inner = Listener()
        control = RandomReward(inner, seed)
        original = batch(0)
        control.tell(original)
        control.tell(batch(1))
        assert [episode.reward for episode in original.episodes] == [float(i) for i in range(64)]
        assert all(sorted(rewards) == [float(i) for i in range(64)] for rewards in inner.told)
        told.append(inner.told)
    assert told[0] == told[1] != told[2]
    assert told[0][0] != told[0][1]
    correlation = sum((r - 31.5) * (i - 31.5) for i, r in enumerate(told[0][0])) / sum(
        (i - 31.5) ** 2 for i in range(64)
    )
    assert abs(correlation) < 0.5


@pytest.mark.parametrize("inner", ["frozen", "random-reward:eggroll", "random-reward:frozen"])
def test_a_control_has_no_control(inner):
    name = "frozen" if inner.endswith("frozen") else inner
    with pytest.raises(BadValue, match=f"{name} is a control itself; give random-reward a learner such as eggroll"):
        load_learner(f"random-reward:{inner}")


def test_the_control_of_a_learner_is_that_learner_with_its_own_options():
    control = load_learner("random-reward:eggroll")
    assert (control.name, control.kind) == ("random-reward:eggroll", "control")
    assert control.resolve("tiny", {}) == load_learner("eggroll").resolve("tiny", {})
