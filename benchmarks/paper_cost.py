"""What a step of ES and of RL takes on large models and many GPUs: on paper, nothing of it was run.

Claim:  none. The tables of docs/scaling.md are what this prints; a test compares them.
Work:   formulas over the published sizes of four models and one kind of GPU; the assumptions are the constants below.
Run:    python benchmarks/paper_cost.py

ES: every GPU holds the whole model, plays its share of the members and repeats the update. RL: weights, gradients and
optimiser are cut among all GPUs (FSDP2) and gathered for the rollout, as `eggym train` does it under torchrun.
Axes in names: none.
"""

from collections.abc import Iterator
from dataclasses import dataclass

MEMORY = 80e9  # bytes of a GPU,
FLOPS = 0.4 * 989e12  # dense bfloat16 per second, of which 40 % is had,
BANDWIDTH = 0.6 * 3.35e12  # bytes of its memory per second, of which 60 % is had,
LINK = 0.8 * 50e9  # bytes per second to another machine (400 Gb/s), of which 80 % is had
FP64 = 0.5 * 67e12  # in matrix units, for the exact sums of the ES update
EPISODES, PROMPT, REPLY = 8192, 256, 1024  # of a step; tokens
MEMBERS, RANK = 1024, 1  # of ES: pairs of opposite sign share their factors
ROWS = 128  # decoded together
GPUS = (8, 64, 256, 1024)


@dataclass(frozen=True)
class Model:
    """Published sizes."""

    name: str
    weights: float
    layers: int
    kv_width: int  # key-value heads times their width

    @property
    def kv_bytes(self) -> int:
        """Bytes of the cache for a token, in bfloat16."""
        return 2 * 2 * self.layers * self.kv_width


MODELS = (
    Model("7B (28 layers)", 7.6e9, 28, 512),
    Model("14B (48 layers)", 14.8e9, 48, 1024),
    Model("32B (64 layers)", 32.8e9, 64, 1024),
    Model("70B (80 layers)", 70.6e9, 80, 1024),
)


def cache(model: Model) -> float:
    """Return the bytes of the cache of all rows."""
    return ROWS * (PROMPT + REPLY) * model.kv_bytes


def es_memory(model: Model, each: int) -> float:
    """Return the bytes that a GPU of an ES run holds, ``each`` of them for a weight."""
    return each * model.weights + cache(model)


def rl_memory(model: Model, n_gpus: int) -> tuple[float, float]:
    """Return the bytes of a GPU in the rollout and in the update: 16 a weight are cut among all (bfloat16 weights and
    gradients, float32 masters and two moments of Adam); the rollout gathers the weights, the update one layer."""
    cut = 16 * model.weights / n_gpus
    layer = 2 * model.weights / model.layers
    kept = 2 * model.layers * (PROMPT + REPLY) * 8192 * 8  # checkpoints of activations, 8 texts of width 8192
    return cut + 2 * model.weights + cache(model), cut + 3 * layer + kept


def rollout_s(model: Model, n_gpus: int) -> float:
    """Return the seconds of a step's rollout: prompts are computed, then each token passes over weights and cache."""
    texts = EPISODES / n_gpus
    rows = min(ROWS, texts)
    read = 2 * model.weights * PROMPT * texts / FLOPS
    passed = 2 * model.weights + rows * (PROMPT + REPLY / 2) * model.kv_bytes
    once = max(passed / BANDWIDTH, 2 * model.weights * rows / FLOPS)
    return read + REPLY * once * texts / rows


def es_update_s(model: Model) -> float:
    """Return the seconds of the ES update, which every GPU does: a sum of rank-one products over pairs, in float64."""
    return 2 * (MEMBERS // 2) * RANK * model.weights / FP64


def rl_update_s(model: Model, n_gpus: int) -> float:
    """Return the seconds of forward, its repetition and backward: 8 FLOPs a weight and token, or as long as it takes to
    gather weights twice and to reduce gradients once, whichever is longer."""
    computed = 8 * model.weights * (PROMPT + REPLY) * EPISODES / n_gpus / FLOPS
    return max(computed, rl_traffic(model, n_gpus) / LINK)


def rl_traffic(model: Model, n_gpus: int) -> float:
    """Return the bytes that a GPU receives in a step: weights twice for the update and once for the rollout, and
    gradients once, 2 bytes each."""
    return 4 * 2 * model.weights * (n_gpus - 1) / n_gpus


def lines() -> Iterator[str]:
    """Yield the tables as Markdown."""
    yield "| GB of a GPU | ES, float32 masters | ES, compensated | ES, stochastic | RL on 8: rollout, update | on 64 |"
    yield "|---|---|---|---|---|---|"
    for model in MODELS:
        es = [_gb(es_memory(model, each)) for each in (6, 4, 2)]
        rl = [", ".join(map(_gb, rl_memory(model, n))) for n in (8, 64)]
        yield f"| {model.name} | {' | '.join([*es, *rl])} |"
    yield ""
    yield "| seconds of a step | GPUs | ES rollout | ES update | RL rollout | RL update | RL: to each GPU |"
    yield "|---|---|---|---|---|---|---|"
    for model in MODELS:
        for n in GPUS:
            rollout = _s(rollout_s(model, n))
            es = f"{rollout} | {_s(es_update_s(model))}" if es_memory(model, 2) <= MEMORY else "no room | -"
            rl = f"{rollout} | {_s(rl_update_s(model, n))}" if max(rl_memory(model, n)) <= MEMORY else "no room | -"
            yield f"| {model.name} | {n} | {es} | {rl} | {rl_traffic(model, n) / 1e9:.0f} GB |"


def _gb(size: float) -> str:
    return f"{size / 1e9:.0f}" if size <= MEMORY else f"**{size / 1e9:.0f}**"


def _s(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}"


if __name__ == "__main__":
    print("\n".join(lines()))
