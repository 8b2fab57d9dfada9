"""The embedded base model: its character tokenizer, its architecture, and how it is written to a folder.

An ordinary Hugging Face causal model (Llama architecture, tied embeddings) that loads through ``from_pretrained``. Its
weights come from `eggym.bake`. One token is one character: printable ASCII and newline; anything else is ``<unk>``.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")  # ids 0 to 3
PAD, BOS, EOS, UNK = range(4)
CHARACTERS = "\n" + "".join(chr(code) for code in range(32, 127))  # ids 4 to 99
CONTEXT = 1024

# Prefix-stable: each message adds text at the end and changes nothing before it. A system message comes first, on a
# line of its own; the base was trained without one. The newline after a user's message is where the reply begins, so
# a generation prompt adds nothing.
CHAT_TEMPLATE = (
    "{{- bos_token -}}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}{{- message['content'] + eos_token -}}"
    "{%- else -%}{{- message['content'] + '\\n' -}}{%- endif -%}"
    "{%- endfor -%}"
)


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes of the model; the defaults give 219,968 parameters."""

    width: int = 64
    layers: int = 4
    heads: int = 4
    inner: int = 192  # width of the gated feed-forward layer


def build_tokenizer() -> Any:
    """Return the character tokenizer (a transformers ``PreTrainedTokenizerFast``): left padding, ``<bos>`` in front."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *CHARACTERS])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    core.decoder = decoders.Fuse()
    core.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", BOS)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def build_model(architecture: Architecture) -> Any:
    """Return an untrained float32 model (a transformers ``LlamaForCausalLM``).

    Its weights follow from the state of torch's global generator, which is left as it was.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(SPECIAL) + len(CHARACTERS),
        hidden_size=architecture.width,
        intermediate_size=architecture.inner,
        num_hidden_layers=architecture.layers,
        num_attention_heads=architecture.heads,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
    )
    config.dtype = "float32"
    with torch.random.fork_rng(devices=[]):
        return LlamaForCausalLM(config)


def write_model(folder: Path, model: Any, tokenizer: Any) -> None:
    """Write model and tokenizer into an existing folder: safetensors, JSON and the chat template."""
    from safetensors.torch import save_file
    from transformers import GenerationConfig

    weights = {name: weight.detach().contiguous() for name, weight in model.named_parameters()}  # tied ones once
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # the library makes it readable by the owner alone
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    GenerationConfig(bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for path in folder.glob("*.json"):  # the libraries write their own versions into these; a rebuild should not differ
        content = json.loads(path.read_text())
        if content.pop("transformers_version", None):
            path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
