"""A static key-value cache in which each row owns its slots, and the attention that reads it.

Token number n of a row stands in the row's slot n, whatever its neighbours do. So a row that has finished can be given
to another episode by setting its length to 0, and what a row sees is a matter of its position alone: slots up to it,
and within the window where a layer slides. Slots behind a row's position hold nothing that counts; they are written
before they are seen.

The cache and its attention are opaque to `torch.compile` (custom operators): a compiled step has one graph for all
lengths. Axes in names: _R rows, _T new positions, _S slots, _H heads, _D head size.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from eggym.errors import BadValue

BLOCK = 16  # rows of a matrix product, and lengths of what is summed over, come in multiples of it
ATTENTION = "eggym_slots"
_SMALL_PRODUCT = 400  # below so many multiplications torch computes a product by another kernel, which rounds otherwise


def ceil_block(n: int) -> int:
    """Return the next multiple of 16 that is at least ``n``, and at least 16."""
    return max(BLOCK, -(-n // BLOCK) * BLOCK)


class SlotCache:
    """The cache of one session: keys and values by layer, and how many positions each row has computed."""

    def __init__(self, model: Any, n_rows: int, capacity: int) -> None:
        """Prepare ``n_rows`` rows of ``capacity`` slots for a transformers model; more slots are added when needed.

        On a CPU they are added from the start, and ``capacity`` says nothing: a small cache is a fast one.

        Raises:
            BadValue: the model mixes tokens by something other than full or sliding attention.
        """
        config = model.config.get_text_config()
        self._kinds = _kinds(config)
        self._window = getattr(config, "sliding_window", None)
        self.dtype: torch.dtype = model.dtype
        self.device: torch.device = model.device
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.least = ceil_block(-(-_SMALL_PRODUCT // size))
        wanted = 0 if self.device.type == "cpu" else capacity
        self.capacity = max(self.least, ceil_block(wanted + 1))  # one more, where a resting row may write
        self.length_R = torch.zeros(n_rows, dtype=torch.int64, device=self.device)
        self.rows_R = torch.arange(n_rows, device=self.device)
        self._heads = int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
        shape = (n_rows, self._heads, self.capacity, size)
        self._heads_H = torch.arange(self._heads, device=self.device)
        self._zero = torch.zeros((), dtype=self.dtype, device=self.device)
        self._lowest = torch.full((), torch.finfo(self.dtype).min, dtype=self.dtype, device=self.device)
        self._starts: tuple[int, Tensor] | None = None  # where every row's heads begin, at a capacity
        self.layers = Cache(layers=[_SlotLayer(self, shape) for _ in range(config.num_hidden_layers)])
        # what the next pass works on; tensors, so that a compiled step need not look at numbers
        self.active_rows: Tensor | None = None  # None: all of them
        self.slots_S = self.rows_R  # what is visible
        self.written_N = self.rows_R  # where new keys go, (R x heads x T), in a cache of (rows x heads x slots)

    def reserve(self, n_slots: int) -> int:
        """Make room for so many slots and one more; return the last of all, where padding may be written."""
        self._grow(max(self.least, ceil_block(n_slots + 1)))
        return self.capacity - 1

    def aim(self, rows: Tensor | None, positions_R_T: Tensor, visible: int) -> Any:
        """Say which rows the next pass computes and where; return the attention mask that the model wants.

        Args:
            rows: row numbers (R,), or None for all.
            positions_R_T: of each new token, which is its slot.
            visible: slots to look at; rounded up to a multiple of 16.
        """
        n_slots = max(self.least, ceil_block(visible))
        self.active_rows = rows
        if len(self.slots_S) != n_slots:
            self.slots_S = torch.arange(n_slots, device=self.device)
        slots_S = self.slots_S
        self.written_N = (self._starts_of(rows)[:, :, None] + positions_R_T[:, None]).flatten()
        allowed_R_T_S = slots_S <= positions_R_T[:, :, None]
        masks = {"full_attention": allowed_R_T_S}
        if self._window is not None:
            masks["sliding_attention"] = allowed_R_T_S & (positions_R_T[:, :, None] - slots_S < self._window)
        ready = {kind: self._additive(masks[kind]) for kind in dict.fromkeys(self._kinds)}
        return ready if len(ready) > 1 else next(iter(ready.values()))

    def _starts_of(self, rows: Tensor | None) -> Tensor:
        """Return the place of slot 0 of rows and heads among all slots, (R, heads)."""
        if rows is not None:
            return (rows[:, None] * self._heads + self._heads_H) * self.capacity
        if self._starts is None or self._starts[0] != self.capacity:
            self._starts = self.capacity, self._starts_of(self.rows_R)
        return self._starts[1]

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order; a row may be repeated."""
        self._starts = None
        self.length_R = self.length_R[rows]
        self.rows_R = torch.arange(len(rows), device=self.device)
        for layer in self.layers.layers:
            layer.keys, layer.values = layer.keys.index_select(0, rows), layer.values.index_select(0, rows)

    def copy(self, source_B: Tensor, target_B: Tensor, n_slots: int) -> None:
        """Let rows hold what others hold in their first slots."""
        for layer in self.layers.layers:
            for kept in (layer.keys, layer.values):
                kept[target_B, :, :n_slots] = kept[source_B, :, :n_slots]

    def clear(self) -> None:
        """Give the memory back at once: cache and layers know each other, and would wait for a garbage collection."""
        for layer in self.layers.layers:
            layer.keys = layer.values = self.length_R.new_zeros(0)

    def sized(self) -> Iterator[tuple[Tensor, tuple[int, ...]]]:
        """Yield what a pass reads besides its arguments, with the dimensions that differ from batch to batch."""
        if self.active_rows is not None:
            yield self.active_rows, (0,)
        yield self.slots_S, (0,)
        yield self.written_N, (0,)
        for layer in self.layers.layers:
            yield layer.keys, (0, 2)
            yield layer.values, (0, 2)

    def _grow(self, needed: int) -> None:
        if needed <= self.capacity:
            return
        extra = ceil_block(max(needed, self.capacity * 5 // 4)) - self.capacity  # a quarter more: few copies
        self.capacity += extra
        for layer in self.layers.layers:
            layer.keys = torch.nn.functional.pad(layer.keys, (0, 0, 0, extra))
            layer.values = torch.nn.functional.pad(layer.values, (0, 0, 0, extra))

    def _additive(self, allowed_R_T_S: Tensor) -> Tensor:
        return torch.where(allowed_R_T_S, self._zero, self._lowest)[:, None]


class _SlotLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers carries no types for us
    """Keys and values of one layer, (R, heads, S, head size)."""

    is_sliding = False

    def __init__(self, owner: SlotCache, shape: tuple[int, int, int, int]) -> None:
        super().__init__()
        self._owner = owner
        self.keys, self.values = (torch.zeros(shape, dtype=owner.dtype, device=owner.device) for _ in "kv")
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing is left to do: room is made at once, so that every pass finds the same kind of cache."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write the new positions; return the slots of the rows that are computed: the visible ones, or all."""
        owner = self._owner
        write = torch.ops.eggym.write_slots if torch.compiler.is_compiling() else _write
        write(self.keys, self.values, key_states, value_states, owner.written_N)
        if owner.active_rows is None:
            return self.keys, self.values
        take = torch.ops.eggym.take_slots if torch.compiler.is_compiling() else _take
        keys, values = (take(one, owner.active_rows, owner.slots_S) for one in (self.keys, self.values))
        return keys, values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Say nothing of interest: the mask is ours."""
        return self._owner.capacity, 0

    def get_seq_length(self) -> int:
        """Say nothing of interest: positions are ours."""
        return 0

    def get_max_length(self) -> int:
        """No limit."""
        return -1


@contextmanager
def slot_attention(model: Any) -> Iterator[None]:
    """Let a model attend by `SlotCache` until the context ends."""
    config = model.config
    before = config._attn_implementation
    _register()
    config._attn_implementation = ATTENTION
    try:
        yield
    finally:
        config._attn_implementation = before


def _write(keys: Tensor, values: Tensor, new_keys: Tensor, new_values: Tensor, written_N: Tensor) -> None:
    keys.view(-1, keys.shape[3]).index_copy_(0, written_N, new_keys.reshape(-1, keys.shape[3]))
    values.view(-1, values.shape[3]).index_copy_(0, written_N, new_values.reshape(-1, values.shape[3]))


def _take(kept: Tensor, rows_R: Tensor, slots_S: Tensor) -> Tensor:
    """Return the first slots of some rows, (R, heads, S, D)."""
    return kept[:, :, : slots_S.shape[0]].index_select(0, rows_R)


def attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, scaling: float, softcap: float) -> Tensor:
    """Return the attention of new positions over the visible slots, (R, T, H, D); groups of heads share keys."""
    n_rows, n_heads, n_new, size = query.shape
    n_shared, n_slots = keys.shape[1], mask.shape[-1]
    keys, values = keys[:, :, :n_slots], values[:, :, :n_slots]
    grouped = query.reshape(n_rows, n_shared, n_heads // n_shared * n_new, size)
    scores = torch.matmul(grouped, keys.transpose(2, 3)).mul_(scaling)
    if softcap:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores.view(n_rows, n_heads, n_new, n_slots).add_(mask)
    weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    found = torch.matmul(weights.view(n_rows, n_shared, -1, n_slots), values)
    return found.view(n_rows, n_heads, n_new, values.shape[3]).transpose(1, 2).contiguous()


torch.library.custom_op("eggym::write_slots", _write, mutates_args=("keys", "values"))
_take_op = torch.library.custom_op("eggym::take_slots", _take, mutates_args=())
_attend_op = torch.library.custom_op("eggym::attend_slots", attend, mutates_args=())


@_take_op.register_fake
def _take_shape(kept: Tensor, rows_R: Tensor, slots_S: Tensor) -> Tensor:
    return kept.new_empty(rows_R.shape[0], kept.shape[1], slots_S.shape[0], kept.shape[3])


@_attend_op.register_fake
def _attend_shape(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, scaling: float, softcap: float) -> Tensor:
    n_rows, n_heads, n_new, _ = query.shape
    return query.new_empty(n_rows, n_new, n_heads, values.shape[3])


def _forward(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The face that transformers calls; windows are in the mask already."""
    if s_aux is not None:
        raise BadValue("a model with attention sinks cannot be decoded by the engine; choose another model")
    found = torch.ops.eggym.attend_slots if torch.compiler.is_compiling() else attend
    size = float(query.shape[3] ** -0.5 if scaling is None else scaling)
    return found(query, key, value, attention_mask, size, float(softcap or 0.0)), None


@functools.cache
def _register() -> None:
    """Make the attention known, once; importing what knows it takes seconds, which who only reads records is spared."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, _forward)


def _kinds(config: Any) -> list[str]:
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        sliding = getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True)
        kinds = ["sliding_attention" if sliding else "full_attention"]
    strange = sorted(set(kinds) - {"full_attention", "sliding_attention"})
    if strange:
        raise BadValue(
            f"model of type {config.model_type!r} has layers of kind {strange[0]!r}; the engine decodes full and "
            "sliding attention only: choose another model"
        )
    return list(kinds)
