"""A sequence classifier with one label, as a reward model is: from texts to logits.

What its makers take for granted is seen to here: its own chat template (or a pair of texts where it has none), one
<bos>, right pads with a mask, a pad token in the config, a head in float32, truncation on the left, counted.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eggym.errors import BadValue
from eggym.files import sha256_json
from eggym.source import told

BLOCK = 16  # tokens: lengths are padded to a multiple of it

Columns = Mapping[str, list[int]]  # what a tokenizer returns for one text: ids, and types of segments


class Classifier:
    """The model in memory."""

    def __init__(self, name: str, max_length: int | None, device: str) -> None:
        import torch

        self.name = name
        self.device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        self.model, self.tokenizer = _load(name, self.device)
        self.limit = min(_limits(self.model, self.tokenizer, max_length))
        self.specials = sorted({token for token in self.tokenizer.all_special_tokens if token.strip()})
        self.digest = self._digest()

    def _digest(self) -> str:
        from eggym.policy import model_sha256

        core = getattr(self.tokenizer, "backend_tokenizer", None)
        words = core.to_str() if core is not None else json.dumps(self.tokenizer.get_vocab(), sort_keys=True)
        tokenizer = hashlib.sha256(words.encode()).hexdigest()
        return sha256_json([model_sha256(self.model), tokenizer, self.tokenizer.chat_template, self.limit])

    def columns(self, prompt: str, reply: str, system: str | None) -> tuple[dict[str, list[int]], int]:
        """Return the tokens of prompt and reply, and how many were cut on the left, behind the first one."""
        if self.tokenizer.chat_template:
            spoken = [("system", system)] if system else []
            spoken += [("user", prompt), ("assistant", reply)]
            text = self._rendered([{"role": role, "content": content} for role, content in spoken])
            found = self.tokenizer(text, verbose=False)
        else:
            found = self.tokenizer(f"{system}\n{prompt}" if system else prompt, reply, verbose=False)
        columns = {name: list(found[name]) for name in ("input_ids", "token_type_ids") if name in found}
        ids, bos = columns["input_ids"], self.tokenizer.bos_token_id
        twice = int(bos is not None and ids[:2] == [bos, bos])  # by the template, and once more by the tokenizer
        n_cut = max(0, len(ids) - twice - self.limit)
        return {name: [*row[:1], *row[1 + twice + n_cut :]] for name, row in columns.items()}, n_cut

    def run(self, texts: Sequence[Columns]) -> list[float]:
        """Return the logits of texts of one padded length."""
        import torch

        longest = padded(max(len(text["input_ids"]) for text in texts))
        fill = {"input_ids": self.model.config.pad_token_id, "token_type_ids": 0}
        rows = {name: [text[name] + [fill[name]] * (longest - len(text[name])) for text in texts] for name in texts[0]}
        mask = [[1] * len(text["input_ids"]) + [0] * (longest - len(text["input_ids"])) for text in texts]
        given = {name: torch.tensor(row, device=self.device) for name, row in {**rows, "attention_mask": mask}.items()}
        with torch.inference_mode():
            values: list[float] = self.model(**given).logits.float().reshape(len(texts)).tolist()
        return values

    def _rendered(self, messages: list[dict[str, Any]]) -> str:
        try:
            text: str = self.tokenizer.apply_chat_template(messages, tokenize=False)
        except Exception as problem:  # a template is a program of somebody else's: it may raise anything
            raise BadValue(f"the chat template of reward model {self.name!r} fails: {told(problem)}") from problem
        return text


def padded(length: int) -> int:
    """Return a length in whole blocks."""
    return -(-length // BLOCK) * BLOCK


def _load(name: str, device: Any) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    on_cpu = device.type == "cpu"
    kind, attention = (torch.float32, "eager") if on_cpu else (torch.bfloat16, "sdpa")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model, found = AutoModelForSequenceClassification.from_pretrained(
            name,
            dtype=kind,
            attn_implementation=attention,
            output_loading_info=True,
            use_safetensors=True,  # a pickle may do anything
            trust_remote_code=False,
        )
    except Exception as problem:  # missing, odd, damaged, unreachable: the library raises many things
        raise BadValue(f"reward model {name!r} cannot be loaded: {told(problem)[:300]}") from problem
    if found["missing_keys"] or found["mismatched_keys"]:  # the library would draw them at random
        first = sorted(map(str, [*found["missing_keys"], *found["mismatched_keys"]]))[0]
        raise BadValue(f"reward model {name!r} lacks weights, such as {first}; is it a sequence classifier?")
    if model.config.num_labels != 1:
        raise BadValue(f"reward model {name!r} has {model.config.num_labels} labels; one number is read")
    _pad(name, model, tokenizer)
    model = model.eval().requires_grad_(False).to(device)
    head = getattr(model, "score", None)
    if head is not None and not on_cpu:
        head.float().register_forward_pre_hook(lambda _, given: (given[0].float(),))
    return model, tokenizer


def _pad(name: str, model: Any, tokenizer: Any) -> None:
    """Agree on a pad token: without one in the config a batch fails, or is read at its pads."""
    own = [tokenizer.pad_token_id, model.config.pad_token_id, tokenizer.eos_token_id]
    known = [token for token in own if token is not None]
    if not known:
        raise BadValue(f"reward model {name!r} has neither a pad nor an end token; set pad_token_id in its config.json")
    model.config.pad_token_id = known[0]


def _limits(model: Any, tokenizer: Any, max_length: int | None) -> Iterator[int]:
    yield from (limit for limit in (max_length, getattr(model.config, "max_position_embeddings", None)) if limit)
    yield int(min(tokenizer.model_max_length, 10**9))
