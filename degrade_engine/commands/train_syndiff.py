"""`degrade-engine train syndiff`: an unconditional diffusion model of real LR photographs."""

from __future__ import annotations

from pathlib import Path

import click

from degrade_engine.engine.errors import DegradeError

FOLDERS = click.Path(exists=True, path_type=Path)


@click.command("syndiff")
@click.option("--preset", type=click.Choice(["paper", "tiny"]), default="tiny", show_default=True)
@click.option(
    "--lr", "lr_", type=FOLDERS, multiple=True, required=True, help="Folder of real LR photographs (repeatable)."
)
@click.option("--hold-out", type=FOLDERS, multiple=True, help="Photographs not to train on, nor copies of them.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The run's folder.")
@click.option("--steps", type=int, default=20_000, show_default=True)
@click.option("--batch", type=int, default=16, show_default=True)
@click.option("--learning-rate", type=float, default=3e-4, show_default=True)
@click.option("--low-share", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="Share of the rows with t in the quarter of the schedule that generation uses.")  # fmt: skip
@click.option("--crop", type=int, default=64, show_default=True, help="LR pixels a side.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--workers", type=int, default=1, show_default=True, help="Processes that make batches.")
@click.option("--bf16/--no-bf16", default=None, help="Autocast. [default: where this machine is faster with it]")
@click.option("--minutes", type=float, default=0.0, help="End after this long (not exactly resumable).")
def command(
    preset: str,
    lr_: tuple[Path, ...],
    hold_out: tuple[Path, ...],
    out: Path,
    steps: int,
    batch: int,
    learning_rate: float,
    low_share: float,
    crop: int,
    seed: int,
    workers: int,
    bf16: bool | None,
    minutes: float,
) -> None:
    """SynDiff (Yang et al. 2023), the peer that RealDGen is compared with."""
    try:
        from degrade_engine.originals.syndiff.config import PRESETS
        from degrade_engine.originals.syndiff.train import Run, run
        from degrade_engine.originals.trainer import TrainOptions, bf16_helps
    except ModuleNotFoundError as e:
        raise DegradeError(
            f"training needs {e.name}", wanted="the extra `train`", mend="pip install 'degrade-engine[train]'"
        ) from e
    training = TrainOptions(
        steps=steps, seed=seed, bf16=bf16_helps() if bf16 is None else bf16, deadline_s=60 * minutes
    )
    path = run(Run(PRESETS[preset], training, lr_, hold_out, out, batch, learning_rate, low_share, crop, workers))
    click.echo(f"wrote {path}")
