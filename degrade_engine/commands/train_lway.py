"""`degrade-engine train lway` and `train srresnet`: LWay's reconstruction network, and an SR model to adapt with it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from .training import FILE, HR, PAIRS, PRESET, common, setup, training_extra


@click.command("lway")
@PRESET
@PAIRS
@click.option("--pairs-share", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="Share of the rows that are true pairs.")  # fmt: skip
@click.option("--own-share", type=click.FloatRange(0, 1), default=1.0, show_default=True,
              help="Share of the rows whose e comes from the LR to be made, else from one degraded alike.")  # fmt: skip
@click.option("--crop", type=click.IntRange(35), default=64, show_default=True, help="LR pixels a side.")
@click.option("--lpips", type=(FILE, FILE), metavar="ALEXNET LINEAR",
              help="LPIPS's weights: torchvision's alexnet-owt-7be5be79.pth, and weights/v0.1/alex.pth of the package "
                   "lpips. [default: a substitute, named in the log]")  # fmt: skip
@HR
@common()
def lway(preset: str, pairs_share: float, own_share: float, crop: int, lpips: tuple[Path, Path] | None,
         **given: Any) -> None:  # fmt: skip
    """LWay's degradation encoder and LR reconstructor, on BSRGAN's degradations of your photographs and on true
    pairs."""
    with training_extra():
        from degrade_engine.originals.lway.config import PRESETS
        from degrade_engine.originals.lway.data import LWayData
        from degrade_engine.originals.lway.train import OPTIONS, train_lway
    options = OPTIONS[preset]
    options = dataclasses.replace(options, batch=given["batch"], lr=given["learning_rate"] or options.lr, lpips=lpips)
    train_lway(PRESETS[preset], options, LWayData(crop=crop, pairs=pairs_share, own=own_share), setup(given))


@click.command("srresnet")
@PRESET
@click.option("--degrader", type=click.Choice(["bicubic", "bsrgan"]), default="bicubic", show_default=True,
              help="How the photographs are brought to LR size.")  # fmt: skip
@click.option("--scale", type=click.Choice(["2", "4"]), default="4", show_default=True)
@click.option("--crop", type=click.IntRange(8), default=32, show_default=True, help="LR pixels a side.")
@HR
@common()
def srresnet(preset: str, degrader: str, scale: str, crop: int, **given: Any) -> None:
    """A small SR network on synthetic pairs, so that `adapt` has one to adapt."""
    with training_extra():
        from degrade_engine.originals.srresnet import PRESETS, SRData
        from degrade_engine.originals.srresnet_train import train_srresnet
    config = dataclasses.replace(PRESETS[preset], scale=int(scale))
    data = SRData(degrader=degrader, scale=int(scale), crop=crop)  # type: ignore[arg-type]
    train_srresnet(config, given["learning_rate"] or 5e-4, given["batch"], data, setup(given))
