"""`degrade-engine calibrate camera`: synthetic cameras fitted to one's own, from photographs alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from degrade_engine.engine.artefact import write_json_atomic
from degrade_engine.engine.errors import DegradeError

from .training import FOLDERS
from .tune import ENOUGH, Fitting

if TYPE_CHECKING:
    from degrade_engine.calib.fitting import Compared
    from degrade_engine.engine.classical.camera_degrader import FittedCameras

MINUTES = 5.0
ROW = "{:25}{:>12}{:>12}{:>12}{:>12}"


@click.command("camera", short_help="Fit synthetic cameras to your camera.")
@click.option("--lr", "lr_", type=FOLDERS, multiple=True, required=True,
    help="Folder of photographs of one camera, at LR size (repeatable). Every third is held out.")  # fmt: skip
@click.option("--hr", type=FOLDERS, multiple=True,
    help="Folder of sharp photographs of anything (repeatable). [default: those of --lr at half their size]",
)  # fmt: skip
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help="File for the fitted cameras, .json.")  # fmt: skip
@click.option("--minutes", type=click.FloatRange(0, min_open=True), metavar="X",
    help=f"Time for the fit. It ends earlier after 600 cameras. [default: {MINUTES:g}]")  # fmt: skip
@click.option("--tries", type=click.IntRange(1), metavar="N",
    help="Try N cameras instead, whatever time it takes. The same N gives the same file; --minutes does not.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, metavar="S", help="Random seed. [default: 0]")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="CPU threads. [default: one per core]")
def command(
    lr_: tuple[Path, ...], hr: tuple[Path, ...], out: Path, minutes: float | None, tries: int | None, seed: int,
    threads: int | None,
) -> None:  # fmt: skip
    """Fit synthetic cameras to your camera, from its photographs alone.

    \b
    Example:
      degrade-engine calibrate camera --lr my/camera --hr my/sharp \\
        -o my-camera.json
      degrade-engine generate --degrader camera \\
        --cameras my-camera.json --hr my/sharp …

    Many cameras are tried on sharp crops, and the best ones are varied. The six whose LR measure most like your
    photographs are kept. No network is trained, and torch is not needed. The table at the end compares fitted cameras,
    unfitted ones and plain bicubic with the photographs that were held out.
    """
    from degrade_engine.calib.fitting import calibrate
    from degrade_engine.engine.cores import cores

    if out.suffix != ".json":
        raise DegradeError(f"-o is {out}", wanted="a file that ends in .json")
    if not out.absolute().parent.is_dir():
        raise DegradeError(f"The folder {out.parent} does not exist", wanted="an existing folder for the result")
    if minutes and tries:
        raise DegradeError("--minutes and --tries were both given", wanted="one of them")
    found, compared = calibrate(lr_, hr, minutes=minutes or MINUTES, tries=tries, seed=seed, say=click.echo,
                                workers=threads or cores(), progress=Fitting())  # fmt: skip
    write_json_atomic(out, found)
    for line in lines(found, compared, out):
        click.echo(line)


def lines(found: FittedCameras, compared: Compared, out: Path) -> Iterator[str]:
    """The table, what it says, and what was written."""
    from degrade_engine.engine.report.measures import MEASURES

    standings = (compared.bicubic, compared.unfitted, compared.fitted)
    yield ROW.format("", "bicubic", "unfitted", "fitted", "camera").rstrip()
    for of in MEASURES:
        columns = (*(one.medians for one in standings), compared.real)
        if all(of.key in one for one in columns):
            yield ROW.format(of.name, *(f"{one[of.key]:.2f}" for one in columns)).rstrip()
    for name, key in (("Distance by measures", "distance"), ("Distance of fine detail", "detail")):
        yield ROW.format(name, *(f"{getattr(one, key):.3f}" for one in standings), "").rstrip()
    held_out = found.lr["held_out"]
    nearer = "are nearer" if compared.nearer else "are not nearer"
    yield (f"The fitted cameras {nearer} to the {held_out} photographs that were held out than unfitted cameras and "
           f"bicubic, by measures and in fine detail.")  # fmt: skip
    if held_out < ENOUGH:
        yield (f"{held_out} photographs are few to judge by, and this can be wrong: give more, or compare pairs with "
               f"`degrade-engine match`.")  # fmt: skip
    yield f"{out} holds the nearest {len(found.cameras)} of {found.tried} cameras."
