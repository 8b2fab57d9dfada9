import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eggym.errors import UnknownName
from eggym.es.shaping import SHAPINGS, WEIGHT_MAX, pair_signs, pooled, quantise, shape


def rewards(*rows):
    """Members x items x one reply."""
    return np.array(rows, dtype=np.float32)[:, :, None]


def test_a_z_score_of_one_item_is_the_published_one():
    # raw i^1.5, i = 0..5; mean 4.70082, variance 15.40229 (ddof 0)
    raw = np.arange(6) ** 1.5
    centred = (raw - raw.mean())[:, None]
    assert pooled(centred).tolist() == pytest.approx([-1.1978, -0.9430, -0.4771, 0.1262, 0.8406, 1.6510], abs=1e-4)
    # pairs, by hand: (-1.1978 + .9430) / 2 = -.1274, (-.4771 - .1262) / 2 = -.30165, (.8406 - 1.6510) / 2 = -.4052
    found = shape(rewards(*raw[:, None])).weights_D / WEIGHT_MAX
    assert found.tolist() == pytest.approx([-0.1274 / 0.4052, -0.30165 / 0.4052, -1.0], abs=3e-4)
    # 2 sqrt(sum w^2 / N) = 2 sqrt((.01623 + .09099 + .16419) / 6)
    assert shape(rewards(*raw[:, None])).strength == pytest.approx(0.4254, abs=3e-4)


def test_weights_that_are_multiples_of_one_unit_become_these_multiples_and_others_are_rounded():
    # means over 3 items: halves of differences 1/6, -2/6, 0, 3/6; of 2/3 and 1/2 the unit is 1/6
    assert quantise(np.array([1 / 6, -2 / 6, 0, 3 / 6])).tolist() == [1, -2, 0, 3]
    assert quantise(np.array([2 / 3, -1 / 2])).tolist() == [4, -3]
    assert quantise(np.array([1.0, 0.1])).tolist() == [10, 1]
    assert quantise(np.array([1.0, -math.pi / 4])).tolist() == [32767, -25735]  # 32767 * .785398 = 25735.1
    assert quantise(np.array([1.0, 1e-5])).tolist() == [32767, 0]  # a multiple, but of too small a unit
    assert quantise(np.zeros(3)).tolist() == [0, 0, 0]


def test_signs_count_who_won_and_not_by_how_much():
    found = shape(rewards([0.9], [0.1], [0.4], [0.5], [0.2], [0.2]), "sign")
    assert found.weights_D.tolist() == [1, -1, 0]
    assert found.strength == pytest.approx(2 * math.sqrt(2 / 6))
    assert pair_signs(np.array([1.0, 0.0, 0.3, 0.3])).tolist() == [1, -1, 0, 0]


@pytest.mark.parametrize("shaping", SHAPINGS)
def test_twins_with_equal_rewards_on_different_items_are_equal(shaping):
    # means over three items in another order differ in the last bit; a sign or a rank would make that a vote
    found = shape(rewards([0.1, 0.7, 0.3], [0.3, 0.1, 0.7], [1, 0, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0]), shaping)
    values = np.array([[0.1, 0.7, 0.3], [0.3, 0.1, 0.7]], dtype=np.float32)
    assert math.fsum(values[0].tolist()) == math.fsum(values[1].tolist())
    assert found.weights_D[0] == 0 and found.weights_D[1] == 0 and found.weights_D[2] == 1


def test_what_is_flat_or_missing_is_counted():
    nan = np.nan
    found = shape(rewards([1, 1, nan, 0], [1, 0, nan, 0], [1, 1, nan, nan], [1, 1, 0.5, 0]))
    assert (found.flat_items, found.informative) == (3, 0.25)
    assert found.missing == pytest.approx(4 / 16)
    # one item tells: member 1 is below the others by 1, so its mean over four items by 1/4; halves (1/8, 0)
    assert found.spread == pytest.approx(math.sqrt((1 / 8) ** 2 / 2))


@pytest.mark.parametrize("shaping", SHAPINGS)
def test_a_missing_reward_says_nothing(shaping):
    nan = np.nan  # the third item could be judged for nobody
    found = shape(rewards([1, 0.5, nan], [0, nan, nan], [nan, nan, nan], [nan, nan, nan]), shaping)
    assert found.weights_D.tolist() == [1, 0]


@pytest.mark.parametrize("shaping", SHAPINGS)
def test_rewards_that_agree_are_silence(shaping):
    found = shape(rewards(*[[0.3, 0.9]] * 4), shaping)
    assert not found.weights_D.any()
    assert (found.informative, found.flat_items, found.spread, found.strength) == (0, 2, 0, 0)


@pytest.mark.parametrize("shaping", SHAPINGS)
def test_members_with_equal_totals_are_silence_and_no_rounding_error_becomes_a_step(shaping):
    first, second = [0.0, 0.0, 0.25], [0.0, 0.25, 0.0]
    found = shape(rewards(first, second, second, second, second, first), shaping)
    assert not found.weights_D.any() and found.strength == 0 and found.spread == 0


values = st.lists(st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=3, max_size=3), min_size=6, max_size=6)


@given(values, st.sampled_from(SHAPINGS))
def test_strength_is_that_of_the_weights_and_ignores_shift_and_scale(rows, shaping):
    found, moved = shape(rewards(*rows), shaping), shape(rewards(*rows) * 4 + 2, shaping)
    assert np.abs(found.weights_D.astype(int) - moved.weights_D).max() <= 1  # thirds round differently after a shift
    assert found.strength == pytest.approx(moved.strength, rel=1e-4)
    # 0 for equal twins up to sqrt 2 for opposite ones; signs can be all opposite with a variance of 1
    assert 0 <= found.strength <= math.sqrt(2) + 1e-4
    assert (found.strength == 0) == (not found.weights_D.any())


def test_an_unknown_shaping_is_refused():
    with pytest.raises(UnknownName, match="no shaping 'rank'; did you mean 'ranks'"):
        shape(rewards([1], [0]), "rank")
