"""Tasks that ship with eggym: the table of ids, and nothing that costs an import.

id -> ("module:class", one line). `eggym.registry` reads it; `tests/test_envs_table.py` holds it and the modules
together.
"""

TASKS: dict[str, tuple[str, str]] = {
    "eggym/tiny-arithmetic-v0": ("eggym.envs.tiny_arithmetic:TinyArithmetic", "add two numbers, showing the carries"),
    "eggym/tiny-orders-v0": ("eggym.envs.tiny_orders:TinyOrders", "say some words, in a given case, count and ending"),
    "eggym/tiny-programs-v0": ("eggym.envs.tiny_programs:TinyPrograms", "write the expression that was described"),
    "eggym/tiny-countdown-v0": ("eggym.envs.tiny_countdown:TinyCountdown", "reach a number from given ones"),
    "eggym/arithmetic-v0": ("eggym.envs.arithmetic:Arithmetic", "work out an expression, at five levels"),
    "eggym/countdown-v0": ("eggym.envs.countdown:Countdown", "reach a target number from given ones"),
    "eggym/guess-v0": ("eggym.envs.guess:Guess", "find a hidden number in a few turns"),
    "eggym/gsm8k-v0": ("eggym.envs.gsm8k:Gsm8k", "grade-school word problems"),
    "eggym/word-problems-v0": ("eggym.envs.word_problems:WordProblems", "stories with numbers, in two to eight steps"),
}
