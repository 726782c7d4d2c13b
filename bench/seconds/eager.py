"""RealDGen in PyTorch, as one would run it without the engine: what `speed.py` holds the engine against.

`one_by_one` is the original way: the oracle, one pair, its candidates one after the other. `Eager` is the same
algorithm with all rows of a batch in one call: plain, with channels last, compiled, or its U-Net under bf16. In both,
features and condition are computed once a pair.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from degrade_engine.engine.sampling.layout import lay_out
from degrade_engine.engine.schedule import SolverTable
from degrade_engine.kernels import philox, pixels
from degrade_engine.originals.checkpoint import load
from degrade_engine.originals.realdgen.model import RealDGen
from degrade_engine.originals.realdgen.oracle import generate, relative_error

Bytes = np.ndarray
SEED = 0


def normals(pairs: np.ndarray, candidates: np.ndarray, steps: np.ndarray, size: int) -> Tensor:
    """The engine's noise of rows (pair, candidate, step), uint32 [R] each: FP32 [R, 3, size, size]."""
    out = np.empty((len(pairs), 3, size, size), np.float32)
    philox.normals(out, seed=SEED, pairs=pairs, candidates=candidates, steps=steps, threads=torch.get_num_threads())
    return torch.from_numpy(out)


def one_by_one(
    checkpoint: Path, content: Bytes, reference: Bytes, k: int, *, channels_last: bool = False
) -> Callable[[int, int], Bytes]:
    """The original way: pair i and tau to its candidates, uint8 [K, h, w, 3]; every step of tau, start Rec_lr."""
    model = load(checkpoint, RealDGen)[0].eval()
    if channels_last:
        # convolutions hand the layout on
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it

    def run(pair: int, tau: int) -> Bytes:
        def noise(candidate: int, step: int) -> np.ndarray:
            of_pair, of_candidate, of_step = (np.array([n], np.uint32) for n in (pair, candidate, step))
            return normals(of_pair, of_candidate, of_step, content.shape[1])[0].numpy()

        x_hr, x_lr = (torch.from_numpy(pixels.to_planar(u[pair : pair + 1])[0]) for u in (content, reference))
        return pixels.to_bytes(generate(model, x_hr, x_lr, None, tau, noise, k).candidates.numpy())

    return run


class Eager:
    """A batch of pairs at once.

    content, reference  uint8 [n, h, w, 3]; k: candidates
    channels_last       weights and images in NHWC memory
    compiled            the U-Net by torch.compile, weights frozen (Inductor then packs them)
    bf16                the U-Net under torch.autocast
    """

    def __init__(self, checkpoint: Path, content: Bytes, reference: Bytes, k: int, *,
                 channels_last: bool = False, compiled: bool = False, bf16: bool = False) -> None:  # fmt: skip
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.model: RealDGen = load(checkpoint, RealDGen)[0].eval()
        self.model.to(memory_format=self.layout)  # type: ignore[call-overload]  # torch's stub lacks it
        self.unet: Callable[..., Tensor] = self.model.unet
        if compiled:
            self.unet = torch.compile(self.model.unet, dynamic=False, options={"freezing": True})
        self.x_hr, self.x_lr = (self.images(pixels.to_planar(u)) for u in (content, reference))
        self.n, self.k, self.size, self.bf16 = len(content), k, content.shape[1], bf16

    def images(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).contiguous(memory_format=self.layout)

    def __call__(self, table: SolverTable, *, from_content: bool = False) -> Bytes:
        """All candidates, uint8 [K, n, h, w, 3], start Rec_lr or the HR at LR size; the filter runs too."""
        with torch.no_grad():
            return self.run(table, from_content)

    def run(self, table: SolverTable, from_content: bool) -> Bytes:
        model, n, k = self.model, self.n, self.k
        f_deg, f_cont = model.e_deg(self.x_lr), model.e_cont(self.x_hr)
        condition, rec_lr = model.condition(f_deg, f_cont)
        start, condition = self.x_hr if from_content else rec_lr, condition.repeat(k, 1, 1, 1)
        condition = condition.contiguous(memory_format=self.layout)
        pairs = np.tile(np.arange(n, dtype=np.uint32), k)  # rows are candidate-major, as the engine's
        candidates = np.repeat(np.arange(k, dtype=np.uint32), n)

        def z(t: int) -> Tensor:
            return normals(pairs, candidates, np.full(n * k, t, np.uint32), self.size)

        abar = float(model.unet.abar[table.tau])
        x = (abar**0.5 * start.float().repeat(k, 1, 1, 1) + (1 - abar) ** 0.5 * z(0)).contiguous(
            memory_format=self.layout
        )
        coefficients = lay_out([table], 1, 1)[0][:, 0]
        for t, (p, q, a, b, _, d) in zip(table.timesteps, coefficients.tolist(), strict=True):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
                eps = self.unet(x, torch.full((n * k,), int(t)), condition).float()
            x = a * x + b * (p * x + q * eps)
            if d:
                x = x + d * z(int(t))
        again_deg, again_cont = model.e_deg(x), model.e_cont(x)
        for pair in range(n):  # the filter's errors; which candidate is kept is not compared
            relative_error(again_deg[pair::n], f_deg[pair])
            relative_error(again_cont[pair::n], f_cont[pair])
        return pixels.to_bytes(x.contiguous().numpy()).reshape(k, n, self.size, self.size, 3)
