"""Features that favour no generator: AlexNet's first convolution with weights drawn from a seed, at every place.

A Fréchet distance over trained features asks what they were trained for; over random filters it compares the statistics
of small patches (11 x 11 pixels), which is where blur, noise and JPEG are. Of whole images it is a measure of images of
the same scenes: light and contrast are most of it. Of fine detail by its own contrast it compares other scenes, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
FILTERS, SIDE = 64, 11
STRIDE, PADDING = 4, 2  # Krizhevsky 2014, layer 1
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, in 0..1


def filters(seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AlexNet's first convolution at random: weights [64, 3, 11, 11] and biases [64], uniform in +-1/sqrt(fan in) as
    PyTorch starts, from numpy's Philox: the same in every release."""
    dice, reach = np.random.Generator(np.random.Philox(seed)), float(3 * SIDE * SIDE) ** -0.5
    return dice.uniform(-reach, reach, (FILTERS, 3, SIDE, SIDE)), dice.uniform(-reach, reach, FILTERS)


def random_features(images: Sequence[NDArray[np.uint8]]) -> Floats:
    """float32 [n, places, 64] of images [h, w, 3] of one size."""
    weights, bias = filters()
    return np.stack([_answers(_normalised(one), weights, STRIDE) + bias.astype(np.float32) for one in images])


def detail_features(images: Sequence[NDArray[np.uint8]]) -> Floats:
    """float32 [n, places, 64] of what is finest in images [h, w, 3] of one size, over what is less fine.

    The filters, without their means, go over the finest band of a Laplacian pyramid (Burt and Adelson 1983). It is
    divided by the root mean square of the next band, which is the content's contrast, one grey level at least.
    """
    weights = filters()[0]
    weights -= weights.mean(axis=(2, 3), keepdims=True)
    found = []
    for image in images:
        fine, half = _band(image.astype(np.float32))
        contrast = max(1.0, float(np.sqrt(np.square(_band(half)[0]).mean())))
        found.append(_answers(fine / contrast, weights, STRIDE))
    return np.stack(found)


def _band(image: Floats) -> tuple[Floats, Floats]:
    """What half the size loses of an image, and the image at half the size."""
    height, width = image.shape[:2]
    half = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    whole = cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(image - whole, np.float32), np.asarray(half, np.float32)


def _normalised(image: NDArray[np.uint8]) -> Floats:
    scaled = (image.astype(np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return np.pad(np.asarray(scaled, np.float32), ((PADDING, PADDING), (PADDING, PADDING), (0, 0)))


def _answers(image: Floats, weights: NDArray[np.float64], stride: int) -> Floats:
    """[places, 64] of a padded image [h, w, 3]."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (SIDE, SIDE), axis=(0, 1))[::stride, ::stride]
    flat = windows.reshape(-1, 3 * SIDE * SIDE)
    return np.asarray(flat @ weights.astype(np.float32).reshape(FILTERS, -1).T, np.float32)
