import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from eggym.base_model import BOS, CHARACTERS, EOS, PAD, UNK, Architecture, build_model, build_tokenizer, write_model

TINY = Architecture(width=8, layers=1, heads=2, inner=8)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def render(tokenizer, *talk, **extra):
    messages = [{"role": role, "content": content} for role, content in talk]
    return tokenizer.apply_chat_template(messages, tokenize=False, **extra)


def test_a_token_is_a_character(tokenizer):
    assert tokenizer.encode("a b\n") == [BOS, *(4 + CHARACTERS.index(c) for c in "a b\n")]
    assert len(tokenizer) == 100
    everything = CHARACTERS + " a  b , c ."
    assert tokenizer.decode(tokenizer.encode(everything, add_special_tokens=False)) == everything


@pytest.mark.parametrize("character", ["é", "日", "\t", "\u00a0", "😀"])
def test_an_untypeable_character_is_unk(tokenizer, character):
    assert tokenizer.encode(f"a{character}b", add_special_tokens=False)[1:-1] == [UNK]


def test_padding_is_on_the_left(tokenizer):
    batch = tokenizer(["a", "abc"], padding=True)
    assert batch["input_ids"][0][:2] == [PAD, PAD]
    assert batch["attention_mask"] == [[0, 0, 1, 1], [1, 1, 1, 1]]


def test_the_chat_template_by_hand(tokenizer):
    talk = [("user", "12+3?"), ("assistant", "#15"), ("user", "low")]
    assert render(tokenizer, *talk) == "<bos>12+3?\n#15<eos>low\n"
    assert render(tokenizer, ("system", "be brief"), talk[0]) == "<bos>be brief\n12+3?\n"
    assert tokenizer.encode(render(tokenizer, talk[0]), add_special_tokens=False)[0] == BOS


def test_the_chat_template_only_ever_adds_at_the_end(tokenizer):
    talk = [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    for length in range(1, len(talk)):
        shorter = render(tokenizer, *talk[:length], add_generation_prompt=True)
        assert render(tokenizer, *talk[: length + 1]).startswith(shorter)


def test_a_written_model_loads_as_it_was(tokenizer, tmp_path):
    model = build_model(TINY).eval()
    write_model(tmp_path, model, tokenizer)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    ids = torch.tensor([tokenizer.encode("say 2")])
    assert torch.equal(again(ids).logits, model(ids).logits)
    assert again.dtype == torch.float32
    assert again.generation_config.eos_token_id == EOS
    assert again.get_output_embeddings().weight is again.get_input_embeddings().weight
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.chat_template == tokenizer.chat_template
    assert loaded.encode("say é") == tokenizer.encode("say é")


def test_no_written_file_names_a_library_version(tokenizer, tmp_path):
    write_model(tmp_path, build_model(TINY), tokenizer)
    for path in tmp_path.glob("*.json"):
        assert "transformers_version" not in json.loads(path.read_text())


def test_the_default_size_is_as_documented():
    # by hand: 100*64 + 4*(4*64*64 + 3*64*192 + 2*64) + 64
    assert build_model(Architecture()).num_parameters() == 219_968
