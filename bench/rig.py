"""A sampler of any size, straight from an engine or a bundle, with a ledger: for timing, without a build and its gate.

A CPU engine holds the bundle's own files, whose sizes are fixed when they are opened. So one folder gives every batch,
size and number of candidates in the time of loading it; the pixels are not used, and nothing of it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from degrade_engine.engine import backends, sampling
from degrade_engine.engine.bundle import open_bundle
from degrade_engine.engine.devices import Device
from degrade_engine.engine.engine_spec import ENGINE_JSON, open_engine_spec
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.executors import Executor
from degrade_engine.engine.kinds import KINDS, ModelKind
from degrade_engine.engine.schedule import Schedule
from degrade_engine.engine.spec import FilterWeights, PartSpec, Precision

from .ledger import Ledger, under_watch

BATCH, LR_SIZE = 4, 128  # of a bundle


@dataclass(frozen=True)
class Source:
    """An engine's or a bundle's networks. files: of each part; batch, candidates, lr_size: the engine's, or for a
    bundle those of `make demo`."""

    kind: str
    parts: dict[str, PartSpec]
    files: dict[str, Path]
    schedule: Schedule
    filter: FilterWeights
    backend: str
    precision: Precision
    batch: int
    candidates: int
    lr_size: int
    sha256: str

    @property
    def model_kind(self) -> ModelKind:
        return KINDS[self.kind]

    def rows(self, part: str, batch: int, candidates: int) -> int:
        """Of one call: every candidate's for a part that runs each step, every pair's for the others."""
        return batch * candidates if self.parts[part].runs == "step" else batch


def read(folder: Path) -> Source:
    """DegradeError for what is neither an engine that can run here on a CPU nor a bundle."""
    if (folder / ENGINE_JSON).is_file():
        spec = open_engine_spec(folder)
        if backends.named(spec.key.backend).fixed_batch or spec.key.gpu is not None:
            fact = f"{folder} is an engine of the backend {spec.key.backend}, whose launches do not wait for the GPU"
            raise DegradeError(fact, wanted="an engine for the CPU, or a bundle", mend="`degrade-engine bench gpu`")
        files = {name: folder / part.files["engine"].path for name, part in spec.parts.items()}
        key = spec.key
        return Source(spec.kind, spec.parts, files, spec.schedule, spec.filter, key.backend, key.precision_computed,
                      key.batch, key.candidates, key.lr_size, spec.key_sha256)  # fmt: skip
    bundle = open_bundle(folder)
    parts, files = bundle.spec.parts, {name: bundle.file(name) for name in bundle.spec.parts}
    return Source(bundle.spec.kind, parts, files, bundle.spec.schedule, bundle.spec.filter, "onnxruntime", "fp32",
                  BATCH, 3 if bundle.spec.model_kind.can_filter else 1, LR_SIZE, bundle.sha256)  # fmt: skip


def open_part(source: Source, part: str, device: Device, rows: int, lr_size: int, threads: int) -> Executor:
    """One network at so many rows of that size."""
    runner = backends.named(source.backend)
    return runner.open(device, source.files[part], source.parts[part], rows, lr_size, threads, source.precision)


@contextmanager
def opened(
    source: Source, ledger: Ledger, *, batch: int, candidates: int, lr_size: int, threads: int, made: int | None = None
) -> Iterator[Any]:
    """What runs the batches of an engine of that size, written down in the ledger. made: candidates of a pair, where
    they are not as many as the engine is for."""
    own = backends.named(source.backend).device(threads)
    try:
        rows = {name: source.rows(name, batch, candidates) for name in source.parts}
        executors = {name: open_part(source, name, own, rows[name], lr_size, threads) for name in source.parts}
        device, parts = under_watch(own, executors, ledger)
        yield sampling.open(device, parts, source, candidates=made or candidates)
    finally:
        own.close()
