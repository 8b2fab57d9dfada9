"""Evolution strategies: the table of learner names, and nothing that costs an import.

name -> ("module:LearnerSpec", one line).
"""

LEARNERS: dict[str, tuple[str, str]] = {
    "eggroll": ("eggym.es.eggroll:SPEC", "evolution strategies with low-rank perturbations"),
    "openai-es": ("eggym.es.openai_es:SPEC", "classical evolution strategies with full-rank perturbations"),
}
