"""`degrade-engine calibrate recipe`: tau, steps, solver, noise, references and candidates by one's own photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import Progress

from degrade_engine.engine.artefact import CACHE, write_bytes_atomic, write_json_atomic
from degrade_engine.engine.errors import DegradeError

if TYPE_CHECKING:
    from degrade_engine.engine.recipe_file import RecipeFound

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
CONTENT_BOUND = 4.0
CROPS, POOL = 48, 4  # HR crops are chosen among so many times as many


@click.command("recipe", short_help="Choose a model's recipe by the photographs of a camera.")
@click.option("--model", type=click.Path(path_type=Path), required=True, metavar="NAME|PATH",
    help="A name that `degrade-engine models` lists, a checkpoint, a bundle or an engine.")  # fmt: skip
@click.option(
    "--reference", type=FOLDER, required=True, help="Folder of real LR photographs of the camera. 5 at least.",
)  # fmt: skip
@click.option("--hr", type=FOLDER, required=True,
    help="Folder of sharp photographs. 5 at least. Crops are taken that are most like the references in content."
)  # fmt: skip
@click.option("-o", "--out", type=FILE, default=Path("recipe.json"), show_default=True,
    help="File for the recipe, .json. A picture of what was tried is written as .svg.")  # fmt: skip
@click.option("--minutes", type=click.FloatRange(0, min_open=True), metavar="N",
    help="Time for making LR. Recipes that would take longer are left out. [default: as long as it takes]")  # fmt: skip
@click.option("--crops", type=click.IntRange(5), metavar="N", default=CROPS, show_default=True,
    help="Crops of the references, and pairs that a recipe makes, at most.")  # fmt: skip
@click.option("--content-bound", type=click.FloatRange(0, min_open=True), metavar="X", default=CONTENT_BOUND,
    show_default=True,
    help="How far LR may be from the HR at low frequencies, in grey levels.")  # fmt: skip
@click.option(
    "--scale", type=click.Choice(["4", "2"]), default="4", show_default=True, help="HR size divided by LR size.",
)  # fmt: skip
@click.option("--lr-size", type=click.IntRange(32), metavar="PX", help="Side of the LR crops in pixels. [default: 128]")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, metavar="S", help="Random seed. [default: 0]")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="CPU threads. [default: one per core]")
@click.option(
    "--cache", type=FOLDER, help=f"Cache folder for the model's engine. [default: {CACHE}, or the user's cache folder]",
)  # fmt: skip
def command(
    model: Path, reference: Path, hr: Path, out: Path, minutes: float | None, crops: int, content_bound: float,
    scale: str, lr_size: int | None, seed: int, threads: int | None, cache: Path | None,
) -> None:  # fmt: skip
    """Choose a model's recipe by the photographs of a camera.

    \b
    Example:
      degrade-engine calibrate recipe --model realdgen-tiny \\
        --reference my/camera --hr my/sharp -o recipe.json
      degrade-engine generate --model realdgen-tiny \\
        --recipe recipe.json …

    A small grid of recipes makes LR of the same HR crops. They are compared with the camera's photographs as `match`
    does it, without true pairs. The recipe with the fewest network calls is taken, of those that are as near as the
    nearest. With few photographs this is hard to tell, and a recipe with more calls is taken. The file holds all that
    was tried. How long it takes is said after the first recipe.
    """
    from degrade_engine.calib import recipe, recipe_figure
    from degrade_engine.calib.degradation import read_crops
    from degrade_engine.calib.features import open_features
    from degrade_engine.engine.api import Engine
    from degrade_engine.models.ready import engine_of, name_of

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
        sharp = read_crops(hr, "HR", most=POOL * crops, side=side * int(scale), seed=seed)
        task = progress.add_task("recipes", total=None)
        own = "degradation" in engine.spec.parts and side == engine.spec.lr_size
        found = recipe.calibrate(
            engine, name_of(model), sharp, camera, open_features("e-deg", folder, threads=threads) if own else None,
            scale=int(scale), content_bound=content_bound, minutes=minutes, seed=seed, say=console.print,
            on_run=lambda done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip
    write_json_atomic(out, found)
    write_bytes_atomic(out.with_suffix(".svg"), recipe_figure.draw(found).encode())
    click.echo(say(found))
    click.echo(f"wrote {out} and {out.with_suffix('.svg').name}")


def say(found: RecipeFound) -> str:
    """The recipe, why, and what it costs."""
    from degrade_engine.calib.grid import said

    lines = [said(found.chosen(found.model.name)), found.why]
    if found.skipped:
        lines.append(f"{found.skipped} runs were left out for want of time (--minutes).")
    return "\n".join(lines)
