import json
import os
import random
import re
import sys
from typing import ClassVar

import gymnasium
import numpy as np
import pytest

import eggym.envs
from eggym import check, check_child, check_replies, check_rules
from eggym.check import check_all, check_task, preflight
from eggym.check_rules import RULES
from eggym.check_sample import HOSTILE, best_reply, constant, play_through
from eggym.dataset import DatasetTask
from eggym.envs import rg_table
from eggym.errors import BadValue, TaskFault
from eggym.gym_task import gym_task
from eggym.registry import load_task
from eggym.task import Item, MultiTurnTask, SingleTurnTask, Verdict, VerdictState


class Sums(SingleTurnTask):
    """A sound task; each broken one below differs in one thing."""

    id = "me/sums-v0"

    def generate(self, rng):
        a, b = rng.randint(0, 999), rng.randint(0, 999)
        return Item(f"{a}+{b}=", a + b)

    def score(self, item, reply):
        return float(reply == str(item.truth))

    def oracle(self, item):
        return str(item.truth)


class Unseeded(Sums):
    def generate(self, rng):
        return Item(f"{random.randint(0, 10**9)}", 1)  # the global generator


class NotJson(Sums):
    def generate(self, rng):
        return Item(f"{rng.randint(0, 10**9)}", {rng.randint(0, 10**9)})


class ChangesInJson(Sums):
    def generate(self, rng):
        return Item(f"{rng.randint(0, 10**9)}", (1, 2))  # a tuple comes back as a list


class NotJsonOfItsOwn(Sums):
    """What `Task.item` would refuse, from an `item` of its own."""

    def item(self, split, index):
        return Item(f"{split} {index}", (1, index), {}, index, split)

    def score(self, item, reply):
        return 0.0

    def oracle(self, item):
        return None


class Leaves(Sums):
    def score(self, item, reply):
        sys.exit()


class LeavesAtOnce(Sums):
    def generate(self, rng):
        sys.exit(0)


class Silent(Sums):
    def generate(self, rng):
        return Item(" " * rng.randint(1, 10**4), 1)

    def item(self, split, index):
        return Item(" ", 1, {}, index, split)


class Leaky(Sums):
    def item(self, split, index):
        return Item(f"{index}+1=", index + 1, {}, index, split)  # the same in every split


class WrongOracle(Sums):
    def oracle(self, item):
        return f"{item.truth}."


class Raises(Sums):
    def score(self, item, reply):
        return float(int(reply) == item.truth)


class Slow(Sums):
    def score(self, item, reply):
        if len(reply) > 4000:
            sum(range(10**6))  # some 20 ms
        return super().score(item, reply)


class Moody(Sums):
    calls = 0

    def score(self, item, reply):
        self.calls += 1
        return (self.calls % 2) / 2


class Outside(Sums):
    def score(self, item, reply):
        return 2.0 if reply == "1" else 0.0


class Generous(Sums):
    def score(self, item, reply):
        return float(reply in (str(item.truth), "yes"))


class PaysForEchoes(Sums):
    def score(self, item, reply):
        return float(reply in (str(item.truth), item.prompt))


class OneAnswer(Sums):
    def generate(self, rng):
        return Item(f"{rng.randint(0, 10**6)} is?", "even" if rng.random() < 0.9 else "odd")


class AlwaysB(Sums):
    """No oracle, so no answers to copy; but one letter is nearly always right."""

    def generate(self, rng):
        return Item(f"{rng.randint(0, 10**6)}: A, B, C or D?", "B" if rng.random() < 0.9 else "C")

    def oracle(self, item):
        return None


class NeverSoHigh(Sums):
    floor = 0.95


class PaysSentencesByLot(Sums):
    def score(self, item, reply):
        return os.urandom(2)[0] / 255 if " is " in reply else super().score(item, reply)


class PaysWhatIsNew(Sums):
    """A number that nobody said before is worth something, in the whole process."""

    said: ClassVar[set] = set()

    def score(self, item, reply):
        new = len(reply) > 6 and reply.isdecimal() and reply not in self.said
        self.said.add(reply)
        return max(new / 2, super().score(item, reply))


class Unpicklable(MultiTurnTask):
    id = "me/unpicklable-v0"
    max_turns = 2

    def generate(self, rng):
        return Item(f"{rng.randint(0, 10**9)}")

    def start(self, item, rng):
        return {"next": lambda: 1}

    def reply(self, state, text):
        return "", True

    def score(self, state):
        return 0.0


class UnpicklableLater(Unpicklable):
    def start(self, item, rng):
        return {"turns": 0}

    def reply(self, state, text):
        state["turns"] += 1
        state["next"] = lambda: text
        return "more", state["turns"] == 2


class GoesOnByLot(UnpicklableLater):
    def reply(self, state, text):
        return f"{os.urandom(8)}", False


class Endless(Unpicklable):
    """Sound, but for an observation that is longer than any text may be."""

    def start(self, item, rng):
        return {}

    def reply(self, state, text):
        return "x" * 1_000_001, False


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    """Splits are compared on fewer prompts, except for the tasks of the house."""
    if "house" not in request.node.name:
        monkeypatch.setattr(check_rules, "N_SPLIT", dict.fromkeys(check_rules.N_SPLIT, 100))


def broken_rules(task, n_items=16):
    return {finding.rule for finding in check_task(task, n_items).findings if not finding.passed}


def test_a_sound_task_passes_every_rule():
    report = check_task(Sums())
    assert report.ok, report.as_dict()
    assert [finding.rule for finding in report.findings] == list(RULES)
    assert json.loads(json.dumps(report.as_dict()))["task"] == "me/sums-v0"
    assert all("\n" not in finding.detail for finding in report.findings)


@pytest.mark.parametrize(
    ("broken", "rules"),
    [
        (Unseeded, {"is a Gymnasium environment", "items repeat", "digest is stable"}),
        (NotJson, {"items can be made"}),
        (ChangesInJson, {"items can be made"}),
        (NotJsonOfItsOwn, {"items are JSON"}),
        (Leaves, {"is a Gymnasium environment", "plain replies are judged", "hostile replies are judged"}),
        (LeavesAtOnce, {"items can be made"}),
        (Silent, {"prompts say something", "splits are disjoint"}),
        (Leaky, {"splits are disjoint"}),
        (WrongOracle, {"oracle gets the best reward"}),
        (Raises, {"is a Gymnasium environment", "plain replies are judged", "hostile replies are judged"}),
        (Slow, {"hostile replies are judged"}),
        (Moody, {"plain replies are judged"}),
        (Outside, {"plain replies are judged"}),
        (Generous, {"guessing earns the floor"}),
        (PaysForEchoes, {"guessing earns the floor"}),
        (OneAnswer, {"guessing earns the floor"}),
        (AlwaysB, {"guessing earns the floor"}),
        (NeverSoHigh, {"guessing earns the floor"}),
        (PaysSentencesByLot, {"plain replies are judged"}),
        (PaysWhatIsNew, {"plain replies are judged"}),
        (Unpicklable, {"state can be pickled"}),
        (UnpicklableLater, {"state can be pickled"}),
        (GoesOnByLot, {"state can be pickled"}),
        (Endless, {"is a Gymnasium environment"}),
    ],
)
def test_a_broken_task_is_convicted(broken, rules, monkeypatch):
    monkeypatch.setattr(check_replies, "SCORING_LIMIT_S", 0.01)
    assert rules <= broken_rules(broken())


@pytest.mark.parametrize(
    "broken",
    [
        *(
            NotJson,
            NotJsonOfItsOwn,
            LeavesAtOnce,
            Leaky,
            WrongOracle,
            Slow,
            Generous,
            PaysForEchoes,
            AlwaysB,
            NeverSoHigh,
        ),
        *(PaysSentencesByLot, Unpicklable, UnpicklableLater, Endless),
    ],
)
def test_and_of_nothing_else(broken, monkeypatch):
    monkeypatch.setattr(check_replies, "SCORING_LIMIT_S", 0.01)
    assert len(broken_rules(broken())) == 1


def test_a_declared_floor_is_no_breach():
    assert "guessing earns the floor" not in broken_rules(type("Fair", (OneAnswer,), {"floor": 0.9})())


def test_a_floor_that_nothing_tried_earns_may_be_right_where_answers_are_unknown():
    silent = type("Silent", (NeverSoHigh,), {"oracle": lambda self, item: None})
    assert "guessing earns the floor" not in broken_rules(silent())
    assert "guessing earns the floor" not in broken_rules(type("Lower", (Sums,), {"floor": 0.4})())


def test_a_finding_says_what_and_where():
    details = {finding.rule: finding.detail for finding in check_task(Raises()).findings}
    assert details["plain replies are judged"].startswith("cannot judge '' on item 0: score raised ValueError: invalid")
    details = {finding.rule: finding.detail for finding in check_task(Generous()).findings}
    assert details["guessing earns the floor"] == "replying 'yes' earns 1.000 on average, above the declared floor 0"


def test_a_task_without_an_oracle_passes_and_it_is_said():
    report = check_task(type("NoOracle", (Sums,), {"oracle": lambda self, item: None})())
    assert report.ok
    assert "no oracle: the best reward is not known to be reachable" in {each.detail for each in report.findings}


def test_rows_are_checked_with_their_data():
    class Twice(DatasetTask):
        id = "me/twice-v0"

        def read(self, row):
            return Item(row["q"], row["a"])

        def score(self, item, reply):
            return float(reply == item.truth)

    rows = [{"q": f"twice {n}", "a": str(2 * n)} for n in range(100)]
    assert check_task(Twice(rows)).ok


def test_the_corpus_holds_what_breaks_parsers():
    assert len(set(HOSTILE)) == len(HOSTILE) > 60
    assert max(map(len, HOSTILE)) == 1_000_000


def is_fit(task_id, house_task, n_items=64):
    _, options = house_task(task_id)
    report = check_task(task_id, n_items, **options)
    assert report.ok, [finding for finding in report.findings if not finding.passed]


@pytest.mark.slow
@pytest.mark.parametrize("task_id", eggym.envs.TASKS)
def test_every_task_of_the_house_is_fit(task_id, house_task):
    is_fit(task_id, house_task)


@pytest.mark.slow
@pytest.mark.parametrize("task_id", rg_table.usable())
def test_every_task_of_reasoning_gym_is_fit(task_id, house_task, monkeypatch):
    # All of them as `eggym check` does it take 20 CPU minutes: fewer items and prompts of those that make them slowly.
    monkeypatch.setattr(check_rules, "SPLIT_CPU_S", 5.0)
    is_fit(task_id, house_task, n_items=16)


@pytest.fixture
def table(monkeypatch):
    """A table of three tasks: a sound one, one that cannot make items, and one without data."""
    import datasets

    class Nothing(DatasetTask):
        id = "me/nothing-v0"
        source = "nobody/nothing"

    def load(name, config):
        raise ConnectionError("no\x1b[31m network")

    tasks = {task.id: task for task in (Sums(), type("Odd", (LeavesAtOnce,), {"id": "me/odd-v0"})(), Nothing())}
    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(check, "task_table", lambda: dict.fromkeys(tasks, ""))
    monkeypatch.setattr(check, "load_task", tasks.__getitem__)


def test_data_that_cannot_be_had_are_no_failure(table):
    reports, without = check_all()
    assert [(report.task, report.ok) for report in reports] == [("me/sums-v0", True), ("me/odd-v0", False)]
    assert reports[1].findings == [
        check.Finding("items can be made", False, "task 'me/odd-v0': generate raised SystemExit: 0")
    ]
    assert list(without) == ["me/nothing-v0"]
    reason = without["me/nothing-v0"]
    assert "cannot load 'nobody/nothing' from the hub (ConnectionError: no\\x1b[31m network)" in reason
    assert "\x1b" not in reason and "\n" not in reason


def test_a_finding_quotes_a_task_without_its_escapes():
    def score(self, item, reply):
        raise ValueError("\x1b[2J\nboo")

    details = [finding.detail for finding in check_task(type("Odd", (Sums,), {"score": score})()).findings]
    assert any("ValueError: \\x1b[2J boo" in detail for detail in details)
    assert "\x1b" not in "".join(details)


def test_a_rule_survives_code_that_ends_the_program_past_every_guard():
    def leave(self, state):
        raise SystemExit(0)

    findings = {each.rule: each.detail for each in check_task(type("Odd", (Sums,), {"judge": leave})()).findings}
    assert findings["plain replies are judged"] == "SystemExit: 0"


def test_a_split_without_items_is_a_finding():
    report = check_task(type("Empty", (Sums,), {"n_items": lambda self, split: 0})())
    assert [finding.detail for finding in report.findings] == ["there are no items in train, nor in test"]


def test_a_number_of_items_is_at_least_one():
    with pytest.raises(BadValue, match="n_items must be at least 1, got 0"):
        check_task(Sums(), n_items=0)


# -- rules that need another process, neighbours or batches ----------------------------------------------------------


class UsesGlobals(Sums):
    def score(self, item, reply):
        return float(reply == str(item.truth) or (reply == "yes" and random.random() < 0.5)) if reply != "0" else 0.0


class UsesTorch(Sums):
    def score(self, item, reply):
        import torch

        torch.rand(3)
        return float(reply == str(item.truth))


class MovesGlobals(Sums):
    def score(self, item, reply):
        random.seed(5)
        return super().score(item, reply)


class TakesAny(Sums):
    """The truth may stand anywhere among other numbers."""

    def score(self, item, reply):
        return float(str(item.truth) in reply.replace(",", " ").split())


class TakesAnyInside(Sums):
    """One tag is read, but the truth may stand anywhere in it."""

    stop = ("\n", " ")  # so that nothing can be said outside of it

    def score(self, item, reply):
        found = reply.removeprefix("=")
        right = found != reply and str(item.truth) in found.split(",")
        return Verdict(float(right), VerdictState.CORRECT if right else VerdictState.WRONG, found)

    def oracle(self, item):
        return f"={item.truth}"


class TakesAnyInATag(Sums):
    """As above, but the scorer does not say what it read."""

    def score(self, item, reply):
        found = re.search("<answer>(.*?)</answer>", reply)
        return float(bool(found) and str(item.truth) in re.findall(r"\d+", found[1]))

    def oracle(self, item):
        return f"<answer>{item.truth}</answer>"


class TakesAnySaidTwice(TakesAnyInATag):
    """It says what it read, which the best reply says twice."""

    def score(self, item, reply):
        found = re.search("<answer>(.*?)</answer>", reply)
        state = VerdictState.CORRECT if super().score(item, reply) else VerdictState.WRONG
        return Verdict(super().score(item, reply), state, found and found[1])

    def oracle(self, item):
        return f"It is {item.truth}. <answer>{item.truth}</answer>"


class TakesTheFirstSaidTwice(TakesAnySaidTwice):
    """No breach: the first number counts."""

    def score(self, item, reply):
        found = re.search(r"\d+", reply)
        right = bool(found) and found[0] == str(item.truth)
        return Verdict(float(right), VerdictState.CORRECT if right else VerdictState.WRONG, found and found[0])


class TakesTheLastInATag(TakesAnyInATag):
    """No breach: of several answers in the tag one counts."""

    def score(self, item, reply):
        return float(re.findall(r"(\d+)</answer>", reply)[-1:] == [str(item.truth)])


class Walk(Sums):
    """No breach: steps that lead nowhere are no answers, and the form of an answer does not end within a word."""

    def generate(self, rng):
        return Item(f"{rng.randint(0, 10**9)}", "LLR" + "".join(rng.choice("UD") for _ in range(3)))

    def score(self, item, reply):
        return float(item.truth[3:] in reply and reply.startswith("LLR") and reply.count("LLR") == 1)

    def oracle(self, item):
        return item.truth


class TakesTheLast(Sums):
    """No breach: of several answers one counts."""

    def score(self, item, reply):
        return float(reply.replace(",", " ").split()[-1:] == [str(item.truth)])


class Shared(MultiTurnTask):
    """Keeps the episode in the task itself: two that run side by side see each other's turns."""

    id = "me/shared-v0"
    max_turns = 2

    def generate(self, rng):
        return Item(f"{rng.randint(0, 10**9)}?")

    def start(self, item, rng):
        self.said = []
        return {}

    def reply(self, state, text):
        self.said.append(text)
        return str(len(self.said)), len(self.said) >= 2

    def score(self, state):
        return 0.0


class SharedSecret(MultiTurnTask):
    """Keeps what is to be guessed in the task itself; nobody knows the best reply."""

    id = "me/shared-secret-v0"
    max_turns = 4

    def generate(self, rng):
        low = rng.randint(1, 10**6)
        return Item(f"from {low} to {low + 15}", low + rng.randint(0, 15))

    def start(self, item, rng):
        self.secret = item.truth
        return {}

    def reply(self, state, text):
        return ("higher" if text.isdecimal() and int(text) < self.secret else "lower"), False

    def score(self, state):
        return 0.0


class Curve(Sums):
    """Marks by the best of the batch."""

    def score_all(self, items, replies):
        right = [float(reply == str(item.truth)) for item, reply in zip(items, replies, strict=True)]
        return [mark if len(right) == 1 else mark / max(1.0, sum(right)) for mark in right]

    def score(self, item, reply):
        return float(reply == str(item.truth))


class OddParts(Sums):
    def score(self, item, reply):
        right = reply == str(item.truth)
        return Verdict(float(right), VerdictState.WRONG, parts={"right" if right else "wrong": 1.0})


class OnTwoLines(Sums):
    """No model can say its best reply, which ends at the first line."""

    stop = ("\n",)

    def score(self, item, reply):
        return float(reply == self.oracle(item))

    def oracle(self, item):
        return f"{item.prompt}\n{item.truth}"


class EarnsTooMuch(Shared):
    def start(self, item, rng):
        return {"turns": 0}

    def reply(self, state, text):
        state["turns"] += 1
        return "", state["turns"] == 2

    def so_far(self, state):
        return state["turns"] * 1.0


class Remembers(Sums):
    """Is worn out by long replies."""

    worn = False

    def score(self, item, reply):
        self.worn = self.worn or len(reply) > 10_000
        return 0.0 if self.worn else super().score(item, reply)


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (UsesGlobals, "global generators are left alone"),
        (MovesGlobals, "global generators are left alone"),
        (UsesTorch, "global generators are left alone"),
        (Shared, "episodes do not meet"),
        (SharedSecret, "episodes do not meet"),
        (Curve, "replies do not meet"),
        (OddParts, "parts keep their names"),
        (EarnsTooMuch, "turn rewards add up"),
        (Remembers, "hostile replies are judged"),
        (TakesAny, "sprayed answers earn nothing"),
        (TakesAnyInside, "sprayed answers earn nothing"),
        (TakesAnyInATag, "sprayed answers earn nothing"),
        (TakesAnySaidTwice, "sprayed answers earn nothing"),
        (OnTwoLines, "oracle gets the best reward"),
    ],
)
def test_a_task_that_breaks_one_rule_is_convicted_of_it(broken, rule):
    assert rule in broken_rules(broken(), n_items=8)


def test_a_spray_is_no_breach_where_one_answer_counts_or_several_may():
    rule = "sprayed answers earn nothing"
    for sound in (TakesTheLast, TakesTheFirstSaidTwice, TakesTheLastInATag, Walk):
        assert rule not in broken_rules(sound(), n_items=16)
    assert rule not in broken_rules(type("Essay", (TakesAny,), {"free_form": True})(), n_items=16)


def test_the_finding_about_a_spray_names_the_way_out():
    details = {finding.rule: finding.detail for finding in check_task(TakesAny(), 16).findings}
    # 8 answers of which the right one always counts: 1 - 1/8
    assert "earns 0.875 more than one pick of them should" in details["sprayed answers earn nothing"]
    assert "free_form = True" in details["sprayed answers earn nothing"]


def test_the_oracle_of_a_proxy_is_held_to_the_true_reward():
    class Proxy(Sums):
        floor = 0.5

        def score(self, item, reply):
            true = float(reply == str(item.truth))
            return Verdict(0.5, VerdictState.WRONG, parts={"true": true})

    details = {finding.rule: (finding.passed, finding.detail) for finding in check_task(Proxy()).findings}
    assert details["oracle gets the best reward"] == (True, "the oracle gets 1 of the true reward on all items")
    lost = type("Lost", (Proxy,), {"oracle": lambda self, item: "x"})
    assert "oracle gets the best reward" in broken_rules(lost())


def test_a_group_is_not_asked_to_score_its_replies_alone():
    assert "replies do not meet" not in broken_rules(type("Ranked", (Curve,), {"grouped": True})(), n_items=8)


FILE = """
import eggym

class Own(eggym.SingleTurnTask):
    id = "me/own-v0"

    def generate(self, rng):
        words = {ORDER}
        return eggym.Item(f"{rng.randrange(10**9)} {words}")

    def score(self, item, reply):
        {SCORE}
        return float(reply == item.prompt[::-1])

    def oracle(self, item):
        return item.prompt[::-1]
"""


def written(tmp_path, order="'x'", score="pass"):
    path = tmp_path / "own.py"
    path.write_text(FILE.replace("{ORDER}", order).replace("{SCORE}", score))
    return str(path)


def test_a_task_of_a_file_is_tried_in_another_process(tmp_path):
    report = check_task(written(tmp_path), n_items=8)
    assert report.ok, report.as_dict()
    assert any("the same in another process" in finding.detail for finding in report.findings)


def test_an_order_that_depends_on_the_hash_seed_is_convicted(tmp_path):
    words = "' '.join(set('the quick brown fox jumps over a lazy dog'.split()))"
    assert broken_rules(written(tmp_path, order=words), n_items=8) == {"another process agrees"}


@pytest.mark.slow
def test_a_scorer_that_hangs_does_not_hang_the_check(tmp_path, monkeypatch):
    monkeypatch.setattr(check_child, "STEP_WALL_S", 20)  # a busy machine takes seconds to start a process
    hang = "import time; time.sleep(60 if reply.count('*') == 500 else 0)"
    report = check_task(written(tmp_path, score=hang), n_items=8)
    details = {finding.rule: finding.detail for finding in report.findings if not finding.passed}
    assert list(details) == ["hostile replies are judged"]
    assert details["hostile replies are judged"].startswith("had to be stopped while scoring '***")


def test_a_scorer_that_kills_its_process_is_convicted(tmp_path):
    kill = "import os, signal; len(reply) < 10**6 or os.kill(os.getpid(), signal.SIGKILL)"
    report = check_task(written(tmp_path, score=kill), n_items=8)
    details = {finding.rule: finding.detail for finding in report.findings if not finding.passed}
    assert "had to be stopped while scoring 'aaa" in details["hostile replies are judged"]


def test_the_oracle_is_heard_up_to_the_first_stop():
    class Talks(Sums):
        stop = ("\n", ".")

        def oracle(self, item):
            return f"{item.truth}.\nThat is the sum."

    assert "oracle gets the best reward" not in broken_rules(Talks(), n_items=8)


@pytest.mark.slow
def test_a_pattern_that_takes_for_ever_is_convicted(tmp_path, monkeypatch):
    monkeypatch.setattr(check_child, "STEP_CPU_S", 3.0)
    pattern = 'import re; re.fullmatch(r"((\\d+,?)+)(\\.\\d+)?", reply)'
    report = check_task(written(tmp_path, score=pattern), n_items=8)
    details = {finding.rule: finding.detail for finding in report.findings if not finding.passed}
    assert list(details) == ["hostile replies are judged"]
    assert details["hostile replies are judged"].startswith("had to be stopped while scoring '1111")


def only_finding(path):
    (finding,) = check_task(path, n_items=8).findings
    assert not finding.passed
    return f"{finding.rule}: {finding.detail}"


class Replayed(gymnasium.Env):
    """What it says to a wrong number is up to its own generator; to be sound, it would be up to the seed."""

    sound = False

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.secret = int(self.np_random.integers(10**6))
        self.own = self.np_random if self.sound else np.random.default_rng()
        return f"Say {self.secret}.", {}

    def step(self, action):
        if action == str(self.secret):
            return "good", 1.0, True, False, {}
        if not action.isdecimal() or len(action) < 3:
            return "a number", 0.0, False, False, {}
        return f"no, {self.own.integers(10**9)}", 0.0, bool(self.own.random() < 0.5), False, {}


@pytest.mark.parametrize("sound", [False, True])
def test_an_environment_must_repeat_after_wrong_replies_too(sound):
    env = type("Sound", (Replayed,), {"sound": sound})
    task = gym_task(f"me/replayed-v{int(sound)}", env, oracle=lambda env: str(env.secret), max_turns=4)
    assert ("state can be pickled" in broken_rules(task(), n_items=8)) is not sound


def test_a_process_that_ends_over_an_empty_reply_is_a_finding(tmp_path):
    leave = "import os; reply or os._exit(0)"
    expected = "comes to an end: it left the process while scoring '' (0 characters) on item train[0]"
    assert only_finding(written(tmp_path, score=leave)).startswith(expected)


@pytest.mark.slow
def test_a_scorer_that_hangs_on_an_empty_reply_is_a_finding(tmp_path, monkeypatch):
    monkeypatch.setattr(check_child, "STEP_CPU_S", 3.0)
    hang = "while not reply: pass"
    assert "it had to be stopped while scoring '' (0 " in only_finding(written(tmp_path, score=hang))


@pytest.mark.slow
def test_items_without_end_are_a_finding(tmp_path, monkeypatch):
    monkeypatch.setattr(check_child, "STEP_CPU_S", 3.0)
    assert "it had to be stopped while making item train[0]" in only_finding(
        written(tmp_path, order="[0 for _ in iter(int, 1)]")
    )


@pytest.mark.parametrize("text", ["'.', end=''", '\'{"failed": "x"}\'', '\'{"busy": "x"}\''])
def test_a_task_may_print_what_it_likes(tmp_path, capsys, text):
    report = check_task(written(tmp_path, score=f"print({text})"), n_items=8)
    assert report.ok, report.as_dict()
    assert len(capsys.readouterr().out) == 0


@pytest.mark.slow
def test_a_slow_scorer_is_asked_about_fewer_items_and_replies(tmp_path, monkeypatch):
    monkeypatch.setattr(check, "REPLIES_CPU_S", 0.0)
    monkeypatch.setattr(check_child, "HOSTILE_CPU_S", 0.2)
    slow = "import time; n = time.process_time() + 0.02\n        while time.process_time() < n: pass"
    report = check_task(written(tmp_path, score=slow), n_items=16)
    assert report.ok, report.as_dict()
    details = {finding.rule: finding.detail for finding in report.findings}
    assert details["prompts say something"].startswith("8 prompts")
    assert f"of {len(HOSTILE)} (the scorer is too slow for more) are judged" in details["hostile replies are judged"]


# -- preflight ------------------------------------------------------------------------------------------------------


def scoring(score):
    return type("Odd", (Sums,), {"score": lambda self, item, reply: score(reply)})()


def test_a_sound_task_is_cleared():
    preflight(Sums(), "train")
    preflight(load_task("guess"), "test")


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (
            lambda reply: float("nan"),
            r"the best reply to item train\[0\]: task 'me/sums-v0' scored nan, which is not a",
        ),
        (lambda reply: "1.0", "scored '1.0', which is not a finite number"),
        (lambda reply: None, "scored None, which is not a finite number"),
        (lambda reply: 1 / len(reply), r"an empty reply to item train\[0\]: score raised ZeroDivisionError"),
        (
            lambda reply: Verdict(None, VerdictState.TIMEOUT, why="too slow"),
            "could not judge the best reply .*: too slow",
        ),
    ],
)
def test_a_score_that_is_none_stops_a_run_before_it_begins(score, message):
    with pytest.raises(TaskFault, match=message) as caught:
        preflight(scoring(score), "train")
    assert "\n" not in str(caught.value)


def test_a_task_that_raises_stops_a_run_before_it_begins():
    task = type("Odd", (Sums,), {"generate": lambda self, rng: 1 / 0})()
    with pytest.raises(TaskFault, match="task 'me/sums-v0': generate raised ZeroDivisionError: division by zero"):
        preflight(task, "train")
    task = type("Odd", (Sums,), {"oracle": lambda self, item: 1 / 0})()
    with pytest.raises(TaskFault, match="oracle raised ZeroDivisionError"):
        preflight(task, "train")


def test_an_empty_split_or_prompt_stops_a_run_before_it_begins():
    with pytest.raises(BadValue, match="task 'me/sums-v0' has no items in split 'test'"):
        preflight(type("Empty", (Sums,), {"n_items": lambda self, split: 0})(), "test")
    with pytest.raises(BadValue, match=r"task 'me/sums-v0' asks nothing: the prompt of item train\[0\] is empty"):
        preflight(Silent(), "train")


def test_odd_attributes_and_items_stop_a_run_before_it_begins():
    with pytest.raises(BadValue, match="task 'me/sums-v0': max_turns must be a whole number from 1 to 1000, got 0"):
        preflight(type("Odd", (Sums,), {"max_turns": 0})(), "train")
    with pytest.raises(
        TaskFault, match=r"task 'me/sums-v0', item train\[0\]: its truth changes on its way through JSON"
    ):
        preflight(NotJsonOfItsOwn(), "train")


def test_a_task_that_ends_the_program_is_at_fault():
    with pytest.raises(TaskFault, match=r"could not judge the best reply to item train\[0\]: score raised SystemExit"):
        preflight(Leaves(), "train")


def test_a_player_is_asked_until_the_end():
    task = load_task("guess")
    item = task.item("train", 0)
    assert play_through(task, item, best_reply(task)).reward == 1.0
    assert play_through(task, item, constant("no number")).reward == 0.0
