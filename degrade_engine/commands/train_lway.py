"""`degrade-engine train lway` and `train srresnet`: LWay's reconstruction network, and an SR model to adapt with it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click
import cloup

from .training import FILE, HR, PAIRS, PRESET, setup, trained, training_extra


@cloup.command("lway", short_help="LWay's degradation encoder and LR reconstructor.")
@trained(
    PRESET,
    HR,
    PAIRS,
    click.option("--pairs-share", type=click.FloatRange(0, 1), metavar="0..1", default=0.5, show_default=True,
                 help="Share of true pairs in each batch."),
    click.option("--own-share", type=click.FloatRange(0, 1), metavar="0..1", default=1.0, show_default=True,
                 help="Share of the images whose degradation code is read from the LR itself. The others take it from "
                 "another image with the same degradation."),
    click.option("--crop", type=click.IntRange(35), metavar="PX", default=64, show_default=True,
                 help="Side of the LR crops in pixels."),
    click.option("--lpips", type=(FILE, FILE), metavar="ALEXNET LINEAR",
                 help="Weights of LPIPS: torchvision's alexnet-owt-7be5be79.pth, and weights/v0.1/alex.pth of the "
                 "package lpips. [default: a substitute, named in the log]"),
)  # fmt: skip
def lway(preset: str, pairs_share: float, own_share: float, crop: int, lpips: tuple[Path, Path] | None,
         **given: Any) -> None:  # fmt: skip
    """Train LWay's degradation encoder and LR reconstructor.

    \b
    Example:
      degrade-engine train lway --hr my/sharp --out training

    Training pairs are your photographs, degraded by BSRGAN, and true pairs if you have some.
    """
    with training_extra():
        from degrade_engine.originals.lway.config import PRESETS
        from degrade_engine.originals.lway.data import LWayData
        from degrade_engine.originals.lway.train import OPTIONS, train_lway
    options = OPTIONS[preset]
    options = dataclasses.replace(options, batch=given["batch"], lr=given["learning_rate"] or options.lr, lpips=lpips)
    train_lway(PRESETS[preset], options, LWayData(crop=crop, pairs=pairs_share, own=own_share), setup(given))


@cloup.command("srresnet", short_help="A small SR network for `adapt`.")
@trained(
    PRESET,
    click.option("--degrader", type=click.Choice(["bicubic", "bsrgan"]), default="bicubic", show_default=True,
                 help="Degradation that makes the LR."),
    click.option("--scale", type=click.Choice(["2", "4"]), default="4", show_default=True,
                 help="HR size divided by LR size."),
    click.option("--crop", type=click.IntRange(8), metavar="PX", default=32, show_default=True,
                 help="Side of the LR crops in pixels."),
    HR,
)  # fmt: skip
def srresnet(preset: str, degrader: str, scale: str, crop: int, **given: Any) -> None:
    """Train a small SR network on synthetic pairs, for `degrade-engine adapt`.

    \b
    Example:
      degrade-engine train srresnet --hr my/sharp --out training
    """
    with training_extra():
        from degrade_engine.originals.srresnet import PRESETS, SRData
        from degrade_engine.originals.srresnet_train import train_srresnet
    config = dataclasses.replace(PRESETS[preset], scale=int(scale))
    data = SRData(degrader=degrader, scale=int(scale), crop=crop)  # type: ignore[arg-type]
    train_srresnet(config, given["learning_rate"] or 5e-4, given["batch"], data, setup(given))
