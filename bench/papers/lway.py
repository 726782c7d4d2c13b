"""LWay on true pairs: does an SR model gain by adapting to test images?

A row also says how much changed where W < 0.1, which must stay under one grey level. How like the real LR its
reconstructor's LR are, `quality` says, as of any engine (`--settings '[{"tau": 0, "noise": 0}]'`: without the noise
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
from degrade_engine.engine.images import resize_bicubic
from degrade_engine.originals.checkpoint import load
from degrade_engine.originals.lway.adapt import AdaptOptions, adapt, prepare, super_resolve
from degrade_engine.originals.lway.model import LWay
from degrade_engine.originals.lway.perceptual import open_distance
from degrade_engine.originals.sr_models import SRModel, open_sr

from .. import metrics
from ..machine import machine
from ..options import FILE, FOLDER, ROWS_APPENDED, integer, one_of
from ..rows import add_row
from .corpus import CORPUS
from .true_pairs import Image, Pairs, read_pairs

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


@click.command()
@click.option("--data", type=FOLDER, required=True, help=CORPUS)
@click.option("--lway", "checkpoint", type=FILE, required=True, help="Checkpoint of `train lway`.")
@click.option("--sr", type=FILE, multiple=True,
    help="SR model: an SRResNet of `train srresnet`, or a file that spandrel reads. Can be repeated. [default: "
    "bicubic only]")  # fmt: skip
@one_of("--split", ["chosen", "reported"], "chosen",
    "RealSR Canon scenes that are used. chosen: 021 to 030, on which settings may be chosen. reported: 031 to 050, "
    "for the figures that are reported.")  # fmt: skip
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), metavar="X", multiple=True, default=[2e-6],
    show_default=True,
    help="Learning rate of `adapt`. Can be repeated.")  # fmt: skip
@integer("--steps", 300, "Optimiser steps of `adapt`. The paper: 150 to 500.")
@integer("--crop", 64, "Side of a patch in LR pixels.", metavar="PX")
@integer("--threads", 2, "CPU threads.")
@ROWS_APPENDED
def main(data: Path, checkpoint: Path, sr: tuple[Path, ...], split: str, learning_rate: tuple[float, ...], steps: int,
         crop: int, threads: int, out: Path) -> None:  # fmt: skip
    """Measure what `adapt` does to SR models, on true pairs (LWay).

    \b
    Example:
      degrade-engine bench papers lway --data corpus --lway lway.safetensors \\
        --sr srresnet.safetensors -o lway.jsonl

    Each SR model enlarges real LR before and after it adapts to them. It does not see the HR. A row has PSNR and detail
    against the HR.
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

    bicubic = [resize_bicubic(lr, hr.shape[:2]) for lr, hr in zip(pairs.lr, pairs.hr, strict=True)]
    record_row({"what": "sr", "model": "bicubic"} | metrics.sr_figures(bicubic, pairs.hr))
    tests = [prepare(lway, lr) for lr in pairs.lr]
    weights = [test.weight[0, 0].numpy() for test in tests]
    for path in sr:
        model = open_sr(path)
        before = super_resolved(model, pairs)
        trained: dict[str, Any] = {"what": "sr", "model": path.stem, "sr": sha256_file(path)[:16]}
        record_row(trained | {"adapted": None} | metrics.sr_figures(before, pairs.hr))
        for rate in learning_rate:
            model, began = open_sr(path), time.perf_counter()
            options = AdaptOptions(steps=steps, lr=rate, crop=crop)
            share = adapt(model.net, lway, tests, options, distance, multiple=model.multiple)
            after = super_resolved(model, pairs)
            how = dataclasses.asdict(options) | {"perceptual": name, "share_moved": round(share, 4)}
            told = trained | {"adapted": how, "seconds": round(time.perf_counter() - began)}
            moved = changes(before, after, weights, model.scale)
            record_row(told | metrics.sr_figures(after, pairs.hr) | moved)
