"""Tasks that ship with eggym: the table of ids, and nothing that costs an import.

id -> ("module:class", one line). `eggym.registry` reads it; `tests/test_envs_table.py` holds it and the modules
together.
"""

TASKS: dict[str, tuple[str, str]] = {
    "eggym/tiny-arithmetic-v0": ("eggym.envs.tiny_arithmetic:TinyArithmetic", "add two numbers, showing the carries"),
    "eggym/tiny-orders-v0": ("eggym.envs.tiny_orders:TinyOrders", "say some words, in a given case, count and ending"),
    "eggym/tiny-programs-v0": ("eggym.envs.tiny_programs:TinyPrograms", "write the expression that was described"),
    "eggym/tiny-countdown-v0": ("eggym.envs.tiny_countdown:TinyCountdown", "reach a number from given ones"),
    "eggym/guess-v0": ("eggym.envs.guess:Guess", "find a hidden number in a few turns"),
    "eggym/orders-v0": ("eggym.envs.orders:Orders", "write about a topic, in a form that was ordered"),
    "eggym/gsm8k-v0": ("eggym.envs.gsm8k:Gsm8k", "grade-school word problems"),
    "eggym/ifeval-v0": ("eggym.envs.ifeval:IfEval", "follow instructions that can be verified (IFEval)"),
    "eggym/probe-length-v0": ("eggym.envs.probes:ProbeLength", "a proxy that pays for length, beside tiny-orders"),
    "eggym/probe-keyword-v0": ("eggym.envs.probes:ProbeKeyword", "a proxy that pays for a word, beside tiny-orders"),
    "eggym/probe-format-v0": ("eggym.envs.probes:ProbeFormat", "a proxy that does no sums, beside tiny-countdown"),
    "eggym/probe-flattery-v0": ("eggym.envs.probes:ProbeFlattery", "a judge who likes flattery, beside exact sums"),
    "eggym/ranked-v0": ("eggym.envs.group:Ranked", "another task, its rewards ranked within each group"),
}
