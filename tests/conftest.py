"""Shared fixtures: small policies with random weights, built once.

Not covered here: GPUs, hubs and networks; each test that needs real data says so and is skipped by name without it.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
from hypothesis import settings

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
}


@pytest.fixture
def house_task():
    """Return task and options of an id of the house; skips, by name, one whose data or extra are not there."""

    def load(task_id):
        from eggym.registry import load_task

        options = {}
        if task_id in DATA:
            if "EGGYM_DATA" not in os.environ:
                pytest.skip(f"{task_id} needs real data: set EGGYM_DATA to a folder with {DATA[task_id]}")
            options["data"] = os.path.join(os.environ["EGGYM_DATA"], DATA[task_id])
        if task_id.startswith("eggym/rg-"):
            pytest.importorskip("reasoning_gym")
        return load_task(task_id, **options), options

    return load
