"""`ModelKind`: what the runtime knows of a kind of degradation model. Each kind has a page of its own beside this one.

What is not on a page holds for all kinds: a bundle names its parts' tensors, and the sampler goes by these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import DegradeError
from ..spec import OUTER, PartSpec, Runs, Start

if TYPE_CHECKING:
    from ..recipe import Recipe
    from ..sampling.batch import Runner


@dataclass(frozen=True)
class ModelKind:
    """One kind of model.

    name        as bundle.json and engine.json have it
    parts       its networks, in the order in which they run, and how often each does
    starts      the start images that make sense, its own first
    recipes     by name; "recommended" is the default
    sampler     makes what runs its batches, for `sampling.open`
    can_filter  whether that can tell a pair's candidates apart
    fuses       whether the LR is a weighted sum of two branches, by a recipe's fusion weight
    drawn       tensors that parts read, and that it draws itself
    adds        tensors that add up over the references of a pair; others become their mean
    """

    name: str
    parts: dict[str, Runs]
    starts: tuple[Start, ...]
    recipes: dict[str, Recipe]
    sampler: Callable[..., Runner]
    can_filter: bool = False
    fuses: bool = False
    drawn: tuple[str, ...] = ()
    adds: tuple[str, ...] = ()

    @property
    def reads_reference(self) -> bool:
        """Whether a pair needs a real LR photograph."""
        return "reference" in self.parts.values()

    @property
    def has_steps(self) -> bool:
        """Whether a start image is noised and denoised; without, tau is 0 and the model's LR is the result."""
        return "step" in self.parts.values()

    @property
    def draws(self) -> bool:
        """Whether F_deg and the LR are drawn: one of many that the camera could have taken."""
        return bool(self.drawn)

    def check(self, parts: Mapping[str, PartSpec], where: str) -> None:
        """DegradeError unless the parts are this kind's, with files, in an order in which they can run."""
        for name in self.parts:
            if name not in parts:
                raise DegradeError(f"{where}: the part {name!r} is missing", wanted=", ".join(self.parts))
        made = {*OUTER, *self.drawn}
        for name, part in parts.items():
            if name not in self.parts:
                raise DegradeError(f"{where}: the part {name!r} is unknown", wanted=", ".join(self.parts))
            if "fp32" not in part.files and "engine" not in part.files:
                raise DegradeError(f"{where}: the part {name!r} has no file", wanted="an fp32 file, or an engine's")
            if lacking := [tensor.name for tensor in part.inputs if tensor.name not in made]:
                fact = f"{where}: {name} reads {lacking[0]!r}, which no part before it makes"
                raise DegradeError(fact, wanted="parts in the order in which they run")
            made |= {tensor.name for tensor in part.outputs}
