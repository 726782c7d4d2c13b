"""Seconds a pair: the engine beside the original way (PyTorch, one image at a time), same pairs and noise, one run.

    python -m degrade_engine.bench.speed CHECKPOINT --engine ENGINE -o bench/results/speed.jsonl

The exact algorithm is timed on both sides (every step, K candidates, filter), after the pixels were found to agree; the
engine's recommended setting is timed beside it. Without file I/O.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from degrade_engine.engine.api import Engine
from degrade_engine.engine.artefact import tool_versions
from degrade_engine.engine.images import read_rgb, resize_bicubic
from degrade_engine.engine.presets import RECOMMENDED
from degrade_engine.engine.sampler import Batch
from degrade_engine.engine.schedule import table
from degrade_engine.kernels import philox, pixels

from .quality import context

SEED = 0


def photographs(samples: Path, size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(HR at LR size, reference crops), uint8 [count, size, size, 3], from the bundled samples."""
    sharp = [read_rgb(p) for p in sorted((samples / "hr").iterdir())]
    camera = [read_rgb(p) for p in sorted((samples / "reference").iterdir())]
    content = [resize_bicubic(sharp[i % len(sharp)][: 4 * size, : 4 * size], (size, size)) for i in range(count)]
    return np.stack(content), np.stack([camera[i % len(camera)][:size, :size] for i in range(count)])


def seconds(run: Callable[[], Any], repeats: int) -> np.ndarray:
    """Wall time of each of `repeats` runs after one warm-up."""
    run()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return np.array(times)


def original(
    checkpoint: Path, content: np.ndarray, reference: np.ndarray, tau: int, k: int
) -> Callable[[int], np.ndarray]:
    """The original way for pair i: uint8 [K, h, w, 3]."""
    import torch

    from degrade_engine.originals.checkpoint import load_realdgen
    from degrade_engine.originals.realdgen.oracle import generate

    model = load_realdgen(checkpoint)[0]
    size = content.shape[1]

    def run(pair: int) -> np.ndarray:
        def noise(candidate: int, step: int) -> np.ndarray:
            out = np.empty((1, 3, size, size), np.float32)
            one = [np.array([n], np.uint32) for n in (pair, candidate, step)]
            philox.normals(out, seed=SEED, pairs=one[0], candidates=one[1], steps=one[2])
            return out[0]

        x_hr, x_lr = (torch.from_numpy(pixels.to_planar(u[pair : pair + 1])[0]) for u in (content, reference))
        return pixels.to_bytes(generate(model, x_hr, x_lr, None, tau, noise, k).candidates.numpy())

    return run


@click.command()
@click.argument("checkpoint", type=click.Path(exists=True, path_type=Path))
@click.option("--engine", "folder", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--samples", type=click.Path(exists=True, path_type=Path), default=Path("samples"), show_default=True)
@click.option("--tau", type=int, default=30, show_default=True)
@click.option("--repeats", type=int, default=5, show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True)
def main(checkpoint: Path, folder: Path, samples: Path, tau: int, repeats: int, out: Path) -> None:
    """Time one batch of the engine against the same pairs by the original way."""
    with Engine.open(folder) as engine, out.open("a") as f:
        n, k = engine.spec.batch, engine.spec.candidates
        content, reference = photographs(samples, engine.spec.lr_size, n)
        pairs = np.arange(n, dtype=np.uint32)

        exact = Batch(content, reference, pairs, [table(engine.spec.schedule, "ddpm", tau)] * n, seed=SEED)
        one = original(checkpoint, content, reference, tau, k)
        off = np.abs(engine.run(exact).candidates[:, 0].astype(int) - one(0).astype(int))
        if (off > 1).mean() > 1e-3:
            raise click.ClickException("engine and original do not make the same pixels: nothing is timed")
        tau_few = (RECOMMENDED.tau_low + RECOMMENDED.tau_high) // 2
        solver = table(engine.spec.schedule, RECOMMENDED.solver, tau_few, RECOMMENDED.steps, RECOMMENDED.eta,
                       spacing=RECOMMENDED.spacing)  # fmt: skip
        start = content if RECOMMENDED.start == "bicubic" else None
        few = Batch(content, reference, pairs, [solver] * n, start=start, seed=SEED)
        rows = {
            "original, exact": (tau, tau, seconds(lambda: one(1), repeats)),
            "engine, exact": (tau, tau, seconds(lambda: engine.run(exact), repeats) / n),
            "engine, recommended": (tau_few, RECOMMENDED.steps, seconds(lambda: engine.run(few), repeats) / n),
        }
        base = float(np.median(rows["original, exact"][2]))
        for name, (t, steps, times) in rows.items():
            row = {"name": name, "tau": t, "steps": steps, "p50_s_a_pair": round(float(np.median(times)), 4),
                   "p95_s_a_pair": round(float(np.percentile(times, 95)), 4), "repeats": repeats,
                   "times_faster": round(base / float(np.median(times)), 2), "io": False,
                   "devices": f"{os.cpu_count()} CPU cores", "values_off_by_more_than_1": float((off > 1).mean()),
                   "tools": tool_versions()}  # fmt: skip
            f.write(json.dumps(row | context(engine)) + "\n")
            click.echo(
                f"{name:22} tau {t} steps {steps}: {row['p50_s_a_pair']:.3f} s a pair, {row['times_faster']:.1f} x"
            )


if __name__ == "__main__":
    main()
