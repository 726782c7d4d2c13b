"""What a second-order degradation is drawn from: the published ranges, and a milder, camera-like set."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import DegradeError
from .settings import preset
from .theta import Mode

Range = tuple[float, float]
MOST = 1000.0  # of a sigma, a noise, a factor: beyond it nothing is left of an image
MOST_FACTOR = 16.0  # an image is enlarged by: more takes memory without end
MOST_SIDE = 255  # of a kernel, pixels


@dataclass(frozen=True)
class StageRanges:
    """One pass of blur, resize, noise and JPEG. A `skip_*` is the probability that the operation is left
    out."""

    skip_blur: float
    kernel_prob: tuple[float, float, float, float, float, float]  # in the order of theta.BlurKind, without sinc
    sinc_prob: float  # a sinc instead of one of the six
    blur_sigma: Range  # pixels of the image that is blurred, see realesrgan.py
    betag_range: Range  # generalised kernels; half of the draws lie on each side of 1
    betap_range: Range  # plateau kernels; likewise
    skip_resize: float
    resize_prob: tuple[float, float, float]  # up, down, keep
    resize_range: Range  # factors: up to [1] or down to [0]
    skip_noise: float
    gaussian_noise_prob: float  # otherwise poisson
    noise_range: Range  # sigma, grey levels
    poisson_scale_range: Range
    gray_noise_prob: float
    skip_jpeg: float
    jpeg_range: tuple[int, int]  # quality, both ends drawn

    def __post_init__(self) -> None:
        for name in ("skip_blur", "sinc_prob", "skip_resize", "skip_noise", "gaussian_noise_prob",
                     "gray_noise_prob", "skip_jpeg"):  # fmt: skip
            check_probability(name, getattr(self, name))
        for name in ("blur_sigma", "betag_range", "betap_range", "resize_range", "noise_range",
                     "poisson_scale_range", "jpeg_range"):  # fmt: skip
            check_range(name, getattr(self, name))
        for name in ("kernel_prob", "resize_prob"):
            check_shares(name, getattr(self, name))
        if not (0 < self.resize_range[0] <= 1 <= self.resize_range[1] <= MOST_FACTOR):
            raise DegradeError(f"resize_range is {self.resize_range}", wanted=f"0 < low <= 1 <= high <= {MOST_FACTOR}")
        if not (1 <= self.jpeg_range[0] and self.jpeg_range[1] <= 100):
            raise DegradeError(f"jpeg_range is {self.jpeg_range}", wanted="qualities of 1 to 100")


@dataclass(frozen=True)
class SecondOrderRanges:
    """Two stages and the last step. Stage 2's `skip_resize` leaves the image at its size until the last
    resize."""

    first: StageRanges
    second: StageRanges
    kernel_sizes: tuple[int, ...]  # odd
    resize_modes: tuple[Mode, ...]  # one of them, uniformly, at each resize
    final_sinc_prob: float
    jpeg_last_prob: float  # the order resize, sinc, JPEG; otherwise JPEG, resize, sinc
    identity_prob: float  # nothing at all but the resize to the LR size

    def __post_init__(self) -> None:
        for name in ("final_sinc_prob", "jpeg_last_prob", "identity_prob"):
            check_probability(name, getattr(self, name))
        check_sizes("kernel_sizes", self.kernel_sizes)
        if not self.resize_modes:
            raise DegradeError("resize_modes is empty", wanted="area, bilinear, bicubic or antialias")


def check_probability(name: str, value: float) -> None:
    """DegradeError unless it is one."""
    if not 0.0 <= value <= 1.0:
        raise DegradeError(f"{name} is {value}", wanted="a probability, 0 to 1")


def check_shares(name: str, shares: tuple[float, ...]) -> None:
    """DegradeError unless none is negative and they sum to 1."""
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise DegradeError(f"{name} is {shares}", wanted="shares that are not negative and sum to 1")


def check_range(name: str, values: tuple[float, ...], *, ordered: bool = True, most: float = MOST) -> None:
    """DegradeError unless the numbers are 0 to `most` and, where they are a range, in order."""
    inside = all(0 <= value <= most for value in values)
    if not inside or (ordered and values[0] > values[1]):
        wanted = f"0 <= low <= high <= {most:g}" if ordered else f"numbers of 0 to {most:g}"
        raise DegradeError(f"{name} is {values}", wanted=wanted)


def check_sizes(name: str, sizes: tuple[int, ...]) -> None:
    """DegradeError unless they are sides of kernels."""
    if not sizes or any(not 1 <= size <= MOST_SIDE or size % 2 == 0 for size in sizes):
        raise DegradeError(f"{name} is {sizes}", wanted=f"one or more odd numbers of pixels, {MOST_SIDE} at most")


REALESRGAN = preset(SecondOrderRanges, "realesrgan")
"""The option file of RealESRGAN_x4plus, number for number (presets/realesrgan.toml)."""

CAMERA = SecondOrderRanges(
    first=replace(
        REALESRGAN.first,
        kernel_prob=(0.7, 0.3, 0.0, 0.0, 0.0, 0.0),
        sinc_prob=0.0,
        blur_sigma=(0.0, 2.0),
        skip_resize=1.0,
        skip_noise=1.0,
        skip_jpeg=1.0,
    ),
    second=replace(
        REALESRGAN.first,
        skip_blur=1.0,
        resize_prob=(0.0, 0.0, 1.0),
        noise_range=(0.0, 15.0),
        poisson_scale_range=(0.0, 1.5),
        skip_jpeg=0.5,
        jpeg_range=(50, 98),
    ),
    kernel_sizes=(13, 15, 17, 19, 21),  # at least three sigmas each way
    resize_modes=("area", "antialias"),
    final_sinc_prob=0.0,
    jpeg_last_prob=1.0,
    identity_prob=0.1,
)
"""What one camera does, mildly and once: lens blur (0 to 2 HR pixels), sampling without aliasing, sensor
noise on the LR grid, and JPEG for half of the samples; one sample in ten is only resized."""
