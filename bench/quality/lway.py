"""LWay on true pairs: is its reconstructor's LR like the real LR, and does an SR model gain by adapting to test images?

    degrade-engine bench lway --data DATA --lway lway.safetensors --sr srresnet.safetensors \\
        --split reported -o bench/results/lway.jsonl

Reconstructor: HR and a reference in, LR out, with the references and figures of `bench.quality`, whose rows stand
beside these. SR: the Canon LR super-resolved before and after `adapt` on these very LR, no HR seen; PSNR and detail
against the HR, and how much changed where W < 0.1, which must stay under one grey level.
"""

from __future__ import annotations

import dataclasses
import json
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
from degrade_engine.originals.photographs import tensor
from degrade_engine.originals.sr_models import SRModel, open_sr

from ..machine import machine
from ..options import AT_LEAST_1, FILE, FOLDER, OUT
from . import metrics
from .baselines import baselines
from .scores import measure
from .true_pairs import Image, Pairs, read_pairs

FLAT = 0.1  # W below which a region is called flat


@torch.no_grad()
def reconstructed(lway: LWay, pairs: Pairs, reference: str) -> list[Image]:
    """R(I_HR, E(reference)) of every pair, uint8."""
    made = []
    for hr, real, other in zip(pairs.hr, pairs.lr, pairs.references[reference], strict=True):
        content = tensor([resize_bicubic(hr, real.shape[:2])])
        lr = lway.reconstructor(content, lway.e(tensor([other])))[0].clamp(-1, 1)
        made.append(((lr + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy())
    return made


def super_resolved(model: SRModel, pairs: Pairs) -> list[Image]:
    """S(I_LR) of every pair, uint8."""
    return [super_resolve(model.net, lr, model.scale, model.multiple) for lr in pairs.lr]


def sr_figures(made: list[Image], hr: list[Image]) -> dict[str, Any]:
    """PSNR against the HR, and the detail of both: the Laplacian's standard deviation, grey levels."""
    psnr = np.array([metrics.psnr(a, b) for a, b in zip(made, hr, strict=True)])
    return {
        "psnr_db": round(float(psnr.mean()), 3),
        "psnr_interval": [round(v, 3) for v in metrics.interval(psnr)],
        "ssim": round(float(np.mean([metrics.ssim(a, b) for a, b in zip(made, hr, strict=True)])), 4),
        "detail": round(float(np.mean([metrics.laplacian_std(a) for a in made])), 3),
        "detail_hr": round(float(np.mean([metrics.laplacian_std(a) for a in hr])), 3),
    }


def changes(before: list[Image], after: list[Image], weights: list[np.ndarray], scale: int) -> dict[str, float]:
    """Mean absolute change where W < FLAT, and elsewhere, grey levels over all images; and the flat share."""
    moved = [np.abs(a.astype(float) - b.astype(float)).mean(axis=2) for a, b in zip(before, after, strict=True)]
    flat = [np.kron(w < FLAT, np.ones((scale, scale), bool)) for w in weights]
    all_moved, all_flat = np.concatenate([m.ravel() for m in moved]), np.concatenate([f.ravel() for f in flat])
    return {"change_flat": round(float(all_moved[all_flat].mean()), 4),
            "change_elsewhere": round(float(all_moved[~all_flat].mean()), 4),
            "flat_share": round(float(all_flat.mean()), 4)}  # fmt: skip


@click.command()
@click.option("--data", type=FOLDER, required=True)
@click.option("--lway", "checkpoint", type=FILE, required=True)
@click.option("--sr", type=FILE, multiple=True, help="SR models (repeatable).")
@click.option("--split", type=click.Choice(["chosen", "reported"]), default="chosen", show_default=True)
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), multiple=True, default=[2e-6],
              help="Of adapt (repeatable).")  # fmt: skip
@click.option("--steps", type=AT_LEAST_1, default=300, show_default=True)
@click.option("--crop", type=AT_LEAST_1, default=64, show_default=True, help="LR pixels a side of a patch.")
@click.option("--threads", type=AT_LEAST_1, default=2, show_default=True)
@click.option("-o", "--out", type=OUT, required=True, help="JSONL; rows are appended.")
def main(data: Path, checkpoint: Path, sr: tuple[Path, ...], split: str, learning_rate: tuple[float, ...], steps: int,
         crop: int, threads: int, out: Path) -> None:  # fmt: skip
    """Measure a reconstruction network, and what adapting by it does to SR models."""
    torch.set_num_threads(threads)
    lway, record = load(checkpoint, LWay)
    pairs = read_pairs(data, split, 128)
    name, distance = open_distance(None)
    about = {"split": split, "pairs": len(pairs.hr), "scale": pairs.scale, "lway": record.weights_sha256[:16],
             "torch": torch.__version__} | machine(threads)  # fmt: skip
    with out.open("a") as f:

        def record_row(row: dict[str, Any]) -> None:
            f.write(json.dumps(row | about) + "\n")
            f.flush()
            click.echo(json.dumps(row))

        for baseline, made in baselines(pairs, seed=0).items():
            record_row({"what": "lr", "generator": baseline, "reference": ""} | measure(made, pairs.lr))
        for reference in ("other", "paired", "clean"):
            row = {"what": "lr", "generator": "lway", "reference": reference}
            record_row(row | measure(reconstructed(lway, pairs, reference), pairs.lr))
        bicubic = [resize_bicubic(lr, hr.shape[:2]) for lr, hr in zip(pairs.lr, pairs.hr, strict=True)]
        record_row({"what": "sr", "model": "bicubic"} | sr_figures(bicubic, pairs.hr))
        tests = [prepare(lway, lr) for lr in pairs.lr]
        weights = [test.weight[0, 0].numpy() for test in tests]
        for path in sr:
            model = open_sr(path)
            before = super_resolved(model, pairs)
            trained: dict[str, Any] = {"what": "sr", "model": path.stem, "sr": sha256_file(path)[:16]}
            record_row(trained | {"adapted": None} | sr_figures(before, pairs.hr))
            for rate in learning_rate:
                model, began = open_sr(path), time.perf_counter()
                options = AdaptOptions(steps=steps, lr=rate, crop=crop)
                share = adapt(model.net, lway, tests, options, distance, multiple=model.multiple)
                after = super_resolved(model, pairs)
                how = dataclasses.asdict(options) | {"perceptual": name, "share_moved": round(share, 4)}
                told = trained | {"adapted": how, "seconds": round(time.perf_counter() - began)}
                moved = changes(before, after, weights, model.scale)
                record_row(told | sr_figures(after, pairs.hr) | moved)


if __name__ == "__main__":
    main()
