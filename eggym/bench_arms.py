"""What the benchmark of the engine times: decoding a fixed number of tokens, in the ways that are to be compared.

Everything that touches the engine and its sessions for a benchmark stands in this file. No arm stops early: end tokens
count as any other, so that equal rows and steps are equal work. Sampling is greedy in all of them.

Axes in names: _R rows of the batch, sorted by member; _N members.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from eggym.base_model import build_tokenizer
from eggym.budget import FlopModel, Meter
from eggym.engine import Engine
from eggym.errors import BadValue
from eggym.policy import DTYPES, EMBEDDED, Policy, load_policy
from eggym.registry import load_learner
from eggym.sampling import Draw
from eggym.seeding import key, stream
from eggym.session import Sampling, Session, Turn
from eggym.views import ParameterSpace, PolicyViews, Views

SIGMA = 0.01
HEAD_WIDTH = 64  # of a head in the random models, as in models that people use


class Endless(Policy):
    """A policy whose replies end at the limit alone."""

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """No token ends a reply."""
        return ()


@dataclass(frozen=True)
class Work:
    """What every arm does: ``population * rows`` rows read a prompt each and decode ``steps`` tokens."""

    policy: Policy
    population: int  # members, even
    rows: int = 1  # per member
    prompt: int = 16  # tokens
    steps: int = 16  # sampled tokens; the first comes from the prompt's logits
    compiled: bool = False

    @property
    def members(self) -> list[int]:
        """The member of each row."""
        return [row // self.rows for row in range(self.population * self.rows)]

    @property
    def prompts(self) -> list[list[int]]:
        """A prompt for each row: random tokens, the same for row g of every member."""
        n = int(self.policy.model.config.get_text_config().vocab_size)
        rng = stream("bench", "prompts")
        some = [[rng.randrange(n) for _ in range(self.prompt)] for _ in range(self.rows)]
        return some * self.population


def endless(policy: Policy) -> Policy:
    """Return the policy without end tokens; its model is changed, so it is good for benchmarks only."""
    for config in (policy.model.generation_config, policy.model.config):
        config.eos_token_id = None
    return Endless(policy.model, policy.tokenizer, policy.name)


def named_policy(name: str, dtype: str = "float32", device: str = "cpu") -> Policy:
    """Load a policy by name, without end tokens."""
    return endless(load_policy(name, device, dtype))


def random_policy(width: int, layers: int = 4, vocabulary: int = 1024, dtype: str = "float32") -> Policy:
    """Return a random Llama on the CPU, without end tokens: inner width 3 x, heads of 64, tied embeddings.

    Raises:
        BadValue: a width that is no multiple of 64.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    if width < HEAD_WIDTH or width % HEAD_WIDTH:
        raise BadValue(f"width must be a multiple of {HEAD_WIDTH}, got {width}")
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // HEAD_WIDTH,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        initializer_range=0.1,  # the usual 0.02 would make every prediction the same
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key("bench", "weights") % (1 << 31))
        model = LlamaForCausalLM(config).to(DTYPES[dtype]).eval().requires_grad_(False)
    model.set_attn_implementation("eager")
    return endless(Policy(model, build_tokenizer(), f"random-llama-{width}x{layers}"))


def policy_of(width: int, layers: int, model: str | None, dtype: str) -> Policy:
    """Return the policy of a benchmark: by name, or random by width; width 64 is the embedded model."""
    if model is not None:
        return named_policy(model, dtype)
    return named_policy(EMBEDDED[0], dtype) if width == 64 else random_policy(width, layers, dtype=dtype)


def population(policy: Policy, n_members: int, n_items: int = 1, rank: int = 1, step: int = 0) -> Views:
    """Return a population of EGGROLL over the policy's blocks."""
    views: Views = learner(policy, n_members, n_items, rank).ask(step)
    return views


def learner(policy: Policy, n_members: int, n_items: int = 1, rank: int = 1, **options: Any) -> Any:
    """Return the learner `eggroll` with a fixed sigma."""
    spec = load_learner("eggroll")
    settings = {"population": n_members, "items": n_items, "rank": rank, "sigma": SIGMA, **options}
    return spec.build(policy, ParameterSpace(), 0, spec.resolve("tiny", settings))


def nobody(n_members: int = 1, n_items: int = 1, like: Views | None = None) -> Views:
    """Return views that leave the model as it is: the operator off; ``like`` gives their other settings."""
    if like is None:
        return PolicyViews(n_items, 1, 0.0, n_members)
    return PolicyViews(like.n_items, like.n_replies, like.temperature, like.n_members, like.coupling)


# -- the engine: sessions ----------------------------------------------------------------------------------------------


@contextmanager
def opened(work: Work, views: Views) -> Iterator[Session]:
    """Open a session with all rows seated, which has read nothing."""
    engine = Engine(work.policy, Meter(FlopModel.of(work.policy.model)), compiled=work.compiled)
    sampling = Sampling(Draw(0.0, True), work.steps)
    group = views.n_together * work.rows
    with (
        views.attach(work.policy.model) as attached,
        engine.open(attached, work.members, sampling, work.prompt + work.steps, group) as session,
    ):
        yield session


@contextmanager
def prefilled(work: Work, views: Views) -> Iterator[Session]:
    """Open a session in which every row has read its prompt and drawn its first token."""
    with opened(work, views) as session:
        read(session, work)
        yield session


@contextmanager
def pretended(work: Work, views: Views) -> Iterator[Session]:
    """Open a session whose cache is as long as the prompts, but empty: what a step costs does not depend on it."""
    with opened(work, views) as session:
        session.pretend(work.prompt)
        yield session


def read(session: Session, work: Work) -> None:
    """Let every row read its prompt and draw its first token."""
    session.begin([Turn(row, prompt, 0) for row, prompt in enumerate(work.prompts)])


def decode(session: Session) -> list[list[int]]:
    """Decode the rest of every row's tokens."""
    rows = session.decode()
    return [session.reply(row).ids for row in rows]


def whole(session: Session, work: Work) -> list[list[int]]:
    """Read the prompts and decode."""
    read(session, work)
    return decode(session)


def seat(attached: Any, rows_R: Tensor) -> None:
    """Seat rows for the passes that follow."""
    attached.take(attached.seat(rows_R))


class FixedRows(Engine):
    """An engine that plans sessions of a given number of rows."""

    n_rows = 256

    def plan_rows(self, n_positions: int, n_read: int, bytes_per_row: int) -> int:
        """Return the given number."""
        return self.n_rows


# -- what others do ----------------------------------------------------------------------------------------------------


@contextmanager
def stock(policy: Policy) -> Iterator[Any]:
    """Give the model with the library's fastest attention, for what does not go through the engine."""
    model = policy.model
    before = model.config._attn_implementation
    model.set_attn_implementation("sdpa")
    try:
        with torch.no_grad():
            yield model
    finally:
        model.set_attn_implementation(before)


def generate(model: Any, work: Work) -> list[list[int]]:
    """Read the prompts and decode by the library's `generate`: greedy, fixed length, one batch of all rows."""
    ids = torch.tensor(work.prompts, device=model.device)
    settings = copy.deepcopy(model.generation_config)
    settings.update(do_sample=False, max_new_tokens=work.steps, pad_token_id=0, eos_token_id=None)
    with torch.inference_mode():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings)
    tokens: list[list[int]] = out[:, work.prompt :].tolist()
    return tokens
