"""`degrade-engine calibrate solver`: a table of few network calls by one's own photographs."""

from __future__ import annotations

from pathlib import Path

import click

from degrade_engine.commands.by_photographs import CONTENT_BOUND, FILE, by_photographs, opened, write

CROPS, TRIES, STEPS = 32, 80, 2


@click.command("solver", short_help="Find a sampler of few network calls by the photographs of a camera.")
@by_photographs(
    click.option("-o", "--out", type=FILE, default=Path("solver.json"), show_default=True,
                 help="File for the recipe, .json. A picture of it beside DDIM is written as .svg."),
    click.option("--steps", type=click.IntRange(1, 16), metavar="N", default=STEPS, show_default=True,
                 help="Network calls per candidate."),
    click.option("--tries", type=click.IntRange(1), metavar="N", default=TRIES, show_default=True,
                 help="Tables that are looked at, at most. Each makes LR of all crops."),
    click.option("--crops", type=click.IntRange(5), metavar="N", default=CROPS, show_default=True,
                 help="Crops of the references, and pairs that a table makes, at most."),
    click.option("--content-bound", type=click.FloatRange(0, min_open=True), metavar="X", default=CONTENT_BOUND,
                 show_default=True,
                 help="How far LR may be from the HR at low frequencies, in grey levels. What is beyond it adds to the "
                 "distance."),
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
    from degrade_engine.calib import solver
    from degrade_engine.models.ready import name_of

    with opened(out, model, reference, hr, crops=crops, scale=int(scale), lr_size=lr_size, seed=seed, threads=threads,
                cache=cache) as given:  # fmt: skip
        task = given.progress.add_task("tables", total=tries)
        found = solver.calibrate(
            given.engine, name_of(model), given.hr, given.camera, given.features, steps=steps, tries=tries,
            scale=int(scale), content_bound=content_bound, seed=seed,
            on_try=lambda done, total: given.progress.update(task, completed=done, total=total),
        )  # fmt: skip
    write(out, found, found.why)
