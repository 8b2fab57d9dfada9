"""TRL's `GRPOTrainer` in a thread that is awake while it is told episodes, and gives the model back in between.

Its ``rollout_func`` waits for a batch; when it is called again, the optimizer step is done. While it waits, the model
is as the engine needs it: in evaluation mode, without gradients, with its own forward pass and special tokens, all of
which the trainer changes.

Left out: reference models (KL), reuse of a batch, several processes. Source: TRL 1.16.
"""

import queue
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from eggym.policy import Policy
from eggym.views import ParameterSpace

REWARD = "eggym_reward"  # the column in which returns travel to the reward function
_MOST_STEPS = 1 << 30  # the budget ends a run, not TRL
Fields = Mapping[str, list[Any]]


class _Over(Exception):
    """No further batch will come."""


class Worker:
    """The trainer and its thread; either they or the caller are at work, never both."""

    def __init__(self, policy: Policy, space: ParameterSpace, options: Any, saved: Mapping[str, Any]) -> None:
        """Start the thread and wait until the trainer asks for its first batch; ``options`` as in `trl_grpo`."""
        self._policy, self._options, self._saved = policy, options, saved
        self._parameters = list(space.select(policy.model).values())
        self._inbox: queue.Queue[tuple[int, Fields] | None] = queue.Queue()
        self._outbox: queue.Queue[dict[str, float] | BaseException] = queue.Queue()
        self._logged: dict[str, float] = {}
        self._trainer: Any = None
        self._special = _special(policy.model)
        self._own_forward = policy.model.__dict__.get("forward")
        self._thread = threading.Thread(target=self._run, args=(torch.get_num_threads(),), name="trl", daemon=True)
        with _quiet():
            self._thread.start()
            self._wait()

    def step(self, seed: int, fields: Fields) -> dict[str, float]:
        """Hand over a batch; return what TRL logged about its step."""
        with _quiet():
            self._inbox.put((seed, fields))
            return self._wait()

    def optimizer_state(self) -> dict[str, Any]:
        """Return the state of TRL's AdamW."""
        state: dict[str, Any] = self._trainer.optimizer.state_dict()
        return state

    def end(self) -> None:
        """Let the thread end; a second time does nothing."""
        self._inbox.put(None)
        if threading.current_thread() is not self._thread:  # a garbage collection may run anywhere
            self._thread.join(timeout=60)

    # -- what TRL calls, in its thread ---------------------------------------------------------------------------------
    def roll_out(self, prompts: list[str], trainer: Any) -> Fields:
        """Give the model back, wait for a batch, and return it: TRL's ``rollout_func``."""
        self._rest()
        self._outbox.put(self._logged)
        work = self._inbox.get()
        if work is None:
            raise _Over
        seed, fields = work
        torch.manual_seed(seed)  # TRL shuffles the rows of a step; a resumed run is to shuffle them alike
        self._wake()
        return fields

    def begin(self, optimizer: Any) -> None:
        """Restore the optimizer before the first step."""
        if self._saved:
            optimizer.load_state_dict(self._saved["optimizer"])

    def log(self, logs: Mapping[str, float]) -> None:
        """Keep what TRL says about a step."""
        self._logged = dict(logs)

    # ------------------------------------------------------------------------------------------------------------------
    def _wait(self) -> dict[str, float]:
        found = self._outbox.get()
        if isinstance(found, BaseException):
            raise found
        return found

    def _run(self, n_threads: int) -> None:
        torch.set_num_threads(n_threads)  # OpenMP counts by thread
        try:
            with tempfile.TemporaryDirectory(prefix="eggym-trl-") as folder:
                for parameter in self._parameters:
                    parameter.requires_grad_(True)
                self._trainer = _trainer(self, self._policy, self._options, folder)
                self._trainer.train()
        except _Over:
            pass
        except BaseException as problem:  # noqa: BLE001 - the caller waits, and raises it
            self._outbox.put(problem)
        finally:
            self._rest()
            self._trainer = None

    def _wake(self) -> None:
        self._policy.model.train()
        self._policy.model.forward = self._fused_forward
        for parameter in self._parameters:
            parameter.requires_grad_(True)

    def _rest(self) -> None:
        model = self._policy.model
        self._fused_forward = model.__dict__.pop("forward", None)
        if self._own_forward is not None:
            model.forward = self._own_forward
        for parameter in self._parameters:
            parameter.requires_grad_(False)
            parameter.grad = None
        for owner, name, value in self._special:
            setattr(owner, name, value)
        model.eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence TRL's own warnings and those of what it uses; held by the caller, who waits meanwhile."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _special(model: Any) -> list[tuple[Any, str, Any]]:
    """Return what the trainer rewrites after the tokenizer: end tokens decide where a reply ends."""
    owners = (model.config, model.config.get_text_config(), model.generation_config)
    names = ("eos_token_id", "bos_token_id", "pad_token_id", "use_cache")
    return [(owner, name, getattr(owner, name)) for owner in owners for name in names if hasattr(owner, name)]


def _trainer(worker: Worker, policy: Policy, options: Any, folder: str) -> Any:
    """Return TRL's trainer: silent, without checkpoints, reports or telemetry."""
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True  # the library read its environment when it was loaded
    from datasets import Dataset
    from transformers import PrinterCallback

    trainer_class, listener_class = _classes()
    trainer = trainer_class(
        policy.model,
        _echo,
        args=_config(options, policy, folder),
        train_dataset=Dataset.from_dict({"prompt": [""] * options.items}),
        processing_class=policy.tokenizer,
        callbacks=[listener_class(worker)],
        rollout_func=worker.roll_out,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _echo(eggym_reward: list[float | None], **columns: Any) -> list[float | None]:
    """Return the rewards that came with the batch: TRL's reward function."""
    return eggym_reward


def _config(options: Any, policy: Policy, folder: str) -> Any:
    from trl import GRPOConfig

    n_episodes = options.items * options.replies
    per_pass = options.episodes_per_pass or n_episodes
    return GRPOConfig(
        output_dir=folder,
        learning_rate=options.lr,
        lr_scheduler_type="constant",
        adam_beta1=options.beta1,
        adam_beta2=options.beta2,
        weight_decay=options.weight_decay,
        max_grad_norm=options.max_grad_norm,
        per_device_train_batch_size=per_pass,
        gradient_accumulation_steps=n_episodes // per_pass,
        steps_per_generation=n_episodes // per_pass,
        num_generations=options.replies,
        max_completion_length=options.length,
        temperature=options.temperature,
        loss_type=options.loss_type,
        scale_rewards=options.scale_rewards,
        epsilon=options.epsilon,
        epsilon_high=options.epsilon_high,
        gradient_checkpointing=options.gradient_checkpointing,
        max_steps=_MOST_STEPS,
        bf16=False,  # TRL's default is mixed precision
        use_cpu=policy.device.type == "cpu",
        logging_steps=1,
        logging_nan_inf_filter=False,  # a loss that is not finite must be seen
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def _classes() -> tuple[Any, Any]:
    """Return the trainer whose head is counted, and the callback that listens; their bases are loaded here."""
    from transformers import TrainerCallback
    from trl import GRPOTrainer

    class Counted(GRPOTrainer):  # type: ignore[misc]  # the bases carry no types for us
        def _get_per_token_logps_and_entropies(self, model: Any, input_ids: Any, *args: Any, **kwargs: Any) -> Any:
            logprobs_R_T, *rest = super()._get_per_token_logps_and_entropies(model, input_ids, *args, **kwargs)
            return passed_by_head(model.get_output_embeddings(), logprobs_R_T, input_ids.shape[1] - 1), *rest

    class Listener(TrainerCallback):  # type: ignore[misc]
        def __init__(self, worker: Worker) -> None:
            self._worker = worker

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self._worker.begin(kwargs["optimizer"])

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if "grad_norm" in logs:  # the last line of a training is about all of it
                self._worker.log(logs)

    return Counted, Listener


def passed_by_head(head: torch.nn.Module, logprobs_R_T: torch.Tensor, n_positions: int) -> torch.Tensor:
    """Return the log-probabilities, after the hooks of the output head have seen that many positions of each row.

    TRL's fused head multiplies by the head's weight without calling the head, which would hide these FLOPs from the
    meter. On a CPU it computes every position but the last; elsewhere those with labels, which is counted here too
    high.
    """
    n_kept = logprobs_R_T.shape[1]
    padded_R_T_1 = torch.nn.functional.pad(logprobs_R_T, (n_positions - n_kept, 0))[..., None]
    before = head.__dict__.get("forward")
    head.forward = lambda seen: seen
    try:
        seen_R_T_1: torch.Tensor = head(padded_R_T_1)
    finally:
        del head.forward
        if before is not None:
            head.forward = before
    return seen_R_T_1[:, n_positions - n_kept :, 0]
