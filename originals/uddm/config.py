"""Every size of a UDDM model, and the two presets. The paper gives T (200 steps of inference) and the LR size of its
training crops (128); StableSR, which it fine-tunes as DDM, has 865 M parameters and is not rebuilt here."""

from __future__ import annotations

from dataclasses import dataclass

from degrade_engine.engine.schedule import Schedule
from degrade_engine.originals.realdgen.config import UNetConfig


def scaled_betas(T: int) -> Schedule:
    """DDPM's linear betas, made for 1000 steps, for T of them: the same sum, so the same noise at the end."""
    return Schedule(T=T, beta_1=1e-4 * 1000 / T, beta_T=0.02 * 1000 / T)


@dataclass(frozen=True)
class DDMConfig:
    """The diffusion branch. s: the factor of the extreme downsampling, even."""

    unet: UNetConfig
    s: int
    diffusion: Schedule = scaled_betas(200)

    @property
    def lr_multiple(self) -> int:
        """Height and width of an LR image must be multiples of this."""
        return max(self.s, 2 ** (len(self.unet.multipliers) - 1))


@dataclass(frozen=True)
class PDDMConfig:
    """The physics-based branch."""

    r: int  # HR is so many times LR; even
    kernel: int  # side of a blur kernel in HR pixels; odd
    kernels: int  # of which every LR pixel has its own mixture
    width: int  # channels of the network that predicts the parameters
    blocks: int  # its residual blocks
    most_noise: float = 0.4  # largest standard deviation, of a range of 2: 51 grey levels
    critic: int = 64  # channels of the discriminator


@dataclass(frozen=True)
class UDDMConfig:
    """Both branches. The weight w of eq. 1 is a choice of the run."""

    preset: str
    ddm: DDMConfig
    pddm: PDDMConfig

    @property
    def diffusion(self) -> Schedule:
        """The schedule of the diffusion branch."""
        return self.ddm.diffusion

    @property
    def lr_multiple(self) -> int:
        """Height and width of an LR image must be multiples of this."""
        return self.ddm.lr_multiple


PAPER = UDDMConfig(
    preset="paper",
    ddm=DDMConfig(UNetConfig(width=128, multipliers=(1, 2, 3, 3), blocks=2, attention=(3,)), s=4),
    pddm=PDDMConfig(r=4, kernel=21, kernels=16, width=64, blocks=8),
)
TINY = UDDMConfig(
    preset="tiny",
    ddm=DDMConfig(UNetConfig(width=32, multipliers=(1, 2, 3), blocks=1, residual_std=0.066), s=2),
    pddm=PDDMConfig(r=4, kernel=13, kernels=8, width=32, blocks=4, critic=32),
)
PRESETS = {"paper": PAPER, "tiny": TINY}
