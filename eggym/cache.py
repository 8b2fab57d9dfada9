"""A static key-value cache in which rows share slots and own masks.

All rows of a session write to the same slots; what a slot means to a row is in the row's mask. A row that has ended, or
whose new text is shorter than its neighbours', leaves holes that nobody looks at. Positions count a row's own
tokens, so rotary embeddings and sliding windows do not see the holes.

Axes in names: _R rows, _T new positions, _S slots.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from eggym.errors import BadValue

BLOCK = 16  # rows of a matrix product and moves of slots come in multiples of it


def ceil_block(n: int) -> int:
    """Return the next multiple of 16 that is at least ``n``, and at least 16."""
    return max(BLOCK, -(-n // BLOCK) * BLOCK)


class SlotCache:
    """The cache of one session: keys and values by layer, and which slots each row may see."""

    def __init__(self, model: Any) -> None:
        """Prepare an empty cache for a transformers model.

        Raises:
            BadValue: the model mixes tokens by something other than full or sliding attention.
        """
        config = model.config.get_text_config()
        self._kinds = _kinds(config)
        self._window = getattr(config, "sliding_window", None)
        self._dtype: torch.dtype = model.dtype
        self._device: torch.device = model.device
        self.layers = Cache(layers=[_SlotLayer(self) for _ in range(config.num_hidden_layers)])
        self.end = 0  # slots in use
        self.capacity = 0

    def allot(self, n_rows: int) -> None:
        """Start with ``n_rows`` rows that have seen nothing."""
        self._seen_R_S = torch.zeros(n_rows, 0, dtype=torch.bool, device=self._device)
        self._position_R_S = torch.zeros(n_rows, 0, dtype=torch.int64, device=self._device)
        self._length_R = torch.zeros(n_rows, dtype=torch.int64, device=self._device)

    def start_block(self) -> None:
        """Move to the next slot that is a multiple of 16, where a turn may begin."""
        self.end = -(-self.end // BLOCK) * BLOCK

    def extend(self, real_R_T: Tensor) -> tuple[Any, Tensor]:
        """Make room for new positions.

        Args:
            real_R_T: which of them are tokens of the row (bool); the rest are padding.

        Returns:
            The attention mask that the model wants (additive, or one by kind of layer), and the position ids (R, T).
        """
        start, self.end = self.end, self.end + real_R_T.shape[1]
        self._grow(self.visible)
        positions_R_T = (self._length_R[:, None] + real_R_T.cumsum(1) - 1).clamp_(min=0)
        self._length_R = self._length_R + real_R_T.sum(1)
        self._seen_R_S[:, start : self.end] = real_R_T
        self._position_R_S[:, start : self.end] = positions_R_T
        self.start = start
        return self._mask(start, positions_R_T), positions_R_T

    @property
    def visible(self) -> int:
        """How many slots a pass looks at: a multiple of 16."""
        return ceil_block(self.end)

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order; a row may be repeated."""
        self._seen_R_S, self._position_R_S = self._seen_R_S[rows], self._position_R_S[rows]
        self._length_R = self._length_R[rows]
        for layer in self.layers.layers:
            layer.select(rows)

    def _grow(self, needed: int) -> None:
        if needed <= self.capacity:
            return
        extra = ceil_block(max(needed, self.capacity * 5 // 4)) - self.capacity  # a quarter more: few copies
        self._seen_R_S = torch.nn.functional.pad(self._seen_R_S, (0, extra))
        self._position_R_S = torch.nn.functional.pad(self._position_R_S, (0, extra))
        self.capacity += extra

    def _mask(self, start: int, positions_R_T: Tensor) -> Any:
        n_new = self.end - start
        slots_S = torch.arange(self.visible, device=self._device)
        seen_R_1_S = self._seen_R_S[:, None, : self.visible]
        allowed_R_T_S = seen_R_1_S if n_new == 1 else seen_R_1_S & (slots_S <= slots_S[start : self.end, None])
        masks = {"full_attention": allowed_R_T_S}
        if self._window is not None:
            distance_R_T_S = positions_R_T[:, :, None] - self._position_R_S[:, None, : self.visible]
            masks["sliding_attention"] = allowed_R_T_S & (distance_R_T_S < self._window)
        ready = {kind: self._additive(masks[kind]) for kind in set(self._kinds)}
        mixed = len(ready) > 1
        return ready if mixed else next(iter(ready.values()))

    def _additive(self, allowed_R_T_S: Tensor) -> Tensor:
        lowest = torch.finfo(self._dtype).min
        zero = torch.zeros((), dtype=self._dtype, device=self._device)
        return torch.where(allowed_R_T_S, zero, lowest)[:, None]


class _SlotLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers carries no types for us
    """Keys and values of one layer, (R, heads, S, head size)."""

    is_sliding = False

    def __init__(self, owner: SlotCache) -> None:
        super().__init__()
        self._owner = owner

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.keys = key_states.new_zeros(*key_states.shape[:2], 0, key_states.shape[3])
        self.values = value_states.new_zeros(*value_states.shape[:2], 0, value_states.shape[3])
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        owner = self._owner
        missing = owner.capacity - self.keys.shape[2]
        if missing > 0:
            self.keys = torch.nn.functional.pad(self.keys, (0, 0, 0, missing))
            self.values = torch.nn.functional.pad(self.values, (0, 0, 0, missing))
        self.keys[:, :, owner.start : owner.end] = key_states
        self.values[:, :, owner.start : owner.end] = value_states
        return self.keys[:, :, : owner.visible], self.values[:, :, : owner.visible]

    def select(self, rows: Tensor) -> None:
        if self.is_initialized:
            self.keys, self.values = self.keys[rows], self.values[rows]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._owner.visible, 0

    def get_seq_length(self) -> int:
        return self._owner.end

    def get_max_length(self) -> int:
        return -1


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
