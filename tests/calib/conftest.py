"""RealDGen models of a few thousand random weights, of both presets' layers, and pairs to run them on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from degrade_engine.engine.calibration_spec import PrecisionOptions, Trajectory

LR_SIZE = 16
WAYS = (Trajectory("ddim", 200, 2, "quadratic"),)


@pytest.fixture(scope="session")
def micro() -> Callable[[str], Any]:
    """micro("tiny" or "paper"): a new model with that preset's kinds of layers."""
    torch = pytest.importorskip("torch", reason="needs the extra train")
    from degrade_engine.originals.realdgen import config as c
    from degrade_engine.originals.realdgen.model import RealDGen

    sizes = c.RealDGenConfig(
        "micro",
        c.ContentConfig(factor=2, width=8, blocks=1, channels=16, codes=8),
        c.DegradationConfig(widths=(8,), blocks=(2,), vector=8, mapping=8),
        c.ModulationConfig(width=8, channels=8, layers=2),
        c.UNetConfig(width=8, multipliers=(1, 2), blocks=1),
    )
    configs = {
        "tiny": replace(
            sizes,
            content=replace(sizes.content, shortcut=True),
            degradation=replace(sizes.degradation, pool_spread=True, pool_quiet=True),
            unet=replace(sizes.unet, residual_std=0.06, noise_gate=True),
        ),
        "paper": replace(sizes, unet=replace(sizes.unet, attention=(1,))),
    }

    def make(preset: str) -> Any:
        torch.manual_seed(0)
        model = RealDGen(configs[preset]).eval()
        with torch.no_grad():
            for p in model.parameters():
                if not p.any():
                    p.normal_(std=0.1)  # residual branches begin silent; here they speak
        return model

    return make


@pytest.fixture(scope="session")
def precision(samples: Path) -> Callable[..., Any]:
    """precision(model, bound_grey): a calibration of a model on two bundled pairs, ready to be asked."""
    from degrade_engine.calib.photographs import read_pairs
    from degrade_engine.calib.precision import Precision

    pairs = read_pairs(samples / "hr", samples / "reference", 2, lr_size=LR_SIZE, scale=4)

    def make(model: Any, bound_grey: float = 0.5) -> Any:
        return Precision(model, pairs, PrecisionOptions(bound_grey, 2, LR_SIZE, 4, 7, WAYS))

    return make
