"""How each kind of model becomes a bundle, a page each. A page has `parts(model)`, the networks by name, and `HALF`:
which layers are not simply FP16 in a typed graph."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.kinds import KINDS


def page_of(kind: str) -> ModuleType:
    """The page of a kind, which has its name. Raises DegradeError for what is no kind of degradation model."""
    if kind not in KINDS:
        fact, wanted = f"A checkpoint of {kind} cannot be exported", f"a model of the kind {', '.join(KINDS)}"
        raise DegradeError(fact, wanted=wanted, mend="train all its stages, if it has several")
    return import_module(f"{__name__}.{kind}")
