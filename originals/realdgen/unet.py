"""eps_theta(x_t, c, t): the U-Net of the Decoupled DDPM (RealDGen 2.2; layout of Ho et al. 2020).

The paper conditions on c; how is not printed. Here the first convolution reads [x_t, c], written as the sum of two
convolutions, so that the part that depends on the condition alone is computed once a pair (`condition`), not once a
step.

**Residual preconditioning** (`residual_std` = sigma_r > 0, the tiny preset). M also spells out an image mu = Rec_lr,
so the network need only know what mu is not. With r = x_0 - mu taken as N(0, sigma_r²) and d = x_t - sqrt(abar) mu,
the best linear guess of eps is k_1 d, and the network F learns the rest, at unit input and target variance (as EDM
does, Karras et al. 2022, section 5, for x_0 itself):

    v = abar sigma_r² + (1 - abar)      eps = sqrt(1 - abar)/v · d + sigma_r sqrt(abar/v) · F(d/sqrt(v), c, t)

**Noise gate** (`noise_gate`, the tiny preset). A real LR is an image q with noise of its own on it, and F_deg says how
strong, s. What x_t holds beside q is then as strong as t says, sigma² = (1 - abar)/abar, or stronger, and s² of it must
stay in x_0: for white noise E[x_0 | x_t] = q + s²/sigma² (x_t/sqrt(abar) - q), so

    eps = (1 - min(1, s²/sigma²)) · (what leads from x_t to q)

The reverse process removes noise until it is as strong as the reference's, and then stops. Without the gate the
output of a clean start stayed clean, we think because the network reads the noise of its target off x_t, where training
puts it.

In both the diffusion is untouched: still eps_theta(x_t, c, t), still Algorithms 1 and 2.

**A sample in one call** (`sample`, the small preset; samples.py says how it is trained). The first call's x_tau is mu
and noise, and the noise is all the chance that the network needs to return one of many LR. No gate: s is told to the
first convolution, and so is where a pixel lies in its block of 8 x 8 (`grid`, learnt), for a camera's JPEG has blocks.
After the first call x_t has no chance left that is its own, so further calls bring nothing.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import UNetConfig
from .content import silence

GRID = 4  # planes that say where in a block of 8 x 8 a pixel lies


def timestep_embedding(t: Tensor, width: int) -> Tensor:
    """Sinusoids of t [B] at `width`/2 frequencies from 1 to 1/10000, FP32 [B, width]."""
    frequency = torch.exp(
        -math.log(10000.0) * torch.arange(width // 2, device=t.device, dtype=torch.float32) / (width // 2)
    )
    angle = t.float()[:, None] * frequency[None]
    return torch.cat([angle.cos(), angle.sin()], dim=1)


class GroupNorm(nn.GroupNorm):
    """GroupNorm with its statistics in FP32, whatever the input's type (an FP32 island)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float()).to(x.dtype)


def norm(width: int) -> GroupNorm:
    return GroupNorm(min(32, width // 4), width)


class Block(nn.Module):
    """GroupNorm, SiLU, convolution, twice, the embedding of t added between; a shortcut around."""

    def __init__(self, inp: int, out: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.conv1 = norm(inp), nn.Conv2d(inp, out, 3, padding=1)
        self.embed = nn.Linear(embedding, out)
        self.norm2, self.conv2 = norm(out), nn.Conv2d(out, out, 3, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.shortcut = nn.Conv2d(inp, out, 1) if inp != out else nn.Identity()
        silence(self.conv2)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:  # [B, inp, h, w], [B, embedding]
        h = self.conv1(F.silu(self.norm1(x))) + self.embed(e)[:, :, None, None]
        return self.shortcut(x) + self.conv2(self.dropout(F.silu(self.norm2(h))))


class Attention(nn.Module):
    """Single-head self-attention over the positions, softmax in FP32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = norm(width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        silence(self.out)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, 3, c, h * w).unbind(1)
        weight = torch.softmax(((q / math.sqrt(c)).transpose(1, 2) @ k).float(), dim=-1).to(v.dtype)  # [B, hw, hw]
        return x + self.out((v @ weight.transpose(1, 2)).reshape(b, c, h, w))


class Upsample(nn.Conv2d):
    """Nearest neighbour to twice the size, then the convolution."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # [B, width, h, w] to [B, width, 2h, 2w]
        return super().forward(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class UNet(nn.Module):
    """eps_theta. `condition` once a pair, `forward` once a step. condition: channels of c, and of mu where the residual
    preconditioning is on; 0 for a model without a condition."""

    abar: Tensor  # [T + 1], abar[0] = 1

    def __init__(self, config: UNetConfig, condition: int, abar: np.ndarray) -> None:
        super().__init__()
        self.config = config
        widths = [config.width * m for m in config.multipliers]
        embedding = 4 * config.width
        self.register_buffer("abar", torch.tensor(abar, dtype=torch.float32), persistent=False)
        self.embed = nn.Sequential(
            nn.Linear(config.width, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU()
        )
        self.from_x = nn.Conv2d(3, config.width, 3, padding=1)
        if config.sample:
            condition += 1 + GRID
            self.grid = nn.Parameter(0.1 * torch.randn(GRID, 8, 8))
        self.from_c = nn.Conv2d(condition, config.width, 3, padding=1) if condition else None

        def level(i: int, inp: int) -> nn.ModuleList:
            attention = Attention(widths[i]) if i in config.attention else nn.Identity()
            return nn.ModuleList([Block(inp, widths[i], embedding, config.dropout), attention])

        self.down, skips, width = nn.ModuleList(), [config.width], config.width
        for i, out in enumerate(widths):
            for _ in range(config.blocks):
                self.down.append(level(i, width))
                width = out
                skips.append(width)
            if i < len(widths) - 1:
                self.down.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
                skips.append(width)
        self.middle = nn.ModuleList([Block(width, width, embedding, config.dropout) for _ in range(2)])
        self.middle_attention = Attention(width) if config.attention else nn.Identity()
        self.up = nn.ModuleList()
        for i in reversed(range(len(widths))):
            for _ in range(config.blocks + 1):
                self.up.append(level(i, width + skips.pop()))
                width = widths[i]
            if i:
                self.up.append(Upsample(width))
        self.norm, self.out = norm(width), nn.Conv2d(width, 3, 3, padding=1)
        silence(self.out)

    def condition(self, c: Tensor | None, mu: Tensor, s: Tensor | None = None) -> Tensor:
        """c [B, channels, h, w], Rec_lr's image mu [B, 3, h, w] and the noise s [B] of the reference -> what the steps
        need of them, FP32 [B, condition_channels, h, w]. c None: mu is all there is (UDDM)."""
        assert self.from_c is not None, "an unconditional U-Net has no condition"
        residual = self.config.residual_std > 0
        if c is None:
            read = mu
        else:
            read = torch.cat([c, mu.to(c.dtype)], dim=1) if residual else c
        if self.config.sample:
            assert s is not None, "one call needs the noise head"
            read = torch.cat([read, *(plane.to(read.dtype) for plane in self.told(s, *mu.shape[2:]))], dim=1)
            s = None
        parts = [self.from_c(read).float()] + ([mu.float()] if residual else [])
        if s is not None:
            parts.append(s.float()[:, None, None, None].expand(-1, 1, mu.shape[2], mu.shape[3]))
        return torch.cat(parts, dim=1)

    def told(self, s: Tensor, h: int, w: int) -> tuple[Tensor, Tensor]:
        """s [B] -> its plane [B, 1, h, w], near 0 for weak noise; the grid of blocks [B, GRID, h, w]."""
        plane = (torch.log(s.float() + 2e-3) + 3.5)[:, None, None, None].expand(-1, 1, h, w)
        rows, columns = (torch.arange(n, device=s.device) % 8 for n in (h, w))
        return plane, self.grid[:, rows][:, :, columns].expand(s.shape[0], -1, -1, -1)

    def forward(self, x_t: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """x_t FP32 [B, 3, h, w], t integers [B] in 1..T, condition as `condition` returns it -> eps FP32 [B, 3, h,
        w]."""
        if condition is None:
            return self.network(x_t, t, None).float()
        width, abar = self.config.width, self.abar[t.long()][:, None, None, None]
        eps = self.ungated(x_t, t, condition[:, :width], condition[:, width : width + 3].float(), abar)
        if not self.config.noise_gate:
            return eps
        s = condition[:, -1:].float()
        return (1 - (s.square() * abar / (1 - abar)).clamp(max=1)) * eps

    def ungated(self, x_t: Tensor, t: Tensor, hoisted: Tensor, mu: Tensor, abar: Tensor) -> Tensor:
        """eps [B, 3, h, w] before the gate; mu is used by the residual preconditioning alone."""
        sigma = self.config.residual_std
        if sigma == 0:
            return self.network(x_t, t, hoisted).float()
        v = abar * sigma**2 + (1 - abar)
        d = x_t.float() - abar.sqrt() * mu
        f = self.network(d / v.sqrt(), t, hoisted).float()
        return (1 - abar).sqrt() / v * d + sigma * (abar / v).sqrt() * f

    def network(self, x: Tensor, t: Tensor, hoisted: Tensor | None) -> Tensor:
        e = self.embed(timestep_embedding(t, self.config.width))
        h = self.from_x(x)
        if hoisted is not None:
            h = h + hoisted.to(h.dtype)
        skips = [h]
        for layer in self.down:
            h = layer[1](layer[0](h, e)) if isinstance(layer, nn.ModuleList) else layer(h)
            skips.append(h)
        h = self.middle[0](h, e)
        h = self.middle[1](self.middle_attention(h), e)
        for layer in self.up:
            if isinstance(layer, nn.ModuleList):
                h = layer[1](layer[0](torch.cat([h, skips.pop()], dim=1), e))
            else:
                h = layer(h)
        return self.out(F.silu(self.norm(h)))
