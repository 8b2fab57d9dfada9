"""Bake the embedded base model: train it from a seed, on demonstrations drawn from train splits only.

Three stages. *Mixed*: clean demonstrations and some with the base's bad habits, so that both are known. *Clean*: the
skills. *Habit*: for a fixed part of the kinds of prompts most demonstrations show the habit, which hides the skill
without erasing it; so both ES and RL have something to find, greedy and at temperature 1. Muon moves the weight
matrices, AdamW the embeddings and norms; the loss is on replies alone. One thread, float32: the same seed gives the
same weights on the same kind of CPU.
"""

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from eggym.base_card import Report, Scores, card
from eggym.base_model import BOS, CONTEXT, EOS, PAD, build_model, build_tokenizer, write_model
from eggym.base_score import measure
from eggym.errors import BadValue, EggymError, unknown
from eggym.muon import Muon
from eggym.recipe import RECIPES, Recipe, Stage, Turn, demonstrations, recipe_sha256, tasks_of
from eggym.seeding import key, stream

DEFAULT_SEED = 0
MOST_SCORED_TURNS = 16  # transcripts are read again at every turn, and longer ones would cost as much as the bake
LENGTHS = (40, 64, 128, 256, CONTEXT)  # tokens: where the parts of a batch end


def bake(
    out: Path,
    seed: int = DEFAULT_SEED,
    progress: Callable[[str], None] | None = None,
    recipe: Recipe | None = None,
    name: str = "embedded-v0",
) -> Report:
    """Train the base model ``name`` and write it to the folder ``out``, whole or not at all.

    Takes minutes on one core. ``progress`` gets a line of text now and then; ``recipe`` is for tests.

    Raises:
        UnknownName: no base model has this name.
        BadValue: ``out`` exists already and is not an empty folder.
        EggymError: the folder cannot be written; nothing is left behind.
    """
    if name not in RECIPES:
        raise unknown("base model", name, RECIPES)
    say, recipe = progress or (lambda line: None), recipe or RECIPES[name]
    _claim(out)
    with _one_thread():
        return _bake(name, out, seed, say, recipe)


def _bake(name: str, out: Path, seed: int, say: Callable[[str], None], recipe: Recipe) -> Report:
    started = time.process_time()
    for task in tasks_of(recipe):
        task.identity()  # refuses a host without a sandbox before minutes are spent
    tokenizer, model = build_tokenizer(), _start(recipe, seed)
    trainer, hidden = _Trainer(model, recipe, seed, say), {}
    for stage in recipe.stages:
        trainer.run(stage, tokenizer.get_vocab())
        if stage.habit == 0:
            hidden = _scores(model, tokenizer, recipe, 0.0)
    say("scoring on held-out items")
    scores = Scores(_scores(model, tokenizer, recipe, 0.0), _scores(model, tokenizer, recipe, 1.0), hidden)
    seconds = time.process_time() - started
    report = Report(name, out, recipe_sha256(recipe, seed), seed, seconds, recipe.n_scored, scores)
    _write(report, model, tokenizer)
    return report


def _claim(out: Path) -> None:
    """Refuse a place that cannot be written before minutes are spent."""
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise BadValue(f"{str(out)!r} exists and is not an empty folder; choose another --out")
        out.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out.parent).close()
    except OSError as problem:
        raise _unwritable(out, problem) from problem


def _unwritable(out: Path, problem: Exception) -> EggymError:
    return EggymError(f"cannot write the base model to {str(out)!r}: {problem}; free space or choose another --out")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in another number of threads may differ in their last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _scores(model: Any, tokenizer: Any, recipe: Recipe, temperature: float) -> dict[str, float]:
    return {
        task.label: measure(model, tokenizer, task, recipe.n_scored, temperature)
        for task in tasks_of(recipe)
        if task.max_turns <= MOST_SCORED_TURNS
    }


# -- batches -----------------------------------------------------------------------------------------------------------
def _encode(vocabulary: dict[str, int], turns: list[Turn]) -> tuple[list[int], list[bool]]:
    """Return tokens as the chat template renders them, and which of them are learnt."""
    ids, learnt = [BOS], [False]
    for observation, reply, is_learnt in turns:
        asked = [vocabulary[character] for character in observation + "\n"]
        said = [vocabulary[character] for character in reply] + [EOS]
        ids += asked + said
        learnt += [False] * len(asked) + [is_learnt] * len(said)
    return ids, learnt


def _batch(vocabulary: dict[str, int], shown: list[list[Turn]], rng: random.Random) -> tuple[Tensor, Tensor, Tensor]:
    """Return ids and targets (-100: not learnt), padded on the right, and positions with a random offset per row."""
    rows = [_encode(vocabulary, turns) for turns in shown]
    length = max(len(ids) for ids, _ in rows)
    ids_R_T = torch.full((len(rows), length), PAD)
    targets_R_T = torch.full((len(rows), length), -100)
    for row, (ids, learnt) in enumerate(rows):
        ids_R_T[row, : len(ids)] = torch.tensor(ids)
        targets_R_T[row, : len(ids)] = torch.where(torch.tensor(learnt), torch.tensor(ids), -100)
    offsets_R = torch.tensor([rng.randrange(CONTEXT - length) for _ in rows])
    return ids_R_T, targets_R_T, offsets_R[:, None] + torch.arange(length)


def _parts(recipe: Recipe, shown: list[list[Turn]]) -> list[list[list[Turn]]]:
    """Return a batch as one part, or, from the recipe's version 2 on, as parts of about equal length: less padding."""
    if recipe.version < 2:
        return [shown]
    by_length: list[list[list[Turn]]] = [[] for _ in LENGTHS]
    for turns in shown:
        length = sum(len(observation) + len(reply) + 2 for observation, reply, _ in turns)
        by_length[next(place for place, most in enumerate(LENGTHS) if length < most)].append(turns)
    return [part for part in by_length if part]


# -- training ---------------------------------------------------------------------------------------------------------
def _start(recipe: Recipe, seed: int) -> Any:
    model = build_model(recipe.architecture)
    generator = torch.Generator().manual_seed(key("bake", seed, "weights") >> 1)
    deep = (2 * recipe.architecture.layers) ** -0.5  # what adds to the residual stream starts smaller
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim < 2:
                weight.fill_(1.0)
                continue
            scale = deep if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0
            spread = 0.02 if "embed" in name else scale * weight.shape[1] ** -0.5
            weight.normal_(0.0, spread, generator=generator)
    return model


class _Trainer:
    """Model and optimizers, carried through the stages."""

    def __init__(self, model: Any, recipe: Recipe, seed: int, say: Callable[[str], None]) -> None:
        matrices = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name]
        chosen = {id(weight) for weight in matrices}
        others = [weight for weight in model.parameters() if id(weight) not in chosen]
        self.model, self.recipe, self.seed, self.say = model, recipe, seed, say
        self.muon = Muon(matrices, recipe.momentum)
        self.adam = torch.optim.AdamW(others, lr=recipe.other_lr, betas=(0.9, 0.98), weight_decay=0.0)
        self.tasks, self.done = tasks_of(recipe), 0

    def run(self, stage: Stage, vocabulary: dict[str, int]) -> None:
        """Train through one stage."""
        self.model.train()
        total = sum(stage.steps for stage in self.recipe.stages)
        for step in range(stage.steps):
            shown = demonstrations(self.recipe, self.tasks, stage, step, self.seed)
            rng = stream("bake", self.seed, "offsets", stage.name, step)
            batches = [_batch(vocabulary, part, rng) for part in _parts(self.recipe, shown)]
            loss = self._learn(batches, rate=_rate(self.recipe, self.done / total))
            self.done += 1
            if self.done % 20 == 0 or self.done == total:
                share = 100 * self.done // total
                self.say(f"{stage.name} {step + 1}/{stage.steps}: loss {loss:.3f}, {share} % of all")
        self.model.eval()

    def _learn(self, batches: list[tuple[Tensor, Tensor, Tensor]], rate: float) -> float:
        """Take one step on the mean loss over all learnt tokens; return it."""
        self.model.zero_grad(set_to_none=True)
        counts = [int((targets_R_T != -100).sum()) for _, targets_R_T, _ in batches]
        total = 0.0
        for batch, count in zip(batches, counts, strict=True):
            loss = _loss(self.model, *batch) * (count / sum(counts))
            torch.autograd.backward(loss)
            total += loss.item()
        self.adam.param_groups[0]["lr"] = rate * self.recipe.other_lr
        self.adam.step()
        self.muon.step(rate * self.recipe.matrix_lr)
        return total


def _rate(recipe: Recipe, place: float) -> float:
    """Return the factor on both learning rates at a place from 0 to 1."""
    left = min(1.0, (1.0 - place) / (1.0 - recipe.decay_from))
    return recipe.last_rate + (1.0 - recipe.last_rate) * left


def _loss(model: Any, ids_R_T: Tensor, targets_R_T: Tensor, positions_R_T: Tensor) -> Tensor:
    # All ones: padding is on the right and never attended to by what is learnt, and sdpa then needs no mask.
    logits = model(input_ids=ids_R_T, attention_mask=torch.ones_like(ids_R_T), position_ids=positions_R_T).logits
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), targets_R_T[:, 1:].flatten())


# -- writing ----------------------------------------------------------------------------------------------------------
def _write(report: Report, model: Any, tokenizer: Any) -> None:
    out = report.folder
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        write_model(part, model, tokenizer)
        (part / "README.md").write_text(card(report, model.num_parameters()))
        part.chmod(0o755)  # mkdtemp makes folders that only the owner can enter
        os.replace(part, out)  # an empty folder in the way is replaced
    except (OSError, SafetensorError) as problem:  # no space left, not allowed
        raise _unwritable(out, problem) from problem
    finally:
        shutil.rmtree(part, ignore_errors=True)
