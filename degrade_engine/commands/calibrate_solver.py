"""`degrade-engine calibrate solver`: a table of few network calls by one's own photographs."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from degrade_engine.commands.calibrate_recipe import CONTENT_BOUND, FILE, FOLDER, POOL
from degrade_engine.engine.artefact import CACHE, write_bytes_atomic, write_json_atomic
from degrade_engine.engine.errors import DegradeError

CROPS, TRIES, STEPS = 32, 80, 2


@click.command("solver", short_help="Find a sampler of few network calls by the photographs of a camera.")
@click.option("--model", type=click.Path(path_type=Path), required=True, metavar="NAME|PATH",
    help="A name that `degrade-engine models` lists, a checkpoint, a bundle or an engine.")  # fmt: skip
@click.option(
    "--reference", type=FOLDER, required=True, help="Folder of real LR photographs of the camera. 5 at least.",
)  # fmt: skip
@click.option("--hr", type=FOLDER, required=True,
    help="Folder of sharp photographs. 5 at least. Crops are taken that are most like the references in content."
)  # fmt: skip
@click.option("-o", "--out", type=FILE, default=Path("solver.json"), show_default=True,
    help="File for the recipe, .json. A picture of it beside DDIM is written as .svg.")  # fmt: skip
@click.option("--steps", type=click.IntRange(1, 16), metavar="N", default=STEPS, show_default=True,
    help="Network calls per candidate.")  # fmt: skip
@click.option("--tries", type=click.IntRange(1), metavar="N", default=TRIES, show_default=True,
    help="Tables that are looked at, at most. Each makes LR of all crops.")  # fmt: skip
@click.option("--crops", type=click.IntRange(5), metavar="N", default=CROPS, show_default=True,
    help="Crops of the references, and pairs that a table makes, at most.")  # fmt: skip
@click.option("--content-bound", type=click.FloatRange(0, min_open=True), metavar="X", default=CONTENT_BOUND,
    show_default=True,
    help="How far LR may be from the HR at low frequencies, grey levels. The rest adds to the distance.")  # fmt: skip
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
    model: Path, reference: Path, hr: Path, out: Path, steps: int, tries: int, crops: int, content_bound: float,
    scale: str, lr_size: int | None, seed: int, threads: int | None, cache: Path | None,
) -> None:  # fmt: skip
    """Find a sampler of few network calls by the photographs of a camera.

    \b
    Example:
      degrade-engine calibrate solver --model realdgen-tiny \\
        --reference my/camera --hr my/sharp --steps 2 -o solver.json
      degrade-engine generate --model realdgen-tiny \\
        --recipe solver.json …

    A sampler is a table of timesteps and coefficients. The search begins with DDIM's and changes one number after the
    other. A change is kept if it brings LR nearer to the camera's photographs, as `match` compares them. So on these
    crops the table is never worse than DDIM's; on others it may be. It is for this model and its recommended tau.
    """
    from degrade_engine.calib import recipe_figure, solver
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
        task = progress.add_task("tables", total=tries)
        own = "degradation" in engine.spec.parts and side == engine.spec.lr_size
        found = solver.calibrate(
            engine, name_of(model), sharp, camera, open_features("e-deg", folder, threads=threads) if own else None,
            steps=steps, tries=tries, scale=int(scale), content_bound=content_bound, seed=seed,
            on_try=lambda done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip
    write_json_atomic(out, found)
    write_bytes_atomic(out.with_suffix(".svg"), recipe_figure.draw(found).encode())
    click.echo(found.why)
    click.echo(f"wrote {out} and {out.with_suffix('.svg').name}")
