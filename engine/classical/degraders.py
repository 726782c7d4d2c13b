"""Degraders without networks: HR in, LR out, every parameter on record.

    bicubic       the HR at LR size, antialiased (Pillow's bicubic): what the field means by the word
    realesrgan    Real-ESRGAN's second order (classical/realesrgan.py)
    bsrgan        BSRGAN, bsrgan-plus: BSRGAN+ (classical/bsrgan.py)
    binned        a binned space, with weights from `calibrate degradation` or uniform (classical/binned.py)
    camera        a synthetic camera, another one for each pair (classical/camera.py)

What a pair gets depends on the degrader, the seed, the pair's number and its HR crop alone, so any thread or process
may make it. None of them reads a reference at generation; binned has read its references when it was calibrated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
import PIL

from ..artefact import sha256_json, to_json
from ..errors import DegradeError
from ..images import Pixels, resize_bicubic
from . import binned, bsrgan, camera, pipeline, realesrgan
from .camera import Camera
from .camera_ranges import CameraRanges
from .pipeline import Pipeline
from .ranges import SecondOrderRanges
from .settings import read
from .theta import SecondOrder

DegraderKind = Literal["binned", "realesrgan", "bsrgan", "bsrgan-plus", "camera", "bicubic"]
KINDS: tuple[DegraderKind, ...] = get_args(DegraderKind)
Theta = Pipeline | SecondOrder | Camera | None  # None: nothing but the bicubic resize


@dataclass(frozen=True)
class Degrader:
    """One kind with its settings. Made by `open_degrader`."""

    kind: DegraderKind
    settings: dict[str, Any]  # plain JSON: all that an LR depends on beside seed, pair and HR
    draw: Callable[[int, int, int], Theta]  # seed, pair, scale -> the parameters of a pair

    @property
    def sha256(self) -> str:
        """Names the degrader in plans and manifests. The libraries count: another codec makes other bytes."""
        libraries = {"opencv": cv2.__version__, "numpy": np.__version__, "pillow": PIL.__version__}
        return sha256_json({"kind": self.kind, "settings": self.settings, "libraries": libraries})

    def degrade(
        self, hr: Pixels, *, scale: int, seed: int, pair: int, noise_seed: int
    ) -> tuple[Pixels, dict[str, Any]]:
        """(LR, record) of one pair. hr: uint8 [scale*h, scale*w, 3] sRGB; LR: uint8 [h, w, 3].

        seed, pair: 0 .. 2^64 - 1, decide the parameters; noise_seed: 0 or more, the noise's realisation. The record is
        plain JSON, and `replay` makes the same LR from it.
        """
        theta = self.draw(seed, pair, scale)
        record: dict[str, Any] = {"kind": self.kind}
        if theta is not None:
            record |= {"noise_seed": noise_seed, "parameters": theta.to_json()}
        return _apply(theta, hr, scale, noise_seed), record


def replay(record: Mapping[str, Any], hr: Pixels, *, scale: int) -> Pixels:
    """The LR of a manifest's record, byte for byte where the libraries are the same. Raises DegradeError for a record
    that is none."""
    kind = record.get("kind")
    if kind not in KINDS:
        raise DegradeError(f"A record is of the kind {kind!r}", wanted=f"one of {', '.join(KINDS)}")
    if kind == "bicubic":
        return _apply(None, hr, scale, 0)
    of_kind: dict[str, type[SecondOrder | Camera]] = {"realesrgan": SecondOrder, "camera": Camera}
    theta = of_kind.get(kind, Pipeline).from_json(record["parameters"])
    return _apply(theta, hr, scale, record["noise_seed"])


def open_degrader(kind: DegraderKind, options: Path | None = None, weights: Path | None = None) -> Degrader:
    """A degrader with its published settings, or with those of a TOML file laid over them.

    weights: weights.json, for binned alone; it brings its own space. Raises DegradeError for files that do not fit.
    """
    if weights is not None and kind != "binned":
        raise DegradeError(f"weights were given to the degrader {kind}", wanted="weights with binned only")
    if kind == "bicubic":
        if options is not None:
            raise DegradeError("the degrader bicubic has no settings", mend="leave its options out")
        return Degrader(kind, {}, _nothing)
    if kind == "realesrgan":
        second_order = read(SecondOrderRanges, kind, options)
        return _with(kind, second_order, partial(_realesrgan, ranges=second_order))
    if kind == "bsrgan":
        shuffled = read(bsrgan.BSRGANRanges, kind, options)
        return _with(kind, shuffled, partial(_bsrgan, ranges=shuffled))
    if kind == "bsrgan-plus":
        plus = read(bsrgan.BSRGANPlusRanges, kind, options)
        return _with(kind, plus, partial(_bsrgan_plus, ranges=plus))
    if kind == "camera":
        cameras = read(CameraRanges, kind, options)
        return _with(kind, cameras, partial(_camera, ranges=cameras))
    return _binned(options, weights)


def _binned(options: Path | None, weights: Path | None) -> Degrader:
    if weights is None:
        space, shares = read(binned.Space, "binned", options), None
    elif options is None:
        found = binned.read_weights(weights)
        space, shares = found.space, found.weights
    else:
        raise DegradeError("both weights and options were given", wanted="one: weights.json holds its own space")
    settings = {"space": to_json(space), "weights": to_json(shares)}
    return Degrader("binned", settings, partial(_drawn_binned, space=space, shares=shares))


# Of (seed, pair, scale), as named functions: a degrader is sent to worker processes.


def _nothing(seed: int, pair: int, scale: int) -> None:
    return None


def _realesrgan(seed: int, pair: int, scale: int, *, ranges: SecondOrderRanges) -> Theta:
    return realesrgan.draw(seed, pair, ranges)


def _bsrgan(seed: int, pair: int, scale: int, *, ranges: bsrgan.BSRGANRanges) -> Theta:
    return bsrgan.draw(seed, pair, scale=scale, ranges=ranges)


def _bsrgan_plus(seed: int, pair: int, scale: int, *, ranges: bsrgan.BSRGANPlusRanges) -> Theta:
    return bsrgan.draw_plus(seed, pair, scale=scale, ranges=ranges)


def _camera(seed: int, pair: int, scale: int, *, ranges: CameraRanges) -> Theta:
    return camera.draw(seed, pair, ranges)


def _drawn_binned(seed: int, pair: int, scale: int, *, space: binned.Space, shares: Any) -> Theta:
    return binned.draw(seed, pair, space, shares)


def _with(kind: DegraderKind, settings: Any, draw: Callable[[int, int, int], Theta]) -> Degrader:
    return Degrader(kind, to_json(settings), draw)


def _apply(theta: Theta, hr: Pixels, scale: int, noise_seed: int) -> Pixels:
    if isinstance(theta, SecondOrder):
        return realesrgan.apply(hr, theta, scale=scale, noise_seed=noise_seed)
    if isinstance(theta, Pipeline):
        return pipeline.apply(hr, theta, scale=scale, noise_seed=noise_seed)
    if isinstance(theta, Camera):
        return camera.apply(hr, theta, scale=scale, noise_seed=noise_seed)
    return resize_bicubic(hr, (hr.shape[0] // scale, hr.shape[1] // scale))
