"""F_deg of photographs: E_deg alone, of an engine or a bundle, without the rest of the model.

A RealDGen's E_deg gives F_deg itself. That of the kind `onecall` gives a reading, of each number the precision and
precision times value (engine/kinds/onecall.py); here F_deg is the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .devices import Device, HostDevice
from .engine_spec import ENGINE_JSON, EngineSpec, open_engine_spec
from .errors import DegradeError
from .executors import Executor
from .spec import PartSpec

PART = "degradation"
ROWS = 8  # images a call, of a bundle

Pixels = NDArray[np.uint8]
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Embedding:
    """E_deg, ready to run. side: of the images that it takes, in pixels; sha256: names the engine or the bundle."""

    side: int
    sha256: str
    _device: Device
    _executor: Executor
    _image: Any  # float32 [batch, 3, side, side]
    _out: Any  # float32 [batch, c], or [batch, 2c]
    _reading: bool

    @classmethod
    def open(cls, folder: Path, side: int | None = None, threads: int | None = None) -> Embedding:
        """folder: of an engine or a bundle; side: None for the engine's own, which is the only one that an engine
        takes. Raises DegradeError."""
        from . import backends
        from .build import open_engine_part
        from .bundle import open_bundle
        from .executors.onnxruntime import OnnxRuntimeExecutor

        if (folder / ENGINE_JSON).is_file():
            spec: EngineSpec = open_engine_spec(folder)
            part = _part(spec.kind, spec.parts)
            if side not in (None, spec.lr_size):
                raise DegradeError(f"The crops are {side} pixels wide", wanted=f"{spec.lr_size}, the engine's LR size")
            device = backends.named(spec.key.backend).device(threads)
            executor = open_engine_part(folder, spec, PART, device, threads=threads)
            return cls._bound(spec.lr_size, spec.batch, spec.key_sha256, device, executor, part)
        bundle = open_bundle(folder)
        part, size = _part(bundle.spec.kind, bundle.spec.parts), side or 128
        if size % bundle.spec.lr_multiple:
            fact = f"The crops are {size} pixels wide"
            raise DegradeError(fact, wanted=f"a multiple of {bundle.spec.lr_multiple}, as the model has it")
        host = OnnxRuntimeExecutor(bundle.file(PART), part, batch=ROWS, height=size, width=size, threads=threads)
        return cls._bound(size, ROWS, bundle.sha256, HostDevice(), host, part)

    @classmethod
    def _bound(
        cls, side: int, batch: int, sha256: str, device: Device, executor: Executor, part: PartSpec
    ) -> Embedding:  # fmt: skip
        (output,) = part.outputs
        image = device.allocate((batch, 3, side, side), np.float32)
        out = device.allocate(output.resolve(batch, side, side), np.float32)
        executor.bind("image", image)
        executor.bind(output.name, out)
        return cls(side, sha256, device, executor, image, out, output.name == "reading")

    def __call__(self, images: Sequence[Pixels] | Pixels) -> Vectors:
        """uint8 [n, side, side, 3] to float32 [n, c]. A row does not depend on the others."""
        batch = len(self._image)
        filled, rows = np.zeros((batch, 3, self.side, self.side), np.float32), list[Vectors]()
        for at in range(0, len(images), batch):
            some = np.stack(list(images[at : at + batch]))
            filled[: len(some)] = some.transpose(0, 3, 1, 2) / np.float32(127.5) - 1
            self._device.upload(self._image, filled)
            self._executor.enqueue(self._device.stream)
            rows.append(self._device.download(self._out)[0][: len(some)].copy())
        found = np.concatenate(rows)
        if not self._reading:
            return found
        precision, weighted = np.split(found, 2, axis=1)
        return np.asarray(weighted / precision, np.float32)

    def close(self) -> None:
        """Give the device back."""
        self._device.close()


def _part(kind: str, parts: dict[str, PartSpec]) -> PartSpec:
    part = parts.get(PART)
    if part is None or [tensor.name for tensor in part.inputs] != ["image"]:
        fact = f"A model of the kind {kind} has no E_deg"
        raise DegradeError(fact, wanted="one that reads references, such as realdgen-small")
    return part
