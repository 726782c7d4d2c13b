"""`degrade-engine export CHECKPOINT -o bundle/`."""

from __future__ import annotations

from pathlib import Path

import click

from degrade_engine.models.ready import checkpoint_of, exporter


@click.command("export")
@click.argument("model", type=click.Path(path_type=Path), metavar="NAME|CHECKPOINT")
@click.option("-o", "--out", type=click.Path(file_okay=False, path_type=Path), required=True,
              help="The bundle's folder.")  # fmt: skip
@click.option("--calibration", type=click.Path(dir_okay=False, path_type=Path),
              help="calibration.json of this checkpoint: its islands stay FP32 in the FP16 files.")  # fmt: skip
def command(model: Path, out: Path, calibration: Path | None) -> None:
    """Export a checkpoint, or a model by its name (`degrade-engine models`), to a bundle of ONNX files, FP32 and
    FP16-typed (needs the extra `train`)."""
    checkpoint = checkpoint_of(model)
    exporter(model)(checkpoint, out, say=click.echo, calibration=calibration)
    click.echo(f"wrote {out}")
