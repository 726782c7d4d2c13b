"""E_cont and Rec_hr: the encoder and decoder of a VQ-VAE (van den Oord et al. 2017; RealDGen A.1.1).

F_cont is the encoder's output **before** quantisation (papers' slips), so the decoder must be able to read it: while
the VQ-VAE is trained, one half of each batch is decoded from the codes and the other from F_cont itself. The paper's
codebook lookup stays what shapes the space.

The tiny preset adds a space-to-depth shortcut around both halves (as in DC-AE, Chen et al. 2024): the first 3·f²
channels of F_cont are the image itself plus what the encoder learns. A quarter-resolution code of 16 channels decodes
its own input at about 29 dB after minutes of training, which bounds every LR made from it; with the shortcut the code
starts lossless and training only has to move it. The paper's form is `shortcut=False`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ContentConfig


def silence(layer: nn.Conv2d) -> None:
    """Zero weights and bias: a residual branch that starts by saying nothing."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class ResidualBlock(nn.Module):
    """x + conv(act(conv(act(x)))), without normalisation: levels and contrast are content."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        silence(self.conv2)

    def forward(self, x: Tensor) -> Tensor:  # [B, width, h, w]
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


class Encoder(nn.Module):
    """E_cont: image [B, 3, h, w] in [-1, 1] -> F_cont [B, C, h/f, w/f]."""

    def __init__(self, config: ContentConfig) -> None:
        super().__init__()
        self.config = config
        halvings = config.factor.bit_length() - 1
        self.down = nn.ModuleList(  # the first of these is "the first block" that A.5 fine-tunes
            nn.Conv2d(3 if i == 0 else config.width, config.width, 4, stride=2, padding=1) for i in range(halvings)
        )
        self.blocks = nn.Sequential(*(ResidualBlock(config.width) for _ in range(config.blocks)))
        self.out = nn.Conv2d(config.width, config.channels, 3, padding=1)
        if config.shortcut:
            nn.init.normal_(self.out.weight, std=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        f = x
        for i, conv in enumerate(self.down):
            f = conv(f if i == 0 else F.silu(f))
        f = self.out(F.silu(self.blocks(f)))
        if self.config.shortcut:
            shortcut = F.pixel_unshuffle(x, self.config.factor)  # [B, 3·f², h/f, w/f]
            direct = shortcut.shape[1]
            f = torch.cat([f[:, :direct] + shortcut, f[:, direct:]], dim=1)
        return f


class Decoder(nn.Module):
    """Rec_hr: F_cont or its quantisation [B, C, h/f, w/f] -> image [B, 3, h, w] (eq. 1)."""

    def __init__(self, config: ContentConfig) -> None:
        super().__init__()
        self.config = config
        halvings = config.factor.bit_length() - 1
        self.inp = nn.Conv2d(config.channels, config.width, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(config.width) for _ in range(config.blocks)))
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(config.width, 4 * config.width, 3, padding=1), nn.PixelShuffle(2))
            for _ in range(halvings - 1)
        )
        last = nn.Conv2d(config.width, 12, 3, padding=1)
        if config.shortcut:
            nn.init.normal_(last.weight, std=1e-3)
        self.out = nn.Sequential(last, nn.PixelShuffle(2))

    def forward(self, f: Tensor) -> Tensor:
        y = self.blocks(self.inp(f))
        for up in self.up:
            y = up(F.silu(y))
        y = self.out(F.silu(y))
        return y + self.direct(f) if self.config.shortcut else y

    def direct(self, f: Tensor) -> Tensor:
        """The image that the shortcut's channels of F_cont hold by themselves, [B, 3, h, w]."""
        return F.pixel_shuffle(f[:, : 3 * self.config.factor**2], self.config.factor)


class Quantiser(nn.Module):
    """Nearest code of a codebook learned by exponential moving averages (VQ-VAE, appendix A.1), straight-through
    gradient.

    forward(F_cont) -> (quantised with F_cont's gradient, commitment loss). In training mode the codebook moves; codes
    that nobody uses are put where a feature is, so that none stays dead.
    """

    codebook: Tensor  # [groups, codes, C/groups]
    usage: Tensor  # [groups, codes]
    sums: Tensor  # [groups, codes, C/groups]

    def __init__(self, config: ContentConfig, decay: float = 0.98) -> None:
        super().__init__()
        self.groups, self.codes, self.decay = config.groups, config.codes, decay
        dim = config.channels // config.groups
        book = torch.randn(config.groups, config.codes, dim) * 0.3
        self.register_buffer("codebook", book)
        self.register_buffer("usage", torch.ones(config.groups, config.codes))
        self.register_buffer("sums", book.clone())

    def forward(self, f: Tensor) -> tuple[Tensor, Tensor]:
        b, c, h, w = f.shape
        flat = f.float().reshape(b, self.groups, c // self.groups, h * w).permute(1, 0, 3, 2)
        flat = flat.reshape(self.groups, b * h * w, c // self.groups)
        index = torch.cdist(flat, self.codebook).argmin(dim=-1)  # [groups, B·h·w]
        nearest = torch.stack([self.codebook[g][index[g]] for g in range(self.groups)])
        if self.training:
            self._move(flat.detach(), index)
        nearest = nearest.reshape(self.groups, b, h * w, -1).permute(1, 0, 3, 2).reshape(b, c, h, w)
        commitment = F.mse_loss(f.float(), nearest.detach())
        return f + (nearest - f).detach(), commitment

    @torch.no_grad()
    def _move(self, flat: Tensor, index: Tensor) -> None:
        for g in range(self.groups):
            count = torch.bincount(index[g], minlength=self.codes).float()
            total = torch.zeros_like(self.sums[g]).index_add_(0, index[g], flat[g])
            self.usage[g].mul_(self.decay).add_(count, alpha=1 - self.decay)
            self.sums[g].mul_(self.decay).add_(total, alpha=1 - self.decay)
            self.codebook[g] = self.sums[g] / self.usage[g].clamp_min(1e-5)[:, None]
            dead = (self.usage[g] < 0.01).nonzero()[:, 0]
            if len(dead):
                pick = torch.linspace(0, len(flat[g]) - 1, len(dead)).long()
                self.codebook[g][dead] = flat[g][pick]
                self.sums[g][dead] = flat[g][pick]
                self.usage[g][dead] = 1.0


class VQVAE(nn.Module):
    """The whole VQ-VAE: what stage `vqvae` trains on HR images."""

    def __init__(self, config: ContentConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.quantiser = Quantiser(config)
        self.decoder = Decoder(config)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, 3, h, w] -> (reconstruction, first half of the batch from the codes and second from F_cont;
        commitment)."""
        f = self.encoder(x)
        quantised, commitment = self.quantiser(f)
        half = (len(x) + 1) // 2
        return self.decoder(torch.cat([quantised[:half], f[half:]])), commitment
