"""SR models by their file: our own SRResNet, or whatever spandrel reads, where it is installed.

Either way an SR model is a module from LR [B, 3, h, w] to SR [B, 3, scale·h, scale·w], both in [-1, 1].
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from degrade_engine.engine.artefact import sha256_file, tool_versions, write_json_atomic
from degrade_engine.engine.errors import DegradeError

from .checkpoint import load, save
from .srresnet import SRResNet

Save = Callable[[Path, dict[str, Any]], None]  # a path .safetensors, and what was done to the model


@dataclass(frozen=True)
class SRModel:
    """net: the module, in eval mode; save writes it where it can be opened again. multiple: LR sides must be multiples
    of it; least: and at least so long."""

    name: str
    net: nn.Module
    scale: int
    save: Save
    multiple: int = 1
    least: int = 1


class Spandrel(nn.Module):
    """A model that works in [0, 1], with our range around it."""

    def __init__(self, model: nn.Module, call: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.call = model, call

    def forward(self, lr: Tensor) -> Tensor:
        return 2 * self.call(self.model, (lr + 1) / 2) - 1


def open_sr(path: Path) -> SRModel:
    """The SR model of a file. Raises DegradeError for a file that is none, or where spandrel would be needed and is not
    installed."""
    if not path.is_file():
        raise DegradeError(f"{path} does not exist", wanted="an SR model's file")
    return _own(path) if _is_own(path) else _foreign(path)


def _is_own(path: Path) -> bool:
    """Whether a sidecar of ours lies beside it. That of an adapted foreign model is of another kind."""
    try:
        page = json.loads(path.with_suffix(".json").read_text())
    except (OSError, ValueError):
        return False
    return isinstance(page, dict) and "kind" in page and page["kind"] != ADAPTED


ADAPTED = "adapted"


def _own(path: Path) -> SRModel:
    net, record = load(path, SRResNet)

    def write(to: Path, adapted: dict[str, Any]) -> None:
        save(net.state_dict(), record.config, to, [*record.training, adapted], record.card)

    return SRModel("SRResNet", net, net.config.scale, write)


def _foreign(path: Path) -> SRModel:
    try:
        import spandrel
    except ModuleNotFoundError as e:
        raise DegradeError(
            f"{path.name} is not one of our SRResNets, and reading others needs {e.name}",
            wanted="an SRResNet of `train srresnet`, or spandrel",
            mend="pip install 'degrade-engine[sr]'",
        ) from e
    try:
        found = spandrel.ModelLoader("cpu").load_from_file(path)
    except Exception as e:  # spandrel lets through whatever reading a file of unknown origin raises
        raise DegradeError(f"spandrel cannot read {path.name} ({e})", wanted="an SR model that it knows") from e
    if not isinstance(found, spandrel.ImageModelDescriptor) or found.input_channels != 3 or found.output_channels != 3:
        raise DegradeError(f"{path.name} is a model for {found.purpose}", wanted="one from RGB image to RGB image")
    net = Spandrel(found.model.eval(), found._call_fn)  # calling `found` runs in inference mode: nothing could learn
    size = found.size_requirements

    def write(to: Path, adapted: dict[str, Any]) -> None:
        tensors = {k: v.detach().contiguous().clone() for k, v in found.model.state_dict().items()}
        save_file(tensors, to)
        page = {"kind": ADAPTED, "architecture": found.architecture.name, "weights_sha256": sha256_file(to),
                "training": [adapted], "tools": tool_versions()}  # fmt: skip
        write_json_atomic(to.with_suffix(".json"), page)

    return SRModel(found.architecture.name, net, found.scale, write, size.multiple_of or 1, size.minimum or 1)
