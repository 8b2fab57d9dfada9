from types import SimpleNamespace

import pytest
import torch

from eggym.base_model import EOS, Architecture, build_model, build_tokenizer
from eggym.base_score import complete, measure
from eggym.envs.guess import Guess
from eggym.envs.tiny_arithmetic import TinyArithmetic


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
    """Says one fixed text and its end token, whatever it reads."""

    generation_config = SimpleNamespace(eos_token_id=EOS)

    def __init__(self, tokenizer, text):
        self.ids = [*tokenizer.encode(text, add_special_tokens=False), EOS]

    def __call__(self, input_ids, past_key_values=None, **_):
        step = past_key_values or 0
        logits = torch.full((len(input_ids), 1, 100), -100.0)
        logits[:, 0, self.ids[min(step, len(self.ids) - 1)]] = 100.0
        return SimpleNamespace(logits=logits, past_key_values=step + 1)


def test_a_model_that_always_says_one_number_wins_where_it_is_right(tokenizer):
    task = TinyArithmetic()
    truths = [task.item("test", index).truth for index in range(40)]
    model = Scripted(tokenizer, f"#{truths[0]}")
    assert measure(model, tokenizer, task, 40, 0.0) == truths.count(truths[0]) / 40


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
