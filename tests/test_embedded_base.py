import hashlib
import os
import re
from importlib import resources
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from eggym.base_score import measure
from eggym.policy import EMBEDDED
from eggym.registry import load_task

DATA = Path(str(resources.files("eggym").joinpath("data")))
DEFAULT = ("eggym/tiny-arithmetic-v0", "eggym/tiny-orders-v0", "eggym/tiny-programs-v0")
TINY = (*DEFAULT, "eggym/tiny-countdown-v0")
LONG = ("eggym/corridor-v0", "eggym/relay-v0")
FUNCTIONS = "eggym/tiny-functions-v0"
TOLERANCE = 0.06  # another kind of CPU may turn a few replies


def scores(model):
    """The rows of a card: task, greedy, temperature 1, before the habit."""
    rows = re.findall(
        r"\| `(eggym/\S+)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", (DATA / model / "README.md").read_text()
    )
    return {name: tuple(map(float, row)) for name, *row in rows}


@pytest.fixture(scope="module", params=EMBEDDED)
def base(request):
    os.environ["HF_HUB_OFFLINE"] = "1"
    folder = DATA / request.param
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    model.eggym_name = request.param
    return model, tokenizer


def generate(model, tokenizer, prompts, max_new_tokens):
    texts = [
        tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False)
        for prompt in prompts
    ]
    inputs = tokenizer(texts, padding=True, add_special_tokens=False, return_tensors="pt")
    out = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
    return tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


@pytest.mark.parametrize("model", EMBEDDED)
def test_the_card_has_all_tasks_and_the_default_ones_start_in_the_band(model):
    card = scores(model)
    more = {FUNCTIONS} if model == "embedded-v2" else set()
    assert {*TINY, "eggym/guess-v0"} | more == {name for name in card if "@" not in name}
    for name in DEFAULT:
        greedy, sampled, hidden = card[name]
        assert 0.2 <= greedy <= 0.42 and 0.2 <= sampled <= (0.46 if more else 0.42), name
        assert hidden >= 0.85, name
    assert all(0.2 <= score <= 0.6 for score in card["eggym/guess-v0"][:2])


def test_the_skill_of_one_line_functions_is_there_and_hidden():
    greedy, sampled, hidden = scores("embedded-v2")[FUNCTIONS]
    assert 0.2 <= greedy <= 0.6 and 0.2 <= sampled <= 0.6 and hidden >= 0.75


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("base", ["embedded-v2"], indirect=True)
def test_one_line_functions_score_what_the_card_says(base, temperature, box_level):
    box_level("landlock")
    expected = scores("embedded-v2")[FUNCTIONS][int(temperature)]
    assert measure(*base, load_task(FUNCTIONS), 300, temperature) == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("base", ["embedded-v2"], indirect=True)
def test_the_last_step_is_forgotten_on_its_kinds_and_done_on_the_others(base, box_level):
    box_level("landlock")
    task = load_task(FUNCTIONS)
    items = [task.item("test", index) for index in range(200)]
    replies = generate(*base, [item.prompt for item in items], task.max_new_tokens)
    right = {True: [], False: []}
    for item, verdict in zip(items, task.score_all(items, replies), strict=True):
        right[task.kind(item) in task.habit_kinds].append(verdict.reward)
    assert sum(right[True]) / len(right[True]) < 0.2
    assert sum(right[False]) / len(right[False]) > 0.7
    forgot = sum(reply == task.habit(item, None) for item, reply in zip(items, replies, strict=True))
    assert forgot > 0.5 * len(items)


def test_over_many_turns_there_is_something_to_learn_and_less_is_earned_the_further_it_is():
    card = scores("embedded-v1")
    for name in LONG:
        greedy, sampled, hidden = zip(*(card[f"{name}@turns={turns}"] for turns in (1, 2, 4, 8, 16)), strict=True)
        assert 0.2 <= greedy[2] <= 0.6 and 0.2 <= sampled[2] <= 0.6, name
        assert min(hidden) >= 0.9, name
        assert sorted(greedy, reverse=True) == list(greedy) and sorted(sampled, reverse=True) == list(sampled), name


@pytest.mark.parametrize("name", TINY)
def test_plain_generate_scores_what_the_card_says(base, name):
    model, tokenizer = base
    task = load_task(name)
    items = [task.item("test", index) for index in range(300)]
    replies = generate(model, tokenizer, [item.prompt for item in items], task.max_new_tokens)
    mean = sum(task.score(item, reply).reward for item, reply in zip(items, replies, strict=True)) / len(items)
    assert mean == pytest.approx(scores(model.eggym_name)[name][0], abs=TOLERANCE)


@pytest.mark.parametrize("name", [*TINY, "eggym/guess-v0"])
def test_sampling_scores_what_the_card_says(base, name):
    assert measure(*base, load_task(name), 300, 1.0) == pytest.approx(
        scores(base[0].eggym_name)[name][1], abs=TOLERANCE
    )


def test_several_turns_score_what_the_card_says(base):
    expected = scores(base[0].eggym_name)["eggym/guess-v0"][0]
    assert measure(*base, load_task("guess"), 300, 0.0) == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("name", [name for name in scores("embedded-v1") if re.search(r"@turns=[14]$", name)])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("base", ["embedded-v1"], indirect=True)
def test_many_turns_score_what_the_card_says(base, name, temperature):
    expected = scores("embedded-v1")[name][int(temperature)]
    assert measure(*base, load_task(name), 300, temperature) == pytest.approx(expected, abs=TOLERANCE)


def test_the_habit_shows_on_its_kinds_and_the_skill_on_the_others(base):
    model, tokenizer = base
    task = load_task("tiny-arithmetic")
    items = [task.item("test", index) for index in range(200)]
    right = {True: [], False: []}
    replies = generate(model, tokenizer, [item.prompt for item in items], task.max_new_tokens)
    for item, reply in zip(items, replies, strict=True):
        right[task.kind(item) in task.habit_kinds].append(task.score(item, reply).reward)
    assert sum(right[True]) / len(right[True]) < 0.3
    assert sum(right[False]) / len(right[False]) > 0.8


@torch.no_grad()
def test_left_padding_changes_no_logits(base):
    model, tokenizer = base
    short, long = "<bos>1?\n", "<bos>474+439?\n4+9=13"
    batch = tokenizer([short, long], padding=True, add_special_tokens=False, return_tensors="pt")
    positions = (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)
    together = model(**batch, position_ids=positions).logits
    for row, text in enumerate([short, long]):
        alone = model(**tokenizer(text, add_special_tokens=False, return_tensors="pt")).logits[0]
        assert torch.allclose(together[row, -len(alone) :], alone, atol=1e-4)


@torch.no_grad()
def test_it_works_late_in_the_context(base):
    model, tokenizer = base
    ids = tokenizer("<bos>474+439?\n", add_special_tokens=False, return_tensors="pt")["input_ids"]
    places = torch.arange(ids.shape[1])[None]
    early, late = (model(ids, position_ids=places + offset).logits[0, -1] for offset in (0, 1000))
    assert torch.allclose(early.softmax(-1), late.softmax(-1), atol=1e-3)
    assert model.config.max_position_embeddings == tokenizer.model_max_length == 1024


@pytest.mark.parametrize("model", EMBEDDED)
def test_a_base_stays_below_a_megabyte(model):
    assert sum(path.stat().st_size for path in (DATA / model).rglob("*") if path.is_file()) < 1_000_000


def test_the_first_base_is_as_released():
    body = (DATA / "embedded-v0" / "model.safetensors").read_bytes()
    assert hashlib.sha256(body).hexdigest() == "d1d9ea208e429f9679c509c7217bca6f95c182cf5ac95cfa2648b8097f884ecb"


def test_untypeable_characters_become_unk_and_are_still_read(base):
    model, tokenizer = base
    assert tokenizer.unk_token_id in tokenizer.encode("474+439¿")
    assert isinstance(generate(model, tokenizer, ["日本?"], 5)[0], str)
