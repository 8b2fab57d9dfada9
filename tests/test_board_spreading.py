"""Work that processes share gives what one process would give, in order, and says when one of them was killed."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from eggym.errors import BadValue, EggymError
from eggym.leaderboards import spreading
from eggym.leaderboards.board_site import build_site
from eggym.leaderboards.place import Place
from eggym.leaderboards.spreading import FEWEST, spread

THINGS = range(2 * FEWEST)

# Python 3.12 warns of every fork beside threads; those of a test runner hold no lock that the work needs
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """On any machine, and also where the thread of a test runner stands beside."""
    monkeypatch.setattr(spreading, "usable_cores", lambda: 2)
    monkeypatch.setattr(spreading, "_forks", lambda: True)
    yield


@pytest.mark.usefixtures("two_cores")
def test_what_comes_out_is_in_the_order_of_what_goes_in_and_was_done_by_others() -> None:
    found = spread(lambda one: (one * one, os.getpid()), THINGS)
    assert [square for square, _ in found] == [one * one for one in THINGS]
    assert 1 <= len({process for _, process in found} - {os.getpid()}) <= 2
    assert os.getpid() not in {process for _, process in found}


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("n", [0, 1, FEWEST - 1])
def test_few_things_start_no_process(n: int) -> None:
    assert spread(lambda one: os.getpid(), range(n)) == [os.getpid()] * n


def test_a_process_with_other_threads_is_never_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreading, "usable_cores", lambda: 2)
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        assert set(spread(lambda one: os.getpid(), THINGS)) == {os.getpid()}
    finally:
        stop.set()
        other.join()


@pytest.mark.usefixtures("two_cores")
def test_an_error_comes_back_as_it_is() -> None:
    def refuse(one: int) -> int:
        if one == FEWEST:
            raise BadValue(f"{one} is bad; take another")
        return one

    with pytest.raises(BadValue, match=f"^{FEWEST} is bad; take another$"):
        spread(refuse, THINGS)


@pytest.mark.usefixtures("two_cores")
def test_a_process_that_is_killed_is_told_in_one_line() -> None:
    with pytest.raises(EggymError, match="was killed"):
        spread(lambda one: os.kill(os.getpid(), signal.SIGKILL), THINGS)


@pytest.mark.usefixtures("two_cores")
def test_a_site_has_the_same_bytes_however_many_drew_it(
    small_place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bytes_of = []
    for name, fewest in (("alone", 10**6), ("shared", 1)):
        monkeypatch.setattr(spreading, "FEWEST", fewest)
        build_site(small_place, tmp_path / name, ["small"])
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        bytes_of.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert bytes_of[0] == bytes_of[1]
