"""Other ways to write group normalisation into the FP32 graph, each beside the shipped one (export/spelled.py).

    degrade-engine bench spelling CHECKPOINT -o bench/results/spelling.jsonl

The denoiser is exported once a way and run in turn, one row on one thread, in one process: whatever else the machine
does falls on all alike, and the processor's time, not the clock's, is compared. Nothing here is shipped; the rows are
the evidence for what was left alone.
"""

from __future__ import annotations

import copy
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn

from degrade_engine.engine.executors.onnx_session import open_session
from degrade_engine.engine.spec import PartSpec
from degrade_engine.export.bundle import write_onnx
from degrade_engine.export.parts import parts_of
from degrade_engine.export.spelled import SpelledGroupNorm, spelled_out
from degrade_engine.originals.checkpoint import load
from degrade_engine.originals.realdgen.model import RealDGen

from ..machine import processor, stamp
from ..options import FILE, OUT


class Other(SpelledGroupNorm):
    """The same normalisation said in another way. norm_2: the mean square by ReduceL2 instead of a product."""

    def __init__(self, shipped: SpelledGroupNorm, norm_2: bool) -> None:
        super().__init__(shipped.layer)
        self.norm_2 = norm_2

    def mean_square(self, x: Tensor) -> Tensor:  # [B, C, h, w] to [B, groups, 1]
        if self.norm_2:
            norm = torch.linalg.vector_norm(x, dim=(2, 3))
            return self.of_group(norm * norm) / (x.shape[2] * x.shape[3])
        return self.of_group((x * x).mean(dim=(2, 3)))

    def of_group(self, values: Tensor) -> Tensor:
        """[B, C] to its groups' means, [B, groups, 1]."""
        return values.reshape(values.shape[0], self.layer.num_groups, -1).mean(dim=2, keepdim=True)

    def of_channel(self, values: Tensor) -> Tensor:
        """[B, groups, 1 or C/groups] to [B, C, 1, 1]."""
        batch, groups, channels = values.shape[0], self.layer.num_groups, self.layer.num_channels
        return values.expand(batch, groups, channels // groups).reshape(batch, channels, 1, 1)

    def scale(self, variance: Tensor) -> Tensor:
        gamma = self.layer.weight.reshape(1, self.layer.num_groups, -1)
        return gamma * (variance + self.layer.eps).rsqrt()


class Centred(Other):
    """As shipped: (x - m) · s + beta."""

    def forward(self, x: Tensor) -> Tensor:
        d = x - self.of_channel(self.of_group(x.mean(dim=(2, 3))))
        return d * self.of_channel(self.scale(self.mean_square(d))) + self.layer.bias[:, None, None]


class Affine(Other):
    """x · s + t, the variance as the mean square less the squared mean: one pass less, and it may cancel."""

    def forward(self, x: Tensor) -> Tensor:
        m = self.of_group(x.mean(dim=(2, 3)))
        s = self.scale(self.mean_square(x) - m * m)
        t = self.layer.bias.reshape(1, self.layer.num_groups, -1) - m * s
        return x * self.of_channel(s) + self.of_channel(t)


class Instance(Other):
    """InstanceNormalization of the groups, which the CPU provider has a kernel for."""

    def forward(self, x: Tensor) -> Tensor:
        groups = x.reshape(x.shape[0], self.layer.num_groups, -1)
        y = nn.functional.instance_norm(groups, eps=self.layer.eps).reshape(x.shape)
        return y * self.layer.weight[:, None, None] + self.layer.bias[:, None, None]


WAYS: dict[str, tuple[type[Other], bool] | None] = {
    "shipped": None,
    "x·s + t": (Affine, False),
    "mean square by ReduceL2": (Centred, True),
    "x·s + t, ReduceL2": (Affine, True),
    "InstanceNormalization": (Instance, False),
}


def respelled(model: nn.Module, way: tuple[type[Other], bool] | None) -> nn.Module:
    """A copy of a spelled-out model with its normalisations in that way."""
    other = copy.deepcopy(model)
    for name, layer in list(other.named_modules()):
        if way is not None and isinstance(layer, SpelledGroupNorm):
            parent, _, leaf = name.rpartition(".")
            setattr(other.get_submodule(parent), leaf, way[0](layer, way[1]))
    return other.eval()


@click.command()
@click.argument("checkpoint", type=FILE)
@click.option("--size", type=click.IntRange(8), default=128, show_default=True, help="Of the LR image.")
@click.option("--rounds", type=click.IntRange(1), default=40, show_default=True)
@click.option("-o", "--out", type=OUT, required=True, help="JSONL, written anew.")
def main(checkpoint: Path, size: int, rounds: int, out: Path) -> None:
    """The denoiser with each spelling of group normalisation; about three minutes."""
    model, _ = load(checkpoint, RealDGen)
    lean, sessions = spelled_out(model), {}
    feed: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, way in WAYS.items():
            part = parts_of(respelled(lean, way))["denoiser"]
            write_onnx(part, model.config.lr_multiple, path := Path(folder) / "denoiser.onnx")
            spec = PartSpec(part.runs, part.inputs, part.outputs, {})
            shapes = {t.name: t.resolve(1, size, size) for t in (*part.inputs, *part.outputs)}
            sessions[name] = open_session(path, spec, shapes, ["CPUExecutionProvider"], threads=1)
            feed = {t.name: tensor.numpy() for t, tensor in zip(part.inputs, part.example(1, size, size), strict=True)}
    rows = compared(sessions, feed, rounds)
    about: dict[str, Any] = {"lr_size": size, "threads": 1, "devices": processor(), **stamp()}
    out.write_text("".join(json.dumps(row | about) + "\n" for row in rows))
    for row in rows:
        click.echo(f"{row['name']:26} {row['cpu_p50_ms']:7.2f} ms, {row['of_shipped']:.3f} of the shipped one's")


def compared(sessions: dict[str, Any], feed: dict[str, np.ndarray], rounds: int) -> list[dict[str, Any]]:
    """A row a way: the processor's milliseconds, the median of the rounds, and how far its eps is from the first's."""
    made = {name: session.run(None, feed)[0] for name, session in sessions.items()}
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(rounds):
        for name, session in sessions.items():
            began = time.process_time()
            session.run(None, feed)
            times[name].append(1e3 * (time.process_time() - began))
    first = next(iter(sessions))
    ratios = {name: float(np.median(np.array(ms) / np.array(times[first]))) for name, ms in times.items()}
    return [
        {"name": name, "cpu_p50_ms": round(float(np.median(times[name])), 3), "of_shipped": round(ratios[name], 4),
         "largest_difference": float(np.abs(made[name] - made[first]).max()), "rounds": rounds} for name in sessions
    ]  # fmt: skip


if __name__ == "__main__":
    main()
