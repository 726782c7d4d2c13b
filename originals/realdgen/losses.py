"""RealDGen's losses: eq. 2 and 6 (L2), eq. 4 (contrastive), Algorithm 1 (eps)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def reconstruction(x_hat: Tensor, x: Tensor) -> Tensor:
    """L_rh of eq. 2 and L_rl of eq. 6: mean squared error, FP32."""
    return F.mse_loss(x_hat.float(), x.float())


def contrastive(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 0.01) -> tuple[Tensor, Tensor]:
    """L_cl of eq. 4, summed over the n samples of an anchor, mean over anchors; and the share of triplets in the
    right order.

    anchor [A, D], positive and negative [A·n, D]. d is the L2 distance; vectors are brought to unit length first,
    without which a margin of 0.01 has no scale (the paper does not say).
    """
    n = len(positive) // len(anchor)
    a, p, q = (F.normalize(v.float(), dim=1) for v in (anchor, positive, negative))
    a = a.repeat_interleave(n, dim=0)
    near, far = (a - p).square().sum(1).add(1e-8).sqrt(), (a - q).square().sum(1).add(1e-8).sqrt()
    loss = F.relu(near - far + margin)
    return loss.reshape(-1, n).sum(1).mean(), (near < far).float().mean()


def diffuse(x_0: Tensor, eps: Tensor, t: Tensor, abar: Tensor) -> Tensor:
    """x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps (Algorithm 1 line 8; the printed alpha_t is abar_t). t [B] in
    1..T."""
    a = abar[t][:, None, None, None]
    return a.sqrt() * x_0 + (1 - a).sqrt() * eps


START_T, START_LAST = 8, 120  # the starts tau of the generations that training imitates


def remains_of_start(t: Tensor, abar: Tensor, generator: torch.Generator) -> Tensor:
    """How much of (start - x_0) is left in a generation's x_t, [B] in 0..1; 0 above START_LAST.

    A generation that began at tau from the start image and guessed x_0 rightly has, by DDIM's own arithmetic,
    sigma_t/sigma_tau of the difference left at t <= tau, sigma² = (1 - abar)/abar. Half the rows are at their first
    call (tau = t, the whole difference), the others somewhere below a tau drawn uniformly. A network that was shown
    the first call alone keeps some of the start's sharpness, the more of it the more calls it is given.
    """
    sigma = ((1 - abar) / abar).sqrt()
    first = t.clamp_min(START_T)
    tau = first + (torch.rand(len(t), generator=generator).to(t.device) * (START_LAST + 1 - first)).long()
    tau = torch.where(torch.rand(len(t), generator=generator).to(t.device) < 0.5, first, tau)
    return (t <= START_LAST) * sigma[t] / sigma[tau.clamp(max=START_LAST).maximum(t)]


def diffuse_as_generated(
    x_0: Tensor, base: Tensor, eps: Tensor, t: Tensor, abar: Tensor, noise: Tensor, kept: Tensor
) -> tuple[Tensor, Tensor]:
    """(x_t, eps) as generation meets them, where Algorithm 1 does not: x_t = sqrt(abar) base + r sqrt(1 - abar) eps.

    The eps to be learnt is the one that leads from x_t to x_0, (x_t - sqrt(abar) x_0) / sqrt(1 - abar). With base = x_0
    and kept = 1 this is Algorithm 1 line 8.

    **base** [B, 3, h, w] is x_0, or in some rows what a generation has in its place: x_0 and the `remains_of_start`. A
    network that was only ever shown noised real LR takes the start's sharpness for real (a bicubic start kept it up to
    tau = 100).

    **kept** [B] in 0..1. `noise` is the part of x_0 that is noise, its variance s². An ordinary x_t holds it beside the
    drawn eps, so its noise, (1 - abar)/abar + s², tells the network how noisy the target is and nobody need look at the
    reference. A generation's start is clean: its x_t holds (1 - abar)/abar alone, says "no noise", and is believed. So
    eps is drawn that much weaker, r² = 1 - (1 - kept) s² abar/(1 - abar), not below 0: at kept = 0 the whole noise of
    x_t is what t says, s² is a part of it, and only F_deg says which.
    """
    a = abar[t][:, None, None, None]
    s2 = noise.square().mean(dim=(1, 2, 3), keepdim=True)
    r = (1 - (1 - kept[:, None, None, None]) * s2 * a / (1 - a)).clamp_min(0).sqrt()
    x_t = a.sqrt() * base + r * (1 - a).sqrt() * eps
    return x_t, (x_t - a.sqrt() * x_0) / (1 - a).sqrt()


def noise_error(s: Tensor, wanted: Tensor) -> Tensor:
    """How far s [B] lies from the noise it should find: the mean square of log(s + 0.01) less the nearest such value in
    the range wanted [B, 2] (least, most), standard deviations in the networks' units. A range of one value is a known
    noise, (0, inf) an unknown one. 0.01 is 1.3 grey levels: below it, nobody sees whether noise was met."""
    found, (least, most) = torch.log(s + 0.01), torch.log(wanted + 0.01).unbind(1)
    return (found - found.clamp(least, most)).square().mean()


def draw_t(batch: int, T: int, generator: torch.Generator, low_share: float, low: int) -> Tensor:
    """t ~ Uniform{1..T} (Algorithm 1 line 3); a share of the rows from Uniform{1..low} instead.

    Generation never leaves the last steps (tau at most 300, usually 30): the tiny preset spends `low_share` of its few
    training steps there.
    """
    t = torch.randint(1, T + 1, (batch,), generator=generator)
    focus = torch.randint(1, low + 1, (batch,), generator=generator)
    return torch.where(torch.rand(batch, generator=generator) < low_share, focus, t)
