"""A persistent worker process: takes jobs as JSON lines on its standard input, answers on its standard output.

Run as ``python -m eggym.worker`` by `Worker`, with one torch thread. It ends when its standard input closes, so that no
worker outlives the command that started it, however that ended. Files are the only state: a killed worker loses
nothing.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from eggym.child import END_S, end, own_pipes
from eggym.local_workers import ONE_THREAD
from eggym.lock import COMMAND, command_line

Job = dict[str, Any]
Message = dict[str, Any]


class Worker:
    """One worker, as its owner sees it. What it says arrives in ``inbox`` as (worker, message)."""

    def __init__(self, inbox: "queue.Queue[tuple[Worker, Message]]") -> None:
        """Start the process."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "eggym.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **ONE_THREAD, COMMAND: json.dumps(command_line())},
            process_group=0,
        )
        self._inbox = inbox
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def send(self, job: Job) -> None:
        """Hand over a job; its answers carry the job's ``id``."""
        pipe = _pipe(self._process.stdin)
        pipe.write(json.dumps(job).encode() + b"\n")
        pipe.flush()

    def stop(self) -> None:
        """End the process, whatever it does."""
        end(self._process)
        self._listener.join(END_S)
        with contextlib.suppress(BrokenPipeError):  # a job that it never read
            _pipe(self._process.stdin).close()
        if not self._listener.is_alive():  # else somebody holds the pipe that nobody can kill
            _pipe(self._process.stdout).close()

    def _listen(self) -> None:
        for line in _pipe(self._process.stdout):
            self._inbox.put((self, json.loads(line)))
        self._inbox.put((self, {"type": "died", "code": self._process.wait()}))


def serve(jobs: IO[bytes], answers: IO[bytes]) -> None:
    """Do jobs until there are no more."""
    import torch

    torch.set_num_threads(1)
    waiting: queue.Queue[Job] = queue.Queue()
    threading.Thread(target=_receive, args=(jobs, waiting), daemon=True).start()
    while True:
        job = waiting.get()

        def answer(message: Message, job: Job = job) -> None:
            answers.write(json.dumps({"id": job["id"], **message}).encode() + b"\n")
            answers.flush()

        answer(_do(job, answer))


def _do(job: Job, answer: Any) -> Message:
    from eggym.errors import Diverged, EggymError, scarcity

    try:
        return plan_job(job) if job["do"] == "plan" else _run(job, answer)
    except Diverged as problem:
        return {"type": "diverged", "message": str(problem), "flops": problem.flops}
    except EggymError as problem:
        return {"type": "refused", "error": type(problem).__name__, "message": str(problem)}
    except Exception as problem:  # noqa: BLE001 - all but want of memory is a bug: its traceback belongs to the owner, not to this process
        import traceback

        scarce = scarcity(problem)
        if scarce:
            return {"type": "refused", "error": type(scarce).__name__, "message": str(scarce)}
        return {"type": "crashed", "message": f"{type(problem).__name__}: {problem}", "trace": traceback.format_exc()}


def plan_job(job: Job) -> Message:
    """Return what is known of a run before it starts: who runs what, its identity, and its forecast."""
    from eggym.config import RunConfig, resolve
    from eggym.forecast import shortage
    from eggym.train import foresee, identify
    from eggym.trials import declared, space_of, trials_of

    plan = resolve(RunConfig(**job["config"]))
    identity = identify(plan)
    found = foresee(plan)
    short = shortage(plan, found, job["force"])
    return {
        "type": "planned",
        "task": plan.task.label,
        "kind": plan.spec.kind,
        "learner": plan.label,
        "identity": identity,
        "tunable": list(declared(plan)),
        "space": space_of(plan),
        "trials": trials_of(plan, job["trials"]) if job["trials"] else [],
        "short": asdict(short) if short else None,
        "forecast": {**asdict(found), "total_seconds": found.total_seconds},
    }


def _run(job: Job, answer: Any) -> Message:
    from eggym.config import RunConfig, resolve
    from eggym.train import run_plan

    def watch(event: Any) -> None:
        answer({"type": "event", **asdict(event)})

    run_plan(resolve(RunConfig(**job["config"])), Path(job["folder"]), watch, job["force"])
    return {"type": "finished"}


def _receive(jobs: IO[bytes], waiting: "queue.Queue[Job]") -> None:
    for line in jobs:
        waiting.put(json.loads(line))
    os._exit(0)  # the owner is gone, or wants no more: stop in the middle of whatever goes on


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("the worker was started without pipes")
    return stream


def main() -> None:
    """Serve on standard input and output; whatever libraries print goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's business
    serve(*own_pipes())


if __name__ == "__main__":
    main()
