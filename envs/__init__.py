"""Tasks that ship with eggym: the table of ids, and nothing that costs an import.

id -> ("module:class", one line). `eggym.registry` reads it; `tests/test_envs_table.py` holds it and the modules
together. `FAMILIES` are many more ids under one heading, such as the tasks of another gym: a listing shows the heading.
"""

from .rg_table import table

TASKS: dict[str, tuple[str, str]] = {
    "eggym/tiny-arithmetic-v0": ("eggym.envs.tiny_arithmetic:TinyArithmetic", "add two numbers, showing the carries"),
    "eggym/tiny-orders-v0": ("eggym.envs.tiny_orders:TinyOrders", "say some words, in a given case, count and ending"),
    "eggym/tiny-programs-v0": ("eggym.envs.tiny_programs:TinyPrograms", "write the expression that was described"),
    "eggym/tiny-functions-v0": ("eggym.envs.tiny_functions:TinyFunctions", "write a one-line function, which is run"),
    "eggym/tiny-countdown-v0": ("eggym.envs.tiny_countdown:TinyCountdown", "reach a number from given ones"),
    "eggym/arithmetic-v0": ("eggym.envs.arithmetic:Arithmetic", "work out an expression, at five levels"),
    "eggym/countdown-v0": ("eggym.envs.countdown:Countdown", "reach a target number from given ones"),
    "eggym/programs-v0": ("eggym.envs.programs:Programs", "write a function from words or examples, which is run"),
    "eggym/guess-v0": ("eggym.envs.guess:Guess", "find a hidden number in a few turns"),
    "eggym/orders-v0": ("eggym.envs.orders:Orders", "write about a topic, in a form that was ordered"),
    "eggym/corridor-v0": ("eggym.envs.corridor:Corridor", "keep a key in mind over many turns"),
    "eggym/relay-v0": ("eggym.envs.relay:Relay", "carry a running value through many small steps"),
    "eggym/exam-v0": ("eggym.envs.exam:Exam", "answer many questions of a task for one reward"),
    "eggym/guess-number-v0": ("eggym.envs.guess_number:GuessNumber", "find a hidden number, asked in a sentence"),
    "eggym/mastermind-v0": ("eggym.envs.mastermind:Mastermind", "find a code of colours from how many are right"),
    "eggym/wordle-v0": ("eggym.envs.wordle:Wordle", "find a word from the colours of its letters"),
    "eggym/gsm8k-v0": ("eggym.envs.gsm8k:Gsm8k", "grade-school word problems"),
    "eggym/ifeval-v0": ("eggym.envs.ifeval:IfEval", "follow instructions that can be verified (IFEval)"),
    "eggym/math500-v0": ("eggym.envs.math500:Math500", "competition problems, answers compared as mathematics"),
    "eggym/humaneval-v0": ("eggym.envs.humaneval:HumanEval", "complete a Python function, run and tested (HumanEval)"),
    "eggym/mbpp-v0": ("eggym.envs.mbpp:Mbpp", "a short Python function from a sentence (MBPP)"),
    "eggym/stdin-stdout-v0": ("eggym.envs.stdin_stdout:StdinStdout", "whole programs that read and print"),
    "eggym/repair-v0": ("eggym.envs.repair:Repair", "a program, corrected after a test that it fails"),
    "eggym/word-problems-v0": ("eggym.envs.word_problems:WordProblems", "stories with numbers, in two to eight steps"),
    "eggym/probe-length-v0": ("eggym.envs.probes:ProbeLength", "a proxy that pays for length, beside tiny-orders"),
    "eggym/probe-keyword-v0": ("eggym.envs.probes:ProbeKeyword", "a proxy that pays for a word, beside tiny-orders"),
    "eggym/probe-format-v0": ("eggym.envs.probes:ProbeFormat", "a proxy that does no sums, beside tiny-countdown"),
    "eggym/probe-flattery-v0": ("eggym.envs.probes:ProbeFlattery", "a judge who likes flattery, beside exact sums"),
    "eggym/ranked-v0": ("eggym.envs.group:Ranked", "another task, its rewards ranked within each group"),
}

FAMILIES: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {"rg": ("tasks of reasoning-gym", table())}
