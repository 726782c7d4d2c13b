"""Seconds an image of the kinds without networks: HR 512 x 512 PNG in, LR 128 x 128 PNG out, one thread.

    degrade-engine bench degraders --hr FOLDER -o bench/results/degraders.jsonl

Processor seconds, so that what else runs on the machine counts less than in wall time, which stands beside them.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import pyvips

from degrade_engine.engine.classical.degraders import KINDS, Kind, open_degrader
from degrade_engine.engine.images import encode_png, read_rgb

from ..machine import machine
from ..options import AT_LEAST_1, FOLDER, OUT

PUBLISHED_S = {"bsrgan": 0.18, "bsrgan-plus": 0.27, "realesrgan": 2.7}
"""The published code on the same task, as this project's plan states it; not measured in this run."""
SIDE, SCALE = 512, 4


@click.command()
@click.option("--hr", "folder", type=FOLDER, required=True)
@click.option("--images", type=AT_LEAST_1, default=60, show_default=True, help="A kind.")
@click.option("-o", "--out", type=OUT, required=True, help="JSONL; its rows are replaced.")
def main(folder: Path, images: int, out: Path) -> None:
    """Time every kind on the same photographs."""
    cv2.setNumThreads(1)
    pyvips.concurrency_set(1)
    photographs = (read_rgb(path)[:SIDE, :SIDE] for path in sorted(folder.glob("*.png"))[: 2 * images])
    kept = [encode_png(photograph) for photograph in photographs if photograph.shape == (SIDE, SIDE, 3)]
    rows = []
    with tempfile.TemporaryDirectory() as work:
        for kind in KINDS:
            rows.append(measure(kind, kept, images, Path(work) / "image.png"))
            click.echo(f"{kind:12} mean {rows[-1]['mean_cpu_s']:.4f} s, p95 {rows[-1]['p95_cpu_s']:.4f} s")
    out.write_text("".join(json.dumps(row) + "\n" for row in rows))


def measure(kind: Kind, photographs: list[bytes], images: int, work: Path) -> dict[str, Any]:
    """The row of a kind. photographs: PNGs of SIDE x SIDE pixels."""
    degrader, cpu, wall = open_degrader(kind), [], []
    for pair in range(images + 3):  # the first three warm up
        work.write_bytes(photographs[pair % len(photographs)])
        began, began_cpu = time.perf_counter(), time.process_time()
        lr, _ = degrader.degrade(read_rgb(work), scale=SCALE, seed=0, pair=pair, noise_seed=pair)
        work.write_bytes(encode_png(lr))
        cpu.append(time.process_time() - began_cpu)
        wall.append(time.perf_counter() - began)
    return {
        "kind": kind, "hr": SIDE, "scale": SCALE, "images": images, "photographs": len(photographs),
        "mean_cpu_s": round(float(np.mean(cpu[3:])), 4), "p50_cpu_s": round(float(np.median(cpu[3:])), 4),
        "p95_cpu_s": round(float(np.percentile(cpu[3:], 95)), 4), "p50_s": round(float(np.median(wall[3:])), 4),
        "published_s": PUBLISHED_S.get(kind), **machine(1),
    }  # fmt: skip


if __name__ == "__main__":
    main()
