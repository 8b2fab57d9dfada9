"""The simulation of many workers against sums that can be done by hand; starts of a killed run, as they are timed."""

import pytest

from eggym import bench_resume
from eggym.bench_rates import Settings
from eggym.bench_scale import efficiency


def test_equal_items_that_cost_nothing_to_deal_leave_nobody_idle():
    assert efficiency([2.0] * 12, 4, 0.0, 0.0) == pytest.approx(1.0)


def test_the_last_item_keeps_the_others_waiting():
    assert efficiency([1.0] * 5, 4, 0.0, 0.0) == pytest.approx(5 / 8)
    assert efficiency([1.0, 1.0, 4.0], 2, 0.0, 0.0) == pytest.approx(6 / 10)  # it begins after one second


def test_a_driver_deals_one_at_a_time():
    # of two workers the second begins at 0.2 + 0.5 and ends at 1.7: 2 seconds of work in 3.4
    assert efficiency([1.0, 1.0], 2, 0.1, 0.5) == pytest.approx(2 / (2 * 1.7))
    # a thousand items of a second, dealt at 10 ms each: the driver is the bound
    assert efficiency([1.0] * 1000, 1000, 0.01, 0.0) == pytest.approx(1000 / (1000 * 11.0))


@pytest.mark.slow
def test_starts_of_a_killed_run_are_timed_with_what_loading_takes(monkeypatch):
    monkeypatch.setattr(bench_resume, "N_STEPS", 20)
    found = bench_resume.resume_part(Settings(("resume",), rounds=1), lambda number: None)
    assert list(found["arms"]) == ["model loaded", "model loaded again", "resumed", "resumed, two workers"]
    cpu = {name: arm["cpu_s"]["median"] for name, arm in found["arms"].items()}
    assert min(cpu.values()) > 0.1 and cpu["resumed, two workers"] > cpu["resumed"]  # each worker loads the model too
    assert found["steps"] == 20 and found["bytes_of_logs"] > 20 * 50
    assert len(found["values"]) == 5
