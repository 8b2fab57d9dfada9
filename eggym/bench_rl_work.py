"""What `eggym bench rl` times: one step of reinforcement learning, from prompts to an optimizer step, here and in TRL.

The work is that of TRL's trainer on a small model: a Qwen2 of 0.99 M random weights, all of them trained, in float32;
8 prompts of 7 tokens x 8 samples of exactly 32 tokens; dr_grpo's loss; one AdamW step. End tokens end nothing: TRL's
sampler is told to suppress them, the engine's policy has none. The reward is a checksum of the text, so that hardly
two replies agree and every episode has a gradient.
"""

import queue
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import torch

from eggym.bench_arms import endless
from eggym.bench_rates import is_there
from eggym.budget import FlopModel, Meter
from eggym.engine import Engine
from eggym.policy import Policy, Prompting
from eggym.registry import load_learner
from eggym.rollout import Rollout
from eggym.seeding import key
from eggym.task import Item, SingleTurnTask
from eggym.views import ParameterSpace

SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")
CHARACTERS = "\n0123456789abcdefghijklmnopqrstuvwxyz+-*=?. "
_MOST_STEPS = 1 << 30
_PROMPTS = 4096  # rows of TRL's data set


@dataclass(frozen=True, slots=True)
class RlWork:
    """One step."""

    items: int = 8
    replies: int = 8
    tokens: int = 32  # of a reply
    width: int = 128
    layers: int = 4


class Checksums(SingleTurnTask):
    """Prompts of seven tokens with the newline; a reply's reward is a checksum of it, from 0 to 1."""

    id = "eggym-bench/checksums-v0"

    def generate(self, rng: Random) -> Item:
        """Return a sum."""
        return Item(f"{rng.randrange(100):02d}+{rng.randrange(100):02d}=")

    def score(self, item: Item, reply: str) -> float:
        """Return the checksum."""
        return checksum(reply)


def checksum(text: str) -> float:
    """Return a number from 0 to 1 that differs from text to text."""
    return sum((place + 1) * ord(letter) for place, letter in enumerate(text)) % 9973 / 9973


def fresh_policy(work: RlWork) -> Policy:
    """Return the model with weights that are the same each time, and its tokenizer of 48 characters."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=len(SPECIAL) + len(CHARACTERS),
        hidden_size=work.width,
        intermediate_size=4 * work.width,
        num_hidden_layers=work.layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    config.dtype = "float32"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key("bench", "rl", "weights") % (1 << 31))
        model = Qwen2ForCausalLM(config)
    return Policy(model, _tokenizer(), "random-qwen2")


def _tokenizer() -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *CHARACTERS])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    core.decoder = decoders.Fuse()
    special = {f"{name}_token": f"<{name}>" for name in ("pad", "bos", "eos", "unk")}
    return PreTrainedTokenizerFast(
        tokenizer_object=core, padding_side="left", clean_up_tokenization_spaces=False, **special
    )


class Ours:
    """The engine and the learner `dr_grpo`, as the loop of a run puts them together."""

    def __init__(self, work: RlWork) -> None:
        """Make model, task and learner."""
        policy = fresh_policy(work)
        policy.model.eval().requires_grad_(False).set_attn_implementation("eager")  # as `load_policy` leaves it
        self.policy, self.task, self.meter = endless(policy), Checksums(), Meter(FlopModel.of(policy.model))
        prompting = Prompting.of(self.task, {"max_new_tokens": work.tokens})
        self.rollout = Rollout(Engine(self.policy, self.meter), self.task, prompting, 0)
        spec = load_learner("dr_grpo")
        settings = {"items": work.items, "replies": work.replies, "length": work.tokens, "lr": 1e-6}
        self.learner = spec.build(self.policy, ParameterSpace(".*"), 0, spec.resolve("tiny", settings))
        self.number = 0

    def step(self) -> Any:
        """Ask, roll out, tell; return the episodes."""
        with self.meter.watch(self.policy.model):
            batch = self.sample()
            self.learner.tell(batch)
        return batch

    def sample(self) -> Any:
        """Ask and roll out."""
        views = self.learner.ask(self.number)
        assert views is not None  # noqa: S101 - its learner always asks
        first = self.number * views.n_items
        self.number += 1
        items = [self.task.item("train", first + slot) for slot in range(views.n_items)]
        return self.rollout.run(views, items, self.number)


def has_trl() -> bool:
    """Say whether TRL is installed."""
    return is_there("trl")


class Theirs:
    """TRL's `GRPOTrainer` with its own sampler: `train()` in a thread that stops before every step."""

    def __init__(self, work: RlWork, checkpointing: bool) -> None:
        """Make model and trainer, and run up to the first step."""
        self._go: queue.Queue[bool] = queue.Queue()
        self._ready: queue.Queue[BaseException | None] = queue.Queue()
        self.lengths: list[int] = []  # of the replies of the last step
        arguments = (work, checkpointing, torch.get_num_threads())
        self._thread = threading.Thread(target=self._run, args=arguments, name="bench-trl", daemon=True)
        with _quiet():
            self._thread.start()
            self._wait()

    def step(self) -> list[int]:
        """Let the trainer take one step; return the tokens of its replies."""
        with _quiet():
            self._go.put(True)
            self._wait()
        return self.lengths

    def close(self) -> None:
        """End the thread; the trainer goes with it."""
        self._go.put(False)
        self._thread.join(timeout=60)

    def before_step(self) -> None:
        """Say that a step is done and wait for the word to take the next: TRL's `on_step_begin`."""
        self._ready.put(None)
        if not self._go.get():
            raise _Over

    def reward(self, completions: list[str], completion_ids: list[list[int]], **columns: Any) -> list[float]:
        """Return the checksums: TRL's reward function."""
        self.lengths = [len(ids) for ids in completion_ids]
        return [checksum(text) for text in completions]

    def _wait(self) -> None:
        problem = self._ready.get()
        if problem is not None:
            raise problem

    def _run(self, work: RlWork, checkpointing: bool, n_threads: int) -> None:
        torch.set_num_threads(n_threads)  # OpenMP counts by thread
        try:
            with tempfile.TemporaryDirectory(prefix="eggym-bench-") as folder:
                _trainer(self, work, checkpointing, folder).train()
        except _Over:
            pass
        except BaseException as problem:  # noqa: BLE001 - the caller waits, and raises it
            self._ready.put(problem)


class _Over(Exception):
    """There is no further step."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Held by the caller, who waits meanwhile: what is warned of is the same for all threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TRL's and its dependencies' own
        yield


def _trainer(owner: Theirs, work: RlWork, checkpointing: bool, folder: str) -> Any:
    from datasets import Dataset
    from huggingface_hub import constants
    from transformers import PrinterCallback, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    class Gate(TrainerCallback):  # type: ignore[misc]  # the base carries no types for us
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            owner.before_step()

    constants.HF_HUB_DISABLE_TELEMETRY = True
    policy, task, n = fresh_policy(work), Checksums(), work.items * work.replies
    settings = GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=n,
        num_generations=work.replies,
        max_completion_length=work.tokens,
        generation_kwargs={"suppress_tokens": [0, 2]},
        loss_type="dr_grpo",
        scale_rewards="none",
        gradient_checkpointing=checkpointing,
        max_steps=_MOST_STEPS,
        use_cpu=True,
        bf16=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = GRPOTrainer(
        policy.model,
        owner.reward,
        args=settings,
        train_dataset=Dataset.from_dict({"prompt": [f"{task.item('train', i).prompt}\n" for i in range(_PROMPTS)]}),
        processing_class=policy.tokenizer,
        callbacks=[Gate()],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer
