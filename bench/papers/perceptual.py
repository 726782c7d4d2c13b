"""LPIPS, DISTS, FID and CLIP score, with weights from a folder of the user's: none is ours to ship, none is downloaded.

    lpips       Zhang et al., CVPR 2018, version 0.1 over AlexNet (originals/lway/perceptual.py, which trains with it)
    dists       Ding et al., TPAMI 2020 (torchmetrics)
    fid         Heusel et al., NeurIPS 2017: InceptionV3 as torch-fidelity has it, our own Fréchet distance
    clip_score  cosine of CLIP's embeddings of the generated and the real image, which is what fits the range of
                RealDGen's Table 3 (Radford et al., ICML 2021; transformers)

What cannot be measured is a sentence: the file or package that is missing, or too few images. Every file is first read
as tensors and nothing else, since the libraries would unpickle it.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from degrade_engine.engine.errors import DegradeError

from .. import metrics
from .true_pairs import Image

Figures = dict[str, Any]
LEAST_FID = 2049
"""Images on each side: with fewer than dimensions (2048) the covariance is singular and the distance mostly bias."""
ROWS = 16  # images a call


@dataclass(frozen=True)
class Needs:
    """What a measure needs: files of the folder (name -> where from), packages, images."""

    files: dict[str, str]
    packages: tuple[str, ...] = ()
    images: int = 1


PYTORCH = "https://download.pytorch.org/models/"
NEEDS = {
    "lpips": Needs({
        "alexnet-owt-7be5be79.pth": PYTORCH + "alexnet-owt-7be5be79.pth",
        "lpips-alex.pth": "weights/v0.1/alex.pth of the package lpips",
    }),
    "dists": Needs({"vgg16-397923af.pth": PYTORCH + "vgg16-397923af.pth"}, ("torchmetrics", "torchvision")),
    "fid": Needs({
        "weights-inception-2015-12-05-6726825d.pth": "the release v0.2.0 of github.com/toshas/torch-fidelity",
    }, ("torch_fidelity", "torchvision"), LEAST_FID),
    "clip_score": Needs({
        "clip/config.json": "a CLIP model as transformers saves it, such as openai/clip-vit-base-patch32",
        "clip/model.safetensors": "the same",
    }, ("transformers",)),
}  # fmt: skip


def missing(name: str, folder: Path, images: int) -> str:
    """Why a measure cannot be taken, "" if it can."""
    needs = NEEDS[name]
    for file, where in needs.files.items():
        if not (folder / file).is_file():
            return f"{name} is left out: {folder / file} is not there; it comes from {where}"
    for package in needs.packages:
        if importlib.util.find_spec(package) is None:
            mend = "pip install 'degrade-engine[perceptual]'"
            return f"{name} is left out: it needs the package {package.replace('_', '-')}, {mend}"
    if images < needs.images:
        return f"{name} is left out: {images} images came, and below {needs.images:,} it says more of their number"
    return ""


def measures(folder: Path, images: int) -> tuple[dict[str, Callable[..., Figures]], list[str]]:
    """(what can be measured on so many images, a sentence for each that cannot). Raises DegradeError for a folder that
    is none, and a file that holds no weights."""
    if not folder.is_dir():
        raise DegradeError(f"{folder} is no folder", wanted="a folder with the weights of LPIPS, DISTS, FID or CLIP")
    from degrade_engine.originals.weights import read_tensors

    told = {name: missing(name, folder, images) for name in NEEDS}
    can = [name for name, reason in told.items() if not reason]
    for name in can:
        for file in NEEDS[name].files:
            if file.endswith(".pth"):
                read_tensors(folder / file)
    opened = {}
    for name in can:
        try:
            opened[name] = OPEN[name](folder)
        except (ImportError, RuntimeError, OSError, ValueError, KeyError) as error:
            first = (str(error).splitlines() or [""])[0]
            told[name] = f"{name} is left out: its network cannot be opened ({type(error).__name__}: {first})"
    return opened, [reason for reason in told.values() if reason]


def _batches(images: Sequence[Image]) -> Iterator[Any]:
    """uint8 tensors [n, 3, h, w]."""
    import torch

    for at in range(0, len(images), ROWS):
        yield torch.from_numpy(np.stack(images[at : at + ROWS]).transpose(0, 3, 1, 2).copy())


def _each(name: str, values: Sequence[float]) -> Figures:
    found = np.array(values, np.float64)
    return {name: round(float(found.mean()), 4), f"{name}_interval": [round(v, 4) for v in metrics.interval(found)]}


def _lpips(folder: Path) -> Callable[..., Figures]:
    import torch

    from degrade_engine.originals.lway.perceptual import open_distance

    _, distance = open_distance((folder / "alexnet-owt-7be5be79.pth", folder / "lpips-alex.pth"))

    def measure(made: Sequence[Image], real: Sequence[Image]) -> Figures:
        with torch.inference_mode():
            pairs = zip(made, real, strict=True)
            planes = ([next(_batches([image])) / 127.5 - 1 for image in pair] for pair in pairs)
            return _each("lpips", [float(distance(a, b)) for a, b in planes])

    return measure


@contextmanager
def _offline_hub(folder: Path) -> Iterator[None]:
    """torch.hub's store of downloads is the user's folder while a library opens its network."""
    import torch

    before = torch.hub.get_dir()
    with tempfile.TemporaryDirectory() as hub:
        (Path(hub) / "checkpoints").symlink_to(folder.resolve(), target_is_directory=True)
        torch.hub.set_dir(hub)
        try:
            yield
        finally:
            torch.hub.set_dir(before)


def _dists(folder: Path) -> Callable[..., Figures]:
    import torch
    from torchmetrics.functional.image.dists import DISTSNetwork

    with _offline_hub(folder):
        network = DISTSNetwork().eval()

    def measure(made: Sequence[Image], real: Sequence[Image]) -> Figures:
        with torch.inference_mode():
            both = zip(_batches(made), _batches(real), strict=True)
            return _each("dists", [float(d) for a, b in both for d in network(a / 255, b / 255).reshape(-1)])

    return measure


def _fid(folder: Path) -> Callable[..., Figures]:
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = folder / next(iter(NEEDS["fid"].files))
    network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(path))

    def features(images: Sequence[Image]) -> np.ndarray:
        with torch.inference_mode():
            return np.concatenate([network(batch)[0].numpy() for batch in _batches(images)])

    return lambda made, real: {"fid": round(metrics.frechet(features(made), features(real)), 3)}


def _clip(folder: Path) -> Callable[..., Figures]:
    import torch
    import torch.nn.functional as F
    from transformers import CLIPVisionModelWithProjection

    network = CLIPVisionModelWithProjection.from_pretrained(folder / "clip", local_files_only=True).eval()
    side = network.config.image_size
    mean, std = (torch.tensor(v)[:, None, None] for v in (
        (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)))  # fmt: skip

    def embedded(images: Sequence[Image]) -> Any:
        vectors = []
        for batch in _batches(images):
            resized = F.interpolate(batch / 255, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
            vectors.append(network(pixel_values=(resized - mean) / std).image_embeds)
        return torch.cat(vectors)

    def measure(made: Sequence[Image], real: Sequence[Image]) -> Figures:
        with torch.inference_mode():
            return _each("clip_score", F.cosine_similarity(embedded(made), embedded(real)).tolist())

    return measure


OPEN: dict[str, Callable[[Path], Callable[..., Figures]]] = {
    "lpips": _lpips, "dists": _dists, "fid": _fid, "clip_score": _clip,
}  # fmt: skip
