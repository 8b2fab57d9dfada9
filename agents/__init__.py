"""RL baselines and controls: the table of learner names, and nothing that costs an import.

name -> ("module:LearnerSpec", one line).
"""

LEARNERS: dict[str, tuple[str, str]] = {
    "dr_grpo": ("eggym.agents.presets:DR_GRPO", "group-centred policy gradient, no length or spread normalisation"),
    "grpo": ("eggym.agents.presets:GRPO", "group-relative policy optimisation"),
    "dapo": ("eggym.agents.presets:DAPO", "token mean, higher upper clip, groups that agree are drawn again"),
    "rloo": ("eggym.agents.presets:RLOO", "REINFORCE with a leave-one-out baseline; the reply is one action"),
    "cispo": ("eggym.agents.presets:CISPO", "clipped importance weights that silence no token; batch spread"),
    "gspo": ("eggym.agents.presets:GSPO", "one clipped ratio per reply, four minibatches"),
    "reinforce_pp": ("eggym.agents.presets:REINFORCE_PP", "returns whitened over the batch"),
    "ppo": ("eggym.agents.presets:PPO", "proximal policy optimisation with a value head"),
    "best-of-n": (
        "eggym.agents.best_of_n:SPEC",
        "baseline: the best of n replies by reward, an upper bound",
    ),
    "best-prompt": ("eggym.agents.best_prompt:SPEC", "baseline: the best fixed prompt that the budget finds"),
    "sft": ("eggym.agents.sft:SPEC", "baseline: supervised fine-tuning on the best replies that the task knows"),
    "trl-grpo": ("eggym.agents.trl_grpo:TRL_GRPO", "TRL's own GRPOTrainer on eggym's episodes; needs the extra trl"),
    "frozen": ("eggym.agents.controls:FROZEN", "control: never changes the policy"),
    "random-reward": ("eggym.agents.controls:RANDOM_REWARD", "control: another learner fed with shuffled rewards"),
}
