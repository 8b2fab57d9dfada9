"""One population step beside the published PyTorch packages that carry EGGROLL's name.

Claim:  eggym is at least 5 times as fast as the fastest of torcheggroll, eggroll-es and eggroll-trainer.
Work:   32 members score the same 32 tokens (mean log-probability of each next token) and the weights are updated, with
        new noise in every step. A random Llama of 5.25 M parameters (256 wide, 6 layers, 8 query and 4 key heads,
        inner width 768, vocabulary 2048, tied), float32, rank 1, the 42 matrices of the blocks perturbed and nothing
        else, one thread, eager attention for all (the one with which every peer is fastest here).
Run:    python benchmarks/peers.py --out benchmarks/results/peers.json       (about 10 minutes)

Each package is installed from PyPI into a folder of its own (``pip install --no-deps --target``), and called as its
README says; eggym is measured eager and compiled (as with ``engine.compile=true``), and the claim is for compiled: the
packages have no such switch. eggroll-trainer declares Python 3.12; it is installed with ``--ignore-requires-python`` on
an older one and runs unchanged. A package that cannot be had is named in the result with the date. Generation is not
compared: one of the packages cannot do it, another generates members one by one.
"""

import argparse
import contextlib
import copy
import functools
import importlib
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eggym.base_model import build_tokenizer
from eggym.bench_arms import learner, seat
from eggym.bench_parts import batch_of
from eggym.errors import EggymError
from eggym.files import write_json
from eggym.machine import describe
from eggym.policy import Policy
from eggym.seeding import key
from eggym.timing import Arm, measure
from eggym.views import ParameterSpace

MEMBERS, TOKENS, CLAIM = 32, 32, 5.0
SIGMA, RATE = 0.01, 1e-4
PACKAGES = {"torcheggroll": "0.2.0", "eggroll-es": "0.2.0", "eggroll-trainer": "0.1.0"}
TWICE, COMPILED = ("eggym", "eggym again"), "eggym compiled"
Step = Callable[[], object]


def main() -> None:
    """Install, measure, print and write."""
    options = read_options()
    torch.set_num_threads(1)
    model, ids = build_model(), tokens()
    steps = {"plain batch": plain(model, ids)}
    for name in (*TWICE, COMPILED):
        build = functools.partial(ours, compiled=name == COMPILED)
        steps[name] = moving(name, build, copy.deepcopy(model).requires_grad_(False), ids)
    missing = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, version in PACKAGES.items():
            problem = install(name, version, Path(scratch) / name, options.wheels)
            if problem:
                missing[name] = f"not available on {datetime.now(UTC).date().isoformat()}: {problem}"
            else:
                steps[name] = moving(name, PEERS[name], copy.deepcopy(model), ids)
        result = compare(steps, missing, options.rounds)
    if options.out:
        write_json(options.out, result)
    show(result)


def compare(steps: dict[str, Step], missing: dict[str, str], rounds: int) -> dict[str, Any]:
    """Measure the steps in random order and return the result as plain values."""
    before = describe()
    arms = [Arm(name, contextlib.nullcontext, _call(step)) for name, step in steps.items()]
    timing = measure(arms, rounds, watch=lambda number: print(f"round {number} of {rounds}", file=sys.stderr))
    own = [name for name in ("eggym", COMPILED) if name in steps]
    ratios = [timing.ratio(one, name, TWICE, CLAIM) for one in own for name in steps if name in PACKAGES]
    ratios += [timing.ratio(one, "plain batch", TWICE) for one in own] + [timing.ratio("eggym again", "eggym", TWICE)]
    return {
        "benchmark": "peers",
        "format": 1,
        "machine": before | {"load_after": describe()["load"]},
        "settings": {"members": MEMBERS, "tokens": TOKENS, "rank": 1, "dtype": "float32", "rounds": rounds},
        "packages": {name: PACKAGES[name] for name in steps if name in PACKAGES},
        "missing": missing,
        "arms": timing.as_dict(),
        "ratios": [asdict(ratio) | {"met": ratio.met} for ratio in ratios],
    }


def show(result: dict[str, Any]) -> None:
    """Print a result as a table."""
    for name, arm in result["arms"].items():
        found = arm["cpu_s"]
        print(f"{name:<16} {found['median']:8.3f} s   {found['q1']:.3f} to {found['q3']:.3f}")
    for ratio in result["ratios"]:
        value = "refused: " + ratio["refused"] if ratio["value"] is None else f"{ratio['value']:.2f}"
        claim = "" if ratio["claim"] is None else f"   claim {ratio['claim']:g}, met: {ratio['met']}"
        print(f"{ratio['base']} / {ratio['arm']}: {value}{claim}")
    for name, reason in result["missing"].items():
        print(f"{name}: {reason}")


def build_model() -> Any:
    """Return the model; the matrices of its blocks, and nothing else, ask for gradients: so peers choose what moves."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=2048,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
    )
    torch.manual_seed(key("peers", "weights") % (1 << 31))
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    model.set_attn_implementation("eager")
    for weight in ParameterSpace().select(model).values():
        weight.requires_grad_(True)
    return model


def tokens() -> Tensor:
    """Return the text that every member scores: (1, T)."""
    generator = torch.Generator().manual_seed(key("peers", "tokens") % (1 << 31))
    return torch.randint(0, 2048, (1, TOKENS), generator=generator)


def score(logits_R_T_V: Tensor, ids_R_T: Tensor) -> Tensor:
    """Return the mean log-probability of the next tokens, by row."""
    logprobs = logits_R_T_V[:, :-1].log_softmax(-1)
    return logprobs.gather(2, ids_R_T[:, 1:, None])[..., 0].mean(1)


def ours(model: Any, ids: Tensor, compiled: bool = False) -> Step:
    """One step of eggym: the whole population in one batch."""
    policy = Policy(model, build_tokenizer(), "peers")
    forward = torch.compile(model) if compiled else model
    es, rows_R = learner(policy, MEMBERS), torch.arange(MEMBERS)
    ids_R_T, number = ids.expand(MEMBERS, -1), iter(range(1 << 30))

    def step() -> None:
        generation = next(number)
        with torch.inference_mode(), es.ask(generation).attach(policy.model) as attached:
            seat(attached, rows_R)
            rewards = score(forward(input_ids=ids_R_T, use_cache=False).logits, ids_R_T)
        es.tell(batch_of(rewards.view(MEMBERS, 1).tolist(), generation))

    return step


def moving(name: str, build: Callable[[Any, Tensor], Step], model: Any, ids: Tensor) -> Step:
    """Return a peer's step after one call of it, which must have moved every matrix of the blocks and nothing else."""
    before = {one: weight.detach().clone() for one, weight in model.named_parameters()}
    step = build(model, ids)
    step()
    moved = {one for one, weight in model.named_parameters() if not torch.equal(weight, before[one])}
    if moved != ParameterSpace().select(model).keys():
        raise EggymError(f"a step of {name} moved {len(moved)} weights; it must move the matrices of the blocks alone")
    return step


def plain(model: Any, ids: Tensor) -> Step:
    """The same tokens through the unperturbed model in one batch: what cannot be undercut."""
    ids_R_T = ids.expand(MEMBERS, -1)

    def step() -> Tensor:
        with torch.inference_mode():
            return score(model(input_ids=ids_R_T, use_cache=False).logits, ids_R_T)

    return step


def torcheggroll(model: Any, ids: Tensor) -> Step:
    """One call of `step`, which evaluates the members by vmap over stacked weights."""
    package = importlib.import_module("torcheggroll")
    causal = torch.zeros(1, 1, TOKENS, TOKENS).masked_fill_(torch.ones(TOKENS, TOKENS).triu(1).bool(), -1e9)

    class Logits(nn.Module):  # vmap takes tensors only: no output object, no cache, a mask that is given
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, ids: Tensor) -> Tensor:
            logits: Tensor = self.inner(input_ids=ids, attention_mask=causal, use_cache=False).logits
            return logits

    es = package.TorchEggrollES(Logits(), pop_size=MEMBERS, sigma=SIGMA, lr=RATE, rank=1, antithetic=True)
    return lambda: es.step(ids, lambda logits, targets: -score(logits, targets)[0], ids)


def eggroll_es(model: Any, ids: Tensor) -> Step:
    """One generation of `evolve`; a population of 16 antithetic directions is 32 members."""
    package = importlib.import_module("eggroll")
    config = package.EggrollConfig(
        population_size=MEMBERS // 2, rank=1, sigma=SIGMA, lr=RATE, generations=1, antithetic=True, device="cpu"
    )
    reward = package.CustomReward(lambda model, batch: float(score(model(batch, use_cache=False).logits, batch)))
    with silence():
        trainer = package.EggrollTrainer(model, config, reward)

    def step() -> None:
        with silence():
            trainer.evolve([ids])

    return step


def eggroll_trainer(model: Any, ids: Tensor) -> Step:
    """One call of `step`; noise is not reused, since with reuse its twins are not opposite."""
    package = importlib.import_module("eggroll_trainer")

    def fitness(model: Any) -> float:
        with torch.no_grad():
            return float(score(model(ids, use_cache=False).logits, ids))

    es = package.EGGROLLTrainer(
        model.parameters(), model=model, fitness_fn=fitness, population_size=MEMBERS, learning_rate=RATE, sigma=SIGMA,
        rank=1, noise_reuse=0, freeze_nonlora=True, seed=0,
    )  # fmt: skip

    def step() -> object:
        with torch.no_grad():
            return es.step()

    return step


PEERS = {"torcheggroll": torcheggroll, "eggroll-es": eggroll_es, "eggroll-trainer": eggroll_trainer}


def install(name: str, version: str, folder: Path, wheels: str | None) -> str | None:
    """Install a package into a folder and put that on the path; return the last line of what went wrong, or None."""
    words = ["pip", "install", "--quiet", "--no-deps", "--ignore-requires-python", "--target", str(folder)]
    words += ["--disable-pip-version-check", *(["--find-links", wheels] if wheels else []), f"{name}=={version}"]
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["pip failed"])[-1]
    sys.path.insert(0, str(folder))
    return None


@contextmanager
def silence() -> Iterator[None]:
    """Keep a package from printing in the middle of a measurement."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--wheels", help="a folder of wheels, where there is no network")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def _call(step: Step) -> Callable[[Any], object]:
    return lambda state: step()


if __name__ == "__main__":
    main()
