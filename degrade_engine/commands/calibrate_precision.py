"""`degrade-engine calibrate precision CHECKPOINT … -o calibration.json`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from degrade_engine.engine.errors import DegradeError

if TYPE_CHECKING:
    from degrade_engine.engine.calibration_spec import PrecisionCalibration


@click.command("precision", short_help="Find the layers of a checkpoint that need FP32.")
@click.argument("checkpoint", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--hr", type=click.Path(path_type=Path), required=True, help="Folder of sharp photographs.")
@click.option("--reference", type=click.Path(path_type=Path), required=True, help="Folder of real LR photographs.")
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("calibration.json"),
              show_default=True, help="File for the result. A picture of it is written as .svg.")  # fmt: skip
@click.option("--bound", "bound_grey", type=click.FloatRange(0), metavar="X", default=0.5, show_default=True,
              help="Largest mean pixel error that is allowed, in grey levels (0 to 255).")  # fmt: skip
@click.option("--pairs", type=click.IntRange(1), metavar="N", default=4, show_default=True,
              help="Photographs of each kind.")  # fmt: skip
@click.option("--lr-size", type=click.IntRange(1), metavar="PX", default=64, show_default=True,
              help="Side of the LR images in pixels.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), metavar="S", default=0, show_default=True,
              help="Random seed of the noise.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), metavar="N", help="CPU threads. [default: PyTorch's choice]")
def command(checkpoint: Path, out: Path, threads: int | None, **asked: Any) -> None:
    """Find the layers of CHECKPOINT that must stay FP32 in an FP16 engine.

    \b
    Example:
      degrade-engine calibrate precision realdgen.safetensors \\
        --hr my/sharp --reference my/camera -o calibration.json
      degrade-engine export realdgen.safetensors -o bundle \\
        --calibration calibration.json

    FP16 is computed as tensor cores do it (FP16 factors, FP32 sums). No GPU is needed. Needs torch.
    """
    try:
        from degrade_engine.calib import figure
        from degrade_engine.calib.precision import calibrate
        from degrade_engine.export import half  # noqa: F401  (what is missing is named before the work begins)
    except ModuleNotFoundError as e:
        raise DegradeError(
            f"calibrating needs {e.name}", wanted="the extra `train`", mend="pip install 'degrade-engine[train,cpu]'"
        ) from e
    from degrade_engine.engine.artefact import write_bytes_atomic, write_json_atomic

    if not out.parent.is_dir():
        raise DegradeError(f"The folder {out.parent} does not exist", wanted="an existing folder for the result")
    if out.suffix == ".svg":
        raise DegradeError(f"-o is {out}, the name of the picture", wanted="a name that ends in .json")
    found = calibrate(checkpoint, threads=threads, say=lambda line: click.echo(line, err=True), **asked)
    write_json_atomic(out, found)
    write_bytes_atomic(out.with_suffix(".svg"), figure.draw(found).encode())
    click.echo(summary(found))
    click.echo(f"wrote {out} and {out.with_suffix('.svg').name}")


def summary(found: PrecisionCalibration) -> str:
    """What was chosen, in which sense it is smallest, and what it keeps; a line an island."""
    from degrade_engine.calib.figure import grey

    lines = []
    for i, way in enumerate(found.options.trajectories):
        errors = (f"{name.replace('_', ' ')} {grey(e[i])}" for name, e in vars(found.errors).items())
        lines.append(f"{way.solver} from tau {way.tau} in {way.steps or way.tau}: grey levels off, {', '.join(errors)}")
    worst = max((max(layer.input_max, layer.output_max), layer.name) for layer in found.layers)
    lines.append(f"largest activation {worst[0]:.4g} of 65504 ({worst[1]}), over {len(found.timesteps)} timesteps")
    for island in found.islands:
        without = "not finite" if island.without_grey is None else f"{island.without_grey:.3g} grey levels"
        lines.append(f"FP32 island {island.layer} ({island.reason}): {without} without it")
    if found.islands:
        lines.append(f"{len(found.islands)} islands, smallest in this sense: the bound of {found.options.bound_grey:g} "
                     "holds, and with any one less (overflowing layers stay) it does not")  # fmt: skip
    else:
        lines.append(f"no FP32 island is needed beyond policy for a bound of {found.options.bound_grey:g} grey levels")
    return "\n".join(lines)
