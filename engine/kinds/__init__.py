"""The kinds of degradation model, a page each: torch-free; what needs torch is on the kind's page in export/kinds.

A new kind is these two pages, its model in originals/, and a line in KINDS.
"""

from __future__ import annotations

from ..errors import DegradeError
from . import lway, onecall, realdgen, syndiff, uddm
from .kind import ModelKind as ModelKind

KINDS: dict[str, ModelKind] = {page.KIND.name: page.KIND for page in (realdgen, onecall, syndiff, lway, uddm)}


def named(name: str, where: str) -> ModelKind:
    """The kind of that name. where: names the page in the errors. DegradeError for one that does not exist."""
    if name not in KINDS:
        raise DegradeError(f"{where}: the kind is {name!r}", wanted=f"one of {', '.join(KINDS)}")
    return KINDS[name]
