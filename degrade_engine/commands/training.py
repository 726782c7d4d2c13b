"""What the `train` commands share: their options, and what these mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

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
                     help="CSV hr,lr,group of true pairs, where you have some (repeatable).")  # fmt: skip
PRESET = click.option("--preset", type=click.Choice(["paper", "tiny"]), default="tiny", show_default=True)


def common(batch: int | None = 16) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options of every training. batch: its default; None: the preset's."""
    options = [
        click.option("--hold-out", type=FOLDERS, multiple=True,
                     help="Photographs not to train on; copies of them are left out (repeatable)."),
        click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True,
                     help="The run's folder."),
        click.option("--steps", type=click.IntRange(1), default=20_000, show_default=True),
        click.option("--batch", type=click.IntRange(1), default=batch, show_default=True,
                     help="Rows a step." if batch else "Rows a step. [default: the preset's]"),
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
    ]  # fmt: skip

    def dressed(function: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            function = option(function)
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
