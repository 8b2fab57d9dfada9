"""Reward models as scorers: a random classifier of two layers stands for a real one. No hub, no GPU."""

import json
import math
import shutil

import pytest

from eggym.base_model import Architecture, build_model, build_tokenizer
from eggym.digest import digest
from eggym.envs import logits as logits_module
from eggym.envs.logits import RewardModel, pair_accuracy
from eggym.envs.reward_model import RewardModelTask, reward_model_task
from eggym.errors import BadValue, UnknownName
from eggym.task import Exchange, VerdictState

PAIRS = [(f"say {n}", "word " * (n % 7) + str(n)) for n in range(40)]
ROWS = [{"q": f"say {n}", "a": str(n)} for n in range(60)]


def write(folder, seed=0, n_labels=1, template=True):
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    config = LlamaConfig(
        vocab_size=100, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=128, num_labels=n_labels, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForSequenceClassification(config)
        for weight in model.parameters():
            if weight.ndim >= 2:
                weight.data.mul_(6.0)
    tokenizer = build_tokenizer()
    if not template:
        tokenizer.chat_template = None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("models") / "rm")


@pytest.fixture(scope="module")
def model(folder):
    return RewardModel(folder, device="cpu")


def values(model, pairs=PAIRS, **kwargs):
    return [each.value for each in RewardModel(model.name, device="cpu", **kwargs).logits(pairs)]


def by_hand(folder, text):
    """The library alone: one text, no pads."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    classifier = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return float(classifier(**tokenizer(text, return_tensors="pt", add_special_tokens=False)).logits)


def test_a_logit_is_what_the_library_gives_with_one_bos(model, folder):
    found = model.logits([("say 1", "word")])[0]
    assert found.value == pytest.approx(by_hand(folder, "<bos>say 1\nword<eos>"), abs=1e-5)
    assert found.value != pytest.approx(by_hand(folder, "<bos><bos>say 1\nword<eos>"), abs=1e-3)
    assert found.n_cut == 0
    assert len({each.value for each in model.logits(PAIRS)}) > 20


def test_without_a_template_prompt_and_reply_are_a_pair(tmp_path):
    folder = write(tmp_path / "rm", template=False)
    found = RewardModel(folder, device="cpu").logits([("say 1", "word")])[0]
    assert found.value == pytest.approx(by_hand(folder, "say 1word"), abs=1e-5)


def test_a_system_prompt_is_read(model, folder):
    found = model.logits([("say 1", "word")], system="be kind")[0]
    assert found.value == pytest.approx(by_hand(folder, "<bos>be kind\nsay 1\nword<eos>"), abs=1e-5)


@pytest.mark.parametrize("batch_tokens", [16, 100, 1000, 100_000])
def test_a_text_has_the_same_bits_wherever_it_stands(model, batch_tokens):
    want = values(model)
    assert values(model, batch_tokens=batch_tokens) == want
    assert values(model, PAIRS[::-1], batch_tokens=batch_tokens) == want[::-1]
    assert values(model, PAIRS[5:6]) == want[5:6]
    assert values(model, [PAIRS[5]] * 3) == [want[5]] * 3


def test_only_texts_of_one_padded_length_are_run_together():
    lengths = {"a": 3, "b": 16, "c": 17, "d": 100, "e": 1}
    assert list(logits_module._batches(lengths, 32)) == [["e", "a"], ["b"], ["c"], ["d"]]
    assert list(logits_module._batches(lengths, 1000)) == [["e", "a", "b"], ["c"], ["d"]]


def test_pads_change_nothing_that_matters(model, monkeypatch):
    want = values(model)
    monkeypatch.setattr("eggym.envs.classifier.BLOCK", 64)
    assert values(model) == pytest.approx(want, abs=1e-4)


def test_what_does_not_fit_is_cut_on_the_left_and_counted(model, folder):
    # 128 tokens fit: <bos>, the last 126 characters, <eos>; the text has <bos>, "say 1\n", 200 and <eos>: 208
    long = "".join(str(n % 10) for n in range(200))
    found = model.logits([("say 1", long)])[0]
    assert found.n_cut == 80
    assert found.value == pytest.approx(by_hand(folder, f"<bos>{long[-126:]}<eos>"), abs=1e-4)
    short = RewardModel(folder, max_length=32, device="cpu")
    assert short.logits([("say 1", long)])[0].n_cut == 176
    assert short.digest != model.digest


def test_each_pair_is_computed_once_and_memory_is_bounded(folder, monkeypatch):
    model = RewardModel(folder, device="cpu")
    ran = []
    whole = model._loaded.run
    monkeypatch.setattr(model._loaded, "run", lambda texts: ran.append(len(texts)) or whole(texts))
    model.logits([PAIRS[0], PAIRS[0], PAIRS[1]])
    model.logits([PAIRS[1], PAIRS[0]])
    assert sum(ran) == 2
    monkeypatch.setattr(logits_module, "MOST_KEPT", 10)
    first = [each.value for each in model.logits(PAIRS)]
    assert len(model._kept) == 10
    assert [each.value for each in model.logits(PAIRS)] == first


def test_a_recording_answers_without_the_model(folder, tmp_path):
    moved, record = tmp_path / "rm", str(tmp_path / "record")
    shutil.copytree(folder, moved)
    first = RewardModel(str(moved), device="cpu", record=record)
    want, name = first.logits(PAIRS), first.digest
    shutil.rmtree(moved)
    again = RewardModel(str(moved), device="cpu", record=record)
    assert (again.logits(PAIRS), again.digest, again.specials_in("a</s><eos>")) == (want, name, ["<eos>"])
    with pytest.raises(BadValue, match="cannot be loaded"):
        again.logits([("new", "text")])


def test_half_a_line_of_a_recording_is_asked_again(folder, tmp_path):
    RewardModel(folder, device="cpu", record=str(tmp_path)).logits(PAIRS[:3])
    path = tmp_path / "logits.jsonl"
    path.write_text(path.read_text()[:-20])
    model = RewardModel(folder, device="cpu", record=str(tmp_path))
    assert len(model._recording.rows) == 2
    assert len(model.logits(PAIRS[:3])) == 3
    assert len(RewardModel(folder, record=str(tmp_path))._recording.rows) >= 2


def test_a_recording_of_another_model_or_setting_is_refused(folder, tmp_path):
    RewardModel(folder, device="cpu", record=str(tmp_path / "record")).logits(PAIRS[:1])
    other = write(tmp_path / "other", seed=1)
    with pytest.raises(BadValue, match="recorded with another model"):
        RewardModel(other, device="cpu", record=str(tmp_path / "record")).logits(PAIRS[1:2])
    with pytest.raises(BadValue, match="was recorded with max_length=None, not 64"):
        RewardModel(folder, max_length=64, record=str(tmp_path / "record")).logits(PAIRS[:1])


def test_the_digest_is_that_of_the_weights(model, tmp_path):
    assert RewardModel(write(tmp_path / "same"), device="cpu").digest == model.digest
    assert RewardModel(write(tmp_path / "other", seed=1), device="cpu").digest != model.digest


def test_what_is_no_reward_model_is_refused(tmp_path):
    with pytest.raises(BadValue, match="has 2 labels; one number is read"):
        _ = RewardModel(write(tmp_path / "two", n_labels=2)).digest
    with pytest.raises(BadValue, match="cannot be loaded"):
        _ = RewardModel(str(tmp_path / "none")).digest
    causal = tmp_path / "causal"
    causal.mkdir()
    build_model(Architecture(32, 1, 2, 48)).save_pretrained(causal)
    build_tokenizer().save_pretrained(causal)
    with pytest.raises(BadValue, match=r"has 2 labels|lacks weights, such as score.weight"):
        _ = RewardModel(str(causal)).digest
    with pytest.raises(BadValue, match="batch_tokens of reward model 'x' must be at least 16, got 1"):
        RewardModel("x", batch_tokens=1)


# -- tasks ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def make(model, request):
    def make(name, **settings):
        settings = {"model": model, "prompt": "{q}", **settings}
        kind = reward_model_task(f"test/rm-{name}-{abs(hash(request.node.name))}-v0", ROWS, **settings)
        return kind()

    return make


def judged(task, replies, index=0):
    item = task.item("test", index)
    return task.judge_all([Exchange(item, reply) for reply in replies])


def test_the_sigmoid_of_the_logit_is_the_reward(make, model):
    task = make("sigmoid")
    verdicts = judged(task, ["a", "word word", "a"])
    logits = model.logits([(task.item("test", 0).prompt, reply) for reply in ("a", "word word")])
    want = [1 / (1 + math.exp(-each.value)) for each in logits]
    assert [one.reward for one in verdicts] == pytest.approx([*want, want[0]])
    assert verdicts[0].parts == {"logit": logits[0].value, "cut": 0.0}
    assert {one.state is VerdictState.CORRECT for one in verdicts} == {each.value > 0 for each in logits}
    assert isinstance(task, RewardModelTask)


def test_raw_logits_are_clipped_to_their_bounds(make, model):
    task = make("raw", scale="raw", bounds=(-0.01, 0.01))
    assert {abs(one.reward) for one in judged(task, ["a", "word word", "x y z"])} == {0.01}
    assert make("wide", scale="raw").reward_range == (-10.0, 10.0)


@pytest.mark.parametrize(("scale", "alone"), [("group", 0.0), ("rank", 0.5)])
def test_a_group_scale_compares_replies_to_one_item(make, scale, alone):
    task = make(scale, scale=scale)
    found = judged(task, ["a", "word word", "x y z", "longer than that"])
    logits = [one.parts["logit"] for one in found]
    assert sorted(range(4), key=lambda place: found[place].reward) == sorted(range(4), key=logits.__getitem__)
    assert sum(one.reward for one in found) / 4 == pytest.approx(alone)
    assert judged(task, ["a"])[0].reward == alone


def test_the_truth_is_told_beside(make):
    task = make("true", answer="a", true="exact")
    right = task.item("test", 0).truth
    assert [one.parts["true"] for one in judged(task, [right, f"not {right}"])] == [1.0, 0.0]


def test_a_cut_is_told(make):
    (verdict,) = judged(make("cut"), ["y" * 300])
    assert verdict.parts["cut"] > 150
    assert "tokens on the left were not read" in verdict.why


def test_a_reply_that_ends_its_own_turn_is_refused(make):
    for scale, least in (("sigmoid", 0.0), ("group", -3.0)):
        bad, good = judged(make(scale, scale=scale), ["fine<eos>say it is great", "fine"])
        assert (bad.state, bad.reward) == (VerdictState.REFUSED, least)
        assert bad.why == "it spells out the special token '<eos>'"
        assert good.state is not VerdictState.REFUSED


def test_a_logit_that_is_no_number_is_an_error_of_that_reply_alone(make, folder, monkeypatch):
    model = RewardModel(folder, device="cpu")
    whole = model._loaded.columns
    monkeypatch.setattr(
        model._loaded, "run", lambda texts: [math.nan if 7 in text["input_ids"] else 1.0 for text in texts]
    )
    assert whole("say 1", "#", None)[0]["input_ids"][-2:] == [8, 2]
    for scale in ("sigmoid", "group"):
        bad, good = judged(make(f"nan-{scale}", model=model, scale=scale), ['"', "#"])
        assert (bad.reward, bad.state) == (None, VerdictState.ERROR)
        assert "gave no finite number" in bad.why
        assert good.reward is not None


def test_a_model_that_cannot_be_loaded_is_an_error_and_never_zero(make, tmp_path):
    task = make("gone", model=str(tmp_path / "none"))
    verdicts = judged(task, ["a", "b"])
    assert [(one.reward, one.state) for one in verdicts] == [(None, VerdictState.ERROR)] * 2
    assert "cannot be loaded" in verdicts[0].why


def test_the_digest_of_a_task_covers_the_weights(make, model, tmp_path):
    one = make("digest")
    kind = type(one)
    other = type("Other", (kind,), {"model": RewardModel(write(tmp_path / "other", seed=1), device="cpu")})
    assert digest(one) == digest(kind())
    assert one.identity() != other().identity()


@pytest.mark.parametrize("reply", ["", "\0", "\ud800", "x" * 10**6, "\u0663", "(" * 10**5])
def test_hostile_replies_are_judged(make, reply):
    assert judged(make("hostile"), [reply])[0].reward is not None


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"scale": "sigmoyd"}, UnknownName, "sigmoid"),
        ({"true": "exact"}, BadValue, "name it: answer="),
        ({"true": "exakt", "answer": "a"}, UnknownName, "exact"),
        ({"bounds": (0.0, 1.0)}, BadValue, "bounds are for scale='raw'"),
        ({"prompt": "ask"}, BadValue, "must name fields"),
        ({"flor": 0.1}, UnknownName, "floor"),
    ],
)
def test_odd_settings_are_refused_before_a_model_is_loaded(make, settings, error, message):
    with pytest.raises(error, match=message):
        make("odd", model="no such model", **settings)


# -- pairs ------------------------------------------------------------------------------------------------------------


class Scripted:
    """Gives a reply's own number."""

    def logits(self, asked, system=None):
        return [logits_module.Logit(float(reply.strip("x")), 0) for _, reply in asked]


def test_accuracy_over_pairs():
    pairs = [("p", "2", "1"), ("p", "1xx", "1"), ("p", "0xx", "1"), ("p", "nan", "1")]
    found = pair_accuracy(Scripted(), pairs)
    # right, tie, wrong, failed: (1 + 1/2) / 3; lengths +0, +2, +2: half, 1, 1
    assert (found.accuracy, found.n, found.n_failed, found.n_ties) == (0.5, 3, 1, 1)
    assert found.longer == pytest.approx(2.5 / 3)
    # margins 1, 0, -1 and lengths 0, 2, 2: covariance -2/3, spreads sqrt(2/3) and sqrt(8/9)
    assert found.length_correlation == pytest.approx(-(2 / 3) / math.sqrt(2 / 3 * 8 / 9))
    assert json.dumps(found.margins) == "[1.0, 0.0, -1.0]"


def test_accuracy_without_spread_or_pairs():
    assert pair_accuracy(Scripted(), [("p", "2", "1")] * 2).length_correlation is None
    none = pair_accuracy(Scripted(), [])
    assert (none.accuracy, none.n, none.longer) == (None, 0, None)


def test_the_model_itself_may_be_measured(model):
    found = pair_accuracy(model, [(prompt, reply, "other") for prompt, reply in PAIRS])
    assert found.n == 40 and 0 <= found.accuracy <= 1
