"""eggym: decide between evolution strategies and reinforcement learning for post-training a language model."""

from pathlib import Path

__version__ = "0.1.0"

# In a bare checkout (no install) the leaves lie beside this folder; an installed package has them inside it.
_checkout = Path(__file__).parent.parent
if (_checkout / "pyproject.toml").is_file():
    __path__.append(str(_checkout))
