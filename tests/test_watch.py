"""What can be told of a run from outside, while it goes on and afterwards. Runs and processes are real."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from eggym import train
from eggym.cli import main
from eggym.errors import BadValue
from eggym.files import sha256_json, write_json
from eggym.folder import DUEL
from eggym.glimpse import State, look
from eggym.lock import COMMAND, Driver, alone, is_held, last_driver
from eggym.pace import limit_of, pace
from eggym.scan import Duel, announce, look_below, runs_in, trials_done
from eggym.tail import Follower, last_lines
from eggym.watch_tables import tally, way_on

SET = {
    "eggroll.population": 8, "eggroll.items": 4, "eval.items": 8, "eval.points": 2, "eval.drift": 0, "eval.many": 0,
    "eval.train_items": 0,
}  # fmt: skip
FLAGS = [word for name, value in SET.items() for word in ("--set", f"{name}={value}")]


class _Enough(Exception):
    """Somebody stops the run."""


def some_run(folder, stop_after=None, seed=0):
    """Run 5 steps of 32 episodes, or stop after some."""

    def watch(event):
        if event.kind == "step" and event.step == stop_after:
            raise _Enough

    with contextlib.suppress(_Enough):
        train("tiny-programs", "eggroll", folder, seed, watch=watch, budget="160episodes", set=SET)
    return folder


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A folder with a finished run and one that was stopped after 3 steps."""
    root = tmp_path_factory.mktemp("runs")
    some_run(root / "whole")
    some_run(root / "part", stop_after=3, seed=1)
    return root


@pytest.fixture
def copies(places, tmp_path):
    """The same, to be damaged."""
    shutil.copytree(places, tmp_path / "runs")
    return tmp_path / "runs"


def command(capsys, *words):
    """Return exit code, standard output and standard error."""
    code = 0
    try:
        main(list(map(str, words)))
    except SystemExit as stop:
        code = stop.code or 0
    out, err = capsys.readouterr()
    return code, out, err


def everything(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_a_finished_run_is_told_as_its_record_has_it(places):
    seen, record = look(places / "whole"), json.loads((places / "whole" / "record.json").read_text())
    assert seen.state is State.FINISHED and seen.why == "" and way_on(seen) == ""
    assert (seen.task, seen.learner, seen.step, seen.fraction) == ("eggym/tiny-programs-v0", "eggroll", 5, 1.0)
    assert seen.score == record["points"][-1]["greedy"]["mean"] and seen.states == record["training_states"]
    lines = (places / "whole" / "steps.jsonl").read_text().splitlines()
    assert seen.rewards == [json.loads(line)["reward"] for line in lines] and len(lines) == 5


def test_a_stopped_run_is_told_with_what_is_lost_and_the_way_on(places):
    seen = look(places / "part")
    assert seen.state is State.STOPPED and seen.step == 3 and seen.fraction == 3 * 32 / 160
    assert seen.told_at == 0 and [point["step"] for point in seen.points] == [0]  # the only checkpoint: the first one
    assert seen.pace is None and seen.driver.pid == os.getpid()
    assert "the same command continues it" in way_on(seen)


def test_looking_changes_nothing(places, capsys):
    before = everything(places)
    for words in (["status", places], ["status", places / "part", "--json"], ["runs", places]):
        command(capsys, *words)
    assert everything(places) == before


def test_status_says_what_a_person_asks_and_its_exit_code_whether_all_is_well(places, capsys):
    code, out, err = command(capsys, "status", places / "whole")
    assert code == 0 and err == "" and "\x1b" not in out
    for text in (
        "tiny-programs eggroll seed 0 embedded-v0",
        "finished",
        "100% at step 5, 160 of 160 episodes",
        "error 0 %",
    ):
        assert text in out
    code, out, _ = command(capsys, "status", places / "part")
    assert code == 1 and "stopped" in out and "60% at step 3" in out and "the 3 steps after it are made again" in out
    code, out, _ = command(capsys, "status", places)
    assert code == 1 and "2 runs: 1 finished, 1 stopped" in out
    code, out, _ = command(capsys, "status", places / "whole", "--json")
    assert code == 0 and json.loads(out)["state"] == "finished" and len(json.loads(out)["evaluations"]) == 3


def test_runs_are_listed_newest_first(places, capsys):
    code, out, _ = command(capsys, "runs", places)
    assert code == 0 and "2 runs: 1 finished, 1 stopped" in out
    (part,) = [line.split() for line in out.splitlines() if line.startswith("part")]
    assert part[1:7] == ["tiny-programs", "eggroll", "1", "stopped", "3", "60%"]
    found = json.loads(command(capsys, "runs", places, "--json")[1])
    assert [one["last_at"] for one in found] == sorted((one["last_at"] for one in found), reverse=True)
    assert {Path(one["folder"]).name for one in found} == {"whole", "part"}


@pytest.mark.parametrize("width", [80, 120])
def test_on_a_terminal_no_line_is_wider_than_it(places, width):
    from rich.console import Console

    from eggym.watch_tables import print_below, print_run

    for show in (
        lambda screen: print_run(screen, look(places / "part")),
        lambda screen: print_below(screen, places, look_below(places), 0),
    ):
        screen = Console(force_terminal=True, width=width, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
        show(screen)
        screen.file.close()
        text = screen.export_text()
        assert "stopped" in text and max(map(len, text.splitlines())) <= width


def test_where_there_is_no_run_one_line_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(capsys, "runs")
    assert code == 0 and out.startswith("no runs in 'runs'; ") and out.count("\n") == 1 and err == ""
    assert json.loads(command(capsys, "runs", "--json")[1]) == []
    for words, line in (
        (["status", "x"], "no folder 'x'"), (["status", "."], "no run in '.'"), (["runs", "x"], "no folder 'x'"),
    ):  # fmt: skip
        code, out, err = command(capsys, *words)
        assert code == 2 and out == "" and line in err and err.count("\n") == 1


def _cut(name, keep=0.5):
    def damage(folder):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * keep)])

    return damage


def _edited(folder):
    text = (folder / "record.json").read_text()
    (folder / "record.json").write_text(text.replace('"n_steps":5', '"n_steps":6'))


def _of_no_run(folder):
    record = json.loads((folder / "record.json").read_text())
    del record["content_sha256"], record["config"]["eval"]
    (folder / "record.json").write_text(json.dumps({**record, "content_sha256": sha256_json(record)}))


def _no_checkpoint(folder):
    (folder / "checkpoint-00000000" / "state.json").write_text("{")


def _record(change):
    """Make somebody else's record: whole by its own digest."""

    def damage(folder):
        record = json.loads((folder / "record.json").read_text())
        del record["content_sha256"]
        change(record)
        (folder / "record.json").write_text(json.dumps({**record, "content_sha256": sha256_json(record)}))

    return damage


def _config(**values):
    def damage(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **values}))

    return damage


def _text(name, text):
    def damage(folder):
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_text(text)

    return damage


def _pipe(name):
    def damage(folder):
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return damage


DEEP = "[" * 200_000
DAMAGES = [
    ("whole", _cut("record.json"), "record.json is not JSON"),
    ("whole", _edited, "record.json was changed since it was written"),
    ("whole", _of_no_run, "record.json is not that of a run: eval is missing"),
    ("part", _cut("config.json"), "config.json is not JSON"),
    ("part", lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
    ("part", lambda folder: (folder / "config.json").write_text("[]"), "config.json is not a JSON object"),
    ("part", _cut("evaluations.jsonl"), "its checkpoint wants"),
    ("part", _no_checkpoint, "no checkpoint can be read"),
    ("part", lambda folder: shutil.rmtree(folder / "checkpoint-00000000"), "it holds steps and no checkpoint"),
    ("part", _text("config.json", DEEP), "config.json is not JSON"),
    ("part", _config(seed="[/nope]"), "config.json is not that of a run: seed"),
    ("part", _config(task=7), "config.json is not that of a run: task"),
    ("part", _config(difficulty=7), "config.json is not that of a run: difficulty"),
    ("part", _config(eval={"primary": "x"}), "config.json is not that of a run: eval.primary"),
    ("part", _pipe("config.json"), "config.json cannot be read"),
    ("whole", _text("record.json", '{"content_sha256":"x","a":NaN}'), "record.json was changed since it was written"),
    ("whole", _record(lambda one: one.update(points=[])), "record.json is no record of a run"),
    ("whole", _record(lambda one: one["points"][0].update(greedy=1)), "record.json is no record of a run"),
    ("whole", _record(lambda one: one["files"].update({"x" * 300: ""})), "it cannot be read: File name too long"),
    ("whole", _text("measured.json", '{"workers": "[/nope]"}'), "measured.json is not that of a run: workers"),
]


@pytest.mark.parametrize("name", ["whole", "part"])
@pytest.mark.parametrize(
    ("file", "text"),
    [
        (".lock", DEEP),
        (".lock", '{"pid":1,"host":"x","started":NaN,"command":[],"cwd":"/"}'),
        (".lock", f'{{"pid":1,"host":"x","started":1{"0" * 400},"command":[],"cwd":"/"}}'),
        (".lock", '{"pid":1,"host":"x","started":1,"command":[],"cwd":-1}'),
        (".lock", None),
        ("steps.jsonl", f'{DEEP}\n{{"step":0}}\n{{"step":1,"spent":7,"reward":[],"metrics":{{}}}}\n'),
        ("../.duel.json", '{"driver":{"pid":"x"},"trials":Infinity,"runs":[{"folder":"y"}]}'),
        ("../.duel.json", DEEP),
    ],
    ids=range(8),
)
def test_whatever_stands_in_a_file_every_run_is_listed(copies, capsys, name, file, text):
    place = (copies / name / file).resolve()
    place.unlink(missing_ok=True)
    if text is None:
        os.mkfifo(place)
    else:
        place.write_text(text)
    for verb in (["status"], ["status", "--json"], ["status", "--prometheus", "-"], ["runs"], ["runs", "--json"]):
        code, out, err = command(capsys, *verb, copies)
        assert code in (0, 1) and err == "" and out


def test_deep_folders_are_walked(tmp_path):
    place = tmp_path
    for _ in range(1200):
        place = place / "d"
        place.mkdir()
    (place / "steps.jsonl").touch()
    try:
        assert runs_in(tmp_path) == [place]
    finally:
        subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # deeper than Python's own goes


@pytest.mark.parametrize("path", ["", "/dev/null", "folder", "link"])
def test_metrics_replace_nothing_but_a_file(places, tmp_path, capsys, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("file")
    code, out, err = command(capsys, "status", places / "whole", "--prometheus", path)
    assert code == 2 and out == "" and err.count("\n") == 1 and "give a file, or - to print" in err
    assert (tmp_path / "file").read_text() == "mine" and Path("/dev/null").is_char_device()


@pytest.mark.parametrize(("name", "damage", "line"), DAMAGES, ids=[line for _, _, line in DAMAGES])
def test_a_damaged_run_is_listed_as_such_beside_the_others(copies, capsys, name, damage, line):
    damage(copies / name)
    seen = look(copies / name)
    assert seen.state is State.DAMAGED and line in seen.why
    for verb, expected in (("status", 1), ("runs", 0)):
        code, out, _ = command(capsys, verb, copies)
        assert code == expected and "1 damaged" in out and f"{name}: {seen.why}" in out


def test_a_log_too_short_for_the_newest_checkpoint_alone_is_no_damage(copies):
    folder = copies / "part"
    older = folder / "checkpoint-00000000"
    newer = shutil.copytree(older, folder / "checkpoint-00000001")
    body = json.loads((newer / "state.json").read_text())
    (lengths,) = [value for name, value in body["state"]["__map__"] if name == "written"]
    ((_, of_steps),) = [pair for pair in lengths["__map__"] if pair[0] == "steps.jsonl"]
    of_steps["__map__"] = [["length", 1_000_000], ["sha256", ""]]
    body["sha256"] = sha256_json([body["state"], body["tensors_sha256"]])
    (newer / "state.json").write_text(json.dumps(body))
    assert look(folder).state is State.STOPPED
    shutil.rmtree(older)
    assert look(folder).state is State.DAMAGED and "steps.jsonl has" in look(folder).why


def test_files_that_a_finished_run_lacks_are_named(copies):
    (copies / "whole" / "weights.safetensors").unlink()
    assert (
        look(copies / "whole").state is State.FINISHED and look(copies / "whole").why == "not here: weights.safetensors"
    )


def test_a_folder_in_which_nothing_began(tmp_path):
    with alone(tmp_path / "run"):
        assert look(tmp_path / "run").state is State.RUNNING  # it looks up the model
    assert look(tmp_path / "run").state is State.UNBEGUN and runs_in(tmp_path) == [tmp_path / "run"]


def test_other_folders_are_no_runs(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"architectures": []}')
    with alone(tmp_path):  # as a ledger does
        assert runs_in(tmp_path) == []


@contextlib.contextmanager
def _holding(folder):
    """A process that holds a folder."""
    program = (
        "from eggym.lock import alone\nfrom pathlib import Path\n"
        f"with alone(Path({str(folder)!r})):\n    print(1, flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        yield other


@pytest.mark.slow
def test_who_is_refused_leaves_no_trace_in_the_lock(tmp_path):
    with _holding(tmp_path):
        driver = last_driver(tmp_path)
        with pytest.raises(BadValue, match="another process is running"), alone(tmp_path):
            pass
        assert last_driver(tmp_path) == driver and driver.pid != os.getpid()


def test_trials_of_a_tuning_are_counted_and_no_runs(copies):
    trials = copies / "tuning" / "task" / "learner"
    shutil.copytree(copies / "whole", trials / "trial-0")
    shutil.copytree(copies / "part", trials / "trial-1")
    assert runs_in(copies) == [copies / "part", copies / "whole"] and trials_done(copies) == 1
    assert runs_in(trials / "trial-0") == [trials / "trial-0"]
    write_json(trials / "trial-1" / "diverged.json", {"reason": "weights are not finite", "flops": 1})
    assert trials_done(copies) == 2
    seen = look(trials / "trial-1")
    assert seen.state is State.DIVERGED and seen.why == "weights are not finite" and seen.step == 3


def test_the_lock_says_who_holds_it_and_who_held_it(tmp_path):
    with _holding(tmp_path) as other:
        driver = last_driver(tmp_path)
        assert is_held(tmp_path) and driver.pid == other.pid and driver.alive
        assert driver.command[1] == "-c" and driver.cwd == os.getcwd()
    assert not is_held(tmp_path) and last_driver(tmp_path) == driver and not driver.alive


def test_lookers_neither_keep_a_run_from_starting_nor_see_each_other(tmp_path):
    with alone(tmp_path):
        pass
    stop, seen = threading.Event(), []

    def stare():
        while not stop.is_set():
            seen.append(is_held(tmp_path))

    threads = [threading.Thread(target=stare) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.2)
        assert not any(seen)
        for _ in range(3):
            with alone(tmp_path):
                pass
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(seen) > 100


def test_a_process_of_the_same_number_is_another_one():
    here = Driver.here()
    assert here.alive
    for other in ({"born": "1"}, {"host": "elsewhere"}, {"pid": 2**22 + 1}):
        assert not Driver.read({**_told(here), **other}).alive
    assert Driver.read({"pid": 1}) is None and Driver.read(None) is None


def _told(driver):
    return {name: getattr(driver, name) for name in driver.__slots__}


def test_the_command_of_a_worker_is_its_owners(monkeypatch):
    monkeypatch.setenv(COMMAND, '["eggym", "duel", "--out", "a b"]')
    assert Driver.here().shell == "eggym duel --out 'a b'"


def test_the_end_of_a_file_is_read_in_whole_lines(tmp_path):
    file = tmp_path / "lines.jsonl"
    assert last_lines(file, 3) == []
    file.write_text("".join(f"{_line(n, 'x' * 30_000)}\n" for n in range(20)) + _line(20)[:9])
    assert [line["step"] for line in last_lines(file, 3)] == [17, 18, 19]
    assert [line["step"] for line in last_lines(file, 100)] == list(range(20))
    deep = "[" * 200_000
    file.write_text(f'{_line(1)}\nnonsense\n[]\n{{"step":2}}\n{_line("3")}\n{_line(1 << 70)}\n{deep}\n{_line(2)}\n')
    assert [line["step"] for line in last_lines(file, 9)] == [1, 2]


def _line(step, note=""):
    return json.dumps({"step": step, "spent": {"episodes": 1}, "reward": 0.5, "metrics": {"held": True}, "note": note})


def test_a_follower_waits_for_the_end_of_a_line(tmp_path):
    file, found = tmp_path / "lines.jsonl", []
    follower = Follower(file)
    one = _line(1)
    for piece in ("", f"{_line(0)}\n{one[:4]}", one[4:9], f"{one[9:]}\n", f"{_line(2)}\n{_line(3)}\n"):
        with file.open("a") as handle:
            handle.write(piece)
        found.append([line["step"] for line in follower.new_lines()])
    assert found == [[], [0], [], [1], [2, 3]]


def test_pace_and_time_left_by_hand(tmp_path):
    # four steps of 32 episodes, 2 s apart, of 320: half a step and 16 episodes a second; 192 are left, so 12 s
    (tmp_path / "episodes").mkdir()
    lines = []
    for step in range(4):
        shard = tmp_path / "episodes" / f"{step:06d}.jsonl.gz"
        shard.touch()
        os.utime(shard, (1000 + 2 * step, 1000 + 2 * step))
        lines.append({"step": step, "spent": {"episodes": 32 * (step + 1)}})
    found = pace(tmp_path, lines, 0.0, "320episodes")
    assert (found.steps, found.steps_per_s, found.episodes_per_s, found.left_s) == (4, 0.5, 16.0, 12.0)
    assert pace(tmp_path, lines, 1003.0, "320episodes").steps == 2  # what an earlier session did says nothing
    assert pace(tmp_path, lines, 1005.0, "320episodes") is None and pace(tmp_path, lines, 0.0, "10s").left_s is None
    assert (
        limit_of("60cpu-s") == ("cpu-s", 60.0)
        and limit_of("1.5e11flops") == ("flops", 1.5e11)
        and limit_of("x") is None
    )


def test_a_duel_tells_which_runs_wait(places, copies, capsys):
    runs = [
        (copies / name, "eggym/tiny-programs-v0", "eggroll", seed) for seed, name in enumerate(("whole", "part", "c"))
    ]
    announce(copies, runs, 0)
    assert [seen.state for seen in look_below(copies)] == [State.WAITING, State.STOPPED, State.FINISHED]
    assert tally(look_below(copies)) == "3 runs: 1 finished, 1 stopped, 1 waiting"
    told = json.loads((copies / DUEL).read_text())
    write_json(copies / DUEL, {**told, "driver": {**told["driver"], "born": "1"}})
    assert not Duel(copies).alive and look_below(copies)[0].state is State.UNBEGUN
    code, out, _ = command(capsys, "status", copies)
    assert code == 1 and "the same command continues: " in out and "1 never begun" in out
    write_json(copies / DUEL, {"runs": 3})
    assert len(look_below(copies)) == 2


@pytest.mark.parametrize("words", [["status", "whole"], ["status", "part", "--json"], ["runs", "."]])
def test_looking_imports_nothing_heavy(places, words):
    program = (
        "import sys\nfrom eggym.cli import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'numpy', 'scipy', 'transformers', 'gymnasium') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=places, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def _start(folder, *more, n_steps=60, out="run"):
    words = ["train", "--task", "tiny-programs", "--learner", "eggroll", "--budget", f"{32 * n_steps}episodes"]
    return subprocess.Popen(
        [sys.executable, "-m", "eggym", *words, "--out", out, *FLAGS, *more],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _stare(folder, process, enough):
    """Look without pause until a process has ended, or enough was seen; return all that was seen."""
    seen = []
    while process.poll() is None and not (seen and seen[-1].step >= enough):
        seen += [look(folder)] if folder.exists() else []
        time.sleep(0.002)
    for one in seen:
        assert one.fraction is None or one.fraction == pytest.approx(one.step / 40)
        assert all(len(point["greedy"]["rewards"]) == 8 for point in one.points)
    return seen


@pytest.mark.slow
def test_whoever_looks_at_a_run_that_goes_on_sees_it_whole(tmp_path):
    """Look at a run from before its beginning, through a kill and its continuation, to its end."""
    folder, begun = tmp_path / "run", (State.UNBEGUN, State.RUNNING)
    with _start(tmp_path, n_steps=40) as process:
        seen = _stare(folder, process, 10)
        process.kill()
    steps = [one.step for one in seen]
    assert steps == sorted(steps) and {one.state for one in seen} <= set(begun) and len(set(steps)) > 5
    process.wait()
    assert look(folder).state is State.STOPPED and look(folder).step >= 10
    with _start(tmp_path, n_steps=40) as process:
        seen = _stare(folder, process, 10**6)
        assert process.wait() == 0
    states = [one.state for one in seen]
    first = states.index(State.RUNNING)
    assert set(states[:first]) == {State.STOPPED} and set(states[first:]) <= {State.RUNNING, State.FINISHED}
    assert len(set(one.step for one in seen[first:])) > 5
    assert look(folder).state is State.FINISHED and look(folder).step == 40


@pytest.mark.slow
def test_the_command_itself_looks_at_a_real_run_and_follows_it_to_its_end(tmp_path):
    with _start(tmp_path, n_steps=200) as process:
        while "step 0" not in process.stderr.readline():
            pass
        once = subprocess.run(
            [sys.executable, "-m", "eggym", "status", "run"], cwd=tmp_path, capture_output=True, text=True
        )
        assert once.returncode == 0 and f"by process {process.pid}" in once.stdout and once.stderr == ""
        words = [sys.executable, "-m", "eggym", "status", "run", "-f"]
        with subprocess.Popen(
            words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as follower:
            assert "running" in follower.stdout.readline()
            follower.send_signal(signal.SIGINT)
            assert follower.wait() == 130 and follower.stderr.read() == ""
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0 and "finished, step 200, 100% of the budget" in done.stdout.splitlines()[-1]
        assert process.wait() == 0


@pytest.mark.slow
def test_a_worker_that_is_replaced_is_told_of_at_once_and_afterwards(tmp_path):
    with _start(tmp_path, "--workers", "2", n_steps=30) as process:
        while "step 0" not in process.stderr.readline():
            pass
        while not (workers := _children(process.pid)):
            time.sleep(0.1)
        os.kill(workers[0], signal.SIGKILL)
        rest = process.stderr.read()
        assert process.wait() == 0
    (line,) = [line for line in rest.splitlines() if "replaced" in line]
    assert f"(process {workers[0]}) is replaced: it was ended by signal 9 (out of memory, or killed)" in line
    seen = look(tmp_path / "run")
    assert seen.workers == 2 and len(seen.worker_events) == 1


def _children(process):
    found = []
    for thread in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, thread.read_text().split()):
            if b"eggym.hand" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


HOSTILE = "\x1b]0;mine\x07\x1b[31m[/nope]"


def test_nothing_in_a_run_commands_the_terminal(copies, capsys):
    folder = (copies / "part").rename(copies / f"part{HOSTILE[:-7]}")
    _record(lambda one: one["config"].update(variant=HOSTILE))(copies / "whole")
    _config(model=HOSTILE, variant=HOSTILE)(folder)
    for words in (["runs", copies], ["status", copies], ["status", folder], ["status", copies / "whole"]):
        code, out, err = command(capsys, *words)
        assert code in (0, 1) and "\x1b" not in out + err and "\\x1b" in out
