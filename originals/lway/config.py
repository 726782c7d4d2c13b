"""Every size of an LWay reconstruction network, and the two presets.

The paper gives the embedding's dimension, 512 (3.1, Table 4), and nothing else of its networks. `PAPER` is of the size
that the field gives such networks (E as RealDGen's E_deg, 16 residual blocks of 64 channels each); `TINY` is what two
CPU cores train in ten minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

from degrade_engine.originals.realdgen.config import DegradationConfig


@dataclass(frozen=True)
class ReconstructorConfig:
    """R: a convolution, modulated residual blocks, a convolution, all on the LR grid."""

    width: int
    blocks: int


@dataclass(frozen=True)
class LWayConfig:
    """E and R. `degradation.vector` is the dimension of e."""

    preset: str
    degradation: DegradationConfig
    reconstructor: ReconstructorConfig

    @property
    def lr_multiple(self) -> int:
        """Height and width of an LR image must be multiples of this: E halves them so often."""
        return 2 ** (len(self.degradation.widths) - 1)


PAPER = LWayConfig(
    preset="paper",
    degradation=DegradationConfig(widths=(64,), blocks=(16,), vector=512, mapping=512),
    reconstructor=ReconstructorConfig(width=64, blocks=16),
)

TINY = LWayConfig(
    preset="tiny",
    degradation=DegradationConfig(
        widths=(24, 32, 48), blocks=(2, 6, 8), vector=512, mapping=128, pool_spread=True, pool_quiet=True
    ),
    reconstructor=ReconstructorConfig(width=32, blocks=8),
)

PRESETS = {"paper": PAPER, "tiny": TINY}
