"""`degrade-engine calibrate degradation`: sampling weights of a binned degradation space from real photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import Progress

from degrade_engine.engine.artefact import write_bytes_atomic, write_json_atomic
from degrade_engine.engine.errors import DegradeError

if TYPE_CHECKING:
    from degrade_engine.engine.classical.binned import Calibrated

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
FINE = Path("fine")
NAMES = ("random-alexnet", "e-deg", "alexnet", "vgg19-2-2", "vgg19-5-4")  # of calib.features, loaded when it is called


@click.command("degradation", short_help="Fit the binned degrader to the photographs of a camera.")
@click.option("--reference", type=FOLDER, required=True, help="Folder of real LR photographs. 100 to 150 are enough.")
@click.option("--hr", type=FOLDER, required=True,
    help="Folder of sharp photographs of other scenes. The sharper they are, the more blur is chosen.")  # fmt: skip
@click.option(
    "-o", "--out", type=FILE, required=True, help="File for the weights, .json. A picture of them is written as .svg.",
)  # fmt: skip
@click.option("--features", "name", type=click.Choice(NAMES), default="random-alexnet", show_default=True,
    metavar="NAME",
    help="Features that tell degradations apart: " + ", ".join(NAMES) + ". random-alexnet needs torch and no file. "
    "e-deg of an engine needs no torch.")  # fmt: skip
@click.option("--features-from", "path", type=click.Path(path_type=Path), metavar="PATH",
    help="For e-deg: an engine folder or a checkpoint. For alexnet and vgg19: a file of ImageNet weights.")  # fmt: skip
@click.option("--space", "options", type=FILE, metavar="fine|FILE",
    help="Degradations to choose from. fine: 315, closer together where blur, noise and JPEG are weak, and with "
    "sharpening. FILE: a TOML file of your own. [default: the paper's 75]")  # fmt: skip
@click.option("--alpha", type=click.FloatRange(0), metavar="X", default=25.0, show_default=True,
    help="How selective the weights are. 0: all bins weigh the same. Large: only the nearest bin counts.")  # fmt: skip
@click.option(
    "--scale", type=click.Choice(["4", "2"]), default="4", show_default=True, help="HR size divided by LR size.",
)  # fmt: skip
@click.option("--crop", type=click.IntRange(32), metavar="PX",
    help="Side of the LR crops in pixels. [default: 72 or the engine's]")  # fmt: skip
@click.option(
    "--crops", type=click.IntRange(2), metavar="N", default=150, show_default=True, help="Crops per folder, at most.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, metavar="S", help="Random seed. [default: 0]")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="CPU threads. [default: one per core]")
def command(
    reference: Path, hr: Path, out: Path, name: str, path: Path | None, options: Path | None, alpha: float, scale: str,
    crop: int | None, crops: int, seed: int, threads: int | None,
) -> None:  # fmt: skip
    """Fit the binned degrader to the photographs of a camera.

    \b
    Example:
      degrade-engine calibrate degradation \\
        --reference my/camera --hr my/sharp -o weights.json
      degrade-engine generate --degrader binned --weights weights.json …

    Each bin, a range of degradations, is applied to crops of the sharp photographs. Its weight follows from the Fréchet
    distance between the deep features of these crops and of the references ("Crafting Training Degradation
    Distribution", eq. 3 and 4).
    """
    from degrade_engine.calib import degradation, heatmap
    from degrade_engine.calib.features import open_features
    from degrade_engine.engine.classical.binned import Space
    from degrade_engine.engine.classical.settings import preset, read

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    space = preset(Space, "binned-fine") if options == FINE else read(Space, "binned", options)
    features = open_features(name, path, seed=seed, threads=threads)  # type: ignore[arg-type]
    side = crop or features.size or 72
    if features.size is not None and side != features.size:
        fact = f"--crop is {side} and the engine {path} reads {features.size} x {features.size} pixels"
        raise DegradeError(fact, mend="leave --crop out, or give the checkpoint instead of the engine")
    real = degradation.read_crops(reference, "reference", most=crops, side=side, seed=seed)
    sharp = degradation.read_crops(hr, "HR", most=crops, side=side * int(scale), seed=seed)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("bins", total=space.bins)
        found = degradation.calibrate(
            real, sharp, features, space, scale=int(scale), alpha=alpha, seed=seed, workers=threads,
            on_bin=lambda _: progress.advance(task),
        )  # fmt: skip
    picture = out.with_suffix(".svg")
    write_json_atomic(out, found)
    write_bytes_atomic(picture, heatmap.draw(space, [(name, f"alpha {alpha:g}", found.weights)], out.stem).encode())
    if len(real.pixels) < degradation.ENOUGH:
        console.print(
            f"Warning: {len(real.pixels)} reference crops of {side} x {side} pixels; the paper found "
            f"{degradation.ENOUGH} to 150 to suffice. {_moves(found)}"
        )
    click.echo(say(found))
    click.echo(f"wrote {out} and {picture.name}")


def say(found: Calibrated) -> str:
    """The heaviest bins in words."""
    order = sorted(range(found.space.bins), key=lambda bin: -found.weights[bin])
    lines = [f"The heaviest of {found.space.bins} bins, from {found.reference['crops']} reference crops:"]
    for bin in order[:4]:
        lines.append(f"{100 * found.weights[bin]:5.1f} %  {found.space.words(bin)}")
    return "\n".join([*lines, _moves(found)])


def _moves(found: Calibrated) -> str:
    return f"When the references are drawn anew, {100 * found.spread:.0f} % of the weight moves."
