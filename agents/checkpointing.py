"""Gradient checkpointing: activations inside a layer are thrown away and computed again when the gradient needs them.

transformers recomputes layers only where they are in training mode. So that nothing else of that mode comes with it
(dropout would make another policy of the one that was sampled), the flag is set on the layers alone and not on what
they hold. The meter sees layers that recompute, and counts their second forward.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eggym.errors import BadValue


@contextmanager
def checkpointing(model: Any, wanted: bool) -> Iterator[None]:
    """Let the passes in this context recompute; afterwards the model is as before.

    Raises:
        BadValue: the architecture knows no checkpointing.
    """
    if not wanted:
        yield
        return
    layers = _layers(model)
    _enable(model)
    for layer in layers:
        layer.training = True
    try:
        yield
    finally:
        for layer in layers:
            layer.training = False
        getattr(model, f"{_prefix(model)}_checkpointing_disable")()


def _layers(model: Any) -> list[Any]:
    from transformers.modeling_layers import GradientCheckpointingLayer

    found = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not found:
        raise BadValue(
            f"model of type {model.config.model_type!r} has no layers that can be recomputed; "
            "leave gradient_checkpointing off"
        )
    return found


def _enable(model: Any) -> None:
    prefix = _prefix(model)
    settings = {"use_reentrant": False, "preserve_rng_state": False}  # nothing is drawn in a layer
    getattr(model, f"{prefix}_checkpointing_enable")(**{f"{prefix}_checkpointing_kwargs": settings})


def _prefix(model: Any) -> str:
    # renamed in transformers 5.2x; the older name still works there, with a warning
    return "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
