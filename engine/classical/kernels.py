"""The blur kernels of the classical degradations: Gaussians, their generalised and plateau forms, and sinc.

They are the definitions of Real-ESRGAN (ICCV-W 2021, section 3) and its training code. With the covariance
C = U diag(sigma_x^2, sigma_y^2) U^T, U the rotation, and the squared Mahalanobis radius q = r^T C^-1 r:

    Gaussian      exp(-q / 2)
    generalised   exp(-q^beta / 2)
    plateau       1 / (1 + q^beta)
    sinc          omega_c / (2 pi rho) * J1(omega_c rho)         (circular low pass; rho in pixels)

Every kernel is a float32 [size, size] array, size odd, that sums to 1; x runs along columns, y along rows,
and sigma is in pixels of whatever image the kernel is laid on. J1 is computed here, so that SciPy is not
needed.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..errors import DegradeError

Kernel = npt.NDArray[np.float32]
_Grid = npt.NDArray[np.float64]

SMALLEST_SIGMA = 0.05  # a narrower Gaussian is a single pixel to within 1e-86, and sigma 0 would divide by zero


def gaussian(
    size: int, sigma_x: float, sigma_y: float | None = None, rotation: float = 0.0, beta: float = 1.0
) -> Kernel:
    """Gaussian (beta = 1) or generalised Gaussian of covariance (sigma_x, sigma_y, rotation in radians).

    `sigma_y` None means isotropic. Sigmas below SMALLEST_SIGMA give the pulse. A smaller beta has heavier
    tails.
    """
    if sigma_x < SMALLEST_SIGMA and (sigma_y is None or sigma_y < SMALLEST_SIGMA):
        return pulse(size)
    return _normalised(np.exp(-0.5 * _mahalanobis(size, sigma_x, sigma_y, rotation) ** beta))


def plateau(
    size: int, sigma_x: float, sigma_y: float | None = None, rotation: float = 0.0, beta: float = 1.0
) -> Kernel:
    """Plateau-shaped kernel 1 / (1 + q^beta): half its height where q = 1; larger beta has a flatter top."""
    if sigma_x < SMALLEST_SIGMA and (sigma_y is None or sigma_y < SMALLEST_SIGMA):
        return pulse(size)
    return _normalised(1.0 / (1.0 + _mahalanobis(size, sigma_x, sigma_y, rotation) ** beta))


def sinc(size: int, cutoff: float) -> Kernel:
    """Circular low-pass kernel of cutoff frequency `cutoff` (radians per pixel, 0 < cutoff <= pi): it rings."""
    if not 0.0 < cutoff <= np.pi:
        raise DegradeError(f"A sinc kernel's cutoff is {cutoff:g}", wanted="0 < cutoff <= pi radians per pixel")
    x, y = _axes(size)
    rho = np.hypot(x, y)
    middle = size // 2
    rho[middle, middle] = 1.0  # any number: the limit at 0 is set below
    kernel = cutoff * bessel_j1(cutoff * rho) / (2.0 * np.pi * rho)
    kernel[middle, middle] = cutoff**2 / (4.0 * np.pi)
    return _normalised(kernel)


def pulse(size: int) -> Kernel:
    """The kernel that changes nothing."""
    _check(size)
    kernel = np.zeros((size, size), np.float32)
    kernel[size // 2, size // 2] = 1.0
    return kernel


def products(kernel: Kernel, most: int) -> tuple[tuple[Kernel, Kernel], ...]:
    """The kernel as a sum of at most `most` (row, column) products, each [size]; empty if so few do not do.

    A Gaussian on the axes is one product, the others four to eight (the singular values fall fast). OpenCV takes
    a Fourier transform for kernels of 13 and more: on 256 x 256 pixels 5 ms, against 0.35 ms a product. What is
    left out of the sum changes no pixel by more than 0.05 grey levels.
    """
    rest = kernel.astype(np.float64)
    columns, strengths, rows = np.linalg.svd(rest)
    terms: list[tuple[Kernel, Kernel]] = []
    while 255.0 * np.abs(rest).sum() > 0.05:
        at = len(terms)
        if at == most:
            return ()
        column, row = columns[:, at] * strengths[at], rows[at]
        rest = rest - np.outer(column, row)
        terms.append((row.astype(np.float32), column.astype(np.float32)))
    return tuple(terms)


def without_denormals(taps: Kernel) -> Kernel:
    """The taps of a kernel, or of one of its products, with 0 for those that are too small for a normal float.

    They are less than float32 holds beside the next tap, and a processor may take ten times as long over them. Taps
    that would become symmetric, or antisymmetric, stay: OpenCV sums those in another order.
    """
    kept = np.where(np.abs(taps) < np.finfo(np.float32).tiny, np.float32(0), taps)
    return taps if taps.ndim == 1 and _symmetry(kept) != _symmetry(taps) else kept


def _symmetry(taps: Kernel) -> tuple[bool, bool]:
    return np.array_equal(taps, taps[::-1]), np.array_equal(taps, -taps[::-1])


def bessel_j1(x: _Grid) -> _Grid:
    """J1(x) = 2/pi * integral of sin(t) sin(x sin t) over 0..pi/2, by the midpoint rule with 40 points.

    The integrand is periodic and analytic, so the rule converges faster than any power: the error is below
    1e-13 for |x| <= 90, and a 21 x 21 kernel needs at most 10 sqrt(2) pi = 44.5.
    """
    sines = np.sin((np.arange(40) + 0.5) * (np.pi / 80.0))
    return np.asarray(np.sin(x[..., None] * sines) @ sines) / 40.0


def _mahalanobis(size: int, sigma_x: float, sigma_y: float | None, rotation: float) -> _Grid:
    x, y = _axes(size)
    sx = max(sigma_x, SMALLEST_SIGMA)
    sy = sx if sigma_y is None else max(sigma_y, SMALLEST_SIGMA)
    along = (np.cos(rotation) * x + np.sin(rotation) * y) / sx  # coordinates in the axes of U
    across = (np.cos(rotation) * y - np.sin(rotation) * x) / sy
    return np.asarray(along**2 + across**2)


@lru_cache(maxsize=32)
def _axes(size: int) -> tuple[_Grid, _Grid]:
    _check(size)
    steps = np.arange(size, dtype=np.float64) - size // 2
    x, y = np.meshgrid(steps, steps)
    return x, y


def _normalised(kernel: _Grid) -> Kernel:
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def _check(size: int) -> None:
    if size < 1 or size % 2 == 0:
        raise DegradeError(f"A blur kernel's size is {size}", wanted="an odd number of pixels, at least 1")
