"""A real server of somebody else: transformers' own, with the embedded model, against the same model in memory.

It needs what `transformers serve` needs; `.ci/serving` makes an environment for it and runs this file there.
"""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib import resources
from pathlib import Path

import pytest

MISSING = [name for name in ("fastapi", "uvicorn", "openai") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"no {', '.join(MISSING)} here; .ci/serving runs this"),
]
START_S = 120


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The embedded model as a folder, told to sample: the server does so only where the model's own settings say it."""
    folder = tmp_path_factory.mktemp("served") / "embedded"
    shutil.copytree(str(resources.files("eggym").joinpath("data", "embedded-v0")), folder)
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**settings, "do_sample": True, "top_k": 0}))
    return str(folder)


@pytest.fixture(scope="module")
def url(model, tmp_path_factory):
    """The address of a server that has the model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("log") / "serve.log"
    words = [Path(sys.executable).parent / "transformers", "serve", model, "--host", "127.0.0.1", "--port", str(port)]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as file:
        server = subprocess.Popen(
            [*words, "--device", "cpu", "--dtype", "float32"], stdout=file, stderr=subprocess.STDOUT, env=env
        )
    try:
        _wait(f"http://127.0.0.1:{port}/health", server, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(20)


def _wait(address, server, log):
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"no server within {START_S} s: {log.read_text()[-2000:]}")


@pytest.mark.parametrize("task", ["tiny-arithmetic", "tiny-orders", "guess"])
def test_greedy_scores_and_replies_are_those_of_the_model_in_memory(task, model, url, tmp_path):
    from eggym.evaluate import evaluate
    from eggym.served import evaluate_served, plan_served

    plan = plan_served(task, url, model, settings={"eval.items": 40})
    served = evaluate_served(plan, tmp_path)
    local = evaluate(task, model, items=40)

    def told(lines):  # without the ending: this server calls a reply cut that ends with its last token
        return [(line["prompt"], line["turns"], line["reward"]) for line in lines if line["mode"] == "greedy"]

    assert told(served.lines) == told(local.lines)
    assert served.greedy == local.greedy and served.greedy.mean > 0
    assert served.spent.lost == served.spent.retries == served.spent.unmetered == 0
    assert not served.ignores_temperature and sum(served.sampled.states.values()) == 40
    again = evaluate_served(plan, tmp_path, offline=True)
    assert again.lines == served.lines and again.sampled == served.sampled and again.spent.requests == 0


def test_the_command_evaluates_a_served_model(model, url, capsys):
    from eggym.cli import main

    with pytest.raises(SystemExit) as stop:
        main(["eval", "--endpoint", url, "--model", model, "--task", "guess", "--items", "5", "--json"])
    assert not stop.value.code
    out, err = capsys.readouterr()
    assert json.loads(out)["guess"]["greedy"]["n_items"] == 5 and "0 lost" in err


def test_a_model_that_the_server_does_not_have_is_refused_in_one_line(url):
    from eggym.errors import EggymError
    from eggym.served import evaluate_served, plan_served

    settings = {"eval.items": 3, "endpoint.retries": 0}
    with pytest.raises(EggymError, match="no-such-model"):
        evaluate_served(plan_served("guess", url, "no-such-model", settings=settings))
