"""A duel on a randomly initialised Qwen2 checkpoint with a byte-level tokenizer and a chat template, and on GSM8K."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ROWS = [
    {
        "question": f"Ann has {i} apples and buys {i + 1}. How many?",
        "answer": f"{i}+{i + 1}={2 * i + 1}\n#### {2 * i + 1}",
    }
    for i in range(60)
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A folder as people have them: byte-level BPE, several end tokens, grouped key-value heads, biases."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator([row["question"] + row["answer"] for row in ROWS], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=TEMPLATE
    )
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=2048, tie_word_embeddings=True,
        )
    )  # fmt: skip
    model.generation_config = GenerationConfig(eos_token_id=[2, 0], pad_token_id=0)
    folder = tmp_path_factory.mktemp("qwen2")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def data_folder(tmp_path):
    real = Path(os.environ.get("EGGYM_DATA", "/nonexistent")) / "gsm8k"
    if real.is_dir():
        return real
    for name, rows in (("train", ROWS), ("test", ROWS[:20])):
        text = "".join(json.dumps({**row, "question": f"{name} {row['question']}"}) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text)
    return tmp_path


@pytest.mark.slow
def test_gsm8k_runs_end_to_end_and_the_exported_model_loads_alone(checkpoint, tmp_path):
    def eggym(*words):
        return subprocess.run([sys.executable, "-m", "eggym", *words], capture_output=True, text=True, cwd=tmp_path)

    done = eggym(
        "duel", "--model", str(checkpoint), "--task", "eggym/gsm8k-v0", "--data", str(data_folder(tmp_path)),
        "--learner", "eggroll", "--learner", "dr_grpo",
        "--budget", "64episodes", "--seeds", "1", "--force", "--out", "duel",
        "--set", "prompt.max_new_tokens=12", "--set", "eval.items=6", "--set", "eval.points=1",
        "--set", "eval.many=0", "--set", "eval.train_items=0",
        "--set", "eggroll.population=8", "--set", "eggroll.items=4", 
        "--set", "dr_grpo.items=4", "--set", "dr_grpo.replies=8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for learner in ("eggroll", "dr_grpo"):
        run = tmp_path / "duel" / "gsm8k-v0" / learner / "seed-0"
        record = json.loads((run / "record.json").read_text())
        assert record["spent"]["episodes"] == 64 and record["n_steps"] == 2
        assert eggym("export", str(run), "--to", f"model-{learner}").returncode == 0
    program = (
        "from transformers import AutoModelForCausalLM as M, AutoTokenizer as T\n"
        "m, t = M.from_pretrained('model-eggroll'), T.from_pretrained('model-eggroll')\n"
        "print(m.generate(**t('2+2', return_tensors='pt'), max_new_tokens=4, do_sample=False).shape)"
    )
    alone = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr


def test_the_engine_agrees_with_generate_on_that_checkpoint(checkpoint):
    import torch

    from eggym.budget import FlopModel, Meter
    from eggym.engine import Engine
    from eggym.policy import Prompting, load_policy
    from eggym.sampling import Draw
    from eggym.session import Sampling, Turn
    from eggym.views import PolicyViews

    policy = load_policy(str(checkpoint))
    assert policy.eos_ids == (0, 2)
    prompts = [policy.prompt_ids(Prompting(), row["question"]) for row in ROWS[:3]]
    assert policy.tokenizer.decode(prompts[0]).endswith("<|im_start|>assistant\n")

    sampling = Sampling(Draw(0.0, False), 10)
    with (
        PolicyViews(1, 1).attach(policy.model) as attached,
        Engine(policy, Meter(FlopModel.of(policy.model))).open(attached, [0] * 16, sampling, 500) as session,
    ):
        session.begin([Turn(row, ids, 0) for row, ids in enumerate(prompts)])
        while session.busy:
            session.decode()
        replies = [session.reply(row) for row in range(3)]
    for ids, reply in zip(prompts, replies, strict=True):
        want = policy.model.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.int64),
            max_new_tokens=10,
            do_sample=False,
        )
        assert reply.ids == want[0, len(ids) :].tolist()[: len(reply.ids)]
