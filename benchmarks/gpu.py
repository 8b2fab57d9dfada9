"""EGGROLL beside pure decoding on one NVIDIA GPU: first whether it is right, then how fast it is.

Claims: on an H100, a random model in the shape of Qwen2.5-1.5B, bfloat16, 1024 members, 512 tokens of context: at
        least 0.97 of pure decoding at 2 rows per member and 0.95 at 1; in the shape of 7B 0.97; at least 100 times the
        naive method at 1 row per member.
Run:    python benchmarks/gpu.py --name h100            under 9 minutes; writes benchmarks/results/gpu-h100.json
        python benchmarks/gpu.py --tiny                 the same on a CPU, at sizes that mean nothing: its test
        --big adds the 7B shape, --eager-only leaves out the compiled step, --seconds is when to start nothing more

Right, before anything is timed: a population's logits are those of float32-materialised members; noise and updated
weights are the same bits on CPU and GPU. The script stops at the first that fails. Nothing is downloaded.

The context is a cache that is as long as it says but empty: a step's cost does not depend on what is in it. The naive
arm decodes some members one after the other, each with weights of its own that are ready beforehand; its time is
scaled to all. Since small batches are bound by kernel launches, it is also given as a floor that no kernel can beat:
one read of the weights per member and step at the bandwidth that a copy reaches here.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from eggym.base_model import build_tokenizer
from eggym.bench_arms import (
    Work,
    decode,
    endless,
    learner,
    nobody,
    population,
    pretended,
    seat,
)
from eggym.bench_naive import Naive, materialised
from eggym.bench_parts import told
from eggym.counter import as_key, grid_normals
from eggym.errors import EggymError
from eggym.files import sha256_json, write_json
from eggym.machine import describe
from eggym.policy import Policy
from eggym.seeding import key
from eggym.timing import MIN_ROUNDS, Arm, measure
from eggym.usage import peak_memory, reset_peak_memory
from eggym.views import Views

NAIVE_CLAIM = 100.0
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Shape:
    """Sizes of a model of the Qwen 2 family."""

    name: str
    width: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    shapes: tuple[Shape, ...]
    members: int
    context: int
    steps: int
    rounds: int
    naive_members: int
    device: str
    dtype: torch.dtype


SMALL = Shape("correctness", 256, 512, 3, 4, 2, 1024, True)
QWEN_1_5B = Shape("qwen2.5-1.5b-shaped", 1536, 8960, 28, 12, 2, 151_936, True)
QWEN_7B = Shape("qwen2.5-7b-shaped", 3584, 18_944, 28, 28, 4, 152_064, False)
TOY = Shape("toy", 64, 96, 2, 2, 1, 128, True)


def main() -> None:
    """Check, then measure; the result is written after every case, so that an interruption loses little."""
    options = read_options()
    plan = plan_of(options)
    started = time.monotonic()
    result: dict[str, Any] = {"benchmark": "gpu", "format": 1, "machine": describe(), "settings": settings_of(plan)}
    result["correct"] = check_all(plan.device)
    result["cases"] = []
    for shape in plan.shapes:
        policy = build(shape, plan.device, plan.dtype)
        for compiled in (False,) if options.eager_only else (False, True):
            for rows in (1, 2):
                late = time.monotonic() - started > options.seconds
                case = skipped("out of time") if late else attempt(plan, policy, rows, compiled)
                named = {"shape": shape.name, "rows": rows, "compiled": compiled}
                result["cases"].append(named | case)
                show(result["cases"][-1])
                result["seconds"] = round(time.monotonic() - started)
                write_json(options.out, result)
        del policy
        torch.cuda.empty_cache()
    print(f"{options.out}: {result['seconds']} s")


def plan_of(options: argparse.Namespace) -> Plan:
    """Return what to measure; refuse a machine without a GPU."""
    if options.tiny:
        return Plan((TOY,), 16, 13, 3, options.rounds or 1, 2, "cpu", torch.float32)
    if not torch.cuda.is_available():
        print("gpu.py: torch finds no CUDA device here; run it on one, or try it with --tiny", file=sys.stderr)
        sys.exit(2)
    shapes = (QWEN_1_5B, QWEN_7B) if options.big else (QWEN_1_5B,)
    return Plan(shapes, 1024, 496, 16, options.rounds or MIN_ROUNDS, 4, "cuda", torch.bfloat16)


def build(shape: Shape, device: str, dtype: torch.dtype) -> Policy:
    """Return a random model of a shape, made on the device; the same on every device of one kind."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=4096,
        tie_word_embeddings=shape.tied,
        initializer_range=0.05,
    )
    before = torch.get_default_dtype()
    torch.manual_seed(key("gpu", shape.name) % (1 << 31))
    try:
        torch.set_default_dtype(dtype)
        with torch.device(device):
            model = Qwen2ForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    model.set_attn_implementation("sdpa")
    return endless(Policy(model.eval().requires_grad_(False), build_tokenizer(), shape.name))


# -- whether it is right -----------------------------------------------------------------------------------------------


def check_all(device: str) -> dict[str, Any]:
    """Run every check and return what was found.

    Raises:
        EggymError: one of them fails.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    found: dict[str, Any] = {"same_noise_bits": same_noise(device), "same_updated_bits": same_update(device)}
    for dtype, most in ((torch.float32, 1e-4), (torch.bfloat16, 5e-2)):
        error = forward_error(device, dtype)
        found[f"forward_error_{str(dtype).removeprefix('torch.')}"] = error
        if not error < most:
            raise EggymError(f"logits of members in {dtype} differ from materialised ones by {error:.2g}, over {most}")
    if not (found["same_noise_bits"] and found["same_updated_bits"]):
        raise EggymError(f"noise or update on {device} has other bits than on the CPU: {found}")
    return found


def same_noise(device: str) -> bool:
    """Whether grid normals have the same bits as on the CPU."""
    keys = torch.tensor([as_key(key("gpu", number)) for number in range(64)], dtype=torch.int64)
    return torch.equal(grid_normals(keys, 10_001), grid_normals(keys.to(device), 10_001).cpu())


def same_update(device: str) -> bool:
    """Whether three generations with given rewards leave the same bits as on the CPU."""
    here, there = build(SMALL, "cpu", torch.float32), build(SMALL, "cpu", torch.float32)
    there.model.to(device)
    for policy in (here, there):
        es = learner(policy, 64, 4)
        for generation in range(3):
            es.ask(generation)
            batch = told(64, 4)
            batch.step = generation
            es.tell(batch)
    moved = zip(here.model.parameters(), there.model.parameters(), strict=True)
    return all(torch.equal(one, other.cpu()) for one, other in moved)


def forward_error(device: str, dtype: torch.dtype) -> float:
    """Return the rms error of members' logits against float32-materialised members, over the rms of the logits."""
    policy, exact = build(SMALL, device, dtype), build(SMALL, device, dtype)
    exact.model.float()
    members = [0, 1, 6, 7, 12, 15]
    rows_R = torch.tensor([member for member in members for _ in range(4)], device=device)
    generator = torch.Generator().manual_seed(key("gpu", "ids") % (1 << 31))
    ids_R_T = torch.randint(0, SMALL.vocabulary, (len(rows_R), 24), generator=generator).to(device)
    with torch.no_grad(), population(policy, 16).attach(policy.model) as attached:
        seat(attached, rows_R)
        ours = policy.model(input_ids=ids_R_T, use_cache=False).logits.float()
    errors, sizes = [], []
    weights = [materialised(exact, population(exact, 16), member) for member in members]
    for place, one in enumerate(weights):
        with torch.no_grad():
            theirs = torch.func.functional_call(
                exact.model, one, kwargs={"input_ids": ids_R_T[4 * place : 4 * place + 4], "use_cache": False}
            ).logits
        errors.append((ours[4 * place : 4 * place + 4] - theirs).square().mean())
        sizes.append(theirs.square().mean())
    return float((torch.stack(errors).mean() / torch.stack(sizes).mean()).sqrt())


# -- how fast it is ----------------------------------------------------------------------------------------------------


def attempt(plan: Plan, policy: Policy, rows: int, compiled: bool) -> dict[str, Any]:
    """Measure one case; say why where that cannot be done, such as a cache that does not fit."""
    work = Work(policy, plan.members, rows, plan.context, plan.steps, compiled)
    try:
        return case_of(plan, work)
    except (torch.cuda.OutOfMemoryError, EggymError) as problem:
        return skipped(str(problem).splitlines()[0])


def case_of(plan: Plan, work: Work) -> dict[str, Any]:
    """Measure pure decoding twice, EGGROLL, and at 1 row per member the naive method."""
    views = population(work.policy, work.population)
    reset_peak_memory()
    arms = [
        arm("pure", work, nobody()),
        arm("pure again", work, nobody()),
        arm("eggroll", work, views),
    ]
    naive = work.rows == 1 and not work.compiled
    if naive:
        n = plan.naive_members if work.policy.model.config.hidden_size < QWEN_7B.width else 1  # or they do not fit
        sample = [number * work.population // n for number in range(n)]
        one_by_one = Naive(work, sample)
        share = len(sample) / work.population
        arms.append(Arm("naive", lambda: one_by_one.prepared(views), synced(Naive.decode), hashed, share))
    timing = measure(arms, plan.rounds, watch=lambda number: print(f"round {number}", file=sys.stderr))
    twice, claim = ("pure", "pure again"), claim_of(work)
    ratios = [timing.ratio("eggroll", "pure", twice, claim, "wall")]
    if naive:
        ratios.append(timing.ratio("eggroll", "naive", twice, NAIVE_CLAIM, "wall"))
    step_s = sorted(timing.seconds("eggroll", "wall"))[len(timing.readings["eggroll"]) // 2] / (work.steps - 1)
    floor_s = work.population * weight_bytes(work.policy) / bandwidth(plan.device)
    return {
        "arms": timing.as_dict(),
        "ratios": [asdict(ratio) | {"met": ratio.met} for ratio in ratios],
        "peak_bytes": peak_memory(),
        "seated_factor_bytes": views.bytes_per_row(work.policy.model) * len(work.members),
        "eggroll_tokens_per_s": len(work.members) / step_s,
        "naive_floor_step_s": floor_s,
        "over_naive_floor": floor_s / step_s if naive else None,
    }


def arm(name: str, work: Work, views: Views) -> Arm:
    """Return the arm that decodes with some views."""
    return Arm(name, lambda: pretended(work, views), synced(decode), hashed)


def synced(run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the same call, which begins on an idle device and leaves one."""

    def call(state: Any) -> Any:
        result = run(state)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return result

    return call


def hashed(tokens: Any) -> str:
    """Return the digest of an arm's tokens."""
    return sha256_json(tokens)


def claim_of(work: Work) -> float:
    """Return which share of pure decoding is claimed."""
    width = int(work.policy.model.config.hidden_size)
    return 0.97 if work.rows > 1 or width >= QWEN_7B.width else 0.95


def weight_bytes(policy: Policy) -> int:
    """Return what one naive step of one member must read: every weight but an embedding that is no head."""
    model = policy.model
    tied = model.config.tie_word_embeddings
    skip = 0 if tied else model.get_input_embeddings().weight.numel()
    size: int = next(model.parameters()).element_size()
    return size * (policy.n_parameters - int(skip))


def bandwidth(device: str) -> float:
    """Return the bytes per second that a copy reads and writes on the device."""
    n = 1 << (30 if device == "cuda" else 22)
    source, target = (torch.zeros(n, dtype=torch.uint8, device=device) for _ in range(2))
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        synced(target.copy_)(source)
        best = max(best, 2 * n / (time.perf_counter() - start))
    return best


def skipped(reason: str) -> dict[str, Any]:
    """Return a case that was not measured."""
    return {"skipped": reason}


def settings_of(plan: Plan) -> dict[str, Any]:
    """Return the plan as plain values."""
    return asdict(plan) | {"dtype": str(plan.dtype).removeprefix("torch."), "sampling": "greedy", "rank": 1}


def show(case: dict[str, Any]) -> None:
    """Print one case."""
    head = f"{case['shape']}, {case['rows']} rows per member, {'compiled' if case['compiled'] else 'eager'}"
    if "skipped" in case:
        print(f"{head}: skipped, {case['skipped']}")
        return
    print(f"{head}: {case['eggroll_tokens_per_s']:.0f} tokens/s, peak {case['peak_bytes'] / 2**30:.1f} GiB")
    for ratio in case["ratios"]:
        value = (
            f"refused: {ratio['refused']}" if ratio["value"] is None else f"{ratio['value']:.3f}, met: {ratio['met']}"
        )
        print(f"  {ratio['arm']} / {ratio['base']}, claim {ratio['claim']:g}: {value}")
    if case["over_naive_floor"] is not None:
        print(f"  over the floor of the naive method: {case['over_naive_floor']:.1f}")


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--name", default="cuda", help="of the result file: results/gpu-NAME.json")
    parser.add_argument("--out", type=Path, help="another result file")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--big", action="store_true")
    parser.add_argument("--eager-only", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, default=420.0)
    options = parser.parse_args()
    options.out = options.out or RESULTS / f"gpu-{options.name}.json"
    return options


if __name__ == "__main__":
    main()
