"""`degrade-engine train realdgen --stage …`: one stage of RealDGen at a time, resumable; the others are in
train_lway.py, train_syndiff.py and train_uddm.py."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from degrade_engine.commands import train_lway, train_uddm
from degrade_engine.engine.errors import DegradeError

from .train_syndiff import command as syndiff

FOLDERS = click.Path(exists=True, path_type=Path)
SHARE = click.FloatRange(0, 1)


@click.group("train")
def command() -> None:
    """Train one of the originals (needs the extra `train`)."""


command.add_command(syndiff)
command.add_command(train_uddm.command)


@command.command("realdgen")
@click.option("--stage", type=click.Choice(["vqvae", "content", "degradation", "ddpm", "sample"]), required=True)
@click.option("--preset", type=click.Choice(["paper", "tiny", "small"]), default="tiny", show_default=True)
@click.option("--hr", type=FOLDERS, multiple=True, required=True, help="Folder of sharp photographs (repeatable).")
@click.option("--lr", "lr_", type=FOLDERS, multiple=True, help="Folder of real LR photographs, unpaired (repeatable).")
@click.option(
    "--pairs", type=FOLDERS, multiple=True, help="CSV hr,lr,group of true pairs, where you have some (repeatable)."
)
@click.option(
    "--hold-out",
    type=FOLDERS,
    multiple=True,
    help="Photographs not to train on; copies of them are left out (repeatable).",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The run's folder; earlier stages are read from it.",
)
@click.option("--steps", type=click.IntRange(1), default=20_000, show_default=True)
@click.option("--batch", type=click.IntRange(1), help="Rows a step (default: the preset's).")
@click.option(
    "--learning-rate", type=click.FloatRange(0, min_open=True), help="Peak learning rate (default: the preset's)."
)
@click.option("--crop", type=click.IntRange(8), default=64, show_default=True, help="LR pixels a side.")
@click.option("--reference-crop", type=click.IntRange(8), help="LR pixels a side of what E_deg sees (default: --crop).")
@click.option(
    "--mix",
    type=(SHARE, SHARE, SHARE),
    default=(0.5, 0.25, 0.25),
    show_default=True,
    help="Stage ddpm: weights of synthetic, unpaired, true pairs.",
)
@click.option(
    "--camera",
    type=click.FloatRange(0, 1),
    help="Share of synthetic rows by the synthetic camera. [default: 0.7 for small, else 0]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--workers", type=click.IntRange(0), default=1, show_default=True, help="Processes that make batches.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads of the networks.")
@click.option("--bf16/--no-bf16", default=None, help="Autocast. [default: where this machine is faster with it]")
@click.option("--ema", type=click.FloatRange(0, 1), default=0.999, show_default=True)
@click.option(
    "--minutes",
    type=click.FloatRange(0),
    default=0.0,
    help="End the stage after this long (cosine over time; not exactly resumable).",
)
@click.option(
    "--without", type=click.Choice(["degradation", "content"]), multiple=True, help="Ablate an extractor (Table 5)."
)
@click.option("--no-pretraining", is_flag=True, help="Stage ddpm: extractors from scratch (Table 15).")
@click.option("--no-finetuning", is_flag=True, help="Stage ddpm: extractors frozen (Table 15).")
@click.option("--dry-run", is_flag=True, help="Print the resolved options and stop.")
def realdgen(
    stage: str,
    preset: str,
    hr: tuple[Path, ...],
    lr_: tuple[Path, ...],
    pairs: tuple[Path, ...],
    hold_out: tuple[Path, ...],
    out: Path,
    steps: int,
    batch: int | None,
    learning_rate: float | None,
    crop: int,
    reference_crop: int | None,
    mix: tuple[float, float, float],
    camera: float | None,
    seed: int,
    workers: int,
    threads: int | None,
    bf16: bool | None,
    ema: float,
    minutes: float,
    without: tuple[str, ...],
    no_pretraining: bool,
    no_finetuning: bool,
    dry_run: bool,
) -> None:
    """RealDGen, stage by stage: vqvae, content, degradation, ddpm. HR and LR folders are unpaired.

    Several GPUs: torchrun --nproc-per-node N -m degrade_engine train realdgen …
    """
    try:
        from degrade_engine.originals.realdgen.config import PRESETS
        from degrade_engine.originals.realdgen.data import DataOptions
        from degrade_engine.originals.realdgen.stages import STAGE_PRESETS
        from degrade_engine.originals.realdgen.train import Run, run_stage
        from degrade_engine.originals.trainer import TrainOptions, bf16_helps
    except ModuleNotFoundError as e:
        raise DegradeError(
            f"training needs {e.name}", wanted="the extra `train`", mend="pip install 'degrade-engine[train]'"
        ) from e

    config = dataclasses.replace(PRESETS[preset], without=without)
    options = STAGE_PRESETS[preset]
    options = dataclasses.replace(
        options, batch=batch or options.batch, pretrained=not no_pretraining, finetune=not no_finetuning
    )
    if learning_rate and stage == "content":
        options = dataclasses.replace(options, lr_content=learning_rate)
    elif learning_rate:
        options = dataclasses.replace(options, lr=learning_rate)
    small = preset == "small"
    share = camera if camera is not None else 0.7 * small
    data = DataOptions(crop=crop, reference_crop=reference_crop or crop, mix=mix, camera=share, exposed=small)
    bf16 = bf16_helps() if bf16 is None else bf16
    training = TrainOptions(steps=steps, seed=seed, bf16=bf16, ema=ema, deadline_s=60 * minutes)
    run = Run(stage, config, options, data, training, hr, lr_, pairs, hold_out, out, workers, threads)
    if dry_run:
        click.echo(json.dumps(dataclasses.asdict(run), indent=1, default=str))
        return
    run_stage(run)


command.add_command(train_lway.lway)
command.add_command(train_lway.srresnet)
