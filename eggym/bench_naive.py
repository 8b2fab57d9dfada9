"""The method that a population is to beat: every member as a set of weights of its own.

Axes in names: _R rows of the batch, _I inputs, _O outputs.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from eggym.bench_arms import Work, seat, stock
from eggym.errors import BadValue
from eggym.policy import Policy
from eggym.views import ParameterSpace, Views


@dataclass
class Naive:
    """Members as materialised weights: a weight set for each, kept for the whole generation, decoded one by one.

    Only the rows of one member share a batch, as large as they are many, without padding; the cache is the library's.
    Making the weights and reading the prompts is done beforehand. ``members`` are those that are decoded: a sample,
    since all of them are equal work.
    """

    work: Work
    members: Sequence[int]

    @contextmanager
    def prepared(self, views: Views) -> Iterator["Naive"]:
        """Make each member's weights and read its prompts; the model gets its own weights back at the end."""
        policy = self.work.policy
        own = {name: weight.data for name, weight in ParameterSpace().select(policy.model).items()}
        self._weights = [materialised(policy, views, member) for member in self.members]
        try:
            with stock(policy) as model:
                self._read(model)
                yield self
        finally:
            _show(policy.model, own)

    def decode(self) -> list[list[int]]:
        """Decode the rows of every member of the sample."""
        tokens: list[list[int]] = []
        model = self.work.policy.model
        with torch.no_grad():
            for weights, cache, first in zip(self._weights, self._caches, self._first, strict=True):
                _show(model, weights)
                steps = [first]
                for _ in range(self.work.steps - 1):
                    out = model(input_ids=steps[-1][:, None], past_key_values=cache, use_cache=True, logits_to_keep=1)
                    steps.append(out.logits[:, -1].argmax(-1))
                tokens.extend(torch.stack(steps, 1).tolist())
        return tokens

    def _read(self, model: Any) -> None:
        from transformers import DynamicCache

        ids = torch.tensor(self.work.prompts[: self.work.rows], device=model.device)
        self._caches, self._first = [], []
        for weights in self._weights:
            _show(model, weights)
            cache = DynamicCache(config=model.config)
            out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            self._caches.append(cache)
            self._first.append(out.logits[:, -1].argmax(-1))


def materialised(policy: Policy, views: Views, member: int) -> dict[str, Tensor]:
    """Return a member's weights by name, read off the perturbed maps themselves: a map of the identity is its matrix.

    Raises:
        BadValue: a weight that is not an `nn.Linear`'s.
    """
    model, found = policy.model, {}
    rows_R = torch.full((16,), member, dtype=torch.int64, device=policy.device)
    with torch.no_grad(), views.attach(model) as attached:
        seat(attached, rows_R)
        for name, weight in ParameterSpace().select(model).items():
            module = model.get_submodule(name.rpartition(".")[0])
            if not isinstance(module, nn.Linear):
                raise BadValue(f"cannot materialise {name!r} of a {type(module).__name__}; benchmark a Llama or Qwen")
            n_in = weight.shape[1]
            eye = torch.eye(-(-n_in // 16) * 16, n_in, dtype=weight.dtype, device=weight.device)
            out_I_O = module(eye.view(16, -1, n_in)).flatten(0, 1)[:n_in]
            found[name] = (out_I_O if module.bias is None else out_I_O - module.bias).t().contiguous()
    return found


def _show(model: nn.Module, weights: dict[str, Tensor]) -> None:
    for name, weight in weights.items():
        model.get_parameter(name).data = weight
