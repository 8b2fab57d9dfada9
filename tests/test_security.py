"""What SECURITY.md says of the code: which places run, unpack or listen to something, and that no others do."""

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from test_reward_model import write as write_reward_model

from eggym.base_model import Architecture, build_model, build_tokenizer
from eggym.envs.classifier import Classifier
from eggym.errors import EggymError
from eggym.policy import load_policy

ROOT = Path(__file__).parent.parent
FOLDERS = ("eggym", "envs", "es", "agents", "leaderboards", "benchmarks")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.py"))

MODULES = {
    "pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "concurrent.futures.ProcessPoolExecutor",  # pickles
    "tarfile", "zipfile", "gzip", "bz2", "lzma", "shutil.unpack_archive",  # what is packed may be a bomb
    "http.server", "socketserver", "xmlrpc.server", "wsgiref.simple_server", "multiprocessing.managers",  # listen
    "importlib.import_module", "runpy", "ray",
}  # fmt: skip
CALLS = {
    "eval", "exec", "__import__", "os.system", "os.popen",  # run a text
    "pickle.loads", "pickle.load", "marshal.loads", "torch.load", "yaml.load", "np.load", "shutil.unpack_archive",
}  # fmt: skip
METHODS = {
    "import_module", "exec_module", "extractall", "read_pickle",
    "listen", "create_server", "start_server", "start_unix_server", "serve_forever",
}  # fmt: skip
ARGUMENTS = {"allow_pickle", "shell", "weights_only", "loads", "loads_kwargs"}

# Every place, with how often and why. A new one is written here by whoever can say the reason.
ALLOWED = {
    # a task's state is pickled and read again in one expression, to tell whether it could travel
    "eggym/check_rules.py": {"pickle": 1, "pickle.loads": 2},
    # pipes between a process and the ones that it started itself; nothing else can write to them
    "eggym/bench_memory.py": {"concurrent.futures.ProcessPoolExecutor": 1},
    "eggym/bench_rl.py": {"concurrent.futures.ProcessPoolExecutor": 1},
    "leaderboards/spreading.py": {"concurrent.futures.ProcessPoolExecutor": 1},
    # Ray's transport unpickles and listens: a boundary of trust of its own, where it is asked for
    "eggym/ray_workers.py": {"ray": 3},
    # one stream, and no archive: up to a cap
    "eggym/unpacking.py": {"gzip": 1},
    "eggym/replies.py": {"gzip": 1},  # to write
    "leaderboards/packing.py": {"lzma": 1},
    # a safe loader, that also refuses names given twice
    "eggym/config_file.py": {"yaml.load": 1},
    # pages of a board for a browser on this machine: 127.0.0.1 alone (tests/test_board_site.py)
    "leaderboards/site_verbs.py": {"http.server": 1, "serve_forever": 1},
    # model code, in the sandbox, and tests of tasks (docs/sandbox.md)
    "envs/box_checker.py": {"exec": 2},
    "envs/box_program.py": {"exec": 1},
    # what the person at the keyboard named: a file, or module:NAME; never what a record names (tests/test_recorded.py)
    "eggym/source.py": {"import_module": 1, "exec_module": 1},
    # names that stand in this package, or in tables of installed plugins
    "eggym/__init__.py": {"importlib.import_module": 1, "import_module": 2},
    "eggym/bench_sandbox.py": {"importlib.import_module": 1, "import_module": 1},
    "eggym/bench_verbs.py": {"importlib.import_module": 1, "import_module": 1},
    "eggym/cli.py": {"importlib.import_module": 1, "import_module": 1},
    "eggym/doctor.py": {"importlib.import_module": 1, "import_module": 1},
    "eggym/hand.py": {"import_module": 1},
    "eggym/plugins.py": {"import_module": 1},
    "envs/box_zygote.py": {"importlib.import_module": 1, "import_module": 1},
    "benchmarks/peers.py": {"import_module": 3},
}


def words(source):
    """Yield every use of the words above."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            whole = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            yield from (name for name in whole if name in MODULES | CALLS)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            last = name.rpartition(".")[2]
            yield from [name] * (name in CALLS) + [last] * (name not in CALLS and last in METHODS)
            yield from (word.arg for word in node.keywords if word.arg in ARGUMENTS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_only_named_places_run_unpack_or_listen(path):
    found = dict(Counter(words(path.read_text(encoding="utf-8"))))
    assert found == ALLOWED.get(path.relative_to(ROOT).as_posix(), {})


def test_every_named_place_is_there():
    assert ALLOWED.keys() <= {path.relative_to(ROOT).as_posix() for path in FILES}


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("import pickle", "pickle"),
        ("from pickle import loads", "pickle"),
        ("import torch\ndef f(x):\n    return torch.load(x)", "torch.load"),
        ("from torch import load", "torch.load"),
        ("from shutil import unpack_archive", "shutil.unpack_archive"),
        ("eval('1')", "eval"),
        ("run('ls', shell=True)", "shell"),
        ("import numpy as np\nnp.load(x, allow_pickle=True)", "allow_pickle"),
        ("from http.server import HTTPServer", "http.server"),
        ("socket.socket().listen()", "listen"),
        ("tar.extractall('.')", "extractall"),
    ],
)
def test_the_words_are_found(source, word):
    assert word in set(words(source))


def loads_of(path):
    """Yield every call that loads a model, a tokenizer or a configuration by name: the function, and its arguments."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            parts = [node.func, *node.args[:1]] if ast.unparse(node.func) == "partial" else [node.func]
            name = ast.unparse(parts[-1])
            if name.endswith((".from_pretrained", ".from_config", "pipeline")):
                yield name, {word.arg: ast.unparse(word.value) for word in node.keywords}


def test_every_load_of_a_model_turns_remote_code_off_and_reads_safetensors():
    found = [(path.stem, *load) for path in FILES for load in loads_of(path)]
    assert sorted((stem, name.partition(".")[0]) for stem, name, _ in found) == [
        ("classifier", "AutoModelForSequenceClassification"),
        ("classifier", "AutoTokenizer"),
        ("policy", "AutoModelForCausalLM"),
        ("policy", "AutoTokenizer"),
    ]
    for stem, name, arguments in found:
        assert arguments["trust_remote_code"] == "False", (stem, name)
        assert "Model" not in name or arguments["use_safetensors"] == "True", (stem, name)


def booby_trap(folder, mark, file, name, kind):
    """Have a folder name code of its own for its model, configuration or tokenizer."""
    path = folder / file
    settings = json.loads(path.read_text())
    settings["auto_map"] = {name: "trap.Trap" if kind == "model" else ["trap.Trap", "trap.Trap"]}
    settings.update({"model_type": "trap"} if kind == "model" else {"tokenizer_class": "Trap"})
    path.write_text(json.dumps(settings))
    (folder / "trap.py").write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\nclass Trap: pass\n")


TRAPS = [
    ("config.json", "AutoConfig", "model"),
    ("config.json", "AutoModelForCausalLM", "model"),
    ("config.json", "AutoModelForSequenceClassification", "model"),
    ("tokenizer_config.json", "AutoTokenizer", "tokenizer"),
]


@pytest.mark.parametrize("load", [load_policy, lambda folder, device: Classifier(folder, None, device)])
@pytest.mark.parametrize(("file", "name", "kind"), TRAPS)
def test_code_that_comes_with_a_model_is_not_run(tmp_path, load, file, name, kind, monkeypatch):
    folder = tmp_path / "model"
    if load is load_policy:
        build_model(Architecture(width=16, layers=1, heads=2, inner=16)).save_pretrained(folder)
        build_tokenizer().save_pretrained(folder)
    else:
        write_reward_model(folder)
    booby_trap(folder, tmp_path / "mark", file, name, kind)
    monkeypatch.setattr("builtins.input", lambda *words: "y")  # whoever is asked says yes
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    try:
        load(str(folder), "cpu")
    except EggymError as problem:
        assert "\n" not in str(problem)
    assert not (tmp_path / "mark").exists()


def test_reward_models_are_read_from_safetensors_alone(tmp_path):
    import torch
    from safetensors.torch import load_file

    folder = tmp_path / "model"
    write_reward_model(folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    Classifier(str(folder), None, "cpu")
    (folder / "model.safetensors").unlink()
    with pytest.raises(EggymError, match=r"no file named model\.safetensors"):
        Classifier(str(folder), None, "cpu")


WATCH = """
import os, socket, sys
mark = os.environ["EGGYM_TEST_MARK"]

def watch(event, arguments):
    if event == "socket.bind" and arguments[1][:1] != ("::1",) or event == "pickle.find_class":
        with open(mark, "a") as file:
            file.write(f"{event} {arguments[1:]} {sys.argv}\\n")

def listen(self, *words):
    with open(mark, "a") as file:
        file.write(f"listen {self}\\n")

sys.addaudithook(watch)
socket.socket.listen = listen
"""


SETTINGS = {
    "eval.items": 8, "eval.points": 1, "eval.drift": 2, "eval.many": 0, "eval.train_items": 0,
    "eggroll.population": 8, "eggroll.items": 2,
}  # fmt: skip
SMALL = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
RL = ["--set", "dr_grpo.items=3", "--set", "dr_grpo.replies=4"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["train", "--workers", "2", "--learner", "eggroll"],
        ["duel", "--learner", "eggroll", "--learner", "dr_grpo", "--seeds", "2", *RL],
    ],
    ids=["workers", "duel"],
)
def test_processes_of_a_run_listen_to_nobody_and_unpickle_nothing(tmp_path, words):
    where = [Path(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    hooks = [entry / "sitecustomize.py" for entry in where]
    before = "".join(hook.read_text() for hook in hooks if hook.exists())
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(before + WATCH)
    mark = tmp_path / "mark"
    path = os.pathsep.join(map(str, [tmp_path / "site", *where]))
    env = {**os.environ, "EGGYM_TEST_MARK": str(mark), "PYTHONPATH": path}
    small = ["--task", "tiny-programs", "--budget", "100episodes", "--force", *SMALL]
    command = [sys.executable, "-m", "eggym", *words, *small, "--out", str(tmp_path / "run")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not mark.exists(), mark.read_text()
    check = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()"
    subprocess.run([sys.executable, "-c", check], env=env, check=True)
    assert mark.read_text().count("\n") == 2  # the watch sees what it is to see
