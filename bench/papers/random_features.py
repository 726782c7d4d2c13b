"""Features that favour no generator: AlexNet's first convolution with weights drawn from a seed, at every place.

A Fréchet distance over trained features asks what they were trained for; over random filters it compares the statistics
of small patches (11 x 11 pixels), which is where blur, noise and JPEG are. It is a measure of rows that must stay
comparable, so it is fixed here, apart from what `calib` finds best for its own purpose.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .true_pairs import Image

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, in 0..1
FILTERS, SIDE, STRIDE, PADDING = 64, 11, 4, 2  # Krizhevsky 2014, layer 1


def filters(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Weights [64, 3, 11, 11] and biases [64], uniform in +-1/sqrt(fan in) as PyTorch starts, from numpy's Philox: the
    same in every release."""
    dice, reach = np.random.Generator(np.random.Philox(seed)), float(3 * SIDE * SIDE) ** -0.5
    return dice.uniform(-reach, reach, (FILTERS, 3, SIDE, SIDE)), dice.uniform(-reach, reach, FILTERS)


def random_features(images: Sequence[Image]) -> np.ndarray:
    """float32 [n, places, 64] of images of one size."""
    import torch
    import torch.nn.functional as F

    weight, bias = (torch.from_numpy(values).float() for values in filters())
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    with torch.inference_mode():
        x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
        answers = F.conv2d((x - mean) / std, weight, bias, stride=STRIDE, padding=PADDING)
        return np.asarray(answers.flatten(2).transpose(1, 2).numpy(), np.float32)
