"""`degrade-engine calibrate recipe`: tau, steps, solver, noise, references and candidates by one's own photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from degrade_engine.commands.by_photographs import CONTENT_BOUND, FILE, by_photographs, opened, write

if TYPE_CHECKING:
    from degrade_engine.engine.recipe_file import RecipeFound

CROPS = 48


@click.command("recipe", short_help="Choose a model's recipe by the photographs of a camera.")
@by_photographs(
    click.option("-o", "--out", type=FILE, default=Path("recipe.json"), show_default=True,
                 help="File for the recipe, .json. A picture of what was tried is written as .svg."),
    click.option("--minutes", type=click.FloatRange(0, min_open=True), metavar="N",
                 help="Time for making LR. Recipes that would take longer are left out. [default: as long as it "
                 "takes]"),
    click.option("--crops", type=click.IntRange(5), metavar="N", default=CROPS, show_default=True,
                 help="Crops of the references, and pairs that a recipe makes, at most."),
    click.option("--content-bound", type=click.FloatRange(0, min_open=True), metavar="X", default=CONTENT_BOUND,
                 show_default=True, help="How far LR may be from the HR at low frequencies, in grey levels."),
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
    from degrade_engine.calib import recipe
    from degrade_engine.models.ready import name_of

    with opened(out, model, reference, hr, crops=crops, scale=int(scale), lr_size=lr_size, seed=seed, threads=threads,
                cache=cache) as given:  # fmt: skip
        task = given.progress.add_task("recipes", total=None)
        found = recipe.calibrate(
            given.engine, name_of(model), given.hr, given.camera, given.features, scale=int(scale),
            content_bound=content_bound, minutes=minutes, seed=seed, say=given.say,
            on_run=lambda done, total: given.progress.update(task, completed=done, total=total),
        )  # fmt: skip
    write(out, found, say(found))


def say(found: RecipeFound) -> str:
    """The recipe, why, and what it costs."""
    from degrade_engine.calib.grid import said

    lines = [said(found.chosen(found.model.name)), found.why]
    if found.skipped:
        lines.append(f"{found.skipped} runs were left out for want of time (--minutes).")
    return "\n".join(lines)
