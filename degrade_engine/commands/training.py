"""What the `train` commands share: their options, and what these mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from cloup import option_group

from degrade_engine.engine.errors import DegradeError

if TYPE_CHECKING:
    from degrade_engine.originals.runs import Setup
    from degrade_engine.originals.trainer import TrainOptions

FOLDERS = click.Path(exists=True, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
HR = click.option("--hr", type=FOLDERS, multiple=True, required=True, help="Folder of sharp photographs (repeatable).")
LR = click.option("--lr", type=FOLDERS, multiple=True, required=True,
                  help="Folder of real LR photographs (repeatable).")  # fmt: skip
PAIRS = click.option("--pairs", type=FILE, multiple=True,
                     help="CSV with the columns hr,lr,group: true pairs, if you have some (repeatable).")  # fmt: skip
PRESET = click.option("--preset", type=click.Choice(["paper", "tiny"]), default="tiny", show_default=True,
                      help="Size of the networks.")  # fmt: skip
Option = Callable[[Any], Any]


def trained(*own: Option, batch: int | None = 16) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options of a training: its own, and those of every one. batch: its default; None: the preset's."""
    hold_out = click.option("--hold-out", type=FOLDERS, multiple=True,
                            help="Photographs not to train on. Copies of them are left out (repeatable).")  # fmt: skip
    training = [
        click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True,
                     help="Folder of the training. A stopped training continues there."),
        click.option("--steps", type=click.IntRange(1), metavar="N", default=20_000, show_default=True,
                     help="Number of optimiser steps."),
        click.option("--batch", type=click.IntRange(1), metavar="N", default=batch, show_default=True,
                     help="Images per step." if batch else "Images per step. [default: the preset's]"),
        click.option("--learning-rate", type=click.FloatRange(0, min_open=True), metavar="X",
                     help="Highest learning rate. [default: the preset's]"),
        click.option("--minutes", type=click.FloatRange(0), metavar="X", default=0.0,
                     help="End after this time; the learning rate falls accordingly. Not exactly repeatable."),
        click.option("--ema", type=click.FloatRange(0, 1), metavar="0..1", default=0.999, show_default=True,
                     help="Decay of the moving average of the weights."),
        click.option("--seed", type=click.IntRange(0), metavar="S", default=0, show_default=True, help="Random seed."),
    ]  # fmt: skip
    running = [
        click.option("--workers", type=click.IntRange(0), metavar="N", default=1, show_default=True,
                     help="Processes that prepare batches."),
        click.option("--threads", type=click.IntRange(1), metavar="N",
                     help="CPU threads of the networks. [default: PyTorch's choice]"),
        click.option("--bf16/--no-bf16", default=None,
                     help="Train in bfloat16 where possible. [default: if this machine is faster with it]"),
    ]  # fmt: skip

    def dressed(function: Callable[..., None]) -> Callable[..., None]:
        groups = {"Data and model": [*own, hold_out], "Training": training, "Running": running}
        for heading, options in reversed(groups.items()):
            function = option_group(heading, *options)(function)
        return function

    return dressed


def setup(given: dict[str, Any]) -> Setup:
    """What every training is given, out of the common options, --hr, --lr and --pairs."""
    from degrade_engine.originals.runs import Machine, Setup, Source

    source = Source(given.get("hr", ()), given.get("pairs", ()), given["hold_out"], given.get("lr", ()))
    return Setup(source, train_options(given), given["out"], Machine(given["workers"], given["threads"]))


def train_options(given: dict[str, Any]) -> TrainOptions:
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
