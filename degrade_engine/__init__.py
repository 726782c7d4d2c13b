"""degrade-engine: super-resolution training pairs from learned degradation models.

>>> from degrade_engine import Engine        # the runtime as a Python API, see degrade_engine.engine.api
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine.api import Engine
    from .engine.errors import DegradeError

__all__ = ["DegradeError", "Engine"]


def __getattr__(name: str) -> Any:
    """Loaded when asked for, so that `degrade-engine --help` and the layers below load nothing of it."""
    if name == "Engine":
        from .engine.api import Engine

        return Engine
    if name == "DegradeError":
        from .engine.errors import DegradeError

        return DegradeError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
