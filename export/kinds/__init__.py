"""How each kind of model becomes a bundle, a page each. A page has `parts(model)`, the networks by name, and `HALF`:
which layers are not simply FP16 in a typed graph."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.kinds import KINDS
from degrade_engine.originals.checkpoint import Checkpoint
from degrade_engine.originals.realdgen.config import RealDGenConfig


def kind_of(record: Checkpoint) -> str:
    """The kind that a checkpoint's model becomes. Raises DegradeError for what is no kind of degradation model."""
    kind = "onecall" if isinstance(record.config, RealDGenConfig) and record.config.unet.sample else record.kind
    if kind not in KINDS:
        fact, wanted = f"A checkpoint of {kind} cannot be exported", f"a model of the kind {', '.join(KINDS)}"
        raise DegradeError(fact, wanted=wanted, mend="train all its stages, if it has several")
    return kind


def page_of(kind: str) -> ModuleType:
    """The page of a kind, which has its name."""
    return import_module(f"{__name__}.{kind}")
