"""The simulation of many workers against sums that can be done by hand."""

import pytest

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
