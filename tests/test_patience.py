"""How long workers may take: by themselves, and where the environment says more or less."""

import pytest

from eggym.cli import main
from eggym.errors import BadValue
from eggym.executor import Executor
from eggym.executor_parts import WorkersLost
from eggym.frames import Frame
from eggym.local_workers import LocalHand
from eggym.patience import Patience, with_workers

TRAIN = ["train", "--task", "tiny-programs", "--learner", "eggroll", "--budget", "128episodes"]


def test_a_worker_may_take_what_the_longest_took_many_times_and_no_less_than_half_a_minute():
    usual = with_workers({})
    assert usual == Patience(begin_s=600.0, first_s=1800.0, times=20.0, least_s=30.0)
    assert [usual.of_item(longest) for longest in (None, 0.1, 1.5, 3.0)] == [1800.0, 30.0, 30.0, 60.0]


def test_the_environment_multiplies_all_waits():
    longer = with_workers({"EGGYM_WORKERS_PATIENCE": "4"})
    assert longer == Patience(begin_s=2400.0, first_s=7200.0, times=80.0, least_s=120.0)
    usual = with_workers({})
    assert all(longer.of_item(one) == 4 * usual.of_item(one) for one in (None, 0.1, 1.5, 3.0))


@pytest.mark.parametrize("text", ["0", "-1", "soon", "", "inf", "nan"])
def test_patience_must_be_a_number(text):
    with pytest.raises(BadValue, match=r"EGGYM_WORKERS_PATIENCE must be a number above 0.*unset it for the usual 1"):
        with_workers({"EGGYM_WORKERS_PATIENCE": text})


@pytest.mark.parametrize("workers", ["--workers", "--reward-workers"])
def test_the_command_refuses_an_odd_patience_before_anything_is_written(workers, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("EGGYM_WORKERS_PATIENCE", "soon")
    with pytest.raises(SystemExit) as ended:
        main([*TRAIN, workers, "2", "--out", str(tmp_path / "run")])
    assert ended.value.code == 2
    assert "EGGYM_WORKERS_PATIENCE must be a number above 0" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_workers_that_start_too_slowly_end_the_run_and_the_way_out_is_told(monkeypatch):
    monkeypatch.setenv("EGGYM_WORKERS_PATIENCE", "0.0001")
    executor = Executor(LocalHand, 1, lambda: Frame({"do": "begin", "role": "echo"}))
    try:
        with pytest.raises(WorkersLost, match=r"could not be begun.*EGGYM_WORKERS_PATIENCE=4 waits four times as long"):
            list(executor.map([Frame({"do": "echo"})], lambda number, frame: number))
    finally:
        executor.stop()
