import math

import pytest

from eggym.es.schedule import cosine, power, share


def test_shares_at_the_ends_and_in_the_middle():
    # by hand: half way down from 1 to 0.2 is 0.6 on a line and on the cosine, a quarter of the way 0.8 on the line
    assert [share("linear", step, 8, 0.2) for step in (0, 2, 4, 8, 9)] == pytest.approx([1, 0.8, 0.6, 0.2, 0.2])
    assert [share("cosine", step, 8, 0.2) for step in (0, 4, 8, 100)] == pytest.approx([1, 0.6, 0.2, 0.2])
    assert share("cosine", 2, 8, 0.0) == pytest.approx(0.5 + 0.5 * math.sqrt(0.5))
    assert share("constant", 5, 0, 0.0) == 1.0
    assert share("factor", 3, 0, 0.0, 0.5) == 0.125
    assert share("factor", 3, 0, 0.25, 0.5) == 0.25


def test_own_cosine_and_power_are_those_of_the_library_to_the_last_digits():
    for n in range(101):
        assert cosine(math.pi * n / 100) == pytest.approx(math.cos(math.pi * n / 100), abs=2e-15)
    assert power(0.999, 1234) == pytest.approx(0.999**1234, rel=1e-12)
    assert power(0.9, 0) == 1.0
