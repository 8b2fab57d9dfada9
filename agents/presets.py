"""The named policy gradients, as settings: whose they are, and what they are elsewhere.

All sample at temperature 1 from the whole distribution, and take one on-policy step per batch unless it says otherwise.
The tiny profile has a learning rate for models below 20 M parameters, chosen on tiny-arithmetic.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from eggym.learner import LearnerSpec

from .options import PolicyGradientOptions, PpoOptions
from .policy_gradient import PolicyGradient
from .ppo import Ppo

_TINY = {"lr": 5e-4, "length": 32}
_LR = {"tiny": (2.5e-4, 5e-4, 1e-3, 2e-3), "pretrained": (5e-7, 1e-6, 2e-6, 4e-6)}


def _search(name: str, values: Sequence[Any]) -> dict[str, dict[str, Sequence[Any]]]:
    """Return eight trials for each profile: four learning rates, and two values of what is most often argued about."""
    return {profile: {"lr": rates, name: values} for profile, rates in _LR.items()}


def _preset(name: str, settings: Mapping[str, Any], search: Sequence[Any], tiny: Mapping[str, Any]) -> LearnerSpec:
    profiles = {"tiny": {**settings, **_TINY, **tiny}, "pretrained": dict(settings)}
    return LearnerSpec(
        name, "rl", PolicyGradientOptions, PolicyGradient, profiles, _search("advantage", search), shares_passes=True
    )  # fmt: skip


# Dr. GRPO, arXiv 2503.20783. TRL: loss_type="dr_grpo", scale_rewards="none". verl: norm_adv_by_std_in_grpo=False,
# loss_agg_mode="seq-mean-token-sum-norm". Deviation: the upper clip of DAPO, which is inert on-policy.
DR_GRPO = _preset("dr_grpo", {}, ("mean", "zscore"), {})

# GRPO, arXiv 2402.03300. TRL: loss_type="grpo", scale_rewards="group". verl: adv_estimator=grpo,
# loss_agg_mode="seq-mean-token-mean". Deviation: no KL; the paper's is kl_loss=0.04.
_GRPO = {"advantage": "zscore", "reduction": "sequence_mean", "clip_high": 0.2}
GRPO = _preset("grpo", _GRPO, ("mean", "zscore"), {})

# DAPO, arXiv 2503.14476. TRL: loss_type="dapo", epsilon_high=0.28, mask_truncated_completions=True (it has no dynamic
# sampling). verl: recipe/dapo. The overlong penalty is the paper's share of the length, 4096 of 20480.
_DAPO = {
    "advantage": "zscore", "reduction": "token_mean", "replies": 16, "dynamic": True, "truncated": "drop",
    "overlong": 205,
}  # fmt: skip
DAPO = _preset("dapo", _DAPO, ("mean", "zscore"), {"items": 16, "overlong": 0})

# RLOO, arXiv 2402.14740. TRL: RLOOTrainer with beta=0 and normalize_advantages=False. verl: adv_estimator=rloo (whose
# ratio is one of tokens).
_RLOO = {"advantage": "leave_one_out", "objective": "rloo", "reduction": "sequence_sum", "clip_high": 0.2}
RLOO = _preset("rloo", _RLOO, ("leave_one_out", "zscore"), {})

# CISPO, arXiv 2506.13585, with the advantage of ScaleRL, arXiv 2510.13786. TRL: loss_type="cispo", epsilon_high=5.0,
# scale_rewards="batch". verl: loss_mode="cispo" (whose bounds are relative to 1).
_CISPO = {
    "advantage": "batch", "objective": "cispo", "reduction": "token_mean", "clip_high": 5.0, "replies": 16,
}  # fmt: skip
CISPO = _preset("cispo", _CISPO, ("mean", "batch"), {"items": 16})

# GSPO, arXiv 2507.18071, with its clip and its 4 minibatches. TRL: importance_sampling_level="sequence",
# loss_type="grpo", epsilon=3e-4, epsilon_high=4e-4, steps_per_generation=4. verl: loss_mode="gspo".
_GSPO = {
    "advantage": "zscore", "objective": "gspo", "reduction": "sequence_mean", "clip_low": 3e-4, "clip_high": 4e-4,
    "minibatches": 4,
}  # fmt: skip
GSPO = _preset("gspo", _GSPO, ("mean", "zscore"), {})

# REINFORCE++, arXiv 2501.03262, without its KL; the "-baseline" is advantage=mean_whiten. TRL: none. verl:
# adv_estimator=reinforce_plus_plus (reinforce_plus_plus_baseline).
_REINFORCE_PP = {"advantage": "whiten", "reduction": "token_mean", "clip_high": 0.2}
REINFORCE_PP = _preset("reinforce_pp", _REINFORCE_PP, ("whiten", "mean_whiten"), {})

# PPO, arXiv 1707.06347, with a value head on the policy's trunk and the value_factor of TRL's PPOTrainer, which was
# removed (PR 7020). verl: adv_estimator=gae (whose critic is a model of its own).
_PPO_TINY = {**_TINY, "critic_lr": 5e-3}
PPO = LearnerSpec(
    "ppo", "rl", PpoOptions, Ppo, {"tiny": _PPO_TINY, "pretrained": {}}, _search("whiten", (True, False)),
    shares_passes=True,
)  # fmt: skip
