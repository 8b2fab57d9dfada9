"""The critic of PPO: one linear map on the last hidden state, and the advantages that it makes possible.

The trunk is the policy's own. The map starts at zero, so that the first values are 0. A value is predicted from the
same hidden state as the token, that is, before the token is known; tokens of the environment have none. _T: action
tokens of an episode, _M of a pass, _D hidden.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eggym.policy import Policy
from eggym.ranks import sum_numbers
from eggym.shares import spread

from .batch import Columns, Floats
from .gradients import summed_gradients
from .options import PpoOptions
from .scoring import Scores, micro_batches, score
from .traces import Trace


class Critic:
    """The value head and its optimizer, AdamW in float32."""

    def __init__(self, policy: Policy, options: PpoOptions) -> None:
        """Start at zero."""
        width = int(policy.model.get_output_embeddings().weight.shape[1])
        self._options, self._ranks = options, policy.ranks
        self.weight_D = torch.nn.Parameter(torch.zeros(width, device=policy.device))
        self.bias = torch.nn.Parameter(torch.zeros((), device=policy.device))
        self._optimizer = torch.optim.AdamW(
            [self.weight_D, self.bias],
            lr=options.critic_lr,
            betas=(options.beta1, options.beta2),
            weight_decay=0.0,
            foreach=False,
        )
        self.loss = 0.0  # of the passes since the last step

    def values(self, hidden_M_D: Tensor) -> Tensor:
        """Return the value of every hidden state, (M,)."""
        return hidden_M_D @ self.weight_D + self.bias

    def term(self, scores: Scores, columns: Columns) -> Tensor:
        """Return the value loss of a pass as a part of the objective: negative, and reduced like the rest of it."""
        options = self._options
        hidden_M_D = scores.hidden_M_D
        if hidden_M_D is None or columns.values_M is None or columns.returns_M is None:
            raise ValueError("a value loss needs hidden states, old values and returns")
        new_M = self.values(hidden_M_D.detach() if options.detach_trunk else hidden_M_D)
        loss = (value_loss(new_M, columns.values_M, columns.returns_M, options.value_clip) * columns.weights_M).sum()
        self.loss += float(loss.detach())
        return -options.value_factor * loss

    def join(self) -> None:
        """Let loss and gradient be those of the passes of all ranks."""
        self.loss = sum_numbers(self._ranks, [self.loss])[0]
        head = {"weight": self.weight_D, "bias": self.bias}
        for name, gradient in summed_gradients(self._ranks, head).items():
            head[name].grad = gradient

    def step(self) -> None:
        """Step along the gradient that the passes left."""
        torch.nn.utils.clip_grad_norm_([self.weight_D, self.bias], self._options.max_grad_norm)
        self._optimizer.step()
        self.forget()

    def forget(self) -> None:
        """Throw the gradient away."""
        self._optimizer.zero_grad()
        self.loss = 0.0

    def observe(self, policy: Policy, traces: Sequence[Trace]) -> tuple[list[Floats], list[float]]:
        """Return the values before every action token of each episode, (T,), and the value behind its last one."""
        found = spread(
            policy.ranks, len(traces), lambda chosen: self._observe(policy, [traces[place] for place in chosen])
        )
        return [one[:-1] for one in found], [float(one[-1]) for one in found]

    @torch.no_grad()
    def _observe(self, policy: Policy, traces: Sequence[Trace]) -> list[Floats]:
        """Return the values of each episode with the one behind its last token at the end."""
        rows = [
            (number, place) for number, one in enumerate(traces) for place in range(len(one.segments))
            if any(one.segments[place].actions)
        ]  # fmt: skip
        values: list[list[Floats]] = [[np.zeros(0) for _ in one.segments] for one in traces]
        last = [0.0] * len(traces)
        final = dict(rows)  # the last segment of each episode in which the policy acted
        for batch in micro_batches([[traces[n].segments[place]] for n, place in rows], self._options.tokens_per_pass):
            chosen = [rows[index] for index in batch]
            segments = [traces[number].segments[place] for number, place in chosen]
            scores = score(policy, segments, self._options.temperature, hidden=True)
            if scores.hidden_M_D is None or scores.last_R_D is None:
                raise ValueError("hidden states were asked for")
            parts = torch.split(self.values(scores.hidden_M_D), [sum(one.actions) for one in segments])
            ends_R = self.values(scores.last_R_D).tolist()
            for (number, place), part, end in zip(chosen, parts, ends_R, strict=True):
                values[number][place] = part.double().cpu().numpy()
                if final[number] == place:
                    last[number] = end
        return [np.concatenate([*one, [end]]) for one, end in zip(values, last, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Return the map and its optimizer's state."""
        return {"weight": self.weight_D.data, "bias": self.bias.data, "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.weight_D.data.copy_(state["weight"])
        self.bias.data.copy_(state["bias"])
        self._optimizer.load_state_dict(state["optimizer"])


def token_rewards(trace: Trace) -> Floats:
    """Return the reward at every action token, (T,): that of a turn comes with its last token."""
    rewards_T = np.zeros(trace.n_tokens)
    ends = np.maximum(np.cumsum(trace.turn_tokens) - 1, 0)
    np.add.at(rewards_T, ends, trace.turn_rewards)
    return rewards_T


def gae(rewards_T: Floats, values_T: Floats, bootstrap: float, gamma: float, lambda_: float) -> Floats:
    """Return generalised advantages of one episode, (T,) (Schulman et al. 2016, arXiv 1506.02438, eq. 16).

    delta_t = r_t + gamma V_(t+1) - V_t and A_t = delta_t + gamma lambda A_(t+1). ``bootstrap`` is the value behind the
    last token: 0 where the task ended the episode, the critic's where a limit cut it off. The recursion ends there.
    """
    result = np.zeros(len(rewards_T))
    following, next_value = 0.0, bootstrap
    for t in reversed(range(len(rewards_T))):
        delta = rewards_T[t] + gamma * next_value - values_T[t]
        following = delta + gamma * lambda_ * following
        result[t], next_value = following, values_T[t]
    return result


def value_loss(new_M: Tensor, old_M: Tensor, returns_M: Tensor, clip: float) -> Tensor:
    """Return half the squared error, (M,), of the value or of the value kept within ``clip`` of the old one.

    The larger of the two, so that nothing is gained by moving further than the clip (PPO's reference implementation).
    """
    near_M = old_M + (new_M - old_M).clamp(-clip, clip)
    return torch.maximum((new_M - returns_M).square(), (near_M - returns_M).square()) / 2


def explained_variance(values_M: Floats, returns_M: Floats) -> float:
    """Return 1 - Var(returns - values) / Var(returns): 1 is perfect, 0 no better than a constant; 0 without spread."""
    spread = float(returns_M.var()) if len(returns_M) else 0.0
    return 1 - float((returns_M - values_M).var()) / spread if spread > 0 else 0.0
