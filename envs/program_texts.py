"""Steps from a text and from a list of words: `program_steps`."""

import re
from collections import Counter
from typing import Any

from .program_steps import LAST, NUMBER, NUMBERS, TEXT, WORDS, Op

_VOWELS = "aeiouAEIOU"
_SMALL = "abcdefghijklmnopqrstuvwxyz"


def _text(grade: int, words: tuple[str, ...], apply: Any, code: str, choices: Any = (), slips: Any = ()) -> Op:
    return Op(TEXT, TEXT, grade, words, apply, code, choices, slips)


def _words(grade: int, words: tuple[str, ...], apply: Any, code: str, choices: Any = (), slips: Any = ()) -> Op:
    return Op(WORDS, WORDS, grade, words, apply, code, choices, slips)


def _shifted(text: str, by: int, last: int = 26) -> str:
    return "".join(chr((ord(c) - 97 + by) % last + 97) if c in _SMALL else c for c in text)


def _first_by_case(words: list[str]) -> list[str]:
    return [word for place, word in enumerate(words) if word.lower() not in [w.lower() for w in words[:place]]]


def _commonest(words: list[str], best: Any) -> str:
    counts = Counter(words)
    return str(best(w for w in words if counts[w] == max(counts.values()))) if words else ""


_SHIFT = "''.join(chr((ord(c) - 97 + $n) % 26 + 97) if 'a' <= c <= 'z' else c for c in $v)"
_BY_INITIAL = """
counts = {}
for word in $v:
    initial = word[0]LOWER
    counts[initial] = counts.get(initial, 0) + 1
value = counts
"""
_LETTERS = """
counts = {}
for c in $vLOWER:
    if "a" <= c <= "z":
        counts[c] = counts.get(c, 0) + 1
value = counts
"""

TEXTS = {
    "upper": _text(1, ("turn the $them into capital letters, as Python's `upper` does",), str.upper, "$v.upper()"),
    "lower": _text(1, ("turn the $them into small letters, as Python's `lower` does",), str.lower, "$v.lower()"),
    "backwards": _text(1, ("write the $them backwards", "put the characters of the $them in the opposite order"),
                       lambda v: v[::-1], "$v[::-1]"),
    "no vowels": _text(
        1, ("remove all vowels from the $them: a, e, i, o, u and A, E, I, O, U, no others",),
        lambda v: "".join(c for c in v if c not in _VOWELS), "''.join(c for c in $v if c not in 'aeiouAEIOU')", (),
        ((lambda v: "".join(c for c in v if c not in "aeiou"), "''.join(c for c in $v if c not in 'aeiou')"),)),
    "letters only": _text(
        2, ("remove every character that is not a letter; letters of all alphabets stay, as for Python's `isalpha`",),
        lambda v: "".join(c for c in v if c.isalpha()), "''.join(c for c in $v if c.isalpha())", (),
        ((lambda v: "".join(c for c in v if c.isalpha() and c.isascii()),
          "''.join(c for c in $v if c.isalpha() and c.isascii())"),)),
    "hyphens": _text(1, ("replace each space in the $them by a hyphen (two spaces become two hyphens)",),
                     lambda v: v.replace(" ", "-"), "$v.replace(' ', '-')", (),
                     ((lambda v: "-".join(v.split()), "'-'.join($v.split())"),)),
    "every second character": _text(
        1, ("keep every second character of the $them, starting with the first",), lambda v: v[::2], "$v[::2]", (),
        ((lambda v: v[1::2], "$v[1::2]"),)),
    "first characters": _text(1, ("keep only the first $n characters of the $them (all, if there are no more)",),
                              lambda v, n: v[:n], "$v[:$n]", tuple(range(5, 16))),
    "skip characters": _text(1, ("leave out the first $n characters of the $them",), lambda v, n: v[n:], "$v[$n:]",
                             tuple(range(2, 8))),
    "squeeze": _text(
        2, ("where a character stands several times in a row, keep it only once there",),
        lambda v: re.sub(r"(.)\1+", r"\1", v, flags=re.DOTALL),
        "''.join(c for i, c in enumerate($v) if i == 0 or c != $v[i - 1])", (),
        ((lambda v: "".join(dict.fromkeys(v)), "''.join(dict.fromkeys($v))"),)),
    "double vowels": _text(
        2, ("write every vowel (a, e, i, o, u, small or capital) twice in a row",),
        lambda v: "".join(c * 2 if c in _VOWELS else c for c in v),
        "''.join(c * 2 if c in 'aeiouAEIOU' else c for c in $v)", (),
        ((lambda v: "".join(c * 2 if c in "aeiou" else c for c in v),
          "''.join(c * 2 if c in 'aeiou' else c for c in $v)"),)),
    "mirror": _text(2, ("put the $them and, right behind it, the same written backwards",), lambda v: v + v[::-1],
                    "$v + $v[::-1]", (), ((lambda v: v[::-1] + v, "$v[::-1] + $v"),)),
    "shift": _text(
        3, ("replace each small letter a to z by the one $n places further on in the alphabet, where a follows z; "
            "everything else stays",),
        _shifted, _SHIFT, (2, 3, 4, 5, 7, 11, 13),
        ((lambda v, n: _shifted(v, -n), _SHIFT.replace("+ $n", "- $n")),
         (lambda v, n: _shifted(v, n, 100), _SHIFT.replace(" % 26", "")))),
    "length": Op(TEXT, NUMBER, 1, ("count the characters of the $them",), len, "len($v)", (),
                 ((lambda v: len(v.replace(" ", "")), "len($v.replace(' ', ''))"),)),
    "vowels": Op(
        TEXT, NUMBER, 1, ("count the vowels in the $them: a, e, i, o, u and A, E, I, O, U, no others",),
        lambda v: sum(c in _VOWELS for c in v), "sum(c in 'aeiouAEIOU' for c in $v)", (),
        ((lambda v: sum(c in "aeiou" for c in v), "sum(c in 'aeiou' for c in $v)"),)),
    "capitals": Op(
        TEXT, NUMBER, 1, ("count the capital letters A to Z in the $them; those with accents do not count",),
        lambda v: sum("A" <= c <= "Z" for c in v), "sum('A' <= c <= 'Z' for c in $v)", (),
        ((lambda v: sum(c.isupper() for c in v), "sum(c.isupper() for c in $v)"),)),
    "different characters": Op(
        TEXT, NUMBER, 2, ("count how many different characters the $them has; a and A are two",),
        lambda v: len(set(v)), "len(set($v))", (), ((lambda v: len(set(v.lower())), "len(set($v.lower()))"),)),
    "split": Op(
        TEXT, WORDS, 1, ("split the $them into words at white space, however much of it there is in one place",),
        str.split, "$v.split()", (), ((lambda v: v.split(" "), "$v.split(' ')"),)),
    "letter tally": Op(
        TEXT, LAST, 2, ("count how often each of the letters a to z occurs in the $them, small or capital: a "
                        "dictionary from small letter to count, without letters that do not occur",),
        lambda v: dict(Counter(c for c in v.lower() if "a" <= c <= "z")), _LETTERS.replace("LOWER", ".lower()"), (),
        ((lambda v: dict(Counter(c for c in v if "a" <= c <= "z")), _LETTERS.replace("LOWER", "")),)),
}  # fmt: skip

WORD_LISTS = {
    "longer": _words(1, ("keep only the $them with more than $n characters", "drop every $it of at most $n characters"),
                     lambda v, n: [w for w in v if len(w) > n], "[w for w in $v if len(w) > $n]", (3, 4, 5),
                     ((lambda v, n: [w for w in v if len(w) >= n], "[w for w in $v if len(w) >= $n]"),)),
    "vowel first": _words(
        2, ("keep only the $them that begin with a vowel (a, e, i, o, u, small or capital)",),
        lambda v: [w for w in v if w[:1] and w[0] in _VOWELS], "[w for w in $v if w and w[0] in 'aeiouAEIOU']", (),
        ((lambda v: [w for w in v if w[:1] and w[0] in "aeiou"], "[w for w in $v if w and w[0] in 'aeiou']"),)),
    "upper each": _words(1, ("turn each of the $them into capital letters, as Python's `upper` does",),
                         lambda v: [w.upper() for w in v], "[w.upper() for w in $v]"),
    "backwards each": _words(1, ("write each of the $them backwards; their order stays",),
                             lambda v: [w[::-1] for w in v], "[w[::-1] for w in $v]", (),
                             ((lambda v: v[::-1], "$v[::-1]"),)),
    "alphabetical": _words(1, ("sort the $them as Python compares texts, capitals before small letters",),
                           sorted, "sorted($v)", (),
                           ((lambda v: sorted(v, key=str.lower), "sorted($v, key=str.lower)"),)),
    "by length": _words(
        2, ("sort the $them by length, shortest first; those of equal length keep their order",),
        lambda v: sorted(v, key=len), "sorted($v, key=len)", (),
        ((lambda v: sorted(v, key=lambda w: (len(w), w)), "sorted($v, key=lambda w: (len(w), w))"),
         (lambda v: sorted(v[::-1], key=len), "sorted($v[::-1], key=len)"))),
    "without doubles": _words(
        3, ("drop every $it that has occurred before in the list, where small and capital letters count as the same; "
            "the first one stays as it was written",),
        _first_by_case, "[w for i, w in enumerate($v) if w.lower() not in [x.lower() for x in $v[:i]]]", (),
        ((lambda v: list(dict.fromkeys(v)), "list(dict.fromkeys($v))"),
         (lambda v: list(dict.fromkeys(w.lower() for w in v)), "list(dict.fromkeys(w.lower() for w in $v))"))),
    "opposite": _words(1, ("put the $them in the opposite order",), lambda v: v[::-1], "$v[::-1]"),
    "join": Op(WORDS, TEXT, 1, ("join the $them into one text, with a hyphen between any two of them",), "-".join,
               "'-'.join($v)", (), ((lambda v: "".join(v), "''.join($v)"),)),
    "initials": Op(WORDS, TEXT, 2, ("join the first characters of the $them into one text",),
                   lambda v: "".join(w[:1] for w in v), "''.join(w[:1] for w in $v)", (),
                   ((lambda v: "".join(w[:1] for w in v).upper(), "''.join(w[:1] for w in $v).upper()"),)),
    "longest": Op(
        WORDS, TEXT, 2, ("take the longest of the $them, the first such one if there are several (an empty text if "
                         "there are none)",),
        lambda v: max(v, key=len, default=""), "max($v, key=len, default='')", (),
        ((lambda v: max(v[::-1], key=len, default=""), "max($v[::-1], key=len, default='')"),
         (lambda v: max(v, key=len), "max($v, key=len)"))),
    "commonest": Op(
        WORDS, TEXT, 3, ("take the one of the $them that occurs most often, written in exactly the same way; the first "
                         "in Python's order of texts if there are several (an empty text if there are none)",),
        lambda v: _commonest(v, min), "min($v, key=lambda w: (-$v.count(w), w), default='')", (),
        ((lambda v: max(v, key=v.count, default=""), "max($v, key=$v.count, default='')"),
         (lambda v: _commonest(v, max), "max($v, key=lambda w: ($v.count(w), w), default='')"))),
    "lengths": Op(WORDS, NUMBERS, 1, ("replace each of the $them by the number of its characters",),
                  lambda v: [len(w) for w in v], "[len(w) for w in $v]"),
    "count words": Op(WORDS, NUMBER, 1, ("count the $them",), len, "len($v)", (),
                      ((lambda v: len(set(v)), "len(set($v))"),)),
    "count initials": Op(
        WORDS, LAST, 3, ("count how many of the $them begin with each character, where capital letters count as small "
                         "ones: a dictionary from first character, as Python's `lower` writes it, to count",),
        lambda v: dict(Counter(w[0].lower() for w in v)), _BY_INITIAL.replace("LOWER", ".lower()"), (),
        ((lambda v: dict(Counter(w[0] for w in v)), _BY_INITIAL.replace("LOWER", "")),)),
}  # fmt: skip
