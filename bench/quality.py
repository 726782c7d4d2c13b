"""Is the generated LR like the real one? True pairs, an engine, baselines beside it, one JSONL row a setting.

    python -m degrade_engine.bench.quality --data DATA --engine ENGINE --split reported -o bench/results/quality.jsonl

Pairs: RealSR Canon x4 (split of `corpus.py`), or City100 Nikon at x2 (`--split scale2`). The reference of a pair is
the real LR of another scene, its own real LR ("paired"), or a sharp image at LR size ("clean", the control: a
generator that does not read its reference scores the same with it).
"""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np

from degrade_engine.calib.features import Features, open_features
from degrade_engine.engine.api import Engine
from degrade_engine.engine.degraders import open_degrader
from degrade_engine.engine.images import read_rgb, resize_bicubic
from degrade_engine.engine.schedule import Solver, Spacing
from degrade_engine.engine.spec import Start

from . import metrics
from .corpus import CHOSEN, REPORTED, canon
from .machine import stamp

Image = np.ndarray


@dataclass(frozen=True)
class Pairs:
    """hr, lr: aligned uint8 images; references by protocol, one a pair."""

    name: str
    scale: int
    hr: list[Image]
    lr: list[Image]
    references: dict[str, list[Image]]


@dataclass(frozen=True)
class Setting:
    """How the engine is run. steps None = every step."""

    start: Start = "reconstruction"
    tau: int | tuple[int, int] = 10
    steps: int | None = 2
    spacing: Spacing = "even"
    solver: Solver = "ddpm"
    eta: float = 0.0
    reference: str = "other"
    filter: bool = True

    def taus(self, n: int, seed: int) -> list[int]:
        if isinstance(self.tau, int):
            return [self.tau] * n
        return [int(t) for t in np.random.default_rng(seed).integers(self.tau[0], self.tau[1] + 1, n)]


def parse_settings(text: str) -> list[Setting]:
    """Settings out of a JSON list of objects; a list of two numbers is a range of tau."""
    kept: list[dict[str, Any]] = [
        {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()} for fields in json.loads(text)
    ]
    return [Setting(**fields) for fields in kept]


def read_pairs(data: Path, split: str, size: int) -> Pairs:
    """The pairs of a split with their references. size: the engine's LR size."""
    if split == "scale2":
        hr, lr = nikon_at_2(data, size)
    else:
        files = canon(data, {"chosen": CHOSEN, "reported": REPORTED}[split])
        hr, lr = [read_rgb(h) for h, _ in files], [read_rgb(r) for _, r in files]
    scale = hr[0].shape[0] // lr[0].shape[0]
    away = len(hr) // 2
    references = {
        "other": [lr[(i + away) % len(lr)] for i in range(len(lr))],
        "paired": lr,
        "clean": [resize_bicubic(hr[(i + away) % len(hr)], (size, size)) for i in range(len(hr))],
    }
    return Pairs(split, scale, hr, lr, references)


def nikon_at_2(data: Path, size: int) -> tuple[list[Image], list[Image]]:
    """City100's three Nikon pairs are on one grid; LR halved (antialiased) makes them x2. Cut into a grid of LR
    crops."""
    hr, lr = [], []
    for sharp in sorted((data / "pairs_city100_nikond5500" / "HR").glob("*.PNG")):
        h = read_rgb(sharp)
        soft = read_rgb(sharp.parent.parent / "LR" / sharp.name.replace("H.PNG", "L.PNG"))
        s = resize_bicubic(soft, (soft.shape[0] // 2, soft.shape[1] // 2))
        for y in range(0, s.shape[0] - size + 1, size):
            for x in range(0, s.shape[1] - size + 1, size):
                hr.append(h[2 * y : 2 * (y + size), 2 * x : 2 * (x + size)])
                lr.append(s[y : y + size, x : x + size])
    return hr, lr


def measure(made: list[Image], real: list[Image], features: Features | None = None) -> dict[str, Any]:
    """All figures of one set of generated images against the real ones; intervals are 95 % bootstrap over images. The
    Fréchet distance is left out without features."""
    psnr = np.array([metrics.psnr(a, b) for a, b in zip(made, real, strict=True)])
    sharp = np.array([metrics.laplacian_std(a) - metrics.laplacian_std(b) for a, b in zip(made, real, strict=True)])
    noise = np.array([metrics.noise_std(a) - metrics.noise_std(b) for a, b in zip(made, real, strict=True)])
    found = {
        "psnr_db": round(float(psnr.mean()), 3),
        "psnr_interval": [round(v, 3) for v in metrics.interval(psnr)],
        "ssim": round(float(np.mean([metrics.ssim(a, b) for a, b in zip(made, real, strict=True)])), 4),
        "laplacian_gap": round(float(np.abs(sharp).mean()), 3),
        "laplacian_gap_interval": [round(v, 3) for v in metrics.interval(np.abs(sharp))],
        "laplacian_bias": round(float(sharp.mean()), 3),
        "noise_gap": round(float(np.abs(noise).mean()), 3),
        "noise_bias": round(float(noise.mean()), 3),
    }
    if features is not None:
        found["frechet_e_deg"] = round(metrics.frechet(features(np.stack(made)), features(np.stack(real))), 4)
    return found


def baselines(pairs: Pairs, seed: int) -> dict[str, list[Image]]:
    """What needs no model: bicubic, the same with one fixed blur, and BSRGAN's random degradation."""
    bsrgan = open_degrader("bsrgan")
    shuffled = [
        bsrgan.degrade(h, scale=pairs.scale, seed=seed, pair=i, noise_seed=i)[0] for i, h in enumerate(pairs.hr)
    ]
    bicubic = [resize_bicubic(h, r.shape[:2]) for h, r in zip(pairs.hr, pairs.lr, strict=True)]
    blurred = [cv2.GaussianBlur(b, (0, 0), 0.5) for b in bicubic]
    return {"bicubic": bicubic, "bicubic, Gaussian sigma 0.5": blurred, "BSRGAN": shuffled}


def generated(engine: Engine, pairs: Pairs, setting: Setting, seed: int) -> tuple[list[Image], dict[str, Any]]:
    """The engine's images and how they were made. Its kind may read no reference and have no filter."""
    spec = engine.spec
    taus = setting.taus(len(pairs.hr), seed)
    began = time.perf_counter()
    result = engine.degrade(
        pairs.hr,
        pairs.references[setting.reference] if spec.reads_reference else None,
        scale=pairs.scale,
        tau=taus,
        steps=setting.steps,
        spacing=setting.spacing,
        solver=setting.solver,
        eta=setting.eta,
        start=setting.start,
        seed=seed,
        filter=setting.filter and spec.can_filter,
    )
    calls = [0 if t == 0 else t if setting.steps is None else min(t, setting.steps) for t in taus]
    return list(result.lr), {"mean_tau": float(np.mean(taus)), "denoiser_calls": float(np.mean(calls)),
                             "seconds_a_pair": round((time.perf_counter() - began) / len(pairs.hr), 4)}  # fmt: skip


def context(engine: Engine) -> dict[str, Any]:
    """What a row needs to be evidence: engine, machine, versions, commit."""
    return {"engine": engine.sha256[:16], "candidates": engine.spec.candidates, "lr_size": engine.spec.lr_size,
            "batch": engine.spec.batch, "precision": "fp32", "backend": "onnxruntime cpu"} | stamp()  # fmt: skip


def line(row: dict[str, Any]) -> str:
    """A row for the eye."""
    setting = " ".join(f"{k}={v}" for k, v in row["setting"].items())
    return (
        f"{row['generator']:28} {setting:90} PSNR {row['psnr_db']:.2f} SSIM {row['ssim']:.3f} "
        f"gap {row['laplacian_gap']:.2f} ({row['laplacian_bias']:+.2f}) noise {row['noise_gap']:.2f} "
        f"({row['noise_bias']:+.2f}) Fréchet {row['frechet_e_deg']:.3f}"
    )


GRID = [
    *(Setting(tau=0, reference=r) for r in ("other", "paired", "clean")),
    *(Setting(tau=t, steps=3, spacing="quadratic", solver="ddim") for t in (10, 30, 60, 100)),
    Setting(start="bicubic", tau=0),
    *(
        Setting(start="bicubic", tau=t, steps=s, spacing="quadratic", solver="ddim")
        for t in (10, 30, 60, 100, 150)
        for s in (1, 2, 3, 4)
    ),
    *(Setting(start="bicubic", tau=t, steps=s, solver="ddim") for t in (60, 100) for s in (2, 3, 4)),
    *(Setting(start="bicubic", tau=100, steps=s, spacing="quadratic", solver="ddim", eta=1.0) for s in (3, 6)),
    *(Setting(start="bicubic", tau=t, steps=3, spacing="quadratic", solver="dpmpp") for t in (60, 100)),
    Setting(start="realesrgan", tau=(1, 30), steps=None),
    Setting(start="realesrgan", tau=0),
]
"""Every choice that was looked at on the chosen scenes, the paper's timing setting among them."""


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--engine", "folder", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--features-from", type=click.Path(exists=True, path_type=Path),
              help="Engine whose E_deg measures the Fréchet distance, where --engine has none.")  # fmt: skip
@click.option("--split", type=click.Choice(["chosen", "reported", "scale2"]), default="chosen", show_default=True)
@click.option("--settings", type=str, help="JSON list of settings (default: the grid).")
@click.option("--seed", type=int, default=0)
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="JSONL; rows are appended.")
def main(
    data: Path, folder: Path, features_from: Path | None, split: str, settings: str | None, seed: int, out: Path
) -> None:
    """Measure an engine and the baselines on true pairs."""
    chosen = parse_settings(settings) if settings else GRID
    with Engine.open(folder) as engine, out.open("a") as f:
        pairs = read_pairs(data, split, engine.spec.lr_size)
        features = open_features("e-deg", features_from or folder)
        about = context(engine) | {"split": split, "pairs": len(pairs.hr), "scale": pairs.scale, "seed": seed}

        def record(row: dict[str, Any]) -> None:
            f.write(json.dumps(row | about) + "\n")
            f.flush()
            click.echo(line(row))

        for name, made in baselines(pairs, seed).items():
            record({"generator": name, "setting": {}} | measure(made, pairs.lr, features))
        for setting in chosen:
            if not engine.spec.reads_reference:
                setting = dataclasses.replace(setting, reference="none", filter=False)
            images, how = generated(engine, pairs, setting, seed)
            record(
                {"generator": engine.spec.kind, "setting": dataclasses.asdict(setting)}
                | how
                | measure(images, pairs.lr, features)
            )


if __name__ == "__main__":
    main()
