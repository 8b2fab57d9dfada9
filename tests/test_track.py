"""Curves for other programs: TensorBoard's own reader reads the event files, Prometheus' own parser the metrics."""

import contextlib
import errno
import json
import math
import re
import sys

import pytest

from eggym import train
from eggym.cli import main
from eggym.errors import BadValue
from eggym.exposition import exposition
from eggym.glimpse import Glimpse, State, look
from eggym.result import finished_record
from eggym.track import Tracker, convert, tracking

SET = {
    "eggroll.population": 8, "eggroll.items": 4, "eval.items": 8, "eval.points": 2, "eval.drift": 0, "eval.many": 0,
    "eval.train_items": 0,
}  # fmt: skip


class _Enough(Exception):
    """Somebody stops the run."""


def some_run(folder, watch=lambda event: None):
    """Run 5 steps of 32 episodes, unless ``watch`` ends it."""
    with contextlib.suppress(_Enough):
        train("tiny-programs", "eggroll", folder, watch=watch, budget="160episodes", set=SET)
    return folder


def stop_at(step):
    def watch(event):
        if event.kind == "step" and event.step == step:
            raise _Enough

    return watch


@pytest.fixture(scope="module")
def untracked(tmp_path_factory):
    return some_run(tmp_path_factory.mktemp("untracked") / "run")


@pytest.fixture(scope="module")
def reader():
    return pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs the extra tensorboard"
    )


def curves(reader, folder):
    """Return every curve that TensorBoard finds: tag -> [(step, value)]."""
    found = reader.EventAccumulator(str(folder / "track"))
    found.Reload()
    return {tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def expected(folder):
    """Return what the curves of a run must be, by its own files."""
    lines = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    record = json.loads((folder / "record.json").read_text())
    told = {"train/reward": [(line["step"], line["reward"]) for line in lines]}
    for section in ("spent", "metrics"):
        for name in lines[0][section]:
            told[f"{section}/{name}"] = [(line["step"], line[section][name]) for line in lines]
    for mode in ("greedy", "sampled"):
        told[f"held-out/{mode}"] = [(point["step"], point[mode]["mean"]) for point in record["points"]]
    return told


def assert_same(found, told):
    assert found.keys() == told.keys()
    for tag, points in told.items():
        assert [step for step, _ in found[tag]] == [step for step, _ in points], tag
        assert [value for _, value in found[tag]] == pytest.approx([value for _, value in points], rel=1e-6), tag


def without_track(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in ("measured.json", ".lock"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.parent.name != "track"}


def test_a_converted_run_has_every_curve_and_is_otherwise_as_it_was(reader, untracked, tmp_path, capsys):
    before = without_track(untracked)
    assert convert(untracked) == 5 + 3
    assert_same(curves(reader, untracked), expected(untracked))
    for _ in range(3):  # anew, and nothing twice
        with pytest.raises(SystemExit) as stop:
            main(["track", str(untracked), "--json"])
        assert not stop.value.code and json.loads(capsys.readouterr().out) == {str(untracked): 8}
        assert_same(curves(reader, untracked), expected(untracked))
    sizes = sorted(path.stat().st_size for path in (untracked / "track").iterdir())
    assert len(sizes) == 2 and sizes[0] == 0
    assert without_track(untracked) == before
    finished_record(untracked)


def test_a_tracked_run_writes_the_same_bytes_and_its_curves_as_it_goes(reader, untracked, tmp_path):
    told = []

    def watch(event):
        if event.kind == "step":
            told.append(len(curves(reader, tmp_path / "run").get("train/reward", [])))

    with tracking("tensorboard", tmp_path / "run", watch) as both:
        some_run(tmp_path / "run", both)
    assert told == [0, 1, 2, 3, 4]  # the watcher before it saw all steps but the present one
    assert_same(curves(reader, tmp_path / "run"), expected(tmp_path / "run"))
    assert without_track(tmp_path / "run") == without_track(untracked)


def test_a_run_that_was_stopped_and_continued_has_no_point_twice(reader, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(_Enough), Tracker(folder) as tracker:

        def watch(event):
            tracker(event)
            stop_at(3)(event)

        train("tiny-programs", "eggroll", folder, watch=watch, budget="160episodes", set=SET)
    assert len(curves(reader, folder)["train/reward"]) == 3  # they are made again: the only checkpoint is the first
    open_one = reader.EventAccumulator(str(folder / "track"))
    open_one.Reload()
    with Tracker(folder) as tracker:
        some_run(folder, tracker)
    assert_same(curves(reader, folder), expected(folder))
    open_one.Reload()  # a TensorBoard that was open all the while forgets what it had read before
    assert [one.step for one in open_one.Scalars("train/reward")] == [0, 1, 2, 3, 4]


def test_what_is_being_tracked_is_not_converted_meanwhile(reader, tmp_path):
    def watch(event):
        tracker(event)
        if event.kind == "point":
            with pytest.raises(BadValue, match="is being tracked as it runs"):
                convert(tmp_path / "run")

    with Tracker(tmp_path / "run") as tracker:
        some_run(tmp_path / "run", watch)
    assert convert(tmp_path / "run") == 8


def test_a_disk_that_fails_ends_the_tracking_and_not_the_run(reader, tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "track").write_text("in the way")
    with Tracker(folder) as tracker:
        some_run(folder, tracker)
    assert look(folder).state is State.FINISHED
    err = capsys.readouterr().err
    assert err.count("tracking ends: ") == 1 and f"eggym track {folder} writes all of it anew" in err


def test_without_the_extra_one_line_names_it(monkeypatch, tmp_path, capsys, untracked):
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    for words in (
        ["track", str(untracked)],
        [
            "train",
            "--task",
            "tiny-programs",
            "--learner",
            "frozen",
            "--out",
            str(tmp_path / "x"),
            "--track",
            "tensorboard",
        ],
    ):
        with pytest.raises(SystemExit) as stop:
            main(words)
        err = capsys.readouterr().err
        assert stop.value.code == 2 and 'pip install "eggym[tensorboard]"' in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_tracker_is_refused():
    with (
        pytest.raises(BadValue, match="curves are written for tensorboard, got --track 'wandb'"),
        tracking("wandb", None, print),
    ):
        pass


LINE = re.compile(r'[a-z_]+\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+\} (?:[-+0-9.e]+|NaN)')


def test_metrics_follow_the_grammar_and_are_written_whole(untracked, tmp_path, capsys):
    file = tmp_path / "eggym.prom"
    with pytest.raises(SystemExit) as stop:
        main(["status", str(untracked), "--prometheus", str(file)])
    assert stop.value.code == 0 and capsys.readouterr().out == "" and list(tmp_path.iterdir()) == [file]
    text = file.read_text()
    assert text.endswith("\n") and all(line.startswith("# ") or LINE.fullmatch(line) for line in text.splitlines())
    assert text == exposition([look(untracked)])
    with pytest.raises(SystemExit):
        main(["status", str(untracked), "--prometheus", "-"])
    assert capsys.readouterr().out == text


def test_prometheus_reads_back_what_was_told(untracked, tmp_path):
    parser = pytest.importorskip("prometheus_client.parser", reason="needs prometheus_client")
    odd = Glimpse(tmp_path / 'a"b\\nc\nd', State.STOPPED, rewards=[math.nan])
    families = {one.name: one for one in parser.text_string_to_metric_families(exposition([look(untracked), odd]))}
    assert all(one.type == "gauge" and one.documentation for one in families.values())
    states = {(one.labels["run"], one.labels["state"]): one.value for one in families["eggym_run_state"].samples}
    assert states[str(untracked), "finished"] == 1 and states[str(odd.folder), "stopped"] == 1
    assert sum(states.values()) == 2 and len(states) == 2 * len(State)
    (steps, _) = families["eggym_run_steps"].samples
    assert steps.value == 5 and steps.labels["task"] == "eggym/tiny-programs-v0" and steps.labels["seed"] == "0"
    scores = {one.labels["mode"]: one.value for one in families["eggym_run_score"].samples}
    assert scores["greedy"] == look(untracked).score


def test_a_disk_that_fails_to_the_end_ends_no_run(tmp_path, reader):
    some_run(tmp_path)

    class Full:
        def close(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    with Tracker(tmp_path) as tracker:
        tracker.sync()
        tracker._file.close()
        tracker._file, tracker._broken = Full(), True
