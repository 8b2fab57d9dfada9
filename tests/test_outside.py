"""Tasks in other libraries: TRL, and the package for verifiers as far as it goes without verifiers."""

import json
import logging
import tomllib

import pytest

import eggym
from eggym.errors import BadValue
from eggym.outside import cut, messages, plain, settings_of
from eggym.task import Item, SingleTurnTask


class Sums(SingleTurnTask):
    """Add two numbers; says ``boom`` to make the grader fail."""

    id = "me/outside-sums-v0"
    stop = ("\n", "#")
    system = "Be brief."
    few_shot = (("1+1?", "2"),)

    def generate(self, rng, top=50):
        one, other = rng.randint(0, top), rng.randint(0, top)
        return Item(f"{one}+{other}?", truth=one + other)

    def score(self, item, reply):
        if reply == "boom":
            raise ValueError("boom")
        return float(reply == str(item.truth))

    def oracle(self, item):
        return str(item.truth)


def test_a_reward_function_judges_as_the_task_does():
    task = Sums()
    reward = eggym.trl_reward(task)
    truths = [str(task.item("test", index).truth) for index in (3, 3, 5, 5)]
    replies = [truths[0], "no", f"{truths[2]}\nand more", "boom"]
    columns = {"split": ["test"] * 4, "index": [3, 3, 5, 5], "task": [task.label] * 4, "trainer_state": None}
    # right; wrong; right up to the stop string; a failed grader is None, which TRL leaves out, and not 0
    assert reward(prompts=[""] * 4, completions=replies, **columns) == [1.0, 0.0, 1.0, None]
    talks = [[{"role": "assistant", "content": text}] for text in replies]
    assert reward(prompts=[""] * 4, completions=talks, **columns) == [1.0, 0.0, 1.0, None]
    assert reward.__name__ == "me/outside-sums-v0"


def test_columns_that_are_missing_or_of_another_task_are_refused():
    reward = eggym.trl_reward(Sums())
    with pytest.raises(BadValue, match="needs the columns split and index; make the data with trl_dataset"):
        reward(prompts=[""], completions=["1"], index=[1])
    with pytest.raises(BadValue, match="was given rows of me/other-v0"):
        reward(prompts=[""], completions=["1"], index=[1], split=["test"], task=["me/other-v0"])


def test_tasks_of_several_turns_are_refused_by_name():
    for export in (eggym.trl_reward, eggym.trl_dataset, lambda task: eggym.export_verifiers(task, "nowhere")):
        with pytest.raises(BadValue, match=r"'eggym/guess-v0' takes up to 4 turns; a .* holds one reply"):
            export("guess")


def test_a_data_set_holds_the_items_as_messages_or_as_text():
    task = Sums(top=9)
    rows = eggym.trl_dataset(task, "validation", 4)
    item = task.item("validation", 2)
    assert rows[2] == {
        "prompt": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "1+1?"},
            {"role": "assistant", "content": "2"},
            {"role": "user", "content": item.prompt},
        ],
        "task": "me/outside-sums-v0@top=9",
        "split": "validation",
        "index": 2,
    }
    text = eggym.trl_dataset(task, "validation", 3, chat=False)[2]["prompt"]
    assert text == plain(task, item) == f"Be brief.\n1+1?\n2\n\n{item.prompt}\n"
    with pytest.raises(BadValue, match="endless items; say how many, as in count=1000"):
        eggym.trl_dataset(task)


def test_plain_text_is_what_a_model_without_a_chat_template_is_shown(policy):
    from eggym.policy import Prompting

    task = type("Tiny", (Sums,), {"system": "a b", "few_shot": (("1+1?", "2"),)})()
    item = task.item("train", 0)
    off = Prompting.of(task, {"chat": "off"})
    assert policy.tokenizer(plain(task, item))["input_ids"] == policy.prompt_ids(off, item.prompt)


def test_a_reply_is_cut_at_the_first_stop_string():
    assert cut("a#b\nc", ("\n", "#")) == "a" and cut("abc", ("\n",)) == "abc" and cut("abc", ()) == "abc"


def test_messages_of_a_bare_task_are_its_prompt():
    task = eggym.load_task("tiny-countdown")
    item = task.item("train", 0)
    assert messages(task, item) == [{"role": "user", "content": item.prompt}]


def test_settings_make_the_same_task_again(tmp_path):
    assert settings_of(Sums(top=7)) == {"top": 7} and settings_of(eggym.load_task("gsm8k")) == {}
    assert settings_of(eggym.load_task("gsm8k", data="x.jsonl")) == {"data": "x.jsonl"}


def test_an_exported_package_names_task_options_and_digest(tmp_path):
    from eggym.digest import digest

    task = eggym.load_task("eggym/arithmetic-v0", level=2)
    folder = eggym.export_verifiers(task, tmp_path / "package")
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["name"] == "eggym-arithmetic-v0"
    assert (folder / "eggym_arithmetic_v0/__init__.py").read_text().count('__all__ = ["EggymArithmeticV0Taskset"]') == 1
    source = (folder / "eggym_arithmetic_v0/taskset.py").read_text()
    compile(source, "taskset.py", "exec")
    assert 'reference = "eggym/arithmetic-v0"' in source and digest(task) in source
    assert f"json.loads({json.dumps({'level': 2})!r})" in source
    with pytest.raises(BadValue, match="holds something; give a new one"):
        eggym.export_verifiers(task, folder)


@pytest.mark.slow
def test_a_grpo_trainer_of_trl_trains_on_it(tmp_path):
    pytest.importorskip("trl")
    import warnings
    from pathlib import Path

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TRL's and its dependencies' own
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from trl import GRPOConfig, GRPOTrainer

        base = str(Path(eggym.__file__).parent / "data" / "embedded-v0")
        model = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
        before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        settings = GRPOConfig(
            output_dir=str(tmp_path), per_device_train_batch_size=8, num_generations=4, max_completion_length=24,
            max_steps=2, learning_rate=1e-3, report_to=[], use_cpu=True, logging_steps=1, save_strategy="no",
        )  # fmt: skip
        trainer = GRPOTrainer(
            model,
            eggym.trl_reward("tiny-programs"),
            args=settings,
            train_dataset=eggym.trl_dataset("tiny-programs", "train", 16, chat=False),
            processing_class=AutoTokenizer.from_pretrained(base),
        )
        logging.getLogger("transformers").setLevel(logging.ERROR)
        trainer.train()
    logged = [row["rewards/eggym/tiny-programs-v0/mean"] for row in trainer.state.log_history if "reward" in row]
    assert len(logged) == 2 and max(logged) > 0.0  # the embedded base solves some of them
    assert any(not weight.equal(before[name]) for name, weight in model.named_parameters())
