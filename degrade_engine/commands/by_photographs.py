"""What `calibrate recipe` and `calibrate solver` share: options, what is read before anything is tried, the files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import Progress

from degrade_engine.engine.artefact import CACHE, write_bytes_atomic, write_json_atomic
from degrade_engine.engine.errors import DegradeError

if TYPE_CHECKING:
    from degrade_engine.calib.degradation import Crops
    from degrade_engine.calib.features import Features
    from degrade_engine.engine.api import Engine
    from degrade_engine.engine.recipe_file import RecipeFound

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
CONTENT_BOUND = 4.0
POOL = 4  # HR crops are chosen among so many times as many

_PLACES = (
    click.option("--model", type=click.Path(path_type=Path), required=True, metavar="NAME|PATH",
                 help="A name that `degrade-engine models` lists, a checkpoint, a bundle or an engine."),
    click.option("--reference", type=FOLDER, required=True,
                 help="Folder of real LR photographs of the camera. 5 at least."),
    click.option("--hr", type=FOLDER, required=True,
                 help="Folder of sharp photographs. 5 at least. Crops are taken that are most like the references in "
                 "content."),
)  # fmt: skip
_REST = (
    click.option("--scale", type=click.Choice(["4", "2"]), default="4", show_default=True,
                 help="HR size divided by LR size."),
    click.option("--lr-size", type=click.IntRange(32), metavar="PX",
                 help="Side of the LR crops in pixels. [default: 128]"),
    click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, metavar="S",
                 help="Random seed. [default: 0]"),
    click.option("--threads", type=click.IntRange(1), metavar="N", help="CPU threads. [default: one per core]"),
    click.option("--cache", type=FOLDER,
                 help=f"Cache folder for the model's engine. [default: {CACHE}, or the user's cache folder]"),
)  # fmt: skip
Option = Callable[[Callable[..., Any]], Callable[..., Any]]


def by_photographs(*own: Option) -> Option:
    """The options of both, with a command's own ones between them."""

    def options(command: Callable[..., Any]) -> Callable[..., Any]:
        every: tuple[Option, ...] = (*_PLACES, *own, *_REST)
        for option in reversed(every):
            command = option(command)
        return command

    return options


@dataclass(frozen=True)
class Opened:
    """The model's engine, crops of both kinds of photographs, and the model's E_deg where it fits these crops."""

    engine: Engine
    hr: Crops
    camera: Crops
    features: Features | None
    progress: Progress
    say: Callable[[str], None]


@contextmanager
def opened(
    out: Path, model: Path, reference: Path, hr: Path, *, crops: int, scale: int, lr_size: int | None, seed: int,
    threads: int | None, cache: Path | None,
) -> Iterator[Opened]:  # fmt: skip
    """Raises DegradeError for another file than .json, and for what cannot be read."""
    from degrade_engine.calib.degradation import read_crops
    from degrade_engine.calib.features import open_features
    from degrade_engine.engine.api import Engine
    from degrade_engine.models.ready import engine_of

    if out.suffix != ".json":
        raise DegradeError(f"-o is {out}", wanted="a name that ends in .json; the picture is written as .svg")
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    folder = engine_of(model, lr_size=lr_size, threads=threads, cache=cache, say=console.print)
    with (
        Engine.open(folder, threads, lr_size=lr_size) as engine,
        Progress(console=console, disable=not console.is_terminal) as progress,
    ):
        side = engine.lr_size[0]
        camera = read_crops(reference, "reference", most=crops, side=side, seed=seed)
        sharp = read_crops(hr, "HR", most=POOL * crops, side=side * scale, seed=seed)
        own = "degradation" in engine.spec.parts and side == engine.spec.lr_size
        features = open_features("e-deg", folder, threads=threads) if own else None
        yield Opened(engine, sharp, camera, features, progress, console.print)


def write(out: Path, found: RecipeFound, said: str) -> None:
    """The file and its picture, and says what was found."""
    from degrade_engine.calib import recipe_figure

    write_json_atomic(out, found)
    write_bytes_atomic(out.with_suffix(".svg"), recipe_figure.draw(found).encode())
    click.echo(said)
    click.echo(f"wrote {out} and {out.with_suffix('.svg').name}")
