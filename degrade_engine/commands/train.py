"""`degrade-engine train realdgen --stage …`: one stage of RealDGen at a time, resumable; the others are in
train_lway.py, train_syndiff.py and train_uddm.py."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import click

from . import train_lway, train_syndiff, train_uddm
from .training import FOLDERS, HR, PAIRS, common, setup, training_extra

SHARE = click.FloatRange(0, 1)


@click.group("train")
def command() -> None:
    """Train one of the originals (needs the extra `train`)."""


@command.command("realdgen")
@click.option("--stage", type=click.Choice(["vqvae", "content", "degradation", "ddpm", "sample"]), required=True)
@click.option("--preset", type=click.Choice(["paper", "tiny", "small"]), default="tiny", show_default=True)
@HR
@click.option("--lr", type=FOLDERS, multiple=True, help="Folder of real LR photographs, unpaired (repeatable).")
@PAIRS
@click.option("--crop", type=click.IntRange(8), default=64, show_default=True, help="LR pixels a side.")
@click.option("--reference-crop", type=click.IntRange(8), help="LR pixels a side of what E_deg sees (default: --crop).")
@click.option("--mix", type=(SHARE, SHARE, SHARE), default=(0.5, 0.25, 0.25), show_default=True,
              help="Stage ddpm: weights of synthetic, unpaired, true pairs.")  # fmt: skip
@click.option("--camera", type=SHARE,
              help="Share of synthetic rows by the synthetic camera. [default: 0.7 for small, else 0]")  # fmt: skip
@click.option("--without", type=click.Choice(["degradation", "content"]), multiple=True,
              help="Ablate an extractor (Table 5).")  # fmt: skip
@click.option("--no-pretraining", is_flag=True, help="Stage ddpm: extractors from scratch (Table 15).")
@click.option("--no-finetuning", is_flag=True, help="Stage ddpm: extractors frozen (Table 15).")
@click.option("--dry-run", is_flag=True, help="Print the resolved options and stop.")
@common(batch=None)
def realdgen(stage: str, preset: str, crop: int, reference_crop: int | None, mix: tuple[float, float, float],
             camera: float | None, without: tuple[str, ...], no_pretraining: bool, no_finetuning: bool, dry_run: bool,
             **given: Any) -> None:  # fmt: skip
    """RealDGen, stage by stage: vqvae, content, degradation, ddpm. HR and LR folders are unpaired; earlier stages are
    read from the run's folder.

    Several GPUs: torchrun --nproc-per-node N -m degrade_engine train realdgen …
    """
    with training_extra():
        from degrade_engine.originals.realdgen.config import PRESETS
        from degrade_engine.originals.realdgen.data import DataOptions
        from degrade_engine.originals.realdgen.stages import STAGE_PRESETS
        from degrade_engine.originals.realdgen.train import train_stage
    config = dataclasses.replace(PRESETS[preset], without=without)
    options = STAGE_PRESETS[preset]
    changes: dict[str, Any] = {"pretrained": not no_pretraining, "finetune": not no_finetuning}
    if given["learning_rate"]:
        changes["lr_content" if stage == "content" else "lr"] = given["learning_rate"]
    options = dataclasses.replace(options, batch=given["batch"] or options.batch, **changes)
    small = preset == "small"
    data = DataOptions(crop=crop, reference_crop=reference_crop or crop, mix=mix, exposed=small,
                       camera=0.7 * small if camera is None else camera)  # fmt: skip
    run = setup(given)
    if dry_run:
        asked = {"config": config, "options": options, "data": data} | vars(run)
        click.echo(json.dumps({"stage": stage} | asked, indent=1, default=plain))
        return
    train_stage(stage, config, options, data, run)


def plain(value: Any) -> Any:
    """A dataclass, or a path, for JSON."""
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else str(value)  # type: ignore[arg-type]


for one in (train_syndiff.command, train_uddm.command, train_lway.lway, train_lway.srresnet):
    command.add_command(one)
