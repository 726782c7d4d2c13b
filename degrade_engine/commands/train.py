"""`degrade-engine train realdgen --stage …`: one stage of RealDGen at a time, resumable; the others are in
train_lway.py, train_syndiff.py and train_uddm.py."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click
import cloup

from . import train_lway, train_syndiff, train_uddm
from .training import FILE, FOLDERS, HR, PAIRS, setup, trained, training_extra

SHARE = click.FloatRange(0, 1)


@click.group("train")
def command() -> None:
    """Train a model on your photographs.

    \b
    Example:
      degrade-engine train syndiff --lr my/camera --out training

    Needs torch: pip install 'degrade-engine[train]'. A stopped training continues with the same command.
    """


@command.command("realdgen", cls=cloup.Command, short_help="RealDGen, one stage at a time.")
@trained(
    click.option("--stage", type=click.Choice(["vqvae", "content", "degradation", "ddpm", "sample"]), required=True,
                 metavar="STAGE", help="vqvae, content, degradation, ddpm, in this order; or sample, for the preset "
                 "small."),
    click.option("--preset", type=click.Choice(["paper", "tiny", "small"]), default="tiny", show_default=True,
                 help="Size of the networks."),
    HR,
    click.option("--lr", type=FOLDERS, multiple=True, help="Folder of real LR photographs, unpaired (repeatable)."),
    PAIRS,
    click.option("--crop", type=click.IntRange(8), metavar="PX", default=64, show_default=True,
                 help="Side of the LR crops in pixels."),
    click.option("--reference-crop", type=click.IntRange(8), metavar="PX",
                 help="Side of the reference crops that E_deg reads. [default: --crop]"),
    click.option("--mix", type=(SHARE, SHARE, SHARE), metavar="A B C", default=(0.5, 0.25, 0.25), show_default=True,
                 help="Stage ddpm: weights of synthetic, unpaired and true pairs."),
    click.option("--camera", type=SHARE, metavar="0..1",
                 help="Share of the synthetic pairs that the synthetic camera makes. [default: 0.7 for small, else 0]"),
    click.option("--without", type=click.Choice(["degradation", "content"]), multiple=True,
                 help="Leave out an extractor (the paper's Table 5)."),
    click.option("--from", "begin", type=FILE, metavar="CHECKPOINT",
                 help="Stage sample: a trained checkpoint of preset tiny to start from. [default: the earlier stages]"),
    click.option("--no-pretraining", is_flag=True, help="Stage ddpm: extractors from scratch (Table 15)."),
    click.option("--no-finetuning", is_flag=True, help="Stage ddpm: extractors frozen (Table 15)."),
    click.option("--dry-run", is_flag=True, help="Print all settings as JSON, and stop."),
    batch=None,
)  # fmt: skip
def realdgen(stage: str, preset: str, crop: int, reference_crop: int | None, mix: tuple[float, float, float],
             camera: float | None, without: tuple[str, ...], begin: Path | None, no_pretraining: bool,
             no_finetuning: bool, dry_run: bool, **given: Any) -> None:  # fmt: skip
    """Train RealDGen, one stage at a time.

    \b
    Example:
      degrade-engine train realdgen --stage vqvae \\
        --hr my/sharp --lr my/camera --out training

    The photographs of --hr and --lr need not show the same scenes. Each stage reads the earlier ones from --out.

    \b
    On several GPUs:
      torchrun --nproc-per-node N -m degrade_engine train realdgen …
    """
    with training_extra():
        from degrade_engine.originals.realdgen.config import PRESETS
        from degrade_engine.originals.realdgen.data import DataOptions
        from degrade_engine.originals.realdgen.stages import GROWN_STAGES, STAGE_PRESETS
        from degrade_engine.originals.realdgen.train import train_stage
    config = dataclasses.replace(PRESETS[preset], without=without)
    options = GROWN_STAGES if begin else STAGE_PRESETS[preset]
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
    train_stage(stage, config, options, data, run, begin)


def plain(value: Any) -> Any:
    """A dataclass, or a path, for JSON."""
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else str(value)  # type: ignore[arg-type]


for one in (train_syndiff.command, train_uddm.command, train_lway.lway, train_lway.srresnet):
    command.add_command(one)
