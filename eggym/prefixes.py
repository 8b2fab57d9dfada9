"""Prompts that several texts of a batch begin with: found once, laid out once, read once.

A group of replies answers one prompt. Passed as whole texts, the prompt is computed once for each of them, and its
gradient too. Here every prompt of a batch stands once before what follows it; the numbers are those of whole texts in
another order of rounding. (The idea is known: Liu et al. 2025, Prefix Grouper, arXiv 2506.05433.)

Axes in names: _R texts, _U prompts, _T positions of a text, _P of a prompt, _S of what follows one, _N all tokens that
are computed, _D hidden.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_WORTH_IT = 0.95  # of the tokens of whole texts; above, laying out costs more than it saves


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of tokens, left-padded: the prompts, or what follows them."""

    ids: Tensor  # (R, T)
    positions: Tensor  # (R, T), from 0; that of a pad never matters
    valid: Tensor  # (R, T), false for pads

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and positions."""
        return self.ids.shape[0], self.ids.shape[1]

    def row(self, which: slice | Tensor) -> "Piece":
        """Return some of the rows."""
        return Piece(self.ids[which], self.positions[which], self.valid[which])


@dataclass(frozen=True, slots=True)
class Prefixes:
    """A batch of texts as prompts and what follows."""

    prompts: Piece  # (U, P)
    rests: Piece  # (R, S)
    owner_R: Tensor  # the prompt of each text

    @property
    def ids_N(self) -> Tensor:
        """All tokens that are computed, prompts first: (1, N)."""
        return torch.cat((self.prompts.ids.flatten(), self.rests.ids.flatten()))[None]

    @property
    def positions_N(self) -> Tensor:
        """Their positions, (1, N)."""
        return torch.cat((self.prompts.positions.flatten(), self.rests.positions.flatten()))[None]

    @property
    def computed(self) -> tuple[int, int]:
        """How many positions are computed, and over how many others all of them attend."""
        (n_prompts, n_first), (n_rows, n_rest) = self.prompts.shape, self.rests.shape
        positions = n_prompts * n_first + n_rows * n_rest
        return positions, n_prompts * n_first**2 + n_rows * n_rest * (n_first + n_rest)

    def ends(self, hidden_N_D: Tensor) -> Tensor:
        """Return the last S + 1 positions of every text, (R, S + 1, D): the prompt's last and what follows.

        Texts end where the rows end; what stands before the prompt's last position is of no text.
        """
        n_prompts, (n_rows, n_rest) = self.prompts.ids.numel(), self.rests.ids.shape
        of_prompts, of_rests = torch.split(hidden_N_D[0], [n_prompts, n_rows * n_rest])
        last_U_D = of_prompts.view(*self.prompts.ids.shape, -1)[:, -1]
        last_R_1_D = last_U_D.index_select(0, self.owner_R)[:, None]
        shifted = torch.cat((last_R_1_D, of_rests.view(n_rows, n_rest, -1)), 1)
        follows = torch.nn.functional.pad(self.rests.valid, (1, 0))
        return torch.where(follows[:, :, None], shifted, last_R_1_D)


def find_prefixes(ids_R_T: Tensor, mask_R_T: Tensor, positions_R_T: Tensor, prompt_R: Sequence[int]) -> Prefixes | None:
    """Return left-padded texts as prompts and what follows, or None where too little would be shared.

    Args:
        ids_R_T: tokens.
        mask_R_T: 1 for a token, 0 for a pad.
        positions_R_T: of each token in its text, from 0.
        prompt_R: how many tokens of each text are its prompt, from 1.
    """
    n_rows, n_positions = ids_R_T.shape
    lengths = mask_R_T.sum(1).tolist()
    n_rest = max(length - n for length, n in zip(lengths, prompt_R, strict=True))
    numbers: dict[tuple[int, ...], int] = {}
    owner, first = [], []  # the prompt of each row; a row that begins with each prompt
    for row, (ids, length, n) in enumerate(zip(ids_R_T.tolist(), lengths, prompt_R, strict=True)):
        start = n_positions - length
        name = tuple(ids[start : start + n])
        if name not in numbers:
            numbers[name] = len(numbers)
            first.append(row)
        owner.append(numbers[name])
    n_prompt = max(prompt_R)
    if n_rest < 1 or len(first) * n_prompt + n_rows * n_rest > _WORTH_IT * n_rows * n_positions:
        return None
    device = ids_R_T.device
    n_prompt_R = torch.tensor(prompt_R, device=device)
    rest_R = mask_R_T.sum(1) - n_prompt_R
    place_S = torch.arange(n_rest, device=device)
    rests = Piece(ids_R_T[:, -n_rest:], positions_R_T[:, -n_rest:], place_S >= n_rest - rest_R[:, None])
    row_U = torch.tensor(first, device=device)
    place_U_P = torch.arange(n_prompt, device=device) - (n_prompt - n_prompt_R[row_U])[:, None]
    start_U = n_positions - mask_R_T.sum(1)[row_U]
    column_U_P = (place_U_P + start_U[:, None]).clamp(min=0)
    prompts = Piece(ids_R_T[row_U[:, None], column_U_P], place_U_P.clamp(min=0), place_U_P >= 0)
    return Prefixes(prompts, rests, torch.tensor(owner, device=device))
