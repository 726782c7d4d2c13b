"""Features that favour no generator: AlexNet's first convolution with weights drawn from a seed, at every place.

A Fréchet distance over trained features asks what they were trained for; over random filters it compares the statistics
of small patches (11 x 11 pixels), which is where blur, noise and JPEG are. It is a measure of rows that must stay
comparable, so what is done with the filters is fixed here, apart from what `calib` finds best for its own purpose.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from degrade_engine.calib.features import MEAN, STD, filters

from .true_pairs import Image

STRIDE, PADDING = 4, 2  # Krizhevsky 2014, layer 1


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
