"""A camera's lens and the kernel that brings its image to the LR grid.

**The lens** is laid on as its transfer function, the product of what its parts have (f in cycles per LR pixel):

    Gaussian     exp(-2 pi^2 sigma^2 f^2)                          aberrations and the pixel's own area
    disk         2 J1(2 pi r f) / (2 pi r f)                       defocus of radius r
    line         sin(pi l f_a) / (pi l f_a)                        motion of length l along the angle a
    tail         (1 - w) + w exp(-2 pi^2 s^2 f^2)                  veiling glare: a share w spread over s

(Goodman, Introduction to Fourier Optics, 6.4; Levin et al., CVPR 2009, for motion.) So a lens means the same on every
grid. It works on two samples per LR pixel where the HR has as many: a finer HR is first averaged to that grid, and the
variance that this adds is taken off the Gaussian.

**The kernels** are those of image libraries and cameras' firmware (Turkowski, Filters for Common Resampling Tasks,
1990; Keys 1981 for the cubics). `antialias` is their width in LR pixels: 1 is the textbook's, less lets aliases pass.
All of it is symmetric about the middle of an LR pixel, so nothing moves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from .kernels import Kernel, bessel_j1
from .operations import Floats

ShrinkKind = Literal["area", "bilinear", "bicubic", "sharp-bicubic", "lanczos2", "lanczos3"]
_REACH = {"area": 0.5, "bilinear": 1.0, "bicubic": 2.0, "sharp-bicubic": 2.0, "lanczos2": 2.0, "lanczos3": 3.0}


@dataclass(frozen=True)
class Lens:
    """Lengths in LR pixels, angles in radians from the row's direction. A length of 0 leaves its part out."""

    sigma_x: float
    sigma_y: float
    rotation: float  # of the Gaussian
    defocus: float  # radius
    motion: float  # length
    motion_angle: float
    tail: float  # share of the light, 0..1
    tail_sigma: float

    @property
    def width(self) -> float:
        """Root of the mean variance along the axes, without the tail."""
        return math.sqrt((self.sigma_x**2 + self.sigma_y**2) / 2 + self.defocus**2 / 4 + self.motion**2 / 24)


@dataclass(frozen=True)
class Shrink:
    """The kernel of the resize. At scale 1 there is none."""

    kind: ShrinkKind
    antialias: float  # 0.5 .. 1


def expose(image: Floats, lens: Lens | None, scale: int) -> tuple[Floats, int]:
    """The HR behind the lens, and how many of its samples, along one axis, make an LR pixel: 1, 2 or an odd scale."""
    per = scale
    taken = 0.0
    if scale % 2 == 0 and scale > 2:
        factor, per = scale // 2, 2
        height, width = image.shape[0] // factor, image.shape[1] // factor
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
        taken = (factor**2 - 1) / 12 / scale**2  # variance of averaging `factor` samples, LR pixels²
    if lens is None:
        return image, per
    return np.asarray(cv2.filter2D(image, -1, kernel_of(lens, per, taken), borderType=cv2.BORDER_REFLECT_101)), per


def shrink(image: Floats, theta: Shrink, per: int) -> Floats:
    """The image with `per` samples per LR pixel on the LR grid."""
    if per == 1:
        return image
    row = _taps(theta, per)
    first = (per - 1) // 2
    anchor = (len(row) - 1) // 2
    shape = cv2.sepFilter2D(image, -1, row, row, anchor=(anchor, anchor), borderType=cv2.BORDER_REFLECT_101)
    return np.ascontiguousarray(shape[first::per, first::per])


@lru_cache(maxsize=64)
def kernel_of(lens: Lens, per: int, taken: float = 0.0) -> Kernel:
    """The lens on a grid of `per` samples per LR pixel: float32 [n, n], n odd, sum 1. taken: variance to take off."""
    core = max(lens.width, lens.motion / 3)
    reach = max(4 * core, 3 * lens.tail_sigma if lens.tail else 0.0)
    size = 2 * (math.ceil(reach * per) + 2) + 1
    f = np.fft.fftfreq(size) * per
    y, x = f[:, None], f[None, :]
    squared = x**2 + y**2
    along = np.cos(lens.rotation) * x + np.sin(lens.rotation) * y
    across = np.cos(lens.rotation) * y - np.sin(lens.rotation) * x
    wide, high = (max(sigma**2 - taken, 0.0) for sigma in (lens.sigma_x, lens.sigma_y))
    transfer = np.exp(-2 * np.pi**2 * (wide * along**2 + high * across**2))
    if lens.defocus:
        transfer = transfer * _disk(2 * np.pi * lens.defocus * np.sqrt(squared))
    if lens.motion:
        transfer = transfer * np.sinc(lens.motion * (np.cos(lens.motion_angle) * x + np.sin(lens.motion_angle) * y))
    if lens.tail:
        transfer = transfer * (1 - lens.tail + lens.tail * np.exp(-2 * np.pi**2 * lens.tail_sigma**2 * squared))
    return np.asarray(np.fft.fftshift(np.fft.ifft2(transfer).real), np.float32)


def _disk(z: npt.NDArray[Any]) -> npt.NDArray[Any]:
    at, values = _disk_table()
    return np.asarray(np.interp(z, at, values))


@lru_cache(maxsize=1)
def _disk_table() -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """2 J1(z) / z over 0..90, fine enough for linear interpolation to err by less than 1e-5."""
    at = np.linspace(0.0, 90.0, 8192)
    values = np.ones_like(at)
    values[1:] = 2 * bessel_j1(at[1:]) / at[1:]
    return at, values


@lru_cache(maxsize=256)
def _taps(theta: Shrink, per: int) -> npt.NDArray[np.float32]:
    """The kernel's samples about the middle of an LR pixel: as many as `per` is odd or even, sum 1."""
    width = max(theta.antialias, 1 / per)
    half = max(1, math.ceil(_REACH[theta.kind] * width * per))
    at = np.arange(-half, half) + 0.5 if per % 2 == 0 else np.arange(-half, half + 1, dtype=np.float64)
    values = _shape(theta.kind, np.abs(at) / (width * per))
    return np.asarray(values / values.sum(), np.float32)


def _shape(kind: ShrinkKind, t: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The kernel at distances t of 0 or more, in its own pixels."""
    inside = t < _REACH[kind]
    if kind == "area":
        return np.where(t <= 0.5, 1.0, 0.0)
    if kind == "bilinear":
        return np.where(inside, 1 - t, 0.0)
    if kind.startswith("lanczos"):
        return np.where(inside, np.sinc(t) * np.sinc(t / _REACH[kind]), 0.0)
    a = -0.5 if kind == "bicubic" else -0.75
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * (t**3 - 5 * t**2 + 8 * t - 4)
    return np.where(t < 1, near, np.where(inside, far, 0.0))
