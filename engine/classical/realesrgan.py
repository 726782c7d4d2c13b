"""The second-order degradation of Real-ESRGAN (Wang et al., ICCV-W 2021, section 3): drawn, then applied.

    LR = stage2(stage1(HR)),   stage = blur -> resize -> noise -> JPEG,   then a last resize and sinc (Fig. 2)

`draw` makes every random choice and returns it as plain numbers (`SecondOrder`, which a manifest can hold);
`apply` carries them out on an image. Only the noise's realisation is left, and that has a seed of its own.
Sample `index` never depends on the samples before it.

**What a sigma means.** Blur sigmas are in pixels of the image that is blurred, as published: HR pixels in
stage 1 whatever the scale, so that sigma 2 is 0.5 LR pixels at scale 4 and 1.0 at scale 2; in stage 2,
pixels of what stage 1 left (HR times the drawn factor). The last sinc is laid on the LR. Noise levels are
in grey levels of 0..255.

Departures from the published training code, each for a reason: the HR is not sharpened first (a trick of
the GAN's training, not a degradation); JPEG is the real codec (4:2:0, integer quality), as the
differentiable stand-in was needed only on a GPU; large Poisson counts come from a normal (`operations.poisson`),
which is several times faster.
"""

from __future__ import annotations

import numpy as np

from ..images import Pixels
from . import operations
from .degrader import Degrader
from .dice import chance, pick, throw, uniform
from .ranges import CAMERA, REALESRGAN, SecondOrderRanges, StageRanges
from .theta import Blur, BlurKind, Mode, Noise, Resize, SecondOrder

__all__ = ["CAMERA", "REALESRGAN", "Blur", "Noise", "RealESRGANDegrader", "Resize", "SecondOrder", "SecondOrderRanges",
           "StageRanges", "apply", "draw"]  # fmt: skip

_KINDS: tuple[BlurKind, ...] = (
    "iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso",
)  # fmt: skip


# ---- drawing ----


def draw(seed: int, index: int, ranges: SecondOrderRanges = REALESRGAN) -> SecondOrder:
    """The parameters of sample `index` of the stream `seed` (both 0 .. 2^64 - 1): a pure function of its
    arguments."""
    dice = throw(seed, index)
    first, second = ranges.first, ranges.second

    if chance(dice, ranges.identity_prob):
        return SecondOrder(None, None, None, None, None, None, None, None, _mode(dice, ranges), None, jpeg_last=True)
    return SecondOrder(
        blur1=_draw_blur(dice, first, ranges),
        resize1=_draw_resize(dice, first, ranges),
        noise1=_draw_noise(dice, first),
        jpeg1=_draw_jpeg(dice, first),
        blur2=_draw_blur(dice, second, ranges),
        resize2=_draw_resize(dice, second, ranges),
        noise2=_draw_noise(dice, second),
        jpeg2=_draw_jpeg(dice, second),
        final_mode=_mode(dice, ranges),
        final_sinc=_draw_final_sinc(dice, ranges),
        jpeg_last=chance(dice, ranges.jpeg_last_prob),
    )


def _draw_blur(dice: np.random.Generator, stage: StageRanges, ranges: SecondOrderRanges) -> Blur | None:
    if chance(dice, stage.skip_blur):
        return None
    size = ranges.kernel_sizes[int(dice.integers(len(ranges.kernel_sizes)))]
    if chance(dice, stage.sinc_prob):
        lowest = np.pi / 3 if size < 13 else np.pi / 5  # a small kernel cannot hold a low cutoff
        return Blur("sinc", size, cutoff=uniform(dice, lowest, np.pi))
    kind = _KINDS[pick(dice, stage.kernel_prob)]
    sigma_x = sigma_y = uniform(dice, *stage.blur_sigma)
    rotation = 0.0
    if kind.endswith("aniso"):
        sigma_y = uniform(dice, *stage.blur_sigma)
        rotation = uniform(dice, -np.pi, np.pi)
    beta = 1.0
    if kind.startswith(("generalized", "plateau")):
        low, high = stage.betag_range if kind.startswith("generalized") else stage.betap_range
        beta = uniform(dice, low, 1.0) if chance(dice, 0.5) else uniform(dice, 1.0, high)
    return Blur(kind, size, sigma_x, sigma_y, rotation, beta)


def _draw_resize(dice: np.random.Generator, stage: StageRanges, ranges: SecondOrderRanges) -> Resize | None:
    if chance(dice, stage.skip_resize):
        return None
    direction = pick(dice, stage.resize_prob)
    low, high = ((1.0, stage.resize_range[1]), (stage.resize_range[0], 1.0), (1.0, 1.0))[direction]
    return Resize(uniform(dice, low, high), _mode(dice, ranges))


def _draw_noise(dice: np.random.Generator, stage: StageRanges) -> Noise | None:
    if chance(dice, stage.skip_noise):
        return None
    gaussian = chance(dice, stage.gaussian_noise_prob)
    level = uniform(dice, *(stage.noise_range if gaussian else stage.poisson_scale_range))
    return Noise("gaussian" if gaussian else "poisson", level, gray=chance(dice, stage.gray_noise_prob))


def _draw_jpeg(dice: np.random.Generator, stage: StageRanges) -> int | None:
    if chance(dice, stage.skip_jpeg):
        return None
    return int(dice.integers(stage.jpeg_range[0], stage.jpeg_range[1] + 1))


def _draw_final_sinc(dice: np.random.Generator, ranges: SecondOrderRanges) -> Blur | None:
    if not chance(dice, ranges.final_sinc_prob):
        return None
    size = ranges.kernel_sizes[int(dice.integers(len(ranges.kernel_sizes)))]
    return Blur("sinc", size, cutoff=uniform(dice, np.pi / 3, np.pi))


def _mode(dice: np.random.Generator, ranges: SecondOrderRanges) -> Mode:
    return ranges.resize_modes[int(dice.integers(len(ranges.resize_modes)))]


# ---- applying ----


def apply(hr: Pixels, theta: SecondOrder, *, scale: int, noise_seed: int) -> Pixels:
    """Degrade `hr` (uint8 [H, W, 3] RGB) to uint8 [H/scale, W/scale, 3] RGB by `theta`.

    The same arguments give the same bytes; `noise_seed` (>= 0) matters only where theta has noise. Raises
    DegradeError if H or W is not a multiple of `scale` (crop first, at the top left) or the array is not
    such an image.
    """
    height, width = operations.check(hr, scale, noise_seed)
    dice = np.random.Generator(np.random.SFC64(noise_seed))
    image = operations.to_floats(hr)

    image = operations.blur(image, theta.blur1)
    if theta.resize1:
        factor = theta.resize1.factor
        image = operations.resize(image, int(height * factor), int(width * factor), theta.resize1.mode)
    image = operations.add_noise(image, theta.noise1, dice)
    image = operations.jpeg(image, theta.jpeg1)

    image = operations.blur(image, theta.blur2)
    if theta.resize2:
        factor = theta.resize2.factor
        image = operations.resize(image, int(height / scale * factor), int(width / scale * factor), theta.resize2.mode)
    image = operations.add_noise(image, theta.noise2, dice)

    if not theta.jpeg_last:
        image = operations.jpeg(image, theta.jpeg2)
    image = operations.resize(image, height // scale, width // scale, theta.final_mode)
    image = operations.blur(image, theta.final_sinc)
    if theta.jpeg_last:
        image = operations.jpeg(image, theta.jpeg2)
    return operations.to_pixels(image)


class RealESRGANDegrader(Degrader):
    """`--degrader realesrgan`."""

    kind, title = "realesrgan", "Real-ESRGAN"
    settings_of, theta = SecondOrderRanges, SecondOrder
    apply = staticmethod(apply)

    def draw(self, seed: int, pair: int, scale: int) -> SecondOrder:
        return draw(seed, pair, self.ranges)
