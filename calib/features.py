"""Deep features for the Fréchet distance of degradations: phi(x) of the binned paper (section 3.5).

    random-alexnet   AlexNet's first filters with weights drawn from a seed, on two bands of detail (bands.py)
    e-deg            E_deg of a RealDGen engine folder (no torch) or checkpoint: trained to tell degradations apart
    alexnet          AlexNet with ImageNet weights from a file: what the paper mainly uses
    vgg19-2-2, -5-4  VGG19 after the j-th convolution before the i-th pooling, with ImageNet weights from a file

A trained feature map is averaged over its pixels (AlexNet's last map of a 72 x 72 image is one pixel anyway): [n, c],
c = the length of F_deg, 256, 128 and 512. The first two, which need no file of others, measure in discriminant axes
(discriminant.py); the paper's own, which were not measured here, as the paper does. The paper does not say which layer
of the random AlexNet it took, and found of "limited effectiveness" what it did. torch is loaded only by those that need
it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..engine.artefact import sha256_file
from ..engine.errors import DegradeError
from ..engine.report.filters import MEAN, STD, filters

if TYPE_CHECKING:
    from torch import Tensor, nn

Pixels = NDArray[np.uint8]  # [n, h, w, 3], RGB
Vectors = NDArray[np.float32]  # [n, c]
Name = Literal["random-alexnet", "e-deg", "alexnet", "vgg19-2-2", "vgg19-5-4"]
NAMES: tuple[Name, ...] = get_args(Name)

ROWS = 25  # images a call
DISCRIMINANT = {"axes": "discriminant"}  # on the page of what is measured in them
WHERE = {
    "alexnet": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "vgg19": "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
}


@dataclass(frozen=True)
class Features:
    """One extractor, opened. page: what weights.json says of it; size: the only side of an image that it takes, pixels
    (None: any); discriminant: whether distances are taken in discriminant axes."""

    page: dict[str, Any]
    extract: Callable[[Pixels], Vectors]
    size: int | None = None
    discriminant: bool = False

    def __call__(self, images: Pixels) -> Vectors:
        """uint8 [n, h, w, 3] to float32 [n, c]."""
        return np.concatenate([self.extract(images[at : at + ROWS]) for at in range(0, len(images), ROWS)])


def open_features(name: Name, path: Path | None = None, *, seed: int = 0, threads: int | None = None) -> Features:
    """An extractor by its name. path: the engine folder or checkpoint of e-deg, the weights of alexnet and vgg19.

    seed: of random-alexnet's weights. Raises DegradeError for a missing file (and says where to get it), one that does
    not fit, or a missing torch.
    """
    if name == "random-alexnet":
        return _random_bands(seed, threads)
    if path is None:
        wanted = "an engine folder or a .safetensors checkpoint" if name == "e-deg" else f"a file, {_from(name)}"
        raise DegradeError(f"the features {name} need a file", wanted=wanted, mend="give it with --features-from")
    if name == "e-deg":
        return _e_deg_of_engine(path, threads) if path.is_dir() else _e_deg_of_checkpoint(path, threads)
    if not path.is_file():
        raise DegradeError(f"{path} is not there", wanted=f"ImageNet weights, {_from(name)}", mend="download them once")
    page = {"name": name, "sha256": sha256_file(path)}
    layers = _alexnet if name == "alexnet" else lambda: _vgg19(*map(int, name.split("-")[1:]))
    return _network(page, lambda: _trained(layers(), path), threads)


def _from(name: str) -> str:
    return f"such as {WHERE[name.split('-')[0]]}"


# ---- E_deg ----


def _e_deg_of_engine(folder: Path, threads: int | None) -> Features:
    """By the engine's own runtime, at its LR size and batch."""
    from ..engine.embedding import Embedding

    embed = Embedding.open(folder, threads=threads)
    page = {"name": "e-deg", "engine": embed.sha256} | DISCRIMINANT
    return Features(page, embed, embed.side, discriminant=True)


def _e_deg_of_checkpoint(path: Path, threads: int | None) -> Features:
    _torch(threads)
    from ..originals.checkpoint import load
    from ..originals.realdgen.model import RealDGen

    model, record = load(path, RealDGen)
    page = {"name": "e-deg", "checkpoint": record.weights_sha256} | DISCRIMINANT
    return Features(page, _extract(model.degradation, lambda x: x / 127.5 - 1), discriminant=True)


# ---- AlexNet and VGG19 ----


def _random_bands(seed: int, threads: int | None) -> Features:
    torch = _torch(threads)
    from . import bands

    std = torch.tensor(STD)[:, None, None]
    weights = torch.from_numpy(filters(seed)[0]).float()

    def run(x: Tensor) -> Tensor:
        if min(x.shape[2:]) < bands.LEAST:
            fact = f"random-alexnet was given crops of {x.shape[3]} x {x.shape[2]} pixels"
            raise DegradeError(fact, wanted=f"{bands.LEAST} pixels or more a side")
        return bands.answers(x, weights)

    page = {"name": "random-alexnet", "seed": seed} | DISCRIMINANT
    return Features(page, _extract(run, lambda x: x / 255 / std), discriminant=True)


def _network(page: dict[str, Any], make: Callable[[], nn.Module], threads: int | None) -> Features:
    torch = _torch(threads)
    network = make().eval()
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))

    def run(x: Tensor) -> Tensor:
        f: Tensor = network(x)
        return f.mean(dim=(2, 3))

    return Features(page, _extract(run, lambda x: (x / 255 - mean) / std))


def _extract(
    network: Callable[[Tensor], Tensor], normalised: Callable[[Tensor], Tensor]
) -> Callable[[Pixels], Vectors]:
    def extract(images: Pixels) -> Vectors:
        import torch

        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()
            return np.asarray(network(normalised(x)).numpy(), np.float32)

    return extract


def _torch(threads: int | None) -> Any:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise DegradeError(
            "these features need torch",
            wanted="the extra `train`, or the features e-deg of an engine folder",
            mend="pip install 'degrade-engine[train]'",
        ) from error
    if threads is not None:
        torch.set_num_threads(threads)
    return torch


def _alexnet() -> nn.Sequential:
    """The convolutional layers of "One weird trick" (Krizhevsky 2014), numbered as torchvision's `features`."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
    )  # fmt: skip


def _vgg19(pool: int, conv: int) -> nn.Sequential:
    """VGG19 (configuration E) up to the `conv`-th convolution, activated, before the `pool`-th pooling."""
    from torch import nn

    layers: list[nn.Module] = []
    for block, (width, channels) in enumerate(pairwise((3, 64, 128, 256, 512, 512)), start=1):
        for at in range(1, (2, 2, 4, 4, 4)[block - 1] + 1):
            layers += [nn.Conv2d(width if at == 1 else channels, channels, 3, padding=1), nn.ReLU()]
            if (block, at) == (pool, conv):
                return nn.Sequential(*layers)
        layers.append(nn.MaxPool2d(2, 2))
    raise DegradeError(f"VGG19 has no convolution {conv} before pooling {pool}")


def _trained(network: nn.Sequential, path: Path) -> nn.Sequential:
    """ImageNet weights as torchvision names them: features.N.weight and .bias; deeper layers are not looked at."""
    from degrade_engine.originals.weights import read_tensors

    tensors = read_tensors(path)
    state = {name.removeprefix("features."): value for name, value in tensors.items() if name.startswith("features.")}
    wanted = network.state_dict()
    for name, value in wanted.items():
        found = state.get(name)
        shape = tuple(getattr(found, "shape", ())) or None
        if shape != tuple(value.shape):
            raise DegradeError(
                f"{path.name} has no features.{name} of shape {tuple(value.shape)}{f' but {shape}' if shape else ''}",
                wanted="torchvision's weights of this network",
            )
    network.load_state_dict({name: state[name] for name in wanted})
    return network
