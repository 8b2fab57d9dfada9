"""Muon: momentum whose direction is made orthogonal, for the weight matrices of a small model.

Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/ (5 Newton-Schulz steps, Nesterov momentum). Ours
differs in that matrices of one shape move together, as one batched product: the cost is in their number.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


class Muon:
    """Moves matrices against their gradients by steps of about equal size in every direction."""

    def __init__(self, matrices: Iterable[Tensor], momentum: float) -> None:
        """Take the matrices to move; each must have a gradient at every `step`."""
        self.momentum = momentum
        self._by_shape: dict[torch.Size, list[Tensor]] = {}
        for matrix in matrices:
            self._by_shape.setdefault(matrix.shape, []).append(matrix)
        self._moving = {shape: torch.zeros(len(found), *shape) for shape, found in self._by_shape.items()}

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Move every matrix by ``lr`` times an orthogonal matrix (times sqrt(rows / columns) where it is tall)."""
        for shape, matrices in self._by_shape.items():
            gradient = torch.stack([matrix.grad for matrix in matrices if matrix.grad is not None])
            moving = self._moving[shape].mul_(self.momentum).add_(gradient)
            ahead = gradient + self.momentum * moving
            size = max(1.0, shape[0] / shape[1]) ** 0.5
            for matrix, direction in zip(matrices, orthogonal(ahead), strict=True):
                matrix.sub_(direction, alpha=lr * size)


def orthogonal(matrices: Tensor) -> Tensor:
    """Return matrices (count, rows, columns) with the same singular vectors and singular values of about 1.

    About: the quintic iteration is tuned for speed and leaves them between 0.6 and 1.3; the very smallest stay small.
    """
    flat = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if flat else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    found: Tensor = x.mT if flat else x
    return found
