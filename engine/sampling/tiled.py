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
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..devices import Device
from ..errors import DegradeError
from ..spec import PartSpec, TensorSpec
from .batch import Batch, BatchResult, Model, Runner
from .sampler import rows_taken
from .tiling import Grid

if TYPE_CHECKING:
    from ..executors import Executor

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
        self.calls = grid.calls(images, self._rows)  # of the network, for all tiles once
        self._bound: dict[str, Any] = {}
        self._places = {tensor.name: self._upload(tensor, grid) for tensor in specs}
        self._slots, self._tiles = {}, {}
        for tensor in specs:
            name, (rows, *rest) = tensor.name, inner.shapes[tensor.name]
            self._slots[name] = device.allocate((rows, *rest), np.dtype(tensor.dtype))
            if tensor in part.outputs:
                all_of_them = (self.calls * rows, *rest)
                self._tiles[name] = device.allocate(all_of_them, np.float32) if self.calls > 1 else self._slots[name]
        self.bind_inner()

    def bind_inner(self) -> None:
        """Points the network at these slots."""
        for name, slot in self._slots.items():
            self._inner.bind(name, slot)

    def bind(self, name: str, buffer: Any) -> None:
        if name not in self.shapes or buffer.shape != self.shapes[name]:
            raise DegradeError(f"{name} of whole images was bound to {buffer.shape}", wanted=str(self.shapes))
        self._bound[name] = buffer

    def enqueue(self, stream: Any = None) -> None:
        launch = self._device.launch
        for call in range(self.calls):
            first = call * self._rows
            for tensor in self._inputs:
                places = self._places[tensor.name]
                launch(
                    "cut", source=self._bound[tensor.name], out=self._slots[tensor.name], tops=places["tops"],
                    lefts=places["lefts"], first=first,
                )  # fmt: skip
            self._inner.enqueue(stream)
            if self.calls > 1:
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


class TiledSampler(Runner):
    """A sampler for images of a grid; counts are of the networks' own rows and calls.

    networks: as `sampling.open`, executors of one tile. batch: images a run takes, by `Grid.images`; height, width: of
    the LR, in pixels.
    """

    def __init__(
        self, device: Device, executors: Mapping[str, Executor], model: Model, *, candidates: int, grid: Grid
    ) -> None:
        self._grid, self._rows = grid, max(rows_taken(one) for one in executors.values())
        self.batch, self.height, self.width = grid.images(self._rows // candidates), grid.y.size, grid.x.size
        self._whole = {
            name: TiledExecutor(
                device, executors[name], part, grid, self.batch * (candidates if part.runs == "step" else 1)
            )
            for name, part in model.parts.items()
        }
        self._sampler = model.model_kind.sampler(device, self._whole, model, candidates=candidates)
        self.x = self._sampler.x

    def bind(self) -> None:
        """Points the networks at these buffers."""
        for whole in self._whole.values():
            whole.bind_inner()
        self._sampler.bind()

    def begin(self, batch: Batch, *, filter: bool = True, inspect: bool = True) -> Callable[[], BatchResult]:
        """See Runner."""
        begun = self._sampler.begin(batch, filter=filter, inspect=inspect)

        def result() -> BatchResult:
            whole = begun()
            calls = {name: count * self._whole[name].calls for name, count in whole.calls.items()}
            return replace(
                whole, row_steps=whole.row_steps * self._grid.tiles, calls=calls,
                executed_row_steps=calls.get("denoiser", 0) * self._rows,
            )  # fmt: skip

        return result
