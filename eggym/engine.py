"""The engine: turns a policy, views and prompts into sampled tokens, many rows at a time.

A session is a chunk of rows that decode together over one static key-value cache. Each row may belong to another
member of a population. Between the turns of an episode the cache stays, so that each position is computed once.

Results do not depend on how rows are put into chunks (fp32 on one CPU type): at least 16 rows in every matrix
product, one masked attention path, and slots of the cache that move between chunkings by multiples of 16 only, so
that every sum runs over the same lanes and what is added besides is exactly zero.

Left out: refill of finished rows with new items, CUDA graphs and compiled steps.
Axes in names: _R rows of the session, _T new positions, _S slots of the cache, _V vocabulary.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from eggym.budget import Meter
from eggym.cache import BLOCK, SlotCache, ceil_block
from eggym.errors import BadValue
from eggym.policy import Policy
from eggym.sampling import Draw
from eggym.views import Attached

MAX_ROWS = 1024
DEFAULT_MEMORY = 2 << 30  # bytes; a constant, never the free memory, or results would depend on the neighbours
_BYTES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass(slots=True)
class Reply:
    """What one row sampled in one turn."""

    ids: list[int]  # all sampled tokens, the end token included
    logprobs: list[float]  # of the sampling distribution; 0.0 when greedy
    ended: bool  # the last token is an end token
    stopped: str | None = None  # the text, cut at a stop string, when one was reached

    @property
    def complete(self) -> bool:
        """Whether the reply came to an end by itself, rather than by the limit on tokens."""
        return self.ended or self.stopped is not None


@dataclass
class Engine:
    """Opens sessions on one policy, within a memory plan."""

    policy: Policy
    meter: Meter
    memory: int = DEFAULT_MEMORY  # bytes that a session may use

    def plan_rows(self, n_positions: int, n_read: int, bytes_per_row: int) -> int:
        """Return how many rows a session may have: a multiple of 16, at most 1024.

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
        return int(min(rows, MAX_ROWS))

    @contextmanager
    def open(self, attached: Attached, member_of_row: Sequence[int], extra_flops: int = 0) -> Iterator["Session"]:
        """Start a session with one row for each entry; everything in it counts as rollout.

        ``extra_flops`` is what a member adds to each position.
        """
        with self.meter.rollout(extra_flops), torch.inference_mode():
            yield Session(self.policy, attached, list(member_of_row))


@dataclass
class Session:
    """Rows that decode together. Rows keep their number; `keep` forgets those whose episode is over."""

    policy: Policy
    attached: Attached
    member_of_row: list[int]
    cache: SlotCache = field(init=False)
    rows: list[int] = field(init=False)  # row number at each place of the batch; -1: padding

    def __post_init__(self) -> None:
        """Seat the members and make an empty cache."""
        self._device = self.policy.device
        self._pending: dict[int, int] = {}  # row -> its last sampled token, not yet computed
        self._logits_R_V: Tensor | None = None
        self._stops = _Stops(self.policy)
        self.cache = SlotCache(self.policy.model)
        self._seat(list(range(len(self.member_of_row))))
        self.cache.allot(len(self.rows))

    def feed(self, tokens: Sequence[Sequence[int]]) -> None:
        """Read new tokens, one list for each row still here, in order; each begins where the row's reply ended."""
        live = [row for row in self.rows if row >= 0]
        lists = [
            [*([self._pending.pop(row)] if row in self._pending else []), *new]
            for row, new in zip(live, tokens, strict=True)
        ]
        n_new = ceil_block(max(len(one) for one in lists))
        ids_R_T = torch.full((len(self.rows), n_new), self.policy.pad_id, dtype=torch.int64)
        real_R_T = torch.zeros(len(self.rows), n_new, dtype=torch.bool)
        for place, one in enumerate(lists):
            ids_R_T[place, n_new - len(one) :] = torch.tensor(one, dtype=torch.int64)
            real_R_T[place, n_new - len(one) :] = True
        real_R_T[len(lists) :, -1] = True  # padding rows look at something, or their softmax would be empty
        self.cache.start_block()
        self._logits_R_V = self._forward(ids_R_T.to(self._device), real_R_T.to(self._device))

    def sample(self, draw: Draw, max_new_tokens: int, stop: Sequence[str] = (), last: bool = False) -> list[Reply]:
        """Sample a reply for every row, in the order of the rows still here.

        Args:
            draw: random numbers; its row r is the r-th row still here.
            max_new_tokens: at most so many tokens a reply, the end token included.
            stop: a reply also ends when its text holds one of these.
            last: no row will be fed again, so finished rows may leave the batch at once.
        """
        live = [row for row in self.rows if row >= 0]
        turn = _Turn(self, draw, {row: Reply([], [], False) for row in live}, tuple(stop))
        for position in range(max_new_tokens):
            going = turn.step(position)
            if not going or position == max_new_tokens - 1:
                break
            if last:
                turn.compact()
            turn.advance()
        if not last:
            self._pending.update({row: reply.ids[-1] for row, reply in turn.replies.items()})
        return [turn.replies[row] for row in live]

    def keep(self, rows: Sequence[int]) -> None:
        """Forget all rows but these (row numbers, ascending)."""
        places = [place for place, row in enumerate(self.rows) if row in set(rows)]
        self._select(places)

    def _select(self, places: list[int]) -> None:
        padded = places + [places[0]] * (ceil_block(len(places)) - len(places))
        index = torch.tensor(padded, dtype=torch.int64, device=self._device)
        self.cache.select(index)
        if self._logits_R_V is not None:
            self._logits_R_V = self._logits_R_V[index]
        self._seat([self.rows[place] for place in places])

    def _seat(self, rows: list[int]) -> None:
        padding = ceil_block(len(rows)) - len(rows)
        members = [self.member_of_row[row] for row in rows] + [self.member_of_row[rows[0]]] * padding
        self.rows = rows + [-1] * padding
        self.attached.seat(torch.tensor(members, dtype=torch.int64, device=self._device))

    def _forward(self, ids_R_T: Tensor, real_R_T: Tensor) -> Tensor:
        """Compute new positions and return the logits at the last of them, float32."""
        mask, positions_R_T = self.cache.extend(real_R_T)
        output = self.policy.model(
            input_ids=ids_R_T,
            attention_mask=mask,
            position_ids=positions_R_T,
            past_key_values=self.cache.layers,
            use_cache=True,
            logits_to_keep=1,
        )
        logits_R_V: Tensor = output.logits[:, -1].float()
        return logits_R_V


@dataclass
class _Turn:
    """One round of sampling in a session."""

    session: Session
    draw: Draw
    replies: dict[int, Reply]
    stop: tuple[str, ...]

    def __post_init__(self) -> None:
        self._going = torch.tensor([row >= 0 for row in self.session.rows])
        self._order = {row: place for place, row in enumerate(row for row in self.session.rows if row >= 0)}
        self._eos = torch.tensor(self.session.policy.eos_ids, dtype=torch.int64, device=self.session.policy.device)
        self._place()

    def _place(self) -> None:
        rows = [self._order.get(row, 0) for row in self.session.rows]  # padding rows draw like the first
        self._taken = self.draw.take(torch.tensor(rows, dtype=torch.int64, device=self.draw.keys_S.device))

    def step(self, position: int) -> bool:
        """Draw one token for every row; return whether any reply goes on."""
        logits_R_V = self.session._logits_R_V
        if logits_R_V is None:
            raise ValueError("a session must be fed before it is sampled")
        tokens_R = self._taken.tokens(logits_R_V, position)
        logprobs = self._taken.logprobs(logits_R_V, tokens_R).tolist()
        ended = torch.isin(tokens_R, self._eos).tolist()
        self._tokens_R = tokens_R
        for place, token in enumerate(tokens_R.tolist()):
            if self._going[place]:
                self._note(place, token, logprobs[place], ended[place])
        return bool(self._going.any())

    def _note(self, place: int, token: int, logprob: float, ended: bool) -> None:
        reply = self.replies[self.session.rows[place]]
        reply.ids.append(token)
        reply.logprobs.append(logprob)
        reply.ended = ended
        if self.stop and not ended:
            reply.stopped = self.session._stops.cut(reply.ids, self.stop)
        if reply.complete:
            self._going[place] = False

    def advance(self) -> None:
        """Compute the drawn tokens of the rows that go on."""
        going_R_1 = self._going.to(self._tokens_R.device)[:, None]
        self.session._logits_R_V = self.session._forward(self._tokens_R[:, None], going_R_1)

    def compact(self) -> None:
        """Let finished rows leave once they make up a quarter of the batch."""
        places = self._going.nonzero().flatten().tolist()
        if ceil_block(len(places)) > 0.75 * len(self.session.rows):
            return
        self.session._select(places)
        padded = places + [places[0]] * (len(self.session.rows) - len(places))
        self._tokens_R = self._tokens_R[torch.tensor(padded, device=self._tokens_R.device)]
        self._going = torch.tensor([row >= 0 for row in self.session.rows])
        self._place()


class _Stops:
    """Looks for stop strings, decoding only when a new token could complete one."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._pieces: dict[int, str] = {}

    def cut(self, ids: list[int], stop: tuple[str, ...]) -> str | None:
        """Return the text before the first stop string, or None when the text holds none."""
        last = ids[-1]
        if last not in self._pieces:
            self._pieces[last] = self._policy.text([last])
        if not any(text[-1] in self._pieces[last] for text in stop):
            return None
        text = self._policy.text(ids)
        places = [text.find(one) for one in stop if one in text]
        return text[: min(places)] if places else None


def parse_memory(text: str) -> int:
    """Read ``512MiB`` or ``8GiB`` into bytes."""
    match = re.fullmatch(r"\s*([0-9.]+)\s*(KiB|MiB|GiB)\s*", text)
    amount = float(match[1]) * _BYTES[match[2]] if match and match[1].count(".") < 2 and match[1] != "." else 0
    if amount <= 0:
        raise BadValue(f"memory {text!r} is not an amount; use for example 512MiB or 8GiB")
    return int(amount)
