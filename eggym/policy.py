"""A policy: a Hugging Face causal language model with its tokenizer and the way it is prompted.

The model side owns chat templates; tasks speak plain text. Tokens in, tokens out: the first observation is rendered and
tokenised once, later ones are tokenised alone and appended to the ids that were sampled, which are never re-tokenised.
transformers is imported only when a policy is loaded.
"""

import dataclasses
import hashlib
import itertools
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from eggym.adapters import adapter_parameters
from eggym.errors import BadValue, UnknownName, scarcity, unknown
from eggym.quantised import Int8Linear, named_scales, named_weights, quantise, weights_bytes
from eggym.ranks import ALONE, Ranks
from eggym.shards import Shards
from eggym.task import Task

EMBEDDED = ("embedded-v0", "embedded-v1", "embedded-v2")  # models that ship as package data
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
INT8 = ("int8", "int8-float32", "int8-bfloat16")  # 8-bit weights; "int8" computes in float32 on a CPU, else bfloat16
Chat = Literal["auto", "on", "off"]
_REPLY = "REPLY0"  # stands for a reply while the template around it is read off


@dataclass(frozen=True, slots=True)
class Prompting:
    """How a task is put to a model. Defaults come from the task; a run may override each."""

    system: str | None = None  # said before everything; unless set, the task's own
    few_shot: tuple[tuple[str, str], ...] = ()  # (prompt, reply) pairs before the real prompt; unless set, the task's
    stop: tuple[str, ...] = ()  # texts that end a reply; unless set, the task's own
    max_new_tokens: int = 256  # per reply; unless set, the task's own
    chat: Chat = "auto"  # auto: the tokenizer's chat template when it has one
    thinking: bool | None = None  # passed to templates that know `enable_thinking`; None leaves it out

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        pairs = isinstance(self.few_shot, tuple) and all(isinstance(pair, tuple) for pair in self.few_shot)
        allowed = {
            "system": (self.system is None or isinstance(self.system, str), "a text"),
            "few_shot": (pairs and all(len(p) == 2 and _texts(p) for p in self.few_shot), "pairs of prompt and reply"),
            "stop": (isinstance(self.stop, tuple) and _texts(self.stop) and all(self.stop), "a list of texts"),
            "max_new_tokens": (type(self.max_new_tokens) is int and self.max_new_tokens >= 1, "a whole number from 1"),
            "chat": (self.chat in ("auto", "on", "off"), "auto, on or off"),
            "thinking": (self.thinking in (None, True, False), "true or false"),
        }
        for name, (good, what) in allowed.items():
            if not good:
                raise BadValue(f"prompt.{name} must be {what}, got {getattr(self, name)!r}")

    @classmethod
    def of(cls, task: Task, overrides: Mapping[str, Any]) -> "Prompting":
        """Return the task's own prompting with some fields replaced."""
        values: dict[str, Any] = {
            name: getattr(task, name) for name in ("system", "few_shot", "stop", "max_new_tokens")
        }
        known = [found.name for found in dataclasses.fields(cls)]
        for name, value in overrides.items():
            if name not in known:
                raise unknown("prompting option", name, known)
            values[name] = _frozen(value)
        return cls(**values)


@dataclass(eq=False)
class Policy:
    """A model that can be asked for text. Build it with `load_policy`."""

    model: Any  # a transformers PreTrainedModel; transformers is not imported for a type
    tokenizer: Any
    name: str
    ranks: Ranks = ALONE  # who shares the work of a run
    shards: Shards | None = None  # of the trained weights, where ranks hold one each
    _cache: dict[tuple[Prompting, str, bool], list[int]] = field(default_factory=dict, repr=False)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        device: torch.device = self.model.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the activations, and of every weight that is not 8-bit."""
        dtype: torch.dtype = self.model.dtype
        return dtype

    @property
    def dtype_name(self) -> str:
        """The type of the weights, as `load_policy` takes it: float32, bfloat16, float16, or one of `INT8`."""
        name = str(self.dtype).removeprefix("torch.")
        if not any(isinstance(module, Int8Linear) for module in self.model.modules()):
            return name
        return "int8" if (name, self.device.type) == ("float32", "cpu") else f"int8-{name}"

    @property
    def context(self) -> int:
        """How many positions the model can see; 2**31 if its configuration names no limit."""
        config = self.model.config.get_text_config()
        for name in ("max_position_embeddings", "n_positions", "max_sequence_length"):
            if getattr(config, name, None):
                return int(getattr(config, name))
        return 1 << 31

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """Every token that ends a reply, ascending."""
        found: set[int] = set()
        sources = (self.model.generation_config, self.model.config, self.tokenizer)
        for value in (getattr(source, "eos_token_id", None) for source in sources):
            found.update(value if isinstance(value, list | tuple) else [] if value is None else [value])
        return tuple(sorted(found))

    @property
    def tokenizer_sha256(self) -> str:
        """The SHA-256 of what turns text into tokens: vocabulary, special tokens and chat template."""
        parts = [sorted(self.tokenizer.get_vocab().items()), getattr(self.tokenizer, "chat_template", None)]
        special = sorted((name, str(token)) for name, token in self.tokenizer.special_tokens_map.items())
        return hashlib.sha256(repr([*parts, special]).encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def pad_id(self) -> int:
        """A token for masked places; its value never matters."""
        pad = self.tokenizer.pad_token_id
        return int(pad) if pad is not None else (self.eos_ids or (0,))[0]

    @property
    def n_parameters(self) -> int:
        """How many weights the model has, tied ones counted once; deltas beside them are left out."""
        deltas = adapter_parameters(self.model).keys()
        return sum(weight.numel() for name, weight in named_weights(self.model) if name not in deltas)

    @property
    def weights_bytes(self) -> int:
        """What the weights take as they lie in memory, deltas included."""
        return weights_bytes(self.model)

    def prompt_ids(self, prompting: Prompting, observation: str) -> list[int]:
        """Return the tokens of a first observation, ready for the model's reply.

        Raises:
            BadValue: a character that the tokenizer does not know, or more tokens than the model's context.
        """
        if self.chats(prompting):
            ids = self._ids(self._render(prompting, [("user", observation)]), special=False)
        else:
            shown = [prompting.system] if prompting.system else []
            shown += [f"{question}\n{reply}\n" for question, reply in prompting.few_shot]
            ids = self._ids("\n".join([*shown, f"{observation}\n"]), special=True)
        if len(ids) + prompting.max_new_tokens > self.context:
            raise BadValue(
                f"the prompt has {len(ids)} tokens and its reply up to {prompting.max_new_tokens}, "
                f"but model {self.name!r} sees {self.context}; shorten the prompt (it begins "
                f"{observation[:40]!r}), lower --set prompt.max_new_tokens, or choose a model with a longer context"
            )
        return ids

    def continuation_ids(self, prompting: Prompting, observation: str, ended: bool) -> list[int]:
        """Return the tokens of a later observation, from the end of the reply before it to the start of the next.

        ``ended`` says that the reply's last sampled token was an end token, which then is not repeated.
        """
        place = (prompting, observation, ended)
        if place not in self._cache:
            self._cache[place] = self._continue(prompting, observation, ended)
        return self._cache[place]

    def text(self, ids: Sequence[int]) -> str:
        """Return sampled tokens as text, without special tokens."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _continue(self, prompting: Prompting, observation: str, ended: bool) -> list[int]:
        if not self.chats(prompting):
            return self._ids(f"\n{observation}\n", special=False)
        rendered = self._render(prompting, [("user", "u"), ("assistant", _REPLY), ("user", observation)])
        ids = self._ids(rendered[rendered.index(_REPLY) + len(_REPLY) :], special=False)
        return ids[1:] if ended and ids[:1] and ids[0] in self.eos_ids else ids

    def chats(self, prompting: Prompting) -> bool:
        """Say whether prompts go through the tokenizer's chat template.

        Raises:
            BadValue: chat is on, and there is no template.
        """
        has = getattr(self.tokenizer, "chat_template", None) is not None
        if prompting.chat == "on" and not has:
            raise BadValue(f"chat is on, but the tokenizer of {self.name!r} has no chat template; set prompt.chat=off")
        return has and prompting.chat != "off"

    def _render(self, prompting: Prompting, talk: list[tuple[str, str]]) -> str:
        before = [("system", prompting.system)] if prompting.system else []
        for question, reply in prompting.few_shot:
            before += [("user", question), ("assistant", reply)]
        messages = [{"role": role, "content": content} for role, content in [*before, *talk]]
        extra = {} if prompting.thinking is None else {"enable_thinking": prompting.thinking}
        try:
            text: str = self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False, **extra
            )
        except Exception as problem:  # a template is a program of somebody else's: it may raise anything
            raise BadValue(
                f"the chat template of {self.name!r} cannot render this: {problem}; use --set prompt.chat=off"
            ) from problem
        return text

    def _ids(self, text: str, special: bool) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=special)
        unknown_id = self.tokenizer.unk_token_id
        if unknown_id is not None and unknown_id in ids and self.tokenizer.unk_token not in text:
            bad = next((c for c in text if unknown_id in self.tokenizer.encode(c, add_special_tokens=False)), "?")
            raise BadValue(
                f"the tokenizer of {self.name!r} cannot write {bad!r} (U+{ord(bad):04X}), which stands in the text "
                f"...{text.strip()[-40:]!r}; change the prompt or the model"
            )
        return ids


def load_policy(name: str, device: str = "auto", dtype: str = "auto") -> Policy:
    """Load a model and its tokenizer: ``embedded-v0``, a folder, or a hub id.

    Args:
        name: what to load. Remote code is never run, and weights are read from safetensors alone.
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", "mps".
        dtype: "auto" (float32 on the CPU, as stored elsewhere), "float32", "bfloat16", "float16", or "int8": the
            weights of the blocks' linear maps in 8 bits (`eggym.quantised`), the rest and the activations in float32
            on the CPU and bfloat16 elsewhere ("int8-float32" and "int8-bfloat16" say which).

    Raises:
        UnknownName: no such model, with the nearest name that ships.
        OutOfMemory: it is too large for this machine.
        BadValue: an unknown device or dtype, a folder without a model or tokenizer, or int8 for a model whose blocks
            hold other weights than those of linear maps.
    """
    where = _device(device)
    source = _source(name)
    kind = _dtype(dtype, where)
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as chatter

    chatter.set_verbosity_error()
    chatter.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    attention = "sdpa" if where.type == "cuda" else "eager"
    try:
        read = partial(
            AutoModelForCausalLM.from_pretrained,
            source,
            attn_implementation=attention,
            output_loading_info=True,
            use_safetensors=True,  # a pickle may do anything
            trust_remote_code=False,  # unset, it would ask at a terminal
        )
        model, found = _read_narrow(read, kind) if dtype in INT8 else read(dtype=kind)
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except Exception as problem:  # missing, odd, damaged, unreachable: the library raises many things
        raise scarcity(problem) or _unloadable(name, problem) from problem
    _refuse_incomplete(name, model, found)
    model = model.eval().requires_grad_(False)
    if dtype in INT8:
        quantise(model, kind)  # before it moves: the device never holds the wide weights
    model = model.to(where)
    return Policy(model, tokenizer, name)


def model_sha256(model: nn.Module) -> str:
    """Return the SHA-256 of a model's weights: names, types, shapes and bytes, in the model's order, scales last."""
    digest = hashlib.sha256()
    for name, weight in itertools.chain(named_weights(model), named_scales(model)):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        # of a copy: numpy would hold the storage, which shards must be able to give back
        digest.update(weight.detach().to("cpu", copy=True).contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _source(name: str) -> str:
    if name in EMBEDDED:
        return str(resources.files("eggym").joinpath("data", name))
    path = Path(name).expanduser()
    if path.is_dir() and not (path / "config.json").is_file():
        raise BadValue(f"folder {name!r} holds no model: there is no config.json in it")
    if (path / "config.json").is_file() and _is_run(path):
        raise BadValue(
            f"folder {name!r} is a run's, not a model's: eggym export {name} --to FOLDER writes its model with the "
            "final weights; then give --model FOLDER"
        )
    return str(path) if path.is_dir() else name


def _is_run(folder: Path) -> bool:
    """Whether ``config.json`` is the identity of a run (`eggym.config`), and no model's."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and "model_type" not in found and {"learner", "budget", "task"} <= found.keys()


def _read_narrow(read: Callable[..., Any], kind: Any) -> Any:
    """Read a checkpoint that will be quantised: in the type it is stored in, for a wider copy would be the peak.

    Widening a weight later gives the same numbers. A buffer that was computed in the stored type is another matter
    (Gemma's scale of embeddings); and in a shorter type the library knows which weights must stay wide.
    """
    if kind == torch.float32:
        found = read(dtype="auto")
        if all(buffer.dtype == kind for buffer in found[0].buffers() if buffer.is_floating_point()):
            found[0].config.dtype = kind
            return found
    return read(dtype=kind)


def _refuse_incomplete(name: str, model: nn.Module, found: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that does not hold every weight: the library would draw the missing ones at random."""
    for kind in ("missing_keys", "mismatched_keys"):
        if found.get(kind):
            first = str(sorted(map(str, found[kind]))[0])
            raise BadValue(
                f"model {name!r} lacks {len(found[kind])} weights that its config.json asks for, first {first}; "
                "config and weights do not belong together"
            )
    for weight_name, weight in model.named_parameters():
        if not bool(weight.isfinite().all()):
            raise BadValue(
                f"model {name!r} holds numbers that are not finite in {weight_name}; its weights are damaged"
            )


def _unloadable(name: str, problem: Exception) -> Exception:
    first = next((line for line in str(problem).splitlines() if line.strip()), type(problem).__name__).strip()
    if Path(name).expanduser().is_dir():
        return BadValue(f"model folder {name!r} cannot be loaded: {first}")
    if name in EMBEDDED:
        return BadValue(f"model {name!r}, which comes with eggym, cannot be loaded: {first[:160]}; install eggym anew")
    known = unknown("model", name, EMBEDDED)
    return UnknownName(f"{known}; it is no folder, and the hub answered: {first[:160]}")


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
    except RuntimeError as problem:
        raise BadValue(f"no device {name!r}; use auto, cpu, cuda, cuda:0 or mps") from problem
    if found.type == "cuda" and not torch.cuda.is_available():
        raise BadValue(f"device {name!r} was asked for, but torch sees no GPU; use cpu or auto")
    if found.type == "mps" and not torch.backends.mps.is_available():
        raise BadValue(f"device {name!r} was asked for, but torch sees none here; use cpu or auto")
    return found


def _dtype(name: str, device: torch.device) -> Any:
    """Return the torch type that a name asks for, or "auto" for the type a checkpoint is stored in."""
    if name == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    if name not in (*DTYPES, *INT8):
        raise unknown("dtype", name, ["auto", *DTYPES, INT8[0]])
    if name == INT8[0]:
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    return DTYPES[name.removeprefix("int8-")]


def _texts(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(part) for part in value) if isinstance(value, list | tuple) else value
