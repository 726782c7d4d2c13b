"""A bundle becomes an engine: files for one LR size, batch and number of candidates, through the parity gate.

The ONNX Runtime CPU backend takes the bundle's FP32 files as they are and fixes the shapes when the engine
is opened, by free-dimension overrides. The alternative, saving the optimised graph, was not chosen: such a
file holds one CPU's instruction set and one release's private operators, it saves well under a second at
opening, and what is hashed and compared would no longer be what the bundle's licence and card speak of.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from . import parity
from .artefact import (
    check_replaceable,
    move_folder,
    new_folder,
    sha256_json,
    tool_versions,
    write_json_atomic,
)
from .engine_spec import (
    ENGINE_JSON,
    EngineKey,
    EngineSpec,
    Parity,
    differing,
    machine_fields,
    open_engine_spec,
)
from .errors import DegradeError
from .executor import Executor, OnnxRuntimeExecutor
from .spec import Bundle, Precision, file_ref, open_bundle

Backend = Literal["auto", "onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", "tensorrt", "tensorrt-rtx"]
BACKENDS: tuple[str, ...] = get_args(Backend)


@dataclass(frozen=True)
class Built:
    """What `build` did. notes: sentences for the user. reused: the same engine was already there."""

    folder: Path
    spec: EngineSpec
    notes: tuple[str, ...]
    reused: bool


def build(
    bundle_path: Path,
    out: Path,
    *,
    backend: Backend = "auto",
    precision: Precision = "fp32",
    lr_size: int = 128,
    batch: int = 16,
    candidates: int = 3,
    threads: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Built:
    """Builds the engine folder `out`, whole or not at all; an engine that is there with the same key is kept.

    lr_size: side of an LR image in pixels; batch: pairs; candidates: K; threads: of the parity run. say: is
    told what is being done. Raises DegradeError for a bundle, size or backend that cannot be used, and for
    an engine that fails the parity gate, which is then kept as OUT.quarantine.
    """
    chosen, notes = _choose(backend, precision)
    bundle = open_bundle(bundle_path)
    multiple = bundle.spec.lr_multiple
    if lr_size < 1 or lr_size % multiple:
        raise DegradeError(
            f"The LR size is {lr_size}", wanted=f"a multiple of {multiple}, as the bundle's networks need"
        )
    if batch < 1 or candidates < 1:
        raise DegradeError(f"The batch is {batch} and the candidates are {candidates}", wanted="at least 1 of each")
    check_replaceable(out, ENGINE_JSON)

    here: dict[str, Any] = machine_fields()
    key = EngineKey(
        bundle_sha256=bundle.sha256,
        files={name: part.files["fp32"].sha256 for name, part in bundle.spec.parts.items()},
        precision_asked=precision,
        precision_computed="fp32",
        lr_size=lr_size,
        batch=batch,
        candidates=candidates,
        backend=chosen,
        **here,
    )
    old = _existing(out)
    if old is not None and not differing(old.key, key):
        return Built(out, old, (*notes, f"{out} is up to date: nothing in its key has changed."), reused=True)
    if old is not None:
        notes += (f"{out} is replaced, since its key changed in {', '.join(differing(old.key, key))}.",)

    with new_folder(out, ENGINE_JSON) as folder:
        say("copying the networks")
        spec = _write_parts(bundle, folder, key)
        say("parity gate: every part, and the whole, against FP32 ONNX Runtime without optimisations")

        def open_part(name: str, rows: int) -> Executor:
            return open_engine_part(folder, spec, name, rows=rows, threads=threads)

        spec = replace(
            spec, parity=parity.check(bundle, open_part, lr_size=lr_size, batch=batch, candidates=candidates)
        )
        write_json_atomic(folder / ENGINE_JSON, spec)
        if not spec.parity.passed:
            _quarantine(folder, out, spec.parity)
    return Built(out, open_engine_spec(out), notes, reused=False)


def open_engine_part(
    folder: Path, spec: EngineSpec, name: str, *, rows: int | None = None, threads: int | None = None
) -> Executor:
    """The executor of one part, at the engine's own number of rows (K·B for a part that runs each step, B
    for the others) or at another.
    """
    part = spec.parts[name]
    if rows is None:
        rows = spec.batch * spec.candidates if part.runs == "step" else spec.batch
    path = folder / part.files["engine"].path
    return OnnxRuntimeExecutor(path, part, batch=rows, height=spec.lr_size, width=spec.lr_size, threads=threads)


def _choose(backend: str, precision: str) -> tuple[Literal["onnxruntime"], tuple[str, ...]]:
    """The backend that is built, and what the user has to know about it."""
    if backend not in BACKENDS:
        raise DegradeError(f"The backend is {backend!r}", wanted=f"one of {', '.join(BACKENDS)}")
    if backend not in ("auto", "onnxruntime"):
        raise DegradeError(
            f"This release does not contain the executor of the backend {backend}",
            wanted="--backend onnxruntime (CPU), or auto",
            mend="build with --backend onnxruntime, or take a release that has it",
        )
    if precision not in ("fp32", "fp16"):
        raise DegradeError(f"The precision is {precision!r}", wanted="fp32 or fp16")
    if precision == "fp16":
        return "onnxruntime", (
            "fp16 was asked for, and this engine computes in FP32: on a CPU, ONNX Runtime has no other.",
        )
    return "onnxruntime", ()


def _existing(out: Path) -> EngineSpec | None:
    """The engine that is there, if it is in order; a broken one is simply built again."""
    try:
        return open_engine_spec(out)
    except DegradeError:
        return None


def _write_parts(bundle: Bundle, folder: Path, key: EngineKey) -> EngineSpec:
    """Copies the networks and returns the engine's page, as yet without a parity report."""
    parts = {}
    for name, part in bundle.spec.parts.items():
        file = f"{name}.onnx"
        _copy(bundle.file(name, "fp32"), folder / file)
        reference = file_ref(folder, file)
        if reference.sha256 != key.files[name]:
            raise DegradeError(f"{bundle.file(name, 'fp32')} changed while it was copied", mend="build again")
        parts[name] = replace(part, files={"engine": reference})
    spec = bundle.spec
    return EngineSpec(
        kind=spec.kind,
        schedule=spec.schedule,
        preprocessing=spec.preprocessing,
        starts=spec.starts,
        filter=spec.filter,
        licence=spec.licence,
        parts=parts,
        key=key,
        key_sha256=sha256_json(key),
        parity=Parity(False, (), 0, 0, (), 0.0),
        tools=tool_versions(),
    )


def _copy(source: Path, target: Path) -> None:
    with open(source, "rb") as reader, open(target, "wb") as writer:
        shutil.copyfileobj(reader, writer)
        writer.flush()
        os.fsync(writer.fileno())


def _quarantine(folder: Path, out: Path, report: Parity) -> None:
    """Keeps a failing engine under another name, for whoever looks into it, and says what was off."""
    aside = out.with_name(out.name + ".quarantine")
    check_replaceable(aside, ENGINE_JSON)
    move_folder(folder, aside)
    raise DegradeError(
        f"The engine failed its parity gate; it lies in {aside}:\n{parity.failures(report)}\n",
        mend="report it with the versions in its engine.json; another precision or backend may pass",
    )
