import json
import os
import signal
import subprocess
import sys

import pytest

from eggym.cli import main
from eggym.errors import BadValue
from eggym.registry import load_task

QUICK = [
    "--set", "eval.items=16", "--set", "eval.points=2", "--set", "eval.many=0", "--set", "eval.train_items=0",
]  # fmt: skip
SMALL = {
    "eggroll": [*QUICK, "--set", "eggroll.population=8", "--set", "eggroll.items=4"],
    "dr_grpo": [*QUICK, "--set", "dr_grpo.items=4", "--set", "dr_grpo.replies=4"],
}


def run(capsys, *words):
    """Call the command in this process; return exit code, stdout, stderr."""
    code = 0
    try:
        main(list(words))
    except SystemExit as stop:
        code = stop.code or 0
    out, err = capsys.readouterr()
    return code, out, err


def test_list_names_tasks_and_learners(capsys):
    code, out, _ = run(capsys, "list", "--json")
    found = json.loads(out)
    assert code == 0
    assert {"eggym/tiny-arithmetic-v0", "eggym/guess-v0", "eggym/gsm8k-v0"} <= {task["id"] for task in found["tasks"]}
    assert {"eggroll", "openai-es", "grpo", "dr_grpo", "frozen"} <= {one["name"] for one in found["learners"]}
    code, out, _ = run(capsys, "list")
    assert code == 0 and "eggym/guess-v0" in out and "eggroll" in out


def test_a_learners_settings_are_listed(capsys):
    code, out, _ = run(capsys, "list", "eggroll", "--json")
    found = json.loads(out)
    assert code == 0 and found["kind"] == "es" and found["profiles"]["tiny"]["sigma"] == 0.04
    code, out, _ = run(capsys, "list", "random-reward:dr_grpo")
    assert code == 0 and "--set dr_grpo.NAME=VALUE" in out and "0.0005" in out


def test_a_learner_without_settings_says_so(capsys):
    code, out, _ = run(capsys, "list", "best-of-n")
    assert code == 0 and out.startswith("best-of-n: No settings: ") and "n follows from the budget" in out
    assert "--set" not in out and "an upper bound" in out


def test_the_options_of_a_task_are_listed_with_what_it_is(capsys):
    code, out, _ = run(capsys, "list", "guess")
    assert code == 0 and out.startswith("eggym/guess-v0\nFind a hidden number") and "no options" in out
    code, out, _ = run(capsys, "list", "exam")
    assert "--set task.NAME=VALUE" in out
    assert {("task.turns", "4"), ("task.mode", "sum")} <= {tuple(line.split()) for line in out.splitlines()}
    code, out, _ = run(capsys, "list", "mbpp", "--json")  # options of its own, and no data looked for
    found = json.loads(out)
    assert found["options"]["rows"] == "sanitized" and found["max_turns"] == 1 and "asserts" in found["about"]
    code, out, _ = run(capsys, "list", "rg-zebra_puzzles", "--json")
    assert code == 0 and json.loads(out)["options"] == {"level": None}


@pytest.mark.parametrize("name", ["countdown", "guess", "word-problems"])
def test_the_listed_options_of_a_task_are_those_that_a_refusal_names(capsys, name):
    with pytest.raises(BadValue) as told:
        load_task(name, foo=3)
    listed = ", ".join(json.loads(run(capsys, "list", name, "--json")[1])["options"]) or "none"
    assert str(told.value).endswith(f"has no option 'foo'; its options: {listed}")


def test_the_version_is_told(capsys):
    assert run(capsys, "--version")[1].startswith("eggym 0.")


def test_every_verb_explains_itself(capsys):
    _, out, _ = run(capsys, "--help")
    for verb in (
        "list", "check", "play", "eval", "train", "duel", "status", "runs", "track", "compare", "probe", "replay",
        "export", "bake", "bench", "doctor",
    ):  # fmt: skip
        assert f"  {verb} " in out
        code, text, _ = run(capsys, verb, "--help")
        assert code == 0 and text.startswith(f"Usage: eggym {verb}")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["duel", "--budget", "0flops"], "budget must be above 0 and finite, got '0flops'"),
        (["duel", "--budget", "5parsecs"], "budget '5parsecs' is not a number and a unit"),
        (["duel", "--set", "sigma"], "--set 'sigma' has no name and value"),
        (["train", "--task", "gues", "--learner", "eggroll"], "no task 'gues'; did you mean 'guess'?"),
        (["train", "--task", "guess"], "train takes exactly one --learner, got 0"),
        (["eval", "--task", "nothing.py"], "nothing.py"),
        (["compare", "/nonexistent"], "no finished run in /nonexistent"),
        (["export", "/nonexistent", "--to", "x"], "no record.json in /nonexistent"),
        (["duel", "--seeds", "2", "--seed", "4"], "give --seeds (how many) or --seed (which ones), not both"),
        (["duel", "--out", "a\x1b[31m"], "out holds characters that cannot be printed"),
        (["train", "--task", "guess", "--learner", "frozen", "--out", "/proc/x"], "cannot write into folder '/proc/x'"),
        (["duel", "--config", "/nonexistent.yaml"], "cannot read config file '/nonexistent.yaml'"),
        (["duel", "--learner", "eggroll", "--set", "eggroll.population=7"], "population must be even"),
        (
            ["duel", "--set", "ppo.lr=1"],
            "sets ppo, which takes no part: the learners here are eggroll, dr_grpo, frozen",
        ),
        (["train", "--task", "tiny-orders", "--learner", "ppo", "--set", "sft.lr=1"], "the learner here is ppo; add"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(capfd, monkeypatch, tmp_path, words, line):
    monkeypatch.chdir(tmp_path)
    code = 0
    try:
        main(words)
    except SystemExit as stop:
        code = stop.code
    out, err = capfd.readouterr()
    assert code == 2 and out == ""
    assert err.startswith("eggym: ") and err.count("\n") == 1 and line in err
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback(capsys):
    with pytest.raises(Exception, match="budget must be above 0"):
        main(["duel", "--budget", "0flops", "--debug"])


@pytest.mark.slow
def test_flags_override_the_file_and_unknown_names_in_it_are_refused(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "duel.yaml"
    file.write_text(
        "task: tiny-programs\nlearner: [eggroll, frozen]\nbudget: 200episodes\nseeds: 2\n"
        "set:\n  eval: {items: 16, points: 2}\n  eggroll.population: 8\n  eggroll.items: 4\n"
    )
    code, out, _ = run(capsys, "duel", "--config", "duel.yaml", "--seeds", "3", "--dry-run", "--json")
    plan = json.loads(out)
    assert code == 0
    assert [(one["task"], one["learner"], one["runs"]) for one in plan["runs"]] == [
        ("eggym/tiny-programs-v0", "eggroll", 3), ("eggym/tiny-programs-v0", "frozen", 3),
    ]  # fmt: skip
    assert plan["runs"][0]["steps"] == 6 and plan["runs"][0]["episodes"] == 192
    assert [path.name for path in tmp_path.iterdir()] == ["duel.yaml"]
    file.write_text("taks: tiny-programs\n")
    code, _, err = run(capsys, "duel", "--config", "duel.yaml")
    assert code == 2 and "no setting in duel.yaml: 'taks'; did you mean 'task'?" in err


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("budget: 1e9flops\nbudget: 2e9flops\n", "'budget' is given twice"),
        ("set: 5\n", "set in config file 'duel.yaml' must hold names and values"),
        ("- a\n", "must hold names and values"),
        ("1: 2\n", "must hold names and values"),
        ("set: &a {x: *a}\n", "is no YAML"),
        ("seeds: many\n", "seeds must be a count or a list of seeds"),
        ("seeds: [-1]\n", "whole numbers from 0"),
        ("out: [a]\n", "out must be a text"),
        ("force: maybe\n", "force must be true or false"),
    ],
)
def test_a_file_that_says_nothing_usable_is_refused(capsys, tmp_path, monkeypatch, text, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "duel.yaml").write_text(text)
    code, _, err = run(capsys, "duel", "--config", "duel.yaml")
    assert code == 2 and err.count("\n") == 1 and line in err


def test_export_replaces_nothing_but_an_export(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["train", "--task", "tiny-programs", "--learner", "frozen", "--out", "run", *QUICK]
    assert run(capsys, *words)[0] == 0
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years")
    code, _, err = run(capsys, "export", "run", "--to", "precious", "--force")
    assert code == 2 and "is no exported model" in err
    assert run(capsys, *words[: -len(QUICK) - 1], "control", *QUICK)[0] == 0  # a run without folders below it
    code, _, err = run(capsys, "export", "run", "--to", "control", "--force")
    assert code == 2 and "is no exported model" in err and (tmp_path / "control" / "record.json").exists()
    for target in ("run", "."):
        code, _, err = run(capsys, "export", "run", "--to", target, "--force")
        assert code == 2 and "holds the run itself" in err
    assert (tmp_path / "precious" / "thesis.txt").read_text() == "years"
    assert (
        run(capsys, "export", "run", "--to", "model")[0]
        == run(capsys, "export", "run", "--to", "model", "--force")[0]
        == 0
    )
    (tmp_path / "run" / "weights.safetensors").write_bytes(b"junk")
    code, _, err = run(capsys, "export", "run", "--to", "other")
    assert code == 2 and "cannot be read" in err and not (tmp_path / "other").exists()


@pytest.mark.parametrize("verb", ["train", pytest.param("duel", marks=pytest.mark.slow)])
def test_ctrl_c_is_one_line_and_leaves_what_can_be_continued(tmp_path, verb):
    words = [verb, "--task", "tiny-programs", "--learner", "eggroll", "--budget", "9000episodes", "--out", "run"]
    with subprocess.Popen(
        [sys.executable, "-m", "eggym", *words, *SMALL["eggroll"]],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    ) as process:
        while "step 0" not in process.stderr.readline():
            pass
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait() == 130
    assert rest.splitlines()[-1] == "eggym: stopped; the same command continues where it was"
    assert "Traceback" not in rest


def test_train_eval_compare_export_in_a_row(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [
        "train",
        "--task",
        "tiny-programs",
        "--learner",
        "dr_grpo",
        "--budget",
        "160episodes",
        "--out",
        "run",
        *SMALL["dr_grpo"],
    ]
    code, out, err = run(capsys, *words)
    assert code == 0 and "greedy reward on eggym/tiny-programs-v0" in out and "held-out reward" in err
    assert run(capsys, *words)[0] == 0  # reads what is there
    code, out, _ = run(capsys, "compare", "run", "--json")
    assert code == 0 and json.loads(out)["tasks"][0]["learners"][0]["learner"] == "dr_grpo"
    code, out, _ = run(capsys, "compare", "run")
    assert code == 0 and out.endswith("no pair of ES and RL here, so there is no verdict\n")
    code, _, err = run(capsys, "eval", "--task", "tiny-programs", "--model", "run")
    assert code == 2 and "is a run's, not a model's: eggym export run --to FOLDER" in err
    code, out, _ = run(capsys, "export", "run", "--to", "model")
    assert code == 0 and "from_pretrained" in out
    code, _, err = run(capsys, "export", "run", "--to", "model")
    assert code == 2 and "exists already" in err
    code, out, _ = run(capsys, "eval", "--task", "tiny-programs", "--model", "model", "--items", "16", "--json")
    trained = json.loads(out)["tiny-programs"]["greedy"]
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert trained["rewards"] == record["points"][-1]["greedy"]["rewards"]
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.json").write_text("{}")
    code, _, err = run(capsys, "compare", ".")
    assert code == 0 and "not finished, and left out: begun" in err
    (tmp_path / "run" / "evaluations.jsonl").write_text("")
    code, _, err = run(capsys, "compare", "run")
    assert code == 2 and "evaluations.jsonl was changed since the run was finished" in err


def test_true_rewards_are_told_where_the_reward_is_a_proxy(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "eval", "--task", "probe-length", "--items", "8")
    assert code == 0 and "true" in out and "gap" in out
    code, out, _ = run(capsys, "eval", "--task", "tiny-orders", "--items", "8")
    assert code == 0 and "gap" not in out
    code, out, _ = run(
        capsys, "train", "--task", "probe-length", "--learner", "dr_grpo", "--budget", "160episodes", *SMALL["dr_grpo"]
    )
    assert code == 0 and "; true reward: " in out


@pytest.mark.slow
def test_the_exported_model_needs_no_eggym(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(
        capsys,
        "train",
        "--task",
        "tiny-orders",
        "--learner",
        "eggroll",
        "--budget",
        "200episodes",
        "--out",
        "run",
        *SMALL["eggroll"],
    )
    assert run(capsys, "export", "run", "--to", "model")[0] == 0
    program = (
        "import sys, torch; from transformers import AutoModelForCausalLM as M, AutoTokenizer as T\n"
        "m, t = M.from_pretrained('model'), T.from_pretrained('model')\n"
        "chat = [{'role': 'user', 'content': 'say 2 b caps !:'}]\n"
        "ids = t.apply_chat_template(chat, add_generation_prompt=True, return_tensors='pt')\n"
        "ids = ids if torch.is_tensor(ids) else ids['input_ids']\n"
        "print(m.generate(ids, max_new_tokens=8, do_sample=False).shape)\n"
        "assert not any(name.startswith('eggym') for name in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_check_fails_with_code_1_on_a_broken_task(capsys, tmp_path):
    assert run(capsys, "check", "tiny-programs")[0] == 0
    file = tmp_path / "broken.py"
    file.write_text(
        "from eggym import Item, SingleTurnTask\n"
        "class Broken(SingleTurnTask):\n    id = 'me/broken-v0'\n"
        "    def generate(self, rng):\n        return Item(str(rng.randrange(10**6)), 'x')\n"
        "    def score(self, item, reply):\n        return 1.0\n"  # pays for anything
    )
    code, out, _ = run(capsys, "check", str(file), "--json")
    assert code == 1 and json.loads(out)["me/broken-v0"]["ok"] is False


def test_a_person_can_play(capsys, monkeypatch):
    from eggym.registry import load_task

    task = load_task("tiny-programs")
    monkeypatch.setattr("builtins.input", lambda text: task.oracle(task.item("train", 3)))
    code, out, _ = run(capsys, "play", "tiny-programs", "--item", "3")
    assert code == 0 and "correct: reward 1" in out


def test_the_command_is_also_a_module():
    done = subprocess.run([sys.executable, "-m", "eggym", "list", "--json"], capture_output=True, text=True)
    assert done.returncode == 0 and json.loads(done.stdout)["tasks"]
