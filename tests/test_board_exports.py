"""What a board gives away: tables for spreadsheets, papers and programs."""

from eggym.leaderboards.collecting import collect
from eggym.leaderboards.standing import standings


def test_the_small_board_is_whole(small_place):
    found = collect(small_place, "small", thorough=True)
    assert found.ok and len(found.found) == 30
    assert [row["kind"] for row in standings(found.tables()[0])["rows"][:2]] in (["es", "rl"], ["rl", "es"])
