"""Every size of a RealDGen model, and the two presets.

The paper gives: 16 residual blocks and a 2048-vector for E_deg (A.1.2), four modulation layers (A.4), T = 500 (A.3) and
73.676 M parameters for the whole generator (Table 13). It gives no width, no VQ-VAE stride, no U-Net layout. `PAPER`
chooses them to meet the count; `TINY` is what two CPU cores can train in about an hour. `SMALL` is `TINY` for one call
per pair: its denoiser returns a sample, and its F_deg is drawn from what several references say (samples.py).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from degrade_engine.engine.artefact import later
from degrade_engine.engine.schedule import Schedule


@dataclass(frozen=True)
class ContentConfig:
    """The VQ-VAE whose encoder is E_cont and whose decoder is Rec_hr (A.1.1)."""

    factor: int  # LR pixels a code covers along each axis, a power of two
    width: int  # channels of the residual blocks
    blocks: int  # residual blocks on the code grid, in the encoder and again in the decoder
    channels: int  # C of F_cont
    codes: int = 512  # codebook entries of each group
    groups: int = 1  # F_cont is quantised in this many slices of its channels (1 = the VQ-VAE of the paper)
    shortcut: bool = False  # space-to-depth shortcut around encoder and decoder (tiny; see content.py)


@dataclass(frozen=True)
class DegradationConfig:
    """E_deg (A.1.2): feature extraction, 16 residual blocks, adaptive pooling, a 4-layer convolutional mapping."""

    widths: tuple[int, ...]  # channels of the residual blocks, one entry a resolution; stride 2 between entries
    blocks: tuple[int, ...]  # residual blocks at each resolution; they sum to 16
    vector: int  # D, the length of F_deg
    mapping: int  # hidden channels of the mapping
    pool_spread: bool = False  # pool the mean and the log standard deviation (tiny), not the mean alone
    pool_quiet: bool = False  # and, at each resolution, how much the features vary where they vary least (tiny)
    spread: bool = later(False)  # also say how sure each number is (small; samples.py)


@dataclass(frozen=True)
class ModulationConfig:
    """M (A.4): four layers of convolution, activation, modulation unit, and a final convolution."""

    width: int
    channels: int  # channels of c, on the LR grid
    layers: int = 4


@dataclass(frozen=True)
class UNetConfig:
    """eps_theta. `residual_std` > 0 turns on the residual preconditioning of the tiny preset, `noise_gate` its gate for
    the reference's noise, `sample` the one call that returns a sample (see unet.py)."""

    width: int
    multipliers: tuple[int, ...]
    blocks: int  # residual blocks at each resolution, on the way down; one more on the way up
    attention: tuple[int, ...] = ()  # levels (0 = full resolution) with self-attention
    dropout: float = 0.0
    residual_std: float = 0.0
    noise_gate: bool = False
    sample: bool = later(False)

    @property
    def condition_channels(self) -> int:
        """Channels of what the steps are given: the hoisted convolution, Rec_lr's image, the reference's noise."""
        return self.width + (3 if self.residual_std > 0 else 0) + self.noise_gate


@dataclass(frozen=True)
class RealDGenConfig:
    """A whole generator. `without` names ablated extractors: "degradation" or "content" (Table 5).

    diffusion: T = 500 is the paper's (A.3). It prints no betas: linear 1e-4 to 0.02 and sigma_t² = beta_t are DDPM's
    (Ho et al. 2020), written into every checkpoint and bundle.
    """

    preset: str
    content: ContentConfig
    degradation: DegradationConfig
    modulation: ModulationConfig
    unet: UNetConfig
    diffusion: Schedule = field(default_factory=Schedule)
    without: tuple[str, ...] = ()

    @property
    def lr_multiple(self) -> int:
        """Height and width of an LR image must be multiples of this."""
        return max(self.content.factor, 2 ** (len(self.unet.multipliers) - 1))


PAPER = RealDGenConfig(
    preset="paper",
    content=ContentConfig(factor=4, width=192, blocks=4, channels=64),
    degradation=DegradationConfig(widths=(64,), blocks=(16,), vector=2048, mapping=512),
    modulation=ModulationConfig(width=128, channels=64),
    unet=UNetConfig(width=128, multipliers=(1, 2, 3, 3), blocks=2, attention=(3,)),
)

TINY = RealDGenConfig(
    preset="tiny",
    content=ContentConfig(factor=2, width=48, blocks=3, channels=32, codes=256, groups=4, shortcut=True),
    degradation=DegradationConfig(
        widths=(24, 32, 48), blocks=(2, 6, 8), vector=128, mapping=128, pool_spread=True, pool_quiet=True
    ),  # fmt: skip
    modulation=ModulationConfig(width=64, channels=24),
    unet=UNetConfig(width=32, multipliers=(1, 2, 3), blocks=1, residual_std=0.06, noise_gate=True),
)

SMALL = dataclasses.replace(
    TINY,
    preset="small",
    degradation=dataclasses.replace(TINY.degradation, spread=True),
    unet=dataclasses.replace(TINY.unet, noise_gate=False, sample=True),
)

PRESETS = {"paper": PAPER, "tiny": TINY, "small": SMALL}
