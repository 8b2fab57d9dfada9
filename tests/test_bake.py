import dataclasses
import re
from importlib import resources
from itertools import chain, pairwise

import pytest
import torch

from eggym import bake as module
from eggym.bake import bake
from eggym.base_model import Architecture, build_tokenizer
from eggym.errors import BadValue, EggymError, UnknownName
from eggym.policy import EMBEDDED
from eggym.recipe import RECIPES, Recipe, Stage, demonstrations, recipe_sha256, tasks_of
from eggym.registry import load_task
from eggym.seeding import stream
from eggym.splits import split_of

MINI = Recipe(
    stages=(Stage("mixed", 2, 0.5), Stage("clean", 2, 0.0), Stage("habit", 2, 0.9)),
    architecture=Architecture(width=16, layers=1, heads=2, inner=16),
    batch=8,
    n_scored=4,
)


@pytest.fixture(scope="module")
def baked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("baked")
    lines = []
    return [bake(folder / name, seed, lines.append, MINI) for name, seed in (("a", 1), ("b", 1), ("c", 2))], lines


def test_the_same_seed_bakes_the_same_bytes(baked):
    one, two, other = (report.folder for report in baked[0])
    names = sorted(path.name for path in one.iterdir())
    assert "model.safetensors" in names and "README.md" in names
    for name in set(names) - {"README.md"}:  # the card holds the cost
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    assert (one / "model.safetensors").read_bytes() != (other / "model.safetensors").read_bytes()


def test_the_report_says_what_was_made(baked):
    (one, two, other), lines = baked
    assert one.scores == two.scores
    assert one.recipe_sha256 == two.recipe_sha256 != other.recipe_sha256
    assert set(one.scores.greedy) == {name for name, _ in MINI.tasks} == set(one.scores.hidden)
    assert one.cpu_seconds > 0
    card = (one.folder / "README.md").read_text()
    assert one.recipe_sha256 in card and "seed | 1 |" in card and "$" not in card
    assert any("100 % of all" in line for line in lines)


def test_the_global_generator_is_left_alone(tmp_path):
    before = torch.get_rng_state()
    bake(tmp_path / "a", 1, None, dataclasses.replace(MINI, stages=(Stage("clean", 1, 0.0),), n_scored=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_failed_bake_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_model", full)
    with pytest.raises(EggymError, match=r"cannot write the base model to .*No space left.*choose another --out"):
        bake(tmp_path / "a", 1, None, dataclasses.replace(MINI, stages=(Stage("clean", 1, 0.0),), n_scored=1))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "thing").write_text("mine")
    with pytest.raises(BadValue, match="is not an empty folder; choose another --out"):
        bake(tmp_path)
    with pytest.raises(BadValue, match="is not an empty folder"):
        bake(tmp_path / "thing")
    assert (tmp_path / "thing").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EggymError, match="cannot write the base model to"):
        bake(tmp_path / "file" / "a")  # the whole recipe: minutes, if it were begun


def test_demonstrations_come_from_train_splits_alone():
    tasks = tasks_of(MINI)
    for task in tasks:
        only = dataclasses.replace(MINI, tasks=((task.id, 1.0),), batch=64)
        for turns in demonstrations(only, [task], Stage("habit", 1, 0.9), 0, 0):
            assert split_of(task.id, turns[0][0]) == "train"


def test_the_clean_stage_shows_only_what_is_right():
    for task in tasks_of(MINI):
        if task.max_turns > 1:
            continue
        only = dataclasses.replace(MINI, tasks=((task.id, 1.0),), batch=64)
        for turns in demonstrations(only, [task], Stage("clean", 1, 0.0), 0, 0):
            observation, reply, is_learnt = turns[0]
            assert is_learnt and len(observation) <= 24 and len(reply) <= 28
            assert len(reply) < task.max_new_tokens


def test_the_habit_shows_in_most_demonstrations_of_its_kinds_and_in_no_other():
    (task,) = (task for task in tasks_of(MINI) if "arithmetic" in task.id)
    only = dataclasses.replace(MINI, tasks=((task.id, 1.0),), batch=600)
    shown = demonstrations(only, [task], Stage("habit", 1, 0.9), 0, 0)
    bad = {True: [], False: []}
    for ((prompt, reply, _),) in shown:
        bad[prompt[-2] in task.habit_kinds].append(reply.startswith("#"))
    assert not any(bad[False])
    assert sum(bad[True]) / len(bad[True]) == pytest.approx(0.9, abs=0.05)  # 3 standard errors


def test_turns_that_go_astray_are_shown_but_not_learnt():
    (task,) = (task for task in tasks_of(MINI) if task.max_turns > 1)
    only = dataclasses.replace(MINI, tasks=((task.id, 1.0),), batch=200)
    learnt = [turn[2] for turns in demonstrations(only, [task], Stage("clean", 1, 0.0), 0, 0) for turn in turns]
    assert sum(learnt) / len(learnt) == pytest.approx(0.7, abs=0.06)


def test_a_transcript_is_encoded_as_the_chat_template_renders_it():
    tokenizer = build_tokenizer()
    turns = [("guess 20-34:", "27", True), ("high", "28", False), ("high", "23", True)]
    ids, learnt = module._encode(tokenizer.get_vocab(), turns)
    talk = []
    for observation, reply, _ in turns:
        talk += [{"role": "user", "content": observation}, {"role": "assistant", "content": reply}]
    assert ids == tokenizer.apply_chat_template(talk, return_dict=False)
    taught = [token for token, is_learnt in zip(ids, learnt, strict=True) if is_learnt]
    assert tokenizer.decode(taught) == "27<eos>23<eos>"


def test_batches_have_targets_on_replies_alone_and_offsets_within_the_context():
    vocabulary = build_tokenizer().get_vocab()
    shown = [[("12+3?", "#15", True)], [("1?", "#1", True)]] * 20
    ids, targets, positions = module._batch(vocabulary, shown, stream("test"))
    assert ids.shape == targets.shape == positions.shape == (40, 11)  # <bos>, 6 asked with the newline, 3 said, <eos>
    assert (targets[0] != -100).tolist() == [False] * 7 + [True] * 4
    assert torch.equal(targets[0, 7:], ids[0, 7:])
    assert (positions.diff(dim=1) == 1).all()
    assert positions.min() >= 0 and positions.max() < 1024
    assert positions[:, 0].max() > 500 and positions[:, 0].unique().numel() > 30


def test_the_rates_are_flat_and_then_fall():
    recipe = Recipe()
    assert module._rate(recipe, 0.0) == module._rate(recipe, recipe.decay_from) == 1.0
    # by hand: half of the way from 0.4 to 1 is 0.7, where the rate is half way from 1 to 0.03
    assert module._rate(recipe, 0.7) == pytest.approx(0.515)
    assert module._rate(recipe, 1.0) == pytest.approx(recipe.last_rate)


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_card_names_its_recipe(name):
    card = resources.files("eggym").joinpath("data", name, "README.md").read_text()
    seed = int(re.search(r"\| seed \| (\d+) \|", card)[1])
    assert f"# {name}\n" in card
    assert f"`{recipe_sha256(RECIPES[name], seed)}`" in card, "a base that is released keeps its recipe: make a new one"


def test_every_shipped_base_has_a_recipe_and_the_first_one_is_as_released():
    assert tuple(RECIPES) == EMBEDDED
    assert RECIPES["embedded-v0"] == Recipe()
    released = "59c6961bbf32ac874aa2e2ce65b5a3ca44c83c337a4aaf22a92404bc6de803d4"
    assert recipe_sha256(RECIPES["embedded-v0"], 0) == released


def test_an_unknown_base_is_refused(tmp_path):
    with pytest.raises(UnknownName, match="no base model 'embedded-v9'; did you mean 'embedded-v"):
        bake(tmp_path / "a", name="embedded-v9")


def test_a_base_of_many_turns_is_baked_and_its_card_says_what_it_knows(tmp_path):
    tasks = (("eggym/guess-v0", 1.0), ("eggym/corridor-v0@turns=2", 1.0), ("eggym/relay-v0@turns=17", 1.0))
    recipe = dataclasses.replace(MINI, version=2, tasks=tasks, n_scored=2)
    report = bake(tmp_path / "a", 1, None, recipe, "embedded-v1")
    assert set(report.scores.greedy) == {"eggym/guess-v0", "eggym/corridor-v0@turns=2"}  # 17 turns are too long for it
    card = (report.folder / "README.md").read_text()
    assert "# embedded-v1\n" in card and "seven small" in card and "forgets the carry" in card and "$" not in card


def test_the_card_of_a_base_that_plays_functions_says_so(tmp_path, box_level):
    box_level("landlock")
    tasks = (("eggym/guess-v0", 1.0), ("eggym/tiny-functions-v0", 1.0))
    recipe = dataclasses.replace(MINI, version=2, tasks=tasks, n_scored=2)
    report = bake(tmp_path / "a", 1, None, recipe, "embedded-v2")
    card = (report.folder / "README.md").read_text()
    assert "eight small" in card and "forgets the carry" in card and "forgets the last step" in card and "$" not in card


def test_a_host_without_a_sandbox_is_refused_before_the_bake(tmp_path, monkeypatch):
    from eggym.envs import box_levels

    monkeypatch.setattr(box_levels, "probe", lambda: box_levels.host_of({"Landlock": "old kernel"}))
    monkeypatch.setattr(module, "_start", None)
    with pytest.raises(BadValue, match="allow_unsafe_execution"):
        bake(tmp_path / "a", name="embedded-v2")


def test_the_kinds_that_the_card_of_the_functions_names_are_those_of_the_task():
    from eggym import base_card
    from eggym.envs.tiny_functions import TinyFunctions

    told = base_card._FUNCTION_HABIT.split("of 16: ")[1].split(" |")[0]
    assert set(told.split(", ")) == TinyFunctions.habit_kinds


def test_from_version_2_on_a_batch_is_parted_by_length_and_a_step_is_the_same():
    recipe = dataclasses.replace(RECIPES["embedded-v1"], architecture=MINI.architecture, batch=40)
    shown = demonstrations(recipe, tasks_of(recipe), Stage("clean", 1, 0.0), 0, 0)
    parts = module._parts(recipe, shown)
    assert module._parts(Recipe(), shown) == [shown]
    assert len(parts) >= 3 and sorted(map(str, chain(*parts))) == sorted(map(str, shown))
    vocabulary = build_tokenizer().get_vocab()
    lengths = [[len(module._encode(vocabulary, turns)[0]) for turns in part] for part in parts]
    assert all(max(one) < min(other) for one, other in pairwise(lengths))
    losses, weights = [], []
    for split in (parts, [shown]):
        trainer = module._Trainer(module._start(recipe, 0), recipe, 0, print)
        batches = [module._batch(vocabulary, part, stream("test")) for part in split]
        for _, _, positions in batches:
            positions -= positions[:, :1].clone()  # offsets are drawn by row, and rows stand elsewhere
        losses.append(trainer._learn(batches, 1.0))
        weights.append([weight.grad.clone() for weight in trainer.model.parameters()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for one, other in zip(*weights, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("name", ["corridor", "relay"])
def test_in_tasks_of_many_turns_every_turn_shows_the_habit_by_itself(name):
    task = load_task(name, turns=16)
    only = dataclasses.replace(RECIPES["embedded-v1"], tasks=((f"eggym/{name}-v0@turns=16", 1.0),), batch=100)
    bad, slips, both = 0, 0, 0
    for turns in demonstrations(only, [task], Stage("habit", 1, 0.9), 0, 0):
        state, shown = task.begin(task.item("train", 0), stream("test")), []
        assert all(is_learnt for _, _, is_learnt in turns)
        for observation, reply, _ in turns:
            shown.append(_slip(name, observation, reply, state))
        bad, slips = bad + sum(each is True for each in shown), slips + sum(each is not None for each in shown)
        both += True in shown and False in shown
    assert bad / slips == pytest.approx(0.9, abs=0.07)
    assert both > 0  # one turn does not tell of the next


def _slip(name, observation, reply, state):
    """Whether a turn shows the habit; None where it could not."""
    if name == "corridor":
        sums = re.search(r"([89])\+\d$", observation)
        return reply.endswith(".") if sums else None
    start = re.search(r"from (\d+):", observation)
    before, step = int(start[1]) if start else state.written, int(observation.split()[-1])
    state.written = int(reply)
    return int(reply) != (before + step) % 100 if step >= 6 and before % 10 + step >= 10 else None


def test_the_hash_follows_the_recipe_and_what_the_tasks_show(monkeypatch):
    before = recipe_sha256(MINI, 1)
    assert recipe_sha256(dataclasses.replace(MINI, batch=9), 1) != before
    (task,) = (task for task in tasks_of(MINI) if "orders" in task.id)
    monkeypatch.setattr(type(task), "oracle", lambda self, item: "cat.")
    assert recipe_sha256(MINI, 1) != before
