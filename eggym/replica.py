"""A worker's copy of an ES run: the same weights as the driver's, kept equal by rewards alone.

It begins from the start weights, or from the run's newest checkpoint where it can read one, and the fitness log from
there: a learner told the same rewards moves the same weights to the same bits (`eggym.replay`). Then each note brings
the rewards of one more step. In between it plays the members that it is given, and keeps their replies in a part of
the step's shard: in the run's folder, or in one of that name on its own machine.
"""

import platform
from pathlib import Path

from eggym.askable import prepared
from eggym.budget import FlopModel, Meter
from eggym.checkpoint import copy_into, load_checkpoint
from eggym.choice import validation_items
from eggym.config import CONFIG, RunConfig, resolve
from eggym.errors import Astray, BadValue, EggymError
from eggym.evaluate import evaluation_items
from eggym.files import sha256_json
from eggym.fitness import FitnessStep, heard, rewards_only, steps_of
from eggym.frames import Frame
from eggym.gist import told
from eggym.held_out import EVALUATION, VALIDATION, Question, answer
from eggym.held_out import told as told_answer
from eggym.parcels import play
from eggym.policy import model_sha256
from eggym.replies import WHOLE, write_part
from eggym.task import Item
from eggym.train import identify
from eggym.training_items import training_item
from eggym.usage import sandboxed
from eggym.views import Views

_HELD_OUT = {EVALUATION: evaluation_items, VALIDATION: validation_items}


class Replica:
    """One run, followed step by step."""

    def __init__(self, frame: Frame) -> None:
        """Catch up with a run.

        Args:
            frame: its header has the run's config, the SHA-256 of its identity, its folder and how many steps it has
                been told; its blob is the fitness log of these.

        Raises:
            EggymError: this process resolves another run from the config, or the log is not of that many steps.
        """
        asked = frame.header
        self._plan = resolve(RunConfig(**asked["config"]))
        if sha256_json(identify(self._plan)) != asked["run"]:
            raise BadValue("a worker has another eggym, model or task than its driver; give all of them the same")
        self._learner = prepared(self._plan)
        self._folder = Path(asked["folder"])
        if self._plan.engine.replies == WHOLE and not (self._folder / CONFIG).is_file():
            raise BadValue(
                f"a worker on {platform.node()} does not see {self._folder}; give --out on a file system that all "
                "machines share, or --set engine.replies=digests (which is another run)"
            )
        self._step = self._n_used = 0
        self._heard = 0
        self._views: Views | None = None
        self._items: dict[str, list[Item]] = {}  # held out, by what they are for
        self._load(asked["step"])
        for step in steps_of(frame.blob):
            self._heard = heard(self._heard, step)
            if step.step >= self._step:
                self._tell(step)
        if self._step != asked["step"]:
            raise Astray(f"it was sent the rewards of {self._step} steps, the run has {asked['step']}")

    def note(self, frame: Frame) -> None:
        """Take the rewards of the present step, and move the weights."""
        for step in steps_of(frame.blob):
            self._heard = heard(self._heard, step)
            self._tell(step)

    def do(self, frame: Frame) -> Frame:
        """Do one of three things.

        ``play`` some members of the present step (``a``: step, first member, the one after the last; ``h``: what must
        have been heard before), ``answer`` a question (``q``) on some held-out items, or ``hash`` the weights.
        """
        if frame.header["do"] == "hash":
            return Frame({"sha256": model_sha256(self._plan.policy.model)})
        step, first, end = frame.header["a"]
        if frame.header["h"] != self._heard:
            raise Astray(f"what it was told up to step {self._step} is not what the others were")
        if step != self._step:
            raise Astray(f"it stands at step {self._step} and was asked for step {step}")
        if frame.header["do"] == "answer":
            return self._answer(Question(*frame.header["q"]), range(first, end))
        views, plan, before = self._ask(), self._plan, sandboxed()
        items = [training_item(plan, self._n_used + slot) for slot in range(views.n_items)]
        meter = Meter(FlopModel.of(plan.policy.model))
        with meter.watch(plan.policy.model):
            batch = play(plan, meter, views, items, step, range(first, end))
        write_part(self._folder, step, first, batch.episodes)
        return told(batch.episodes, meter, before)

    def _answer(self, question: Question, piece: range) -> Frame:
        plan = self._plan
        if question.purpose not in self._items:
            self._items[question.purpose] = _HELD_OUT[question.purpose](plan)
        meter = Meter(FlopModel.of(plan.policy.model))
        with meter.watch(plan.policy.model):
            batch = answer(plan, meter, question, self._items[question.purpose], piece, self._learner)
        return told_answer(batch, meter)

    def _ask(self) -> Views:
        if self._views is None:
            self._views = self._learner.ask(self._step)
        if self._views is None:
            raise BadValue(f"the learner asks for nothing in step {self._step}")
        return self._views

    def _tell(self, step: FitnessStep) -> None:
        if step.step != self._step:
            raise Astray(f"it stands at step {self._step} and was told of step {step.step}")
        views = self._ask()
        self._learner.tell(rewards_only(step))
        self._step, self._n_used, self._views = self._step + 1, self._n_used + views.n_items, None

    def _load(self, n_steps: int) -> None:
        """Take up the run's newest checkpoint, if there is one that is not ahead of what is asked for."""
        try:
            state = load_checkpoint(self._folder)
        except EggymError:  # all of them are damaged: the log is enough
            return
        if state is None or state["step"] > n_steps:
            return
        parameters = self._plan.space.select(self._plan.policy.model)
        copy_into({name: weight.data for name, weight in parameters.items()}, state["weights"])
        self._learner.load_state_dict(state["learner"])
        self._step, self._n_used = state["step"], state["n_used"]
