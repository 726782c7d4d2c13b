"""LWay on true pairs: does an SR model gain by adapting to test images?

A model adapts to the test LR themselves, as the paper has it; on `dsc` and `sony` to other LR of the camera, those of
part tune. A row also says how much changed where W < 0.1, which must stay under one grey level, and L (3.2) of what the
model makes of the test LR, beside L of the true HR. Where the HR's is no lower, L leads elsewhere. How like the real LR
the reconstructor's LR are, `quality` says, as of any engine (`--settings '[{"tau": 0, "noise": 0}]'`: without the noise
that the preset adds).
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from degrade_engine.engine.artefact import sha256_file
from degrade_engine.engine.images import read_rgb, resize_bicubic
from degrade_engine.originals.checkpoint import load
from degrade_engine.originals.lway.adapt import AdaptOptions, LRTest, adapt, loss, prepare, super_resolve
from degrade_engine.originals.lway.model import LWay
from degrade_engine.originals.lway.perceptual import Distance, open_distance
from degrade_engine.originals.photographs import tensor
from degrade_engine.originals.sr_models import SRModel, open_sr

from .. import metrics
from ..machine import machine
from ..options import FILE, FOLDER, ROWS_APPENDED, integer, one_of
from ..rows import add_row
from .corpus import CORPUS, drealsr
from .true_pairs import Image, Pairs, read_pairs

DREALSR = ("dsc", "sony")
FLAT = 0.1  # W below which a region is called flat


def super_resolved(model: SRModel, pairs: Pairs) -> list[Image]:
    """S(I_LR) of every pair, uint8."""
    return [super_resolve(model.net, lr, model.scale, model.multiple) for lr in pairs.lr]


def changes(before: list[Image], after: list[Image], weights: list[np.ndarray], scale: int) -> dict[str, float]:
    """Mean absolute change where W < FLAT, and elsewhere, grey levels over all images; and the flat share."""
    moved = [np.abs(a.astype(float) - b.astype(float)).mean(axis=2) for a, b in zip(before, after, strict=True)]
    flat = [np.kron(w < FLAT, np.ones((scale, scale), bool)) for w in weights]
    all_moved, all_flat = np.concatenate([m.ravel() for m in moved]), np.concatenate([f.ravel() for f in flat])
    return {"change_flat": round(float(all_moved[all_flat].mean()), 4),
            "change_elsewhere": round(float(all_moved[~all_flat].mean()), 4),
            "flat_share": round(float(all_flat.mean()), 4)}  # fmt: skip


def to_adapt_to(data: Path, split: str, pairs: Pairs) -> list[Image]:
    """The LR that a model learns from: the pairs' own, or on `dsc` and `sony` those of part tune."""
    tune = {camera.lower(): found for camera, found in drealsr(data, "tune").items()} if split in DREALSR else {}
    return [read_rgb(lr) for _, lr in tune[split]] if tune else pairs.lr


@torch.no_grad()
def mean_loss(lway: LWay, distance: Distance, sr: list[Image], tests: list[LRTest]) -> float:
    """L (3.2) of uint8 images in the place of S(I_LR), its mean over the tests."""
    each = [loss(lway, distance, tensor([image]), test)["loss"] for image, test in zip(sr, tests, strict=True)]
    return round(float(torch.stack(each).mean()), 5)


@click.command()
@click.option("--data", type=FOLDER, required=True, help=CORPUS)
@click.option("--lway", "checkpoint", type=FILE, required=True, help="Checkpoint of `train lway`.")
@click.option("--sr", type=FILE, multiple=True,
    help="SR model: an SRResNet of `train srresnet`, or a file that spandrel reads. Can be repeated. [default: "
    "bicubic only]")  # fmt: skip
@one_of("--split", ["chosen", "reported", *DREALSR], "chosen",
    "Pairs that are used. chosen: RealSR Canon 021 to 030, on which settings may be chosen. reported: Canon 031 to "
    "050, for the figures that are reported. dsc, sony: a camera of DRealSR, its part report.")  # fmt: skip
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), metavar="X", multiple=True, default=[2e-6],
    show_default=True,
    help="Learning rate of `adapt`. Can be repeated.")  # fmt: skip
@integer("--steps", 300, "Optimiser steps of `adapt`. The paper: 150 to 500.")
@integer("--batch", 6, "Patches a step. The paper: 6.")
@integer("--crop", 64, "Side of a patch in LR pixels.", metavar="PX")
@integer("--threads", 2, "CPU threads.")
@ROWS_APPENDED
def main(data: Path, checkpoint: Path, sr: tuple[Path, ...], split: str, learning_rate: tuple[float, ...], steps: int,
         batch: int, crop: int, threads: int, out: Path) -> None:  # fmt: skip
    """Measure what `adapt` does to SR models, on true pairs (LWay).

    \b
    Example:
      degrade-engine bench papers lway --data corpus --lway lway.safetensors \\
        --sr srresnet.safetensors -o lway.jsonl

    Each SR model enlarges real LR before and after it adapts to them (dsc, sony: to other LR of the camera). It does
    not see the HR. A row has PSNR and detail against the HR.
    """
    torch.set_num_threads(threads)
    lway, record = load(checkpoint, LWay)
    pairs = read_pairs(data, split, 128)
    name, distance = open_distance(None)
    about = {"split": split, "pairs": len(pairs.hr), "scale": pairs.scale, "lway": record.weights_sha256[:16],
             "torch": torch.__version__} | machine(threads)  # fmt: skip

    def record_row(row: dict[str, Any]) -> None:
        add_row(out, row | about)
        click.echo(str(row))

    tests = [prepare(lway, lr) for lr in pairs.lr]
    weights = [test.weight[0, 0].numpy() for test in tests]
    own = [prepare(lway, lr) for lr in to_adapt_to(data, split, pairs)]
    about["loss_hr"] = mean_loss(lway, distance, pairs.hr, tests)

    def figures(made: list[Image]) -> dict[str, Any]:
        return metrics.sr_figures(made, pairs.hr) | {"loss": mean_loss(lway, distance, made, tests)}

    bicubic = [resize_bicubic(lr, hr.shape[:2]) for lr, hr in zip(pairs.lr, pairs.hr, strict=True)]
    record_row({"what": "sr", "model": "bicubic"} | figures(bicubic))
    for path in sr:
        model = open_sr(path)
        before = super_resolved(model, pairs)
        trained: dict[str, Any] = {"what": "sr", "model": path.stem, "sr": sha256_file(path)[:16]}
        record_row(trained | {"adapted": None} | figures(before))
        for rate in learning_rate:
            model, began = open_sr(path), time.process_time()
            options = AdaptOptions(steps=steps, batch=batch, lr=rate, crop=crop)
            share = adapt(model.net, lway, own, options, distance, multiple=model.multiple)
            how = dataclasses.asdict(options) | {
                "perceptual": name,
                "share_moved": round(share, 4),
                "lr_images": len(own),
            }
            told = trained | {"adapted": how, "cpu_s": round(time.process_time() - began)}
            after = super_resolved(model, pairs)
            record_row(told | figures(after) | changes(before, after, weights, model.scale))
