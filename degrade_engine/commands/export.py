"""`degrade-engine export CHECKPOINT -o bundle/`."""

from __future__ import annotations

from pathlib import Path

import click

from degrade_engine.engine.errors import DegradeError


@click.command("export")
@click.argument("checkpoint", type=click.Path(dir_okay=False, path_type=Path))
@click.option("-o", "--out", type=click.Path(file_okay=False, path_type=Path), required=True,
              help="The bundle's folder.")  # fmt: skip
@click.option("--calibration", type=click.Path(dir_okay=False, path_type=Path),
              help="calibration.json of this checkpoint: its islands stay FP32 in the FP16 files.")  # fmt: skip
def command(checkpoint: Path, out: Path, calibration: Path | None) -> None:
    """Export a checkpoint to a bundle of ONNX files, FP32 and FP16-typed (needs the extra `train`)."""
    try:
        from degrade_engine.export import export_checkpoint
    except ModuleNotFoundError as e:
        raise DegradeError(
            f"exporting needs {e.name}", wanted="the extra `train`", mend="pip install 'degrade-engine[train,cpu]'"
        ) from e
    export_checkpoint(checkpoint, out, say=click.echo, calibration=calibration)
    click.echo(f"wrote {out}")
