"""Shared fixtures: small policies with random weights, built once.

Not covered here: GPUs, hubs and networks; each test that needs real data says so and is skipped by name without it.
"""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
from hypothesis import settings

# a shell that starts this in the background sets Ctrl-C to be ignored, also for the commands that tests interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("eggym", deadline=None)  # the first torch call may take longer than the default 200 ms
settings.load_profile("eggym")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    import torch

    torch.set_num_threads(1)


def random_policy(seed=0, layers=2, dtype=None, sharpness=6.0, **architecture):
    """A small Llama with random weights and peaked predictions, and the character tokenizer."""
    import torch

    from eggym.base_model import Architecture, build_model, build_tokenizer
    from eggym.policy import Policy

    torch.manual_seed(seed)
    sizes = {"width": 32, "layers": layers, "heads": 2, "inner": 48, **architecture}
    model = build_model(Architecture(**sizes)).eval().requires_grad_(False)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim >= 2:
                weight.mul_(sharpness)  # the usual 0.02 would make every prediction the same
    if dtype is not None:
        model = model.to(dtype)
    model.set_attn_implementation("eager")
    return Policy(model, build_tokenizer(), "random")


class ChatServer:
    """A real HTTP server of chat completions on this machine that does what its script says.

    ``script(number, body)`` is called with the number of the request, from 0, and its JSON; it returns a str (a reply),
    a dict (the JSON to send), bytes (a page of HTML), a status with headers and JSON, "STALL", "DROP" or "TRICKLE".
    """

    def __init__(self, script):
        import threading
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        self.requests, self.headers, self.most_at_once = [], [], 0
        self._lock, self._closing, self._now = threading.Lock(), threading.Event(), 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                import json

                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server._lock:
                    number = len(server.requests)
                    server.requests.append(body)
                    server.headers.append({name.lower(): value for name, value in self.headers.items()})
                    server._now += 1
                    server.most_at_once = max(server.most_at_once, server._now)
                act = script(number, body)
                with server._lock:
                    server._now -= 1
                self.play(act)

            def play(self, act):
                import json

                status, headers, data = 200, {"Content-Type": "application/json"}, act
                if isinstance(act, tuple):
                    status, more, data = act
                    headers |= more
                if data in ("STALL", "DROP", "TRICKLE"):
                    data, act = completion("never whole"), data
                elif isinstance(data, str):
                    data = completion(data)
                if isinstance(data, bytes):
                    headers["Content-Type"] = "text/html"
                else:
                    data = json.dumps(data).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if act == "TRICKLE":
                    for place in range(len(data)):
                        self.wfile.write(data[place : place + 1])
                        if server._closing.wait(0.1):
                            break
                elif act in ("STALL", "DROP"):
                    self.wfile.write(data[: len(data) // 2])
                    self.wfile.flush()
                    if act == "STALL":
                        server._closing.wait(5)
                    self.close_connection = True
                else:
                    self.wfile.write(data)

            def log_message(self, *words):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                pass  # a client that gives up is what some tests are about

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self):
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def completion(text, finish="stop", prompt_tokens=7, completion_tokens=3):
    """What a server answers: one choice, with its counts of tokens."""
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    message = {"role": "assistant", "content": text}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}


@pytest.fixture
def chat_server(monkeypatch):
    """Call it with a script; every server it made is closed at the end."""
    pytest.importorskip("openai", reason='needs the extra "judge"')
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    made = []

    def make(script):
        made.append(ChatServer(script))
        return made[-1]

    make.completion = completion
    yield make
    for server in made:
        server.close()


@pytest.fixture(scope="session")
def small_place(tmp_path_factory):
    """A place with the board ``small``, see `boards`. Nobody changes it; the runs lie beside it under ``runs``."""
    import boards

    base = tmp_path_factory.getbasetemp()
    return boards.shared_place((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "small-place")


@pytest.fixture(scope="session")
def policy():
    """A policy that nobody changes."""
    return random_policy()


@pytest.fixture
def fresh_policy():
    """A policy that a test may train."""
    return random_policy()


@pytest.fixture(scope="session")
def make_policy():
    return random_policy


DATA = {  # where real data of a task lie under EGGYM_DATA
    "eggym/gsm8k-v0": "gsm8k",
    "eggym/math500-v0": "math500",
    "eggym/ifeval-v0": "ifeval/input_data.jsonl",
    "eggym/humaneval-v0": "humaneval/HumanEval.jsonl.gz",
    "eggym/mbpp-v0": "mbpp",
}
RUN_PROGRAMS = {
    f"eggym/{name}-v0" for name in ("humaneval", "mbpp", "stdin-stdout", "repair", "programs", "tiny-functions")
}


@pytest.fixture
def house_task(box_level):
    """Return task and options of an id of the house; skips, by name, one whose data, extra or sandbox is not there."""

    def load(task_id):
        from eggym.registry import load_task

        options = {}
        if task_id in DATA:
            if "EGGYM_DATA" not in os.environ:
                pytest.skip(f"{task_id} needs real data: set EGGYM_DATA to a folder with {DATA[task_id]}")
            options["data"] = os.path.join(os.environ["EGGYM_DATA"], DATA[task_id])
        if task_id in RUN_PROGRAMS:
            box_level("landlock")
        if task_id.startswith("eggym/rg-"):
            pytest.importorskip("reasoning_gym")
        return load_task(task_id, **options), options

    return load


SANDBOX = {}  # level of the sandbox, or who attacks it -> "ran" or why not; said at the end of a session


@pytest.fixture(scope="session")
def box_notes():
    """What is to be said at the end of the session about the sandbox: name -> words."""
    return SANDBOX


@pytest.fixture
def box_level():
    """Return a level of the sandbox by its name; skips, by name, one that this host does not give."""
    from eggym.envs.box_levels import NEEDS, order, probe
    from eggym.envs.box_terms import Level

    def ask(name):
        level, host = Level(name), probe()
        if host.gives(level):
            SANDBOX[f"level {level}"] = "ran"
            return level
        lacks = ", ".join(one for each in NEEDS for one in NEEDS[each] if one in host.missing)
        SANDBOX[f"level {level}"] = f"NOT RUN, this host lacks {lacks}"
        required = os.environ.get("EGGYM_REQUIRE_SANDBOX", "none")
        assert order(level) > order(Level(required)), f"level {level} is required here, and this host lacks {lacks}"
        pytest.skip(f"sandbox level {level}: this host lacks {lacks}")

    return ask


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):  # a worker of pytest-xdist: what it did is said by the one in charge
        session.config.workeroutput["sandbox"] = SANDBOX


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    SANDBOX.update(getattr(node, "workeroutput", {}).get("sandbox", {}))


def pytest_terminal_summary(terminalreporter):
    for name, said in SANDBOX.items():
        terminalreporter.write_line(f"sandbox, {name}: {said}")
