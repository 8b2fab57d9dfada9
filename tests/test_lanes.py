import pytest

from eggym.lanes import lay_out


def test_all_members_are_seated_at_once_where_they_fit():
    # 4 twins with 6 episodes each in 32 rows: 4 rows a member, a power of two
    lanes = lay_out(range(8), 2, 6, 32)
    assert (lanes.rows_each, lanes.in_flight, lanes.group, lanes.n_used) == (4, 4, 8, 32)
    assert lanes.members()[:16] == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4


def test_units_wait_where_they_do_not_fit():
    lanes = lay_out(range(100), 2, 3, 32)
    assert (lanes.rows_each, lanes.in_flight, lanes.n_used) == (1, 16, 32)
    assert lanes.members() == list(range(32))


def test_spare_rows_fill_a_batch_to_sixteen():
    # by hand: one pair of one row each is a group of 2; 7 more fill the batch
    assert lay_out(range(2), 2, 1, 256).members() == [0, 1] * 8
    assert lay_out([5], 1, 3, 256).members() == [5] * 16


@pytest.mark.parametrize("n_together", [1, 2])
def test_no_seating_takes_more_rows_than_were_granted(n_together):
    for n_members in (1, 2, 6, 10, 64, 300):
        for n_each in (1, 3, 7, 200, 255, 1000):
            for granted in (16, 48, 208, 256):
                if n_members % n_together:
                    continue
                lanes = lay_out(range(n_members), n_together, n_each, granted)
                rows = lanes.members()
                assert len(rows) % 16 == 0 and lanes.n_used <= len(rows) <= granted
                runs = [rows[at : at + lanes.shared_by] for at in range(0, len(rows), lanes.shared_by)]
                assert all(len({member // n_together for member in run}) == 1 for run in runs)
