"""The sizes of SynDiff, and the two presets.

The comparison gives 101.121 M parameters (RealDGen, Table 13) and no layout; `PAPER` is the U-Net of RealDGen's preset
with wider last levels, which meets the count. `TINY` is what two CPU cores can train.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from degrade_engine.engine.schedule import Schedule
from degrade_engine.originals.realdgen.config import UNetConfig


@dataclass(frozen=True)
class SynDiffConfig:
    """A U-Net without a condition, and its schedule (T = 500 and linear betas as RealDGen's, against which it is
    measured)."""

    preset: str
    unet: UNetConfig
    diffusion: Schedule = field(default_factory=Schedule)

    @property
    def lr_multiple(self) -> int:
        """Height and width of an LR image must be multiples of this."""
        return int(2 ** (len(self.unet.multipliers) - 1))

    @property
    def strongest(self) -> int:
        """The largest tau of a generation: a quarter of the schedule."""
        return self.diffusion.T // 4


PAPER = SynDiffConfig("paper", UNetConfig(width=128, multipliers=(1, 2, 4, 4), blocks=2, attention=(3,)))
TINY = SynDiffConfig("tiny", UNetConfig(width=32, multipliers=(1, 2, 3), blocks=1))
PRESETS = {"paper": PAPER, "tiny": TINY}
