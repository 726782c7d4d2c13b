"""How near is a generated LR to the real one? Fidelity (PSNR, SSIM) and realism (sharpness, noise, degradation
features).

Images are uint8 RGB [h, w, 3]; every figure is in dB or in grey levels of 0..255.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..calib.frechet import frechet as frechet

Image = np.ndarray


def psnr(a: Image, b: Image) -> float:
    """Peak signal to noise ratio over all RGB values, dB."""
    mse = np.square(a.astype(np.float64) - b.astype(np.float64)).mean()
    return float(10 * np.log10(255.0**2 / max(mse, 1e-10)))


def ssim(a: Image, b: Image) -> float:
    """Structural similarity with the 11-tap Gaussian of Wang et al. 2004 (scikit-image), mean over RGB."""
    from skimage.metrics import structural_similarity

    return float(structural_similarity(a, b, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5,
                                       use_sample_covariance=False))  # fmt: skip


def gray(a: Image) -> np.ndarray:
    """ITU-R 601 luma, float32 [h, w]."""
    return cv2.cvtColor(a, cv2.COLOR_RGB2GRAY).astype(np.float32)


def laplacian_std(a: Image) -> float:
    """Standard deviation of the 4-neighbour Laplacian of the gray image: sharpness (and noise), grey levels."""
    return float(cv2.Laplacian(gray(a), cv2.CV_32F, ksize=1).std())


def noise_std(a: Image) -> float:
    """Median absolute deviation of the diagonal Haar detail / 0.6745 (Donoho and Johnstone 1994): noise, grey
    levels."""
    g = gray(a)
    g = g[: g.shape[0] // 2 * 2, : g.shape[1] // 2 * 2]
    diagonal = (g[::2, ::2] - g[::2, 1::2] - g[1::2, ::2] + g[1::2, 1::2]) / 2
    return float(np.median(np.abs(diagonal)) / 0.6745)


def blockiness(a: Image) -> float:
    """Mean step across the borders of 8x8 blocks less that across all other columns and rows, grey levels: JPEG."""
    g = gray(a)
    total = 0.0
    for h in (np.abs(np.diff(g, axis=1)).mean(axis=0), np.abs(np.diff(g, axis=0)).mean(axis=1)):
        border = np.arange(len(h)) % 8 == 7
        total += float(h[border].mean() - h[~border].mean())
    return total / 2


def interval(values: np.ndarray, seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (draws, len(values)))].mean(1)
    return float(np.percentile(means, 2.5)), float(np.percentile(means, 97.5))
