"""`degrade-engine train lway` and `train srresnet`: LWay's reconstruction network, and an SR model to adapt with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from degrade_engine.engine.errors import DegradeError

if TYPE_CHECKING:
    from degrade_engine.originals.trainer import TrainOptions

FOLDERS = click.Path(exists=True, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
HR = click.option("--hr", type=FOLDERS, multiple=True, required=True, help="Folder of sharp photographs (repeatable).")


def common(function: Callable[..., None]) -> Callable[..., None]:
    """The options of a training of one stage."""
    for option in reversed([
        click.option("--hold-out", type=FOLDERS, multiple=True,
                     help="Photographs not to train on; copies of them are left out (repeatable)."),
        click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True,
                     help="The run's folder."),
        click.option("--steps", type=click.IntRange(1), default=20_000, show_default=True),
        click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="Rows a step."),
        click.option("--learning-rate", type=click.FloatRange(0, min_open=True), help="Peak. [default: the preset's]"),
        click.option("--minutes", type=click.FloatRange(0), default=0.0,
                     help="End after this long (cosine over time; not exactly resumable)."),
        click.option("--ema", type=click.FloatRange(0, 1), default=0.999, show_default=True),
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True),
        click.option("--workers", type=click.IntRange(0), default=1, show_default=True,
                     help="Processes that make batches."),
        click.option("--threads", type=click.IntRange(1), help="CPU threads of the networks."),
        click.option("--bf16/--no-bf16", default=None,
                     help="Autocast. [default: where this machine is faster with it]"),
    ]):  # fmt: skip
        function = option(function)
    return function


@click.command("lway")
@click.option("--preset", type=click.Choice(["paper", "tiny"]), default="tiny", show_default=True)
@click.option("--pairs", type=FILE, multiple=True,
              help="CSV hr,lr,group of true pairs, where you have some (repeatable).")  # fmt: skip
@click.option("--pairs-share", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="Share of the rows that are true pairs.")  # fmt: skip
@click.option("--own-share", type=click.FloatRange(0, 1), default=1.0, show_default=True,
              help="Share of the rows whose e comes from the LR to be made, else from one degraded alike.")  # fmt: skip
@click.option("--crop", type=click.IntRange(35), default=64, show_default=True, help="LR pixels a side.")
@click.option("--lpips", type=(FILE, FILE), metavar="ALEXNET LINEAR",
              help="LPIPS's weights: torchvision's alexnet-owt-7be5be79.pth, and weights/v0.1/alex.pth of the package "
                   "lpips. [default: a substitute, named in the log]")  # fmt: skip
@HR
@common
def lway(preset: str, pairs: tuple[Path, ...], pairs_share: float, own_share: float, crop: int,
         lpips: tuple[Path, Path] | None, **given: Any) -> None:  # fmt: skip
    """LWay's degradation encoder and LR reconstructor, on BSRGAN's degradations of your photographs and on true
    pairs."""
    with training_extra():
        from degrade_engine.originals.lway.config import PRESETS
        from degrade_engine.originals.lway.data import LWayData
        from degrade_engine.originals.lway.train import OPTIONS, train_lway
        from degrade_engine.originals.runs import Machine, Source
    options = OPTIONS[preset]
    options = dataclasses.replace(options, batch=given["batch"], lr=given["learning_rate"] or options.lr, lpips=lpips)
    data = LWayData(crop=crop, pairs=pairs_share, own=own_share)
    source, machine = Source(given["hr"], pairs, given["hold_out"]), Machine(given["workers"], given["threads"])
    train_lway(PRESETS[preset], options, source, data, training(given), given["out"], machine)


@click.command("srresnet")
@click.option("--preset", type=click.Choice(["paper", "tiny"]), default="tiny", show_default=True)
@click.option("--degrader", type=click.Choice(["bicubic", "bsrgan"]), default="bicubic", show_default=True,
              help="How the photographs are brought to LR size.")  # fmt: skip
@click.option("--scale", type=click.Choice(["2", "4"]), default="4", show_default=True)
@click.option("--crop", type=click.IntRange(8), default=32, show_default=True, help="LR pixels a side.")
@HR
@common
def srresnet(preset: str, degrader: str, scale: str, crop: int, **given: Any) -> None:
    """A small SR network on synthetic pairs, so that `adapt` has one to adapt."""
    with training_extra():
        from degrade_engine.originals.runs import Machine, Source
        from degrade_engine.originals.srresnet import PRESETS, SRData
        from degrade_engine.originals.srresnet_train import train_srresnet
    config = dataclasses.replace(PRESETS[preset], scale=int(scale))
    data = SRData(degrader=degrader, scale=int(scale), crop=crop)  # type: ignore[arg-type]
    source, machine = Source(given["hr"], (), given["hold_out"]), Machine(given["workers"], given["threads"])
    rate = given["learning_rate"] or 5e-4
    train_srresnet(config, rate, given["batch"], source, data, training(given), given["out"], machine)


def training(given: dict[str, Any]) -> TrainOptions:
    """The trainer's options out of the common ones."""
    from degrade_engine.originals.trainer import TrainOptions, bf16_helps

    bf16 = bf16_helps() if given["bf16"] is None else given["bf16"]
    seconds = 60 * given["minutes"]
    return TrainOptions(given["steps"], seed=given["seed"], bf16=bf16, ema=given["ema"], deadline_s=seconds)


@contextmanager
def training_extra(doing: str = "training") -> Iterator[None]:
    """A missing package becomes one sentence that names the extra."""
    try:
        yield
    except ModuleNotFoundError as e:
        raise DegradeError(
            f"{doing} needs {e.name}", wanted="the extra `train`", mend="pip install 'degrade-engine[train]'"
        ) from e
