"""Networks of one size on images of a larger one, by tiles (tiling.py).

A `TiledExecutor` stands for a network in front of a sampler of the large size: its tensors are those of whole images,
and a call of it cuts them into tiles, runs the network on as many as it takes at a time, and blends what it makes.

    t, f_deg    no place in the image     every tile gets them; made, they are the mean over the tiles
    the rest    on the LR grid, on a coarser or a finer one: tiles at the same places

So whatever a sampler does, it does to whole images: noise, update, filter, fusion and bytes know nothing of tiles. The
denoiser's eps is blended before every update, which is aggregation sampling; features, condition, reconstruction and
P-DDM's image are blended once. All of it is launches on buffers that stay, so a step is captured as any other.

Memory, beside the sampler's for whole images: every output once more in tiles (with a quarter of overlap up to 1.8
times its size in large images), and one network batch of inputs and outputs.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ..devices import Device
from ..errors import DegradeError
from ..executors import Executor
from ..schedule import Schedule
from ..spec import FilterWeights, PartSpec, TensorSpec
from .feedforward import FeedForward, open_sampler
from .sampler import Batch, BatchResult, Sampler
from .tiling import Grid

TABLES = ("tops", "cover_y", "weights_y", "lefts", "cover_x", "weights_x")


class TiledExecutor:
    """One network as an Executor of whole images. inner: of one tile size and so many rows; images: rows of whole
    images. shapes: those of whole images."""

    def __init__(self, device: Device, inner: Executor, part: PartSpec, grid: Grid, images: int) -> None:
        self._device, self._inner = device, inner
        self._inputs, self._outputs = part.inputs, part.outputs
        specs = (*part.inputs, *part.outputs)
        height, width = grid.y.size, grid.x.size
        self.shapes = {tensor.name: tensor.resolve(images, height, width) for tensor in specs}
        if large := [name for name, (_, *image) in self.shapes.items() if math.prod(image) >= 2**32]:
            fact = f"{large[0]} of an LR of {height}x{width} has {math.prod(self.shapes[large[0]][1:]):.1e} elements"
            raise DegradeError(fact, wanted="less than 2^32", mend="ask for a smaller LR size")
        self._rows = inner.shapes[specs[0].name][0]
        self._calls = grid.calls(images, self._rows)
        self._bound: dict[str, Any] = {}
        self._places = {tensor.name: self._upload(tensor, grid) for tensor in specs}
        self._slots, self._tiles = {}, {}
        for tensor in specs:
            name, (rows, *rest) = tensor.name, inner.shapes[tensor.name]
            self._slots[name] = device.allocate((rows, *rest), np.dtype(tensor.dtype))
            inner.bind(name, self._slots[name])
            if tensor in part.outputs:
                all_of_them = (self._calls * rows, *rest)
                self._tiles[name] = device.allocate(all_of_them, np.float32) if self._calls > 1 else self._slots[name]

    def bind(self, name: str, buffer: Any) -> None:
        if name not in self.shapes or buffer.shape != self.shapes[name]:
            raise DegradeError(f"{name} of whole images was bound to {buffer.shape}", wanted=str(self.shapes))
        self._bound[name] = buffer

    def enqueue(self, stream: Any = None) -> None:
        launch = self._device.launch
        for call in range(self._calls):
            first = call * self._rows
            for tensor in self._inputs:
                places = self._places[tensor.name]
                launch(
                    "cut", source=self._bound[tensor.name], out=self._slots[tensor.name], tops=places["tops"],
                    lefts=places["lefts"], first=first,
                )  # fmt: skip
            self._inner.enqueue(stream)
            if self._calls > 1:
                for tensor in self._outputs:
                    made, tiles = self._slots[tensor.name], self._tiles[tensor.name]
                    launch("tile", source=made, out=tiles[first : first + self._rows])
        for tensor in self._outputs:
            name = tensor.name
            launch("blend", tiled=self._tiles[name], out=self._bound[name], **self._places[name])

    def _upload(self, tensor: TensorSpec, grid: Grid) -> dict[str, Any]:
        """The tables of both axes on the device, by their names in a launch."""
        y, x = grid.axes(tensor)
        values = dict(zip(TABLES, (y.starts, y.cover, y.weights, x.starts, x.cover, x.weights), strict=True))
        buffers = {}
        for name, table in values.items():
            buffers[name] = self._device.allocate(table.shape, table.dtype)
            self._device.upload(buffers[name], table)
        return buffers


class TiledSampler:
    """What `open_sampler` makes, for images of a grid; counts are of the networks' own rows and calls.

    batch: images a run takes, by `Grid.images`; height, width: of the LR, in pixels.
    """

    def __init__(
        self, device: Device, executors: dict[str, Executor], parts: dict[str, PartSpec], schedule: Schedule,
        weights: FilterWeights, *, batch: int, candidates: int, grid: Grid,
    ) -> None:  # fmt: skip
        self.batch, self.height, self.width = grid.images(batch), grid.y.size, grid.x.size
        self._grid, self._calls = grid, grid.calls(self.batch, batch)
        self._rows = self._calls * batch * candidates  # of the denoiser, for all tiles once
        whole: dict[str, Executor] = {
            name: TiledExecutor(
                device, executors[name], part, grid, self.batch * (candidates if part.runs == "step" else 1)
            )
            for name, part in parts.items()
        }
        self._whole: Sampler | FeedForward = open_sampler(
            device, whole, parts, schedule, weights, batch=self.batch, candidates=candidates, height=self.height,
            width=self.width,
        )  # fmt: skip

    def run(
        self, batch: Batch, *, filter: bool = True, candidates: int | None = None, inspect: bool = True
    ) -> BatchResult:
        """As `Sampler.run`."""
        result = self._whole.run(batch, filter=filter, candidates=candidates, inspect=inspect)
        steps = result.calls.get("denoiser", 0)
        return replace(
            result, row_steps=result.row_steps * self._grid.tiles, executed_row_steps=steps * self._rows,
            calls={name: count * self._calls for name, count in result.calls.items()},
        )  # fmt: skip
