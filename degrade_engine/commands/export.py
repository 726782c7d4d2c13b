"""`degrade-engine export CHECKPOINT -o bundle/`."""

from __future__ import annotations

from pathlib import Path

import click

from degrade_engine.engine.spec import QUANTISED, Precision
from degrade_engine.models.ready import checkpoint_of, exporter


@click.command("export")
@click.argument("model", type=click.Path(path_type=Path), metavar="NAME|CHECKPOINT")
@click.option("-o", "--out", type=click.Path(file_okay=False, path_type=Path), required=True,
              help="Folder for the bundle.")  # fmt: skip
@click.option("--calibration", type=click.Path(dir_okay=False, path_type=Path),
              help="calibration.json of this checkpoint: the layers that it names stay FP32 in the FP16 files."
              )  # fmt: skip
@click.option("--precision", "precisions", type=click.Choice(QUANTISED), multiple=True,
              help="Also write what runs each step in INT8 or FP8, for TensorRT. Can be repeated.")  # fmt: skip
def command(model: Path, out: Path, calibration: Path | None, precisions: tuple[Precision, ...]) -> None:
    """Export a checkpoint, or a model by its name, to ONNX files in FP32 and FP16.

    \b
    Example:
      degrade-engine export training/realdgen.safetensors -o bundle

    Needs torch: pip install 'degrade-engine[train]'. `degrade-engine models` lists the names.
    """
    checkpoint = checkpoint_of(model)
    exporter(model)(checkpoint, out, say=click.echo, precisions=("fp32", "fp16", *precisions), calibration=calibration)
    click.echo(f"wrote {out}")
