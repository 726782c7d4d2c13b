"""degrade-engine: super-resolution training pairs from learned degradation models.

>>> from degrade_engine import Engine        # an engine folder, opened: LR images of HR images
>>> from degrade_engine import open_model    # a model by name, built at its first use: an Engine
>>> from degrade_engine import generate      # a whole run: a folder of pairs
>>> from degrade_engine import stream        # the same pairs one after another, without a disk
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine.api import Engine
    from .engine.errors import DegradeError
    from .engine.recipe import Recipe
    from .generation.calls import generate, plan, stream
    from .models.ready import open_model

__all__ = ["DegradeError", "Engine", "Recipe", "generate", "open_model", "plan", "stream"]
_PLACES = {"DegradeError": "engine.errors", "Engine": "engine.api", "Recipe": "engine.recipe",
           "generate": "generation.calls", "plan": "generation.calls", "stream": "generation.calls",
           "open_model": "models.ready"}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Loaded when asked for, so that `degrade-engine --help` and the layers below load nothing of it."""
    if name in _PLACES:
        return getattr(import_module(f"degrade_engine.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
