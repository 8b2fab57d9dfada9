"""Our policy gradients against TRL 1.16, number by number: advantages, loss and gradient. Needs the extra trl.

The same episodes go through TRL's own rollout, scoring and `_compute_loss`, and through `advantages` and
`batch_objective`: unequal prompts and replies, what an environment said in between, replies cut by the limit, one
without a reward, and log-probabilities of an older policy, so that ratios and clips matter. Where TRL and the house
differ on purpose stands in docs/trl.md.
"""

import importlib.util
import warnings

import numpy as np
import pytest
import torch

from eggym.agents.advantages import advantages
from eggym.agents.batch import Sample, batch_objective
from eggym.agents.scoring import action_logprobs
from eggym.agents.trl_grpo import rollout_fields
from eggym.episode import Ending, Episode, Segment
from eggym.registry import load_learner
from eggym.task import Item, Verdict, VerdictState
from eggym.views import ParameterSpace

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="needs the extra trl"),
]

SPACE = ParameterSpace(".*")  # every weight has a gradient
LENGTH = 32
SHARE = 1e-5  # of the largest number
REWARDS = [1.0, 0.0, 0.5, None, 0.25, 1.0, 1.0, 0.0]  # two groups of four
# (prompt, then what is said in turns: the policy, the environment, the policy ...); 2 is the end token
EPISODES = [
    ([1, 10, 11], [[40, 41, 2]]), ([1, 10, 11], [[42, 2]]), ([1, 10, 11], [[50, 51, 52, 53, 2], [5, 6], [54, 2]]),
    ([1, 10, 11], [[43, 44, 2]]), ([1, 20, 21, 22, 23], [[60, 2]]), ([1, 20, 21, 22, 23], [[61, 62]]),
    ([1, 20, 21, 22, 23], [[63, 2], [5, 7, 8], [64, 65, 66, 2]]), ([1, 20, 21, 22, 23], [[67, 68, 69, 70, 71, 72]]),
]  # fmt: skip
CUT = [ids[-1][-1] != 2 for _, ids in EPISODES]  # by the limit

# name: (learner, its options, TRL's settings, how far the old log-probabilities lie off)
CASES = {
    "grpo": ("grpo", {}, {"loss_type": "grpo"}, 0.3),
    "dr_grpo": ("dr_grpo", {"clip_high": 0.2}, {"loss_type": "dr_grpo", "scale_rewards": "none"}, 0.3),
    "dapo": ("dapo", {"clip_high": 0.2}, {"loss_type": "dapo", "mask_truncated_completions": True}, 0.3),
    "dapo, clip higher": (
        "dapo", {}, {"loss_type": "dapo", "mask_truncated_completions": True, "epsilon_high": 0.28}, 0.3,
    ),
    "dapo at temperature 0.7": (
        "dapo", {"clip_high": 0.2, "temperature": 0.7},
        {"loss_type": "dapo", "mask_truncated_completions": True, "temperature": 0.7}, 0.3,
    ),
    "cispo": ("cispo", {}, {"loss_type": "cispo", "epsilon_high": 5.0, "scale_rewards": "batch"}, 1.5),
    "gspo": (
        "gspo", {},
        {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 3e-4, "epsilon_high": 4e-4}, 1e-3,
    ),
    "grpo with KL": ("grpo", {"kl_loss": 0.04}, {"loss_type": "grpo", "use_bias_correction_kl": False}, 0.3),
    "grpo with KL times the ratio": (
        "grpo", {"kl_loss": 0.04, "kl_estimator": "k3_ratio"},
        {"loss_type": "grpo", "use_bias_correction_kl": True}, 0.3,
    ),
    "rloo": ("rloo", {}, {}, 0.3),
}  # fmt: skip


def segment(prompt, said):
    ids, actions = list(prompt), [False] * len(prompt)
    for turn, part in enumerate(said):
        ids += part
        actions += [turn % 2 == 0] * len(part)
    return Segment(ids, actions, [0.0] * len(ids))


def spread_over(segments, values):
    """Put one number per action token into lists over all tokens; 0 elsewhere."""
    values = iter(values)
    return [[float(next(values)) if action else 0.0 for action in one.actions] for one in segments]


def episodes(policy, temperature, off, turns):
    """The episodes with log-probabilities of an older policy, and the reference's, per action token."""
    segments = [segment(prompt, said if turns else said[:1]) for prompt, said in EPISODES]
    with torch.no_grad():
        now = action_logprobs(policy, segments, temperature)
    moved = torch.Generator().manual_seed(1)
    old, reference = (now + size * torch.randn(len(now), generator=moved) for size in (off, 0.2))
    for one, logprobs in zip(segments, spread_over(segments, old), strict=True):
        one.logprobs = logprobs
    made = [
        Episode(Item("p"), 0, i // 4, i % 4, [one], [], verdict(reward), Ending.ANSWERED)
        for i, (one, reward) in enumerate(zip(segments, REWARDS, strict=True))
    ]
    return made, spread_over(segments, reference)


def verdict(reward):
    return Verdict(reward, VerdictState.ERROR if reward is None else VerdictState.WRONG)


def trl_trainer(policy, found, folder, rloo=False, **settings):
    """TRL's trainer, whose rollout is these episodes."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

    fields = rollout_fields(found)
    reward = lambda eggym_reward, **columns: eggym_reward  # noqa: E731
    own = {"beta": 0.0} if rloo else {}
    config = (RLOOConfig if rloo else GRPOConfig)(
        output_dir=str(folder), per_device_train_batch_size=len(found), num_generations=4, use_cpu=True, bf16=False,
        max_completion_length=LENGTH, gradient_checkpointing=False, report_to="none", **own, **settings,
    )  # fmt: skip
    data = Dataset.from_dict({"prompt": ["?"] * 8})
    extra = {} if rloo else {"rollout_func": lambda prompts, trainer: fields}
    kind = RLOOTrainer if rloo else GRPOTrainer
    trainer = kind(policy.model, reward, args=config, train_dataset=data, processing_class=policy.tokenizer, **extra)
    trainer.current_gradient_accumulation_steps = 1
    if rloo:  # it has no hook for rollouts
        texts = policy.tokenizer.batch_decode(fields["completion_ids"])
        trainer._generate = lambda prompts: (fields["prompt_ids"], fields["completion_ids"], texts)
    return trainer, fields


def padded(lists_E, fields):
    """Numbers over whole segments -> over TRL's right-padded completions, (E, C)."""
    cut = [one[len(prompt) :] for one, prompt in zip(lists_E, fields["prompt_ids"], strict=True)]
    width = max(map(len, cut))
    return torch.tensor([one + [0.0] * (width - len(one)) for one in cut])


def theirs(policy, name, found, reference, folder):
    """Advantages, loss and gradients of TRL."""
    learner, options, settings, _ = CASES[name]
    trainer, fields = trl_trainer(policy, found, folder, rloo=learner == "rloo", **settings)
    policy.model.train().requires_grad_(True).zero_grad()
    rows = [{"prompt": "?", "eggym_reward": reward} for reward in REWARDS]
    inputs = trainer._generate_and_score_completions(rows)
    old = padded([one.segments[0].logprobs for one in found], fields)
    if learner == "rloo":
        inputs["old_logps"] = old.sum(1)
    else:
        inputs["old_per_token_logps"] = old
    if options.get("kl_loss"):  # built without: TRL would load the reference by its path
        trainer.beta, inputs["ref_per_token_logps"] = options["kl_loss"], padded(reference, fields)
    loss = trainer._compute_loss(policy.model, inputs)
    loss.backward()
    gradients = {key: weight.grad.clone() for key, weight in policy.model.named_parameters()}
    return inputs["advantages"], float(loss.detach()), gradients


def ours(policy, name, found, reference):
    """The same of the house (gradients are of the loss too), and the share of tokens that the clip holds back."""
    learner, overrides, _, _ = CASES[name]
    options = load_learner(learner).resolve("tiny", {"replies": 4, "items": 2, **overrides})
    returns = np.array([np.nan if one.reward is None else one.reward for one in found], np.float32).reshape(2, 4)
    each = advantages(returns, options.advantage).flatten()
    samples = []
    for one, advantage, of_reference, cut in zip(found, each, reference, CUT, strict=True):
        part = one.segments[0]
        kept = np.array([p for p, action in zip(of_reference, part.actions, strict=True) if action])
        if not (cut and options.truncated == "drop"):
            samples.append(Sample([part], np.full(len(kept), advantage), kept))
    outcome = batch_objective(policy, SPACE.select(policy.model), samples, options)
    return each, -outcome.objective, outcome.gradients, outcome.tally.means()["clip_fraction"]


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TRL's own and its dependencies'
        yield


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient_are_those_of_trl(make_policy, name, tmp_path):
    learner, overrides, _, off = CASES[name]
    one, two = make_policy(sharpness=4.0), make_policy(sharpness=4.0)
    found, reference = episodes(one, overrides.get("temperature", 1.0), off, turns=learner != "rloo")
    their_advantages, their_loss, their_gradients = theirs(one, name, found, reference, tmp_path)
    each, loss, gradients, held = ours(two, name, found, reference)
    assert np.allclose(each, their_advantages.double(), atol=1e-6)
    assert 0 < held < 1  # or nothing would be shown about the clip
    assert loss == pytest.approx(their_loss, rel=SHARE, abs=1e-7)  # advantages cancel: the sum may be near 0
    largest = max(float(gradient.abs().max()) for gradient in their_gradients.values())
    apart = max(float((gradients[key] - gradient).abs().max()) for key, gradient in their_gradients.items())
    assert largest > 1e-3 and apart < SHARE * largest
