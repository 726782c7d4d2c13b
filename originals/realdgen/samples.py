"""One call that returns a sample: F_deg drawn from what the references say, and the score that trains it.

A denoiser trained by eps returns a mean, and a mean has no noise. Trained by the energy score of two samples of a row,

    E|X - x| - 1/2 E|X - X'|

which is smallest where X is distributed as x is (a proper scoring rule, Gneiting and Raftery 2007; used for denoisers
by De Bortoli et al. 2025, "Distributional Diffusion Models with Scoring Rules"), it returns an LR as the camera would
have taken it: one of many.

Two sources of chance, both from the run's seed. The noise of x_tau says what differs from pixel to pixel. What is the
same all over a photograph, how sharp and how noisy it is, comes of a draw of F_deg (`Readings`). The score looks at
both: at small neighbourhoods (`neighbourhoods`) and at figures of the whole crop (`figures`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 3  # of the Haar pyramid
LOG_VARIANCE = -7.5  # where variety and error begin: what crops of one photograph differ by in realdgen-tiny's F_deg
LEVEL = 1 / 127.5  # one grey level in the networks' units


class Readings(nn.Module):
    """From what E_deg reads off several references of one camera to the F_deg of one more shot of it.

    Each number of F_deg is a small model of its own: a camera has a value, each shot of it lies around that value with
    the variance v (learnt, the camera's own variety), and a crop tells its shot's value with an error whose variance
    E_deg itself says (little for a large crop with texture, much for a flat one). So m crops give the camera's value
    with the precision p = sum 1/(v + e_i), and the next shot is drawn with the variance v + 1/p.
    """

    def __init__(self, vector: int) -> None:
        super().__init__()
        self.log_variety = nn.Parameter(torch.full((vector,), LOG_VARIANCE))

    def precision(self, log_error: Tensor) -> Tensor:
        """Of what one reference says of the camera, FP32; log_error of any shape [..., D]."""
        return 1 / (self.log_variety.float().exp() + log_error.float().exp())

    def shot(self, precision: Tensor, weighted: Tensor, w: Tensor) -> Tensor:
        """The F_deg [B, D] of one more shot. precision, weighted [B, D]: sums over the references of the precision, and
        of precision times value; w [B, D] standard normal. All FP32."""
        return weighted / precision + (self.log_variety.float().exp() + 1 / precision).sqrt() * w

    def forward(self, value: Tensor, precision: Tensor, w: Tensor) -> Tensor:
        """value, precision [B, m, D] of the m references of each row, w [B, D] standard normal -> F_deg [B, D]."""
        return self.shot(precision.sum(1), (precision * value).sum(1), w)


def haar(x: Tensor) -> tuple[Tensor, Tensor]:
    """[B, C, h, w], h and w even -> low [B, C, h/2, w/2], high [B, 3, C, h/2, w/2]: orthonormal Haar."""
    a, b, c, d = x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]
    return (a + b + c + d) / 2, torch.stack([a + b - c - d, a - b + c - d, a - b - c + d], 1) / 2


def neighbourhoods(x: Tensor) -> list[Tensor]:
    """x [B, 3, h, w] -> vectors, each [B, dimensions, positions]: the colours and orientations of a Haar band at a
    place, alone and in 2 x 2 neighbours; pixels; what is left below the last band."""
    found, low = [], x
    for level in range(LEVELS):
        low, high = haar(low)
        high = high.flatten(1, 2)
        if level < LEVELS - 1:
            found.append(F.unfold(high, 2, stride=2))
        found.append(high.flatten(2))
    return [*found, 0.5 * x.flatten(2), 0.25 * low.flatten(2)]


def colours(x: Tensor) -> Tensor:
    """RGB [B, 3, h, w] -> luma, and two differences of colours."""
    r, g, b = x.unbind(1)
    return torch.stack([(r + 2 * g + b) / 4, (r - g) / 2, (b - g) / 2], 1)


def bands(x: Tensor) -> list[Tensor]:
    """x [B, 3, h, w] -> the high Haar bands of its luma and colour differences, each [B, 3, 3, h', w']."""
    found, low = [], colours(x)
    for _ in range(LEVELS):
        low, high = haar(low)
        found.append(high)
    return found


def figures(x: Tensor, content: Tensor) -> list[Tensor]:
    """What a whole crop looks like, in vectors [B, n] of numbers near 1: how much of the content's detail has come
    through in each band (sharpness); the logarithm of the power of what else there is in it (noise and its colour);
    and the mean logarithm of the band's power, which its quiet places decide."""
    floor = (0.5 * LEVEL) ** 2
    gains, rests, quiets = [], [], []
    for made, sharp in zip(bands(x), bands(content), strict=True):
        over = (-1, -2)
        power = sharp.square().mean(over)
        gain = (made * sharp).mean(over) / (power + (2 * LEVEL) ** 2)
        rest = (made - gain[..., None, None] * sharp).square().mean(over)
        gains.append(gain[:, :, 0])
        rests.append(torch.log(rest + floor))
        quiets.append(torch.log(made.square() + floor).mean(over))
    rest, quiet = torch.cat(rests, 1), torch.cat(quiets, 1)  # [B, 3 · LEVELS, 3]
    parts = [rest[..., 0], 0.7 * rest[..., 1:].flatten(1), quiet[..., 0], 0.7 * quiet[..., 1:].flatten(1)]
    return [4 * torch.cat(gains, 1), *parts]


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean Euclidean distance over the places, [B]; a, b [B, dimensions, places]."""
    return (a - b).square().sum(1).add(1e-8).sqrt().mean(1)


@dataclass(frozen=True)
class Score:
    """Energy scores of a batch, each a mean over rows. local, whole: to be minimised. error, spread: of the finest
    band, in grey levels; they agree where the samples are as far from each other as from the truth. off: by how much
    the samples' noise lies above the truth's, mean logarithm of the power in the quiet places' finest band."""

    local: Tensor
    whole: Tensor
    error: Tensor
    spread: Tensor
    off: Tensor


def score(one: Tensor, two: Tensor, real: Tensor, content: Tensor) -> Score:
    """Two samples of each row, and the truth, FP32 [B, 3, h, w] in [-1, 1]. A row's local terms are divided by its own
    scale, so that a noisy row does not outweigh ten clean ones."""
    local, errors, spreads = [], [], []
    for p, q, x in zip(*map(neighbourhoods, (one, two, real)), strict=True):
        first, second, apart = distance(p, x), distance(q, x), distance(p, q)
        scale = ((first + second) / 2).detach() + 2 * LEVEL
        local.append(((first + second - apart) / 2 / scale).mean())
        errors.append(first.mean())
        spreads.append(apart.mean())
    whole = []
    seen = [figures(x, content) for x in (one, two, real)]
    for p, q, x in zip(*seen, strict=True):
        first, second, apart = ((a - b).square().sum(1).add(1e-8).sqrt() for a, b in ((p, x), (q, x), (p, q)))
        whole.append(((first + second - apart) / 2).mean())
    off = ((seen[0][3] + seen[1][3]) / 2 - seen[2][3])[:, :3].mean()
    return Score(sum(local) / len(local), sum(whole) / len(whole), errors[1] / LEVEL, spreads[1] / LEVEL, off)  # type: ignore[arg-type]
