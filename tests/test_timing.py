import contextlib
import os

import pytest

from eggym.errors import BadValue
from eggym.machine import cpu_model, describe
from eggym.timing import (
    MIN_ROUNDS,
    Arm,
    Meters,
    Quartiles,
    Reading,
    Timing,
    measure,
    order,
    running_processes,
    tolerance,
    too_wide,
)
from eggym.usage import peak_growth, resident


def timing(running=1, cores=2, shares=None, **cpu):
    """Readings made up by hand: the CPU seconds of each arm by round, wall seconds twice as long."""
    readings = {name.replace("_", " "): [Reading(s, 2 * s, running) for s in values] for name, values in cpu.items()}
    ones = dict.fromkeys(readings, 1.0)
    return Timing(readings, {name: [] for name in readings}, ones | (shares or {}), cores)


def steady(**seconds):
    return {name: [value] * MIN_ROUNDS for name, value in seconds.items()}


class FakeClock:
    """Seconds that pass only when an arm says so."""

    def __init__(self):
        self.now, self.log = 0.0, []

    def meters(self):
        return Meters(lambda: self.now, lambda: 10 * self.now, lambda: 1)

    def arm(self, name, seconds, result=None):
        @contextlib.contextmanager
        def prepare():
            self.log.append(f"prepare {name}")
            self.now += 100  # must not be counted
            yield name
            self.now += 100
            self.log.append(f"leave {name}")

        def work(state):
            self.log.append(f"run {state}")
            self.now += seconds
            return result

        return Arm(name, prepare, work, lambda value: value)


def test_quartiles_of_a_known_sample():
    # inclusive: of 4 values, q1 lies at place 0.75, the median at 1.5, q3 at 2.25
    assert Quartiles.of([4.0, 1.0, 3.0, 2.0]) == Quartiles(1.75, 2.5, 3.25)
    assert Quartiles.of([7.0]) == Quartiles(7.0, 7.0, 7.0)


def test_the_ratio_is_the_median_of_rounds_and_not_the_ratio_of_medians():
    # by hand: base/arm is 1/2, 4/2, 3/6 and, to fill the rounds, 1/2 twelve times: median 0.5.
    # The medians themselves are 1 and 2, the means would say more than 0.5.
    found = timing(base=[1, 4, 3] + [1] * 12, arm=[2, 2, 6] + [2] * 12).ratio("arm", "base")
    assert (found.value, found.quartiles) == (0.5, Quartiles(0.5, 0.5, 0.5))
    # by hand: 1/1, 1/2, 1/4 five times each: median 0.5, quartiles 0.25 and 1; medians would give the same, means not
    found = timing(base=[1.0] * 15, arm=[1.0, 2.0, 4.0] * 5).ratio("arm", "base")
    assert (found.value, found.quartiles) == (0.5, Quartiles(0.25, 0.5, 1.0))


def test_an_arm_that_did_a_share_of_the_work_is_scaled_to_all_of_it():
    scaled = timing(shares={"naive": 0.25}, **steady(naive=2.0, ours=1.0))
    assert scaled.ratio("ours", "naive").value == 8.0
    assert scaled.seconds("naive") == [8.0] * MIN_ROUNDS
    assert scaled.as_dict()["naive"]["readings"][0] == [2.0, 4.0, 1]  # as read


def test_the_tolerance_is_as_wide_as_the_claim():
    assert [round(tolerance(claim), 6) for claim in (0.95, 0.9, 0.97)] == [0.05, 0.1, 0.03]
    assert tolerance(5.0) == pytest.approx(0.8)  # five times as fast: a fifth is left


@pytest.mark.parametrize(
    ("q1", "q3", "claim", "refused"),
    [
        (0.96, 1.04, 0.95, False),
        (0.951, 1.049, 0.95, False),
        (0.94, 1.01, 0.95, True),  # too wide below
        (0.99, 1.06, 0.95, True),  # too wide above
        (0.94, 1.06, 0.90, False),  # the same spread carries a lesser claim
        (0.5, 1.5, 8.0, False),  # and a large factor
        (0.1, 1.0, 8.0, True),
    ],
)
def test_a_control_wider_than_the_claim_refuses_it(q1, q3, claim, refused):
    assert (too_wide(Quartiles(q1, 1.0, q3), claim) is not None) == refused


def test_a_refused_ratio_has_no_value_and_says_why():
    spread = [0.8, 1.0, 1.25] * 5  # base over the same again: 1/0.8, 1, 1/1.25
    found = timing(base=[1.0] * 15, again=spread, arm=[1.0] * 15).ratio("arm", "base", ("base", "again"), 0.95)
    assert (found.value, found.quartiles, found.met) == (None, None, None)
    assert found.control == Quartiles(0.8, 1.0, 1.25)
    assert found.refused == (
        "the control's quartiles 0.800 to 1.250 lie outside 1 +- 0.050, which a claim of 0.95 needs"
    )


def test_a_claim_without_a_control_is_refused_and_without_a_claim_none_is_needed():
    some = timing(**steady(base=1.0, arm=1.0))
    assert some.ratio("arm", "base", claim=0.9).refused == "there is no control"
    assert some.ratio("arm", "base").value == 1.0


def test_a_claim_is_met_or_missed():
    some = timing(**steady(base=9.0, again=9.0, fast=9.0, slow=10.0))
    assert some.ratio("fast", "base", ("base", "again"), 0.95).met is True
    assert some.ratio("slow", "base", ("base", "again"), 0.95).met is False
    assert some.ratio("slow", "base").met is None


def test_few_rounds_state_no_ratio():
    some = timing(base=[1.0] * 14, arm=[1.0] * 14)
    assert some.ratio("arm", "base").refused == "14 rounds, 15 are needed"


def test_an_objection_of_the_caller_refuses():
    found = timing(**steady(base=1.0, arm=1.0)).ratio("arm", "base", objection="a straw man")
    assert (found.value, found.refused) == (None, "a straw man")


def test_a_crowded_machine_refuses_wall_time_and_not_cpu_time():
    full = timing(running=3, cores=2, **steady(base=1.0, arm=2.0))
    assert full.ratio("arm", "base", clock="cpu").value == 0.5
    assert full.ratio("arm", "base", clock="wall").refused == (
        "more processes wanted a core than the 2 there are; free the machine for wall time"
    )
    assert timing(running=2, cores=2, **steady(base=1.0, arm=2.0)).ratio("arm", "base", clock="wall").value == 0.5


def test_a_machine_is_crowded_from_a_quarter_of_the_readings_on():
    def mixed(n_full):
        return Timing({"a": [Reading(1, 1, 5 if i < n_full else 1) for i in range(8)]}, {"a": []}, {"a": 1.0}, 2)

    assert [mixed(n).crowded() for n in (0, 2, 3, 8)] == [False, False, True, True]


def test_an_arm_that_was_not_measured_is_refused_by_name():
    with pytest.raises(BadValue, match="no arm 'x' was measured; measured: a"):
        timing(a=[1.0]).seconds("x")


def test_each_reading_follows_an_untimed_call_of_the_same_arm_and_preparing_is_not_timed():
    clock = FakeClock()
    found = measure([clock.arm("a", 2.0, "x"), clock.arm("b", 3.0)], 3, meters=clock.meters())
    assert found.seconds("a") == [2.0] * 3 and found.seconds("b", "wall") == [30.0] * 3
    assert found.fingerprints == {"a": ["x"], "b": []}
    calls = [line for line in clock.log if line.startswith("run")]
    assert len(calls) == 12 and all(calls[i] == calls[i + 1] for i in range(0, 12, 2))
    assert clock.log[:6] == [f"{what} {clock.log[2][-1]}" for what in ("prepare", "run", "leave")] * 2


def test_the_order_is_random_in_every_round_and_follows_from_the_seed():
    arms = [FakeClock().arm(name, 1.0) for name in "abcd"]
    orders = ["".join(arm.name for arm in order(arms, 0, number)) for number in range(60)]
    assert orders == ["".join(arm.name for arm in order(arms, 0, number)) for number in range(60)]
    assert orders != ["".join(arm.name for arm in order(arms, 1, number)) for number in range(60)]
    assert all(sorted(one) == list("abcd") for one in orders)
    assert {one[0] for one in orders} == set("abcd") and len(set(orders)) > 12


def test_calls_that_differ_are_both_seen():
    results = iter(["x", "y", "y", "x"])
    arm = Arm("a", contextlib.nullcontext, lambda state: next(results), lambda value: value)
    assert measure([arm], 2).fingerprints["a"] == ["x", "y"]


def test_nothing_to_measure_is_refused():
    arm = FakeClock().arm("a", 1.0)
    for arms, rounds in (([], 1), ([arm], 0), ([arm, arm], 1)):
        with pytest.raises(BadValue, match="at least 1 round and arms of different names"):
            measure(arms, rounds)


def test_running_processes_are_read_from_the_load():
    assert running_processes("4.12 2.00 1.00 7/812 999\n") == 7
    assert running_processes("") == 0


def test_the_machine_is_described_without_naming_its_owner():
    found = describe()
    assert found["cores"] >= 1 and found["torch"] and found["date"][:2] == "20"
    text = repr(found)
    assert os.uname().nodename not in text and os.getcwd() not in text and "/" not in (found["cpu"] or "")


def test_processor_and_resident_memory_are_read():
    assert cpu_model("model : 167\nmodel name : Some CPU\n\nmodel : 1\nmodel name : Other\n") == "Some CPU (model 167)"
    assert cpu_model("model name : Some CPU\n") == "Some CPU"
    assert cpu_model("") is None
    assert resident("Name: x\nVmRSS:\t 3 kB\n") == 3072
    assert resident("") == 0


def test_the_peak_of_a_call_is_what_it_held_at_once():
    def hold():
        kept = bytearray(40 << 20)
        kept[:: 1 << 12] = b"x" * len(kept[:: 1 << 12])  # touch every page

    assert 38 << 20 < peak_growth(hold) < 60 << 20
    assert peak_growth(lambda: None) < 4 << 20
