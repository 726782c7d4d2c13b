"""The parity gate again, for an engine that is already there: on the machine that will use it.

An engine that was built ahead of time has not been through the gate; one that was, may have been on another
driver. The report replaces the one in engine.json; a failing engine is put aside as ENGINE.quarantine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from . import backends
from .artefact import write_json_atomic
from .build import gate, quarantine
from .bundle import Bundle, BundleSpec, open_bundle
from .engine_spec import ENGINE_JSON, EngineSpec, read_engine_spec
from .errors import DegradeError
from .lock import only_one


def verify(
    folder: Path,
    bundle_path: Path | None = None,
    *,
    threads: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> EngineSpec:
    """Runs the gate of the engine in `folder` and writes its report; returns the engine's page.

    bundle_path: the bundle that it was made from, whose FP32 files are the reference. An FP32 engine of
    ONNX Runtime holds them itself. threads: of the engine's networks. Raises DegradeError for an engine that is
    damaged or was built for another machine, one that cannot run here, another bundle, and one that fails.
    """
    spec = read_engine_spec(folder)
    if reason := backends.named(spec.key.backend).cannot_run(spec.key.target):
        raise DegradeError(f"{folder} cannot be verified here: {reason}")
    bundle = _reference(folder, spec, bundle_path)
    with only_one(folder, say):
        spec = read_engine_spec(folder)  # another process may have built it again in the meantime
        spec = replace(spec, parity=gate(bundle, folder, spec, threads, say))
        write_json_atomic(folder / ENGINE_JSON, spec)
        if spec.parity.state == "failed":
            quarantine(folder, folder, spec.parity)
    return spec


def _reference(folder: Path, spec: EngineSpec, bundle_path: Path | None) -> Bundle:
    """What the engine is held to: the bundle, or the bundle's FP32 files where the engine itself holds them."""
    if bundle_path is not None:
        bundle = open_bundle(bundle_path)
        if bundle.sha256 != spec.key.bundle_sha256:
            fact = f"{folder} was not made from {bundle_path}: that bundle has SHA-256 {bundle.sha256}"
            raise DegradeError(fact, wanted=spec.key.bundle_sha256)
        return bundle
    if spec.plans or spec.key.precision_computed != "fp32":
        networks = "an INT8 network" if spec.key.precision_computed == "int8" else "FP16 networks"
        held = "compiled plans" if spec.plans else networks
        fact = f"{folder} holds {held} and no reference to compare them with"
        if spec.key.precision_computed == "bf16":
            fact = f"{folder} lacks the FP16 networks by whose error bf16 is judged"
        raise DegradeError(fact, mend="give the bundle that it was made from, with --bundle BUNDLE")
    parts = {name: replace(part, files={"fp32": part.files["engine"]}) for name, part in spec.parts.items()}
    about = BundleSpec(
        kind=spec.kind,
        schedule=spec.schedule,
        lr_multiple=1,
        starts=spec.starts,
        parts=parts,
        licence=spec.licence,
        card={},
        parent={"engine": spec.key_sha256},
        tools=spec.tools,
        filter=spec.filter,
        preprocessing=spec.preprocessing,
    )
    return Bundle(folder, about, spec.key.bundle_sha256)
