from types import SimpleNamespace

import pytest
import torch

from eggym.base_model import EOS, Architecture, build_model, build_tokenizer
from eggym.base_score import complete, measure
from eggym.envs.guess import Guess
from eggym.envs.tiny_arithmetic import TinyArithmetic
from eggym.errors import TaskFault


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


@pytest.fixture(scope="module")
def model():
    torch_state = torch.get_rng_state()
    torch.manual_seed(0)
    built = build_model(Architecture(width=16, layers=2, heads=2, inner=16)).eval()
    torch.set_rng_state(torch_state)
    with torch.no_grad():
        for weight in built.parameters():
            weight.mul_(20)  # far from uniform, so that the mode of each step is clear
    built.generation_config.eos_token_id = EOS
    return built


class Scripted:
    """Says fixed texts, one per row in turn, then end tokens, whatever it reads."""

    generation_config = SimpleNamespace(eos_token_id=EOS)

    def __init__(self, tokenizer, *texts):
        self.scripts = [tokenizer.encode(text, add_special_tokens=False) for text in texts]

    def __call__(self, input_ids, past_key_values=None, **_):
        step = past_key_values or 0
        logits = torch.full((len(input_ids), 1, 100), -100.0)
        for row in range(len(input_ids)):
            script = self.scripts[row % len(self.scripts)]
            logits[row, 0, script[step] if step < len(script) else EOS] = 100.0
        return SimpleNamespace(logits=logits, past_key_values=step + 1)


def test_a_model_that_always_says_one_number_wins_where_it_is_right(tokenizer):
    task = TinyArithmetic()
    truths = [task.item("test", index).truth for index in range(40)]
    model = Scripted(tokenizer, f"#{truths[0]}")
    assert measure(model, tokenizer, task, 40, 0.0) == truths.count(truths[0]) / 40


def test_a_grader_that_fails_is_no_zero(tokenizer, monkeypatch):
    def broken(*_):
        raise RuntimeError("out of order")

    monkeypatch.setattr(TinyArithmetic, "score", broken)
    with pytest.raises(TaskFault, match=r"could not judge a reply: .*RuntimeError: out of order"):
        measure(Scripted(tokenizer, "#1"), tokenizer, TinyArithmetic(), 2, 0.0)


def test_nothing_counts_after_an_end_token(tokenizer):
    model = Scripted(tokenizer, "#1<eos>99999", "#12345")
    assert complete(model, tokenizer, ["<bos>1\n"] * 2, 9, 0.0, torch.Generator()) == ["#1", "#12345"]
    assert complete(model, tokenizer, ["<bos>1\n"] * 2, 4, 0.0, torch.Generator()) == ["#1", "#123"]


def test_a_game_of_several_turns_is_played_to_its_end(tokenizer):
    task = Guess()
    item = task.item("test", 0)
    assert measure(Scripted(tokenizer, str(item.truth)), tokenizer, task, 1, 1.0) == 1.0
    assert measure(Scripted(tokenizer, "x"), tokenizer, task, 1, 1.0) == 0.0


def test_greedy_completion_equals_plain_generate_whatever_stands_beside_it(model, tokenizer):
    texts = ["<bos>474+439?\n", "<bos>say 4 b caps ?:\n", "<bos>1\n"]
    found = complete(model, tokenizer, texts, 12, 0.0, torch.Generator())
    for text, reply in zip(texts, found, strict=True):
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")
        out = model.generate(**ids, max_new_tokens=12, do_sample=False)
        assert reply == tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)


def test_sampling_repeats_with_its_generator(model, tokenizer):
    def sample(seed):
        return complete(model, tokenizer, ["<bos>1\n"] * 4, 8, 3.0, torch.Generator().manual_seed(seed))

    assert sample(1) == sample(1) != sample(2)
