"""The engine: turns a policy, views and prompts into sampled tokens, many rows at a time, within a memory plan.

Sessions (`eggym.session`) do the work; here is how large they may be. Settings of the engine belong to a run and are
recorded: whether the step is compiled, and how many rows decode together.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch

from eggym.budget import Meter
from eggym.cache import BLOCK, ceil_block, slot_attention
from eggym.errors import BadValue
from eggym.plain_pass import plain_pass
from eggym.policy import Policy
from eggym.session import Sampling, Session
from eggym.views import Attached

MAX_ROWS = {"cpu": 512}  # see docs/decisions/0005
MAX_ROWS_ELSEWHERE = 1024
DEFAULT_MEMORY = 2 << 30  # bytes; a constant, never the free memory, or results would depend on the neighbours
_BYTES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass
class Engine:
    """Opens sessions on one policy, within a memory plan."""

    policy: Policy
    meter: Meter
    memory: int = DEFAULT_MEMORY  # bytes that a session may use
    compiled: bool = False  # fuse reading and decoding with torch.compile

    def plan_rows(self, n_positions: int, n_read: int, bytes_per_row: int) -> int:
        """Return how many rows a session may have: a multiple of 16, at most 512 on a CPU and 1024 elsewhere.

        A pure function of the model, of ``n_positions`` (longest transcript), ``n_read`` (longest text that is read
        in one pass) and of the memory that was granted; ``bytes_per_row`` is what the views need beside (low-rank
        factors).

        Raises:
            BadValue: not even 16 rows fit.
        """
        config = self.policy.model.config.get_text_config()
        itemsize = torch.empty((), dtype=self.policy.dtype).element_size()
        kv_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        cache = 2 * config.num_hidden_layers * kv_heads * head_dim * itemsize * (n_positions + BLOCK)
        read = ceil_block(n_read)
        scores = (
            2 * config.num_attention_heads * read * ceil_block(n_positions) * 4
        )  # of one layer, while a text is read
        hidden = 8 * config.hidden_size * itemsize * read
        row = cache + scores + hidden + 3 * 4 * config.vocab_size + bytes_per_row
        rows = self.memory // row // BLOCK * BLOCK
        if rows < BLOCK:
            raise BadValue(
                f"memory of {self.memory / _BYTES['MiB']:.0f}MiB holds {self.memory // row} rows of "
                f"{n_positions} tokens, "
                f"{BLOCK} are needed ({BLOCK * row / _BYTES['MiB']:.0f}MiB); raise --memory or shorten the task"
            )
        return int(min(rows, MAX_ROWS.get(self.policy.device.type, MAX_ROWS_ELSEWHERE)))

    @contextmanager
    def open(
        self,
        attached: Attached,
        members: Sequence[int],
        sampling: Sampling,
        capacity: int,
        group: int = 1,
        extra_flops: int = 0,
    ) -> Iterator[Session]:
        """Start a session with a row for each entry of ``members``; everything in it counts as rollout.

        Args:
            attached: what is laid over the model.
            members: whom each row belongs to at first; runs of ``group`` rows sit together.
            sampling: how replies are drawn.
            capacity: positions that an episode may have.
            group: rows that share the factors of one pair.
            extra_flops: what a member adds to each position.
        """
        model = self.policy.model
        direct = nullcontext() if self.compiled else plain_pass(model)
        with self.meter.rollout(extra_flops), torch.inference_mode(), slot_attention(model), direct:
            session = Session(self.policy, self.meter, attached, members, group, sampling, capacity, self.compiled)
            try:
                yield session
            finally:
                session.cache.clear()


def parse_memory(text: str) -> int:
    """Read ``512MiB`` or ``8GiB`` into bytes."""
    match = re.fullmatch(r"\s*([0-9.]+)\s*(KiB|MiB|GiB)\s*", text)
    amount = float(match[1]) * _BYTES[match[2]] if match and match[1].count(".") < 2 and match[1] != "." else 0
    if amount <= 0:
        raise BadValue(f"memory {text!r} is not an amount; use for example 512MiB or 8GiB")
    return int(amount)
