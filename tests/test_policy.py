import shutil
from importlib import resources

import pytest
import torch
from safetensors.torch import load_file

from eggym.errors import BadValue, UnknownName
from eggym.policy import Policy, Prompting, load_policy, model_sha256
from eggym.task import Item, SingleTurnTask

ENDED, OPEN = True, False


class Asks(SingleTurnTask):
    id = "test/asks-v0"
    system = "be brief"
    few_shot = (("1+1?", "2"),)
    stop = ("\n",)
    max_new_tokens = 9

    def generate(self, rng):
        return Item("x")


def test_prompting_comes_from_the_task_and_can_be_overridden():
    prompting = Prompting.of(Asks(), {"max_new_tokens": 4, "stop": [";", "!"]})
    assert prompting == Prompting("be brief", (("1+1?", "2"),), (";", "!"), 4)
    with pytest.raises(UnknownName, match="did you mean 'system'"):
        Prompting.of(Asks(), {"sytem": ""})
    with pytest.raises(BadValue, match="max_new_tokens must be a whole number from 1, got 0"):
        Prompting.of(Asks(), {"max_new_tokens": 0})


def test_a_chat_template_is_used_where_there_is_one(policy):
    assert policy.text(policy.prompt_ids(Prompting(), "1+1?")) == "1+1?\n"
    ids = policy.prompt_ids(Prompting.of(Asks(), {}), "3+4?")
    assert policy.tokenizer.decode(ids) == "<bos>be brief\n1+1?\n2<eos>3+4?\n"


def test_without_a_template_prompts_are_plain_lines(policy):
    ids = policy.prompt_ids(Prompting.of(Asks(), {"chat": "off"}), "3+4?")
    assert policy.tokenizer.decode(ids) == "<bos>be brief\n1+1?\n2\n\n3+4?\n"
    assert policy.text(policy.continuation_ids(Prompting(chat="off"), "high", OPEN)) == "\nhigh\n"


def test_a_conversation_in_pieces_is_the_conversation_in_one(policy):
    prompting = Prompting()
    whole = policy.tokenizer.apply_chat_template(
        [
            {"role": "user", "content": "guess"},
            {"role": "assistant", "content": "5"},
            {"role": "user", "content": "low"},
        ],
        add_generation_prompt=True,
        tokenize=False,
    )
    start = policy.prompt_ids(prompting, "guess")
    reply = policy.tokenizer.encode("5", add_special_tokens=False)
    eos = policy.tokenizer.eos_token_id
    ended = start + reply + [eos] + policy.continuation_ids(prompting, "low", ENDED)
    cut = start + reply + policy.continuation_ids(prompting, "low", OPEN)
    assert ended == cut == policy.tokenizer.encode(whole, add_special_tokens=False)


def test_a_template_that_rewrites_history_still_gives_the_text_between_turns(policy):
    import copy

    tokenizer = copy.deepcopy(policy.tokenizer)
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}A:{{ m['content'] }}<eos>\n"
        "{% else %}U:{{ m['content'] }}\n{% endif %}{% endfor %}{% if add_generation_prompt %}A:<t>{% endif %}"
    )
    other = Policy(policy.model, tokenizer, "thinker")
    assert other.tokenizer.decode(other.continuation_ids(Prompting(), "low", OPEN)) == "<eos>\nU:low\nA:<t>"
    assert other.tokenizer.decode(other.continuation_ids(Prompting(), "low", ENDED)) == "\nU:low\nA:<t>"


def test_a_character_that_cannot_be_written_is_refused_by_name(policy):
    with pytest.raises(BadValue, match=r"cannot write 'é' \(U\+00E9\), which stands in the text ...'<bos>caf"):
        policy.prompt_ids(Prompting(), "café?")


def test_a_prompt_beyond_the_context_is_refused_with_both_numbers(policy):
    with pytest.raises(BadValue, match=r"has 1202 tokens and its reply up to 256, but model 'random' sees 1024"):
        policy.prompt_ids(Prompting(), "x" * 1200)


def test_chat_without_a_template_is_refused(policy):
    import copy

    tokenizer = copy.deepcopy(policy.tokenizer)
    tokenizer.chat_template = None
    with pytest.raises(BadValue, match="has no chat template"):
        Policy(policy.model, tokenizer, "plain").prompt_ids(Prompting(chat="on"), "x")


def test_the_embedded_model_loads_by_name_and_end_tokens_are_gathered():
    policy = load_policy("embedded-v0")
    assert policy.eos_ids == (policy.tokenizer.eos_token_id,)
    assert policy.context == 1024 and policy.dtype == torch.float32
    assert not any(weight.requires_grad for weight in policy.model.parameters())
    assert load_policy("embedded-v0", dtype="bfloat16").dtype == torch.bfloat16


def test_what_cannot_be_loaded_is_refused_in_one_line(tmp_path):
    with pytest.raises(
        UnknownName, match=r"no model 'embeded-v0'; did you mean 'embedded-v0'\?; it is no folder, and the hub"
    ):
        load_policy("embeded-v0")
    with pytest.raises(BadValue, match=r"holds no model: there is no config.json"):
        load_policy(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadValue, match=r"cannot be loaded"):
        load_policy(str(tmp_path))
    with pytest.raises(BadValue, match="no device 'gpu0'"):
        load_policy("embedded-v0", device="gpu0")
    with pytest.raises(UnknownName, match="no dtype 'float8'"):
        load_policy("embedded-v0", dtype="float8")


def test_the_hash_of_a_model_follows_its_weights(make_policy):
    one, two = make_policy(), make_policy()
    assert model_sha256(one.model) == model_sha256(two.model)
    with torch.no_grad():
        next(two.model.parameters())[5, 3] += 1e-6
    assert model_sha256(one.model) != model_sha256(two.model)


def test_weights_are_read_from_safetensors_alone(tmp_path):
    """A pickle may run anything, and models come from strangers."""
    folder = shutil.copytree(str(resources.files("eggym").joinpath("data", "embedded-v0")), tmp_path / "pickled")
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    load_policy(str(folder), "cpu")
    weights.unlink()
    with pytest.raises(BadValue, match=r"no file named model\.safetensors"):
        load_policy(str(folder), "cpu")
