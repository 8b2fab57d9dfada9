"""Exported packages in verifiers itself; run by .ci/verifiers, skipped where verifiers is not installed."""

import asyncio
import importlib
import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own dependencies
    vf = pytest.importorskip("verifiers.v1")

import eggym  # behind the skip, as the next
from eggym.errors import EggymError

TASKS = ("eggym/tiny-countdown-v0", "eggym/arithmetic-v0")
pytestmark = pytest.mark.filterwarnings("default")  # warnings of verifiers are not ours


@pytest.fixture
def taskset(tmp_path, monkeypatch):
    """Export a task, import the package by its name as verifiers does, and make the taskset with some settings."""

    def make(task, **settings):
        from verifiers.v1.utils.loaders import taskset_class

        folder = eggym.export_verifiers(task, tmp_path / "package")
        (package,) = [path.name for path in folder.iterdir() if path.is_dir()]
        monkeypatch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        found = taskset_class(package)
        fields = next(base.__orig_bases__[0].__args__[1] for base in found.__mro__ if hasattr(base, "reference"))
        return found(fields(**settings))

    return make


def scored(task, reply):
    """The trace of one reply, scored as verifiers scores it."""
    node = vf.graph.MessageNode(message=vf.AssistantMessage(content=reply), sampled=True)
    trace = vf.Trace(
        task=vf.TraceTask(type=type(task).__name__, data=task.data, key=task.key, hash=task.hash),
        state=vf.State(),
        agent=vf.AgentInfo.model_construct(),
        nodes=[node],
    )
    asyncio.run(task.score(trace, None))
    return trace


@pytest.mark.parametrize("name", TASKS)
def test_tasks_iterate_with_eggyms_prompts_and_gold_scores_one(taskset, name):
    made = taskset(name, split="test")
    source = eggym.load_task(name)
    assert not made.bounded
    for index, task in enumerate(made.take(3)):
        item = source.item("test", index)
        assert task.data.prompt_text == item.prompt and task.data.idx == index
        assert scored(task, source.oracle(item)).reward == 1.0
        assert scored(task, "nonsense").reward == 0.0
        assert asyncio.run(task.validate(None)) is True


def test_splits_and_counts_are_settings_and_keys_stay_apart(taskset):
    made = taskset("tiny-countdown", split="validation", items=5)
    assert made.bounded
    keys = [task.key for task in made]
    assert len(set(keys)) == 5 and all(key.startswith("eggym/tiny-countdown-v0/validation/") for key in keys)


def test_a_failing_grader_is_an_error_and_no_zero(taskset, monkeypatch):
    (task,) = taskset("tiny-countdown").take(1)
    monkeypatch.setattr(type(task.source), "score", lambda self, item, reply: float("nan"))
    with pytest.raises(Exception, match="could not judge") as caught:
        scored(task, "x")
    assert isinstance(caught.value, EggymError | vf.TaskError)


def test_a_rows_split_has_its_own_end(taskset, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(json.dumps({"question": f"Add {n}.", "answer": f"#### {n}"}) for n in range(30)))
    made = taskset(eggym.load_task("gsm8k", data=str(rows)))
    assert made.bounded and len(list(made)) == eggym.load_task("gsm8k", data=str(rows)).n_items("train")


def test_a_task_that_has_changed_since_is_refused(taskset):
    made = taskset("tiny-countdown")
    with pytest.raises(EggymError, match="tiny-countdown-v0 is not what it was when this package was written"):
        type("Old", (type(made),), {"digest": "0" * 64})(made.config)


def test_vf_validate_passes(tmp_path):
    folder = eggym.export_verifiers("tiny-countdown", tmp_path / "package")
    command = [str(Path(sys.executable).parent / "vf-validate"), "eggym_tiny_countdown_v0", "-n", "3"]
    command += ["--runtime.type", "subprocess", "--no-rich", "-o", str(tmp_path / "out")]
    paths = f"{folder}:{Path(eggym.__file__).parent.parent}"
    import os

    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths}, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    (summary,) = (tmp_path / "out").rglob("summary.json")
    outcomes = json.loads(summary.read_text())["outcomes"]
    assert outcomes["valid"] == 3 and sum(outcomes.values()) == 3
