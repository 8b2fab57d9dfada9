"""Teacher-forced log-probabilities of sampled tokens: the forward pass that policy gradients go through.

Segments are left-padded into micro-batches, so that the actions stand at the end and logits are computed there only.
Axes in names: _R segments, _T positions, _M action tokens, laid end to end.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from eggym.episode import Segment
from eggym.policy import Policy


def micro_batches(segments: Sequence[Segment], max_tokens: int) -> Iterator[list[int]]:
    """Yield indices of segments, long ones first, such that rows x longest stays within ``max_tokens``."""
    order = sorted(range(len(segments)), key=lambda index: (-len(segments[index].ids), index))
    batch: list[int] = []
    for index in order:
        longest = len(segments[batch[0]].ids) if batch else 0
        if batch and longest * (len(batch) + 1) > max_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def action_logprobs(policy: Policy, segments: Sequence[Segment], temperature: float) -> Tensor:
    """Return log pi(a) of every action token of the segments, in their order: float32, (M,), with gradient.

    ``temperature`` must be that of sampling, or the ratio of new to old would not start at 1.
    """
    n_positions = max(len(segment.ids) for segment in segments)
    n_kept = max(len(segment.ids) - segment.actions.index(True) for segment in segments)
    ids_R_T = torch.full((len(segments), n_positions), policy.pad_id, dtype=torch.int64)
    mask_R_T = torch.zeros(len(segments), n_positions, dtype=torch.int64)
    action_R_T = torch.zeros(len(segments), n_positions, dtype=torch.bool)
    for row, segment in enumerate(segments):
        start = n_positions - len(segment.ids)
        ids_R_T[row, start:] = torch.tensor(segment.ids)
        mask_R_T[row, start:] = 1
        action_R_T[row, start:] = torch.tensor(segment.actions)
    ids_R_T, mask_R_T = ids_R_T.to(policy.device), mask_R_T.to(policy.device)
    logits = policy.model(
        input_ids=ids_R_T,
        attention_mask=mask_R_T,
        position_ids=(mask_R_T.cumsum(1) - 1).clamp(min=0),
        use_cache=False,
        logits_to_keep=n_kept + 1,
    ).logits[:, :-1]
    chosen_R_T = action_R_T[:, -n_kept:].to(policy.device)
    scaled_M_V = logits[chosen_R_T].float() / temperature
    logprobs_M: Tensor = scaled_M_V.log_softmax(-1).gather(1, ids_R_T[:, -n_kept:][chosen_R_T][:, None])[:, 0]
    return logprobs_M
