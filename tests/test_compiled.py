import json

import pytest
import torch

from eggym.budget import FlopModel, Meter
from eggym.config import RunConfig, resolve
from eggym.counter import as_key
from eggym.engine import Engine
from eggym.errors import BadValue, UnknownName
from eggym.sampling import Draw
from eggym.seeding import key
from eggym.session import Sampling, Turn
from eggym.train import run_plan
from eggym.views import PolicyViews

# what torch itself says while it compiles
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


SIZES = {"eggroll": {"population": 4, "items": 3}, "dr_grpo": {"items": 3, "replies": 4}}


def plan(learner="eggroll", **settings):
    sizes = {f"{learner}.{name}": value for name, value in SIZES[learner].items()}
    quick = {"eval.items": 8, "eval.points": 1, "eval.many": 0, "eval.train_items": 0, **sizes, **settings}
    return resolve(RunConfig("tiny-programs", learner, budget="40episodes", set=quick))


def replies(policy, n_rows, compiled):
    """What 16 and more rows say, each with random numbers of its own, to prompts of many lengths."""
    engine = Engine(policy, Meter(FlopModel.of(policy.model)), compiled=compiled)
    turns = [
        Turn(row, policy.tokenizer(f"{row} + " * (1 + row % 7)).input_ids, as_key(key("row", row)))
        for row in range(n_rows)
    ]
    with (
        PolicyViews(1, 1).attach(policy.model) as nobody,
        engine.open(nobody, [0] * n_rows, Sampling(Draw(1.0, False), 20), 64) as session,
    ):
        session.begin(turns)
        found = {}
        while session.busy:
            rows = session.decode()
            found |= {row: session.reply(row) for row in rows}
            session.release(rows)
    return [found[row] for row in range(n_rows)]


def test_a_run_says_whether_it_is_compiled_and_its_engine_is():
    for given, wanted in (({}, False), ({"engine.compile": True}, True)):
        found = plan(**given)
        assert found.identity()["engine"] == {"compile": wanted}
        assert found.rollout(Meter(FlopModel.of(found.policy.model))).engine.compiled is wanted


def test_without_a_compiler_it_is_refused_in_one_line():
    from torch._inductor import config

    refused = pytest.raises(BadValue, match=r"engine\.compile needs a C\+\+ compiler, and torch finds none")
    with config.patch({"cpp.cxx": (None, "/nonexistent/g++")}), refused:
        plan(**{"engine.compile": True})


def test_other_names_and_kinds_of_values_are_refused():
    with pytest.raises(UnknownName, match=r"no setting engine 'compil'; did you mean 'compile'"):
        plan(**{"engine.compil": True})
    with pytest.raises(BadValue, match=r"engine\.compile"):
        plan(**{"engine.compile": "perhaps"})


@pytest.mark.slow
def test_compiled_passes_give_the_replies_of_the_eager_ones_whatever_the_number_of_rows(policy):
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    fused = replies(policy, 48, True)
    for eager, one in zip(replies(policy, 48, False), fused, strict=True):
        assert one.ids == eager.ids and one.logprobs == pytest.approx(eager.logprobs, abs=1e-4)
    assert replies(policy, 16, True) == fused[:16]  # to the bit
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2  # reading and decoding, of any size


@pytest.mark.slow
@pytest.mark.parametrize("learner", ["eggroll", "dr_grpo"])
def test_a_compiled_run_learns_what_the_eager_one_does_and_can_be_repeated(tmp_path, learner):
    rewards = {}
    for name, compiled in (("eager", False), ("compiled", True), ("again", True)):
        folder = tmp_path / name
        run_plan(plan(learner, **{"engine.compile": compiled}), folder, lambda event: None, force=True)
        lines = (folder / "steps.jsonl").read_text().splitlines()
        rewards[name] = [(line["reward"], line["metrics"]) for line in map(json.loads, lines)]
    assert rewards["compiled"] == rewards["again"]
    assert [reward for reward, _ in rewards["compiled"]] == [reward for reward, _ in rewards["eager"]]
