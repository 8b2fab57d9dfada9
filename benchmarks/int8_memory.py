"""Memory of a frozen 8-bit base against float32: a randomly initialised Llama of 92 M parameters, one thread.

Each arm is a process of its own. What is reported, in MiB:

* weights: of the model as it lies in memory, deltas included;
* loaded: resident memory after loading, over that of the process with its libraries;
* training: the highest resident memory of a run of one generation (32 members, 1 prompt, 8 tokens), over the same.

    python benchmarks/int8_memory.py [--to benchmarks/results/int8-memory.json]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MIB = 1 << 20
ARMS = {
    "float32, full weights": ("float32", 0),
    "float32, deltas of rank 8": ("float32", 8),
    "int8, deltas of rank 8": ("int8", 8),
}
SIZES = {"hidden_size": 768, "intermediate_size": 2304, "num_hidden_layers": 12, "num_attention_heads": 12}


def main() -> None:
    """Measure every arm on checkpoints in two types and print a table."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    words.add_argument("--to", type=Path)
    words.add_argument("--arm", nargs=3, help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.arm:
        print(json.dumps(measure(Path(given.arm[0]), given.arm[1], int(given.arm[2]))))
        return
    rows = []
    for stored in ("float32", "bfloat16"):
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), stored)
            for name, (dtype, rank) in ARMS.items():
                arm = [sys.executable, __file__, "--arm", folder, dtype, str(rank)]
                done = subprocess.run(arm, capture_output=True, text=True, check=True)
                rows.append({"stored": stored, "arm": name, **json.loads(done.stdout.splitlines()[-1])})
                print(rows[-1], flush=True)
    if given.to:
        given.to.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n")


def make(folder: Path, stored: str) -> None:
    """Save a randomly initialised model with the character tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from eggym.base_model import build_tokenizer

    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=100, max_position_embeddings=1024, pad_token_id=0, bos_token_id=1, eos_token_id=2,
                         tie_word_embeddings=True, **SIZES)  # fmt: skip
    LlamaForCausalLM(config).to(getattr(torch, stored)).save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)


def measure(folder: Path, dtype: str, rank: int) -> dict[str, Any]:
    """Load and train in this process."""
    import torch

    torch.set_num_threads(1)
    from transformers import AutoTokenizer, LlamaForCausalLM  # in the memory that is taken off

    from eggym.config import RunConfig, resolve
    from eggym.record import load_measured
    from eggym.train import run_plan

    assert AutoTokenizer and LlamaForCausalLM
    before = resident()
    began = time.process_time()
    settings = {
        "space.adapter_rank": rank, "profile": "pretrained", "eggroll.population": 32, "eggroll.items": 1,
        "prompt.max_new_tokens": 8, "eval.items": 16, "eval.points": 1, "eval.many": 0, "eval.train_items": 0,
    }  # fmt: skip
    config = RunConfig("tiny-programs", "eggroll", str(folder), budget="32episodes", dtype=dtype, set=settings)
    plan = resolve(config)
    found = {"weights": plan.policy.weights_bytes / MIB, "load_cpu_s": time.process_time() - began}
    found["loaded"] = (resident() - before) / MIB
    with tempfile.TemporaryDirectory() as run:
        run_plan(plan, Path(run) / "run", lambda event: None, force=True)
        measured = load_measured(Path(run) / "run")
    assert measured is not None
    found["training"] = (measured.peak_rss_bytes - before) / MIB
    found["rollout_cpu_s"] = measured.phases["rollout"]
    return {name: round(value, 2) for name, value in found.items()}


def machine() -> dict[str, str]:
    """Return what the figures were measured on."""
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "unknown")
    return {"cpu": cpu, "torch": torch.__version__, "threads": "1"}


def resident() -> int:
    """Return the resident memory of this process in bytes (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


if __name__ == "__main__":
    main()
