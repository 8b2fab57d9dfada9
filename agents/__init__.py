"""RL baselines and controls: the table of learner names, and nothing that costs an import.

name -> ("module:LearnerSpec", one line).
"""

LEARNERS: dict[str, tuple[str, str]] = {
    "dr_grpo": ("eggym.agents.grpo:DR_GRPO", "group-centred policy gradient, no length or spread normalisation"),
    "grpo": ("eggym.agents.grpo:GRPO", "group-relative policy optimisation"),
    "trl-grpo": ("eggym.agents.trl_grpo:TRL_GRPO", "TRL's own GRPOTrainer on eggym's episodes; needs the extra trl"),
    "frozen": ("eggym.agents.controls:FROZEN", "control: never changes the policy"),
    "random-reward": ("eggym.agents.controls:RANDOM_REWARD", "control: another learner fed with shuffled rewards"),
}
