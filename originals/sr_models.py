"""SR models by their file: our own SRResNet, or whatever spandrel knows, where it is installed.

Either way an SR model is a module from LR [B, 3, h, w] to SR [B, 3, scale·h, scale·w], both in [-1, 1].
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from degrade_engine.engine.artefact import tool_versions, write_json_atomic
from degrade_engine.engine.errors import DegradeError

from .checkpoint import load, save
from .srresnet import SRResNet
from .weights import first_line, read_tensors, write_tensors

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
        fact = f"{path.name} is not one of our SRResNets, and reading others needs {e.name}"
        wanted = "an SRResNet of `train srresnet`, or spandrel"
        raise DegradeError(fact, wanted=wanted, mend="pip install 'degrade-engine[sr]'") from e
    except Exception as e:  # it imports torchvision, which raises anything beside a torch that it was not built for
        raise DegradeError(
            f"{path.name} is not one of our SRResNets, and spandrel, which reads others, cannot be imported here "
            f"({first_line(e)})",
            wanted=f"the torchvision that was built for torch {torch.__version__}",
            mend="install torchvision from the index that torch came from, or give an SRResNet of `train srresnet`",
        ) from e
    tensors = read_tensors(path)  # not spandrel's own reader, which unpickles and opens TorchScript
    try:
        found = spandrel.ModelLoader("cpu").load_from_state_dict(spandrel.canonicalize_state_dict(tensors))
    except Exception as e:  # spandrel lets through whatever a state dict of unknown origin makes it raise
        fact = f"spandrel finds no model in {path.name} ({first_line(e)})"
        raise DegradeError(fact, wanted="an SR model that it knows") from e
    if not isinstance(found, spandrel.ImageModelDescriptor) or found.input_channels != 3 or found.output_channels != 3:
        raise DegradeError(f"{path.name} is a model for {found.purpose}", wanted="one from RGB image to RGB image")
    net = Spandrel(found.model.eval(), found._call_fn)  # calling `found` runs in inference mode: nothing could learn
    size = found.size_requirements

    def write(to: Path, adapted: dict[str, Any]) -> None:
        page = {"kind": ADAPTED, "architecture": found.architecture.name,
                "weights_sha256": write_tensors(found.model.state_dict(), to), "training": [adapted],
                "tools": tool_versions()}  # fmt: skip
        write_json_atomic(to.with_suffix(".json"), page)

    return SRModel(found.architecture.name, net, found.scale, write, size.multiple_of or 1, size.minimum or 1)
