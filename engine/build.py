"""A bundle becomes an engine: files for one LR size, batch and number of candidates, through the parity gate.

What is done with a network is its backend's (backends/): the CPU takes the bundle's FP32 files as they are,
TensorRT compiles one plan a part. What is the same for all is here: the key, the lock, the folder that appears
whole or not at all, the gate. An engine that cannot run on the machine that built it has "not run" in the
gate's place, and is not opened before `verify` has run it where it will be used.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

from . import backends, machine, parity, recorded
from .artefact import check_replaceable, move_folder, new_folder, sha256_file, sweep, tool_versions, write_json_atomic
from .backends.backend import Accepted, Backend, Order
from .bundle import Bundle, open_bundle
from .devices import Device
from .engine_spec import ENGINE_JSON, EngineKey, EngineSpec, Parity, differing, read_engine_spec, seal
from .errors import DegradeError
from .executors import Executor
from .lock import only_one
from .spec import QUANTISED, PartSpec, Precision, PrecisionChoice, file_ref, not_commercial, source_of


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
    backend: str = "auto",
    target: str | None = None,
    precision: PrecisionChoice = "fp32",
    lr_size: int = 128,
    batch: int = 16,
    candidates: int | None = None,
    threads: int | None = None,
    rebuild: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Built:
    """Builds the engine folder `out`, whole or not at all; an engine that is there with the same key is kept.

    backend: "auto" or one of `backends.BACKENDS`; target: the GPU to build for, such as "sm_89", None = this machine;
    precision: "auto" is the quickest that is good on this machine (`backends.quickest`), and a note says which;
    lr_size: side of an LR image in pixels;
    batch: pairs; candidates: K, None = 3 where there is something to choose by, else 1; threads: of the parity run;
    rebuild: also an engine with the same key. say: is told what is being done. Raises DegradeError for a bundle, size,
    target or backend that cannot be used, and for an engine that fails the parity gate, which is then kept as
    OUT.quarantine.
    """
    asked = ask(bundle_path, backend=backend, target=target, precision=precision, lr_size=lr_size, batch=batch,
                candidates=candidates)  # fmt: skip
    return make(asked, out, threads=threads, rebuild=rebuild, say=say)


@dataclass(frozen=True)
class Asked:
    """An engine that can be built here. key: all that decides it."""

    bundle: Bundle
    key: EngineKey
    accepted: Accepted


def ask(
    bundle_path: Path, *, backend: str = "auto", target: str | None = None, precision: PrecisionChoice = "fp32",
    lr_size: int = 128, batch: int = 16, candidates: int | None = None,
) -> Asked:  # fmt: skip
    """Whether `build` can make it, before it begins; its arguments. Raises DegradeError."""
    if precision not in get_args(PrecisionChoice):
        raise DegradeError(f"The precision is {precision!r}", wanted=", ".join(get_args(PrecisionChoice)))
    if precision != "auto":  # what cannot be here is said before a bundle is read
        runner, accepted = _choose(backend, precision, target)
        bundle = open_bundle(bundle_path)
    else:
        bundle = open_bundle(bundle_path)
        precision, why = _auto(backend, bundle)
        runner, accepted = _choose(backend, precision, target)
        accepted = replace(accepted, notes=(f"--precision auto is {precision}: {why}.", *accepted.notes))
    multiple = bundle.spec.lr_multiple
    if lr_size < 1 or lr_size % multiple:
        raise DegradeError(
            f"The LR size is {lr_size}", wanted=f"a multiple of {multiple}, as the bundle's networks need"
        )
    choose = bundle.spec.model_kind.can_filter
    if candidates is None:
        candidates = 3 if choose else 1
    if candidates > 1 and not choose:
        fact = (
            f"--candidates is {candidates}, and a model of the kind {bundle.spec.kind} cannot choose among candidates"
        )
        raise DegradeError(fact, wanted="1")
    if batch < 1 or candidates < 1:
        raise DegradeError(f"The batch is {batch} and the candidates are {candidates}", wanted="at least 1 of each")
    if accepted.computed in ("bf16", *QUANTISED) and not bundle.spec.model_kind.has_steps:
        raise DegradeError(
            f"--precision is {accepted.computed}, which is for networks that run in every step, and a model of the "
            f"kind {bundle.spec.kind} has none", wanted="--precision fp32",
        )  # fmt: skip
    return Asked(bundle, _key(bundle, runner, accepted, precision, lr_size, batch, candidates), accepted)


def make(
    asked: Asked, out: Path, *, threads: int | None = None, rebuild: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Built:  # fmt: skip
    """Builds it as the folder `out`, as `build` does. Raises DegradeError."""
    check_replaceable(out, ENGINE_JSON)
    with only_one(out, say):
        return _build(asked, out, threads, rebuild, say)


def _build(asked: Asked, out: Path, threads: int | None, rebuild: bool, say: Callable[[str], None]) -> Built:
    bundle, key, accepted = asked.bundle, asked.key, asked.accepted
    notes = accepted.notes
    if two := machine.two_onnxruntimes():
        notes += (two,)
    sweep(out)
    old = _existing(out)
    if old is not None and not differing(old.key, key) and not rebuild:
        return Built(out, old, (*notes, f"{out} is up to date: nothing in its key has changed."), reused=True)
    if old is not None:
        changed = ", ".join(differing(old.key, key))
        notes += (f"{out} is replaced, since its key changed in {changed}." if changed else f"{out} is built again.",)

    with new_folder(out, ENGINE_JSON) as folder:
        spec = _write_parts(bundle, folder, key, accepted, say)
        spec = replace(spec, parity=gate(bundle, folder, spec, threads, say))
        write_json_atomic(folder / ENGINE_JSON, spec)
        if spec.parity.state == "failed":
            quarantine(folder, out, spec.parity)
    if said := not_commercial(spec.licence, spec.commercial):
        notes += (said,)
    return Built(out, read_engine_spec(out), notes, reused=False)


def open_engine_part(
    folder: Path, spec: EngineSpec, name: str, device: Device, *, rows: int | None = None, threads: int | None = None
) -> Executor:
    """The executor of one part on a device of the engine's backend, at the engine's own number of rows (K·B for a
    part that runs each step, B for the others) or at another, where the backend has no fixed batch.
    """
    part = spec.parts[name]
    if rows is None:
        rows = rows_of(part, spec.key)
    path = folder / part.files["engine"].path
    backend, precision = backends.named(spec.key.backend), spec.key.precision_computed
    return backend.open(device, path, part, rows, spec.lr_size, threads, precision)


def rows_of(part: PartSpec, key: EngineKey) -> int:
    """Rows of one call: every candidate's for a part that runs each step, every pair's for the others."""
    return key.batch * key.candidates if part.runs == "step" else key.batch


def gate(bundle: Bundle, folder: Path, spec: EngineSpec, threads: int | None, say: Callable[[str], None]) -> Parity:
    """The parity gate of the engine in `folder`, run here, or why it cannot be."""
    key, runner = spec.key, backends.named(spec.key.backend)
    if reason := runner.cannot_run(key.target):
        return Parity("not run", reason)
    say("parity gate: every part, and the whole, against FP32 ONNX Runtime without optimisations")

    with closing(runner.device(threads)) as device:

        def open_part(name: str, rows: int) -> Executor:
            return open_engine_part(folder, spec, name, device, rows=rows, threads=threads)

        side = parity.Side(device, open_part)
        report = parity.check(
            bundle, side, lr_size=key.lr_size, batch=key.batch, candidates=key.candidates,
            precision=key.precision_computed, fixed_batch=runner.fixed_batch,
            rest="fp16" if runner.gpu and key.precision_computed in QUANTISED else None,
        )  # fmt: skip
    here: dict[str, Any] = runner.here(key.target)
    return replace(report, gpu=here["gpu"], driver=here["driver"])


def quarantine(folder: Path, out: Path, report: Parity) -> None:
    """Keeps a failing engine under another name, for whoever looks into it, and says what was off."""
    aside = out.with_name(out.name + ".quarantine")
    check_replaceable(aside, ENGINE_JSON)
    move_folder(folder, aside)
    fact = f"The engine differs too much from its reference (kept in {aside}):\n{parity.failures(report)}\n"
    mend = "report it with the versions in its engine.json; another precision or backend may pass"
    raise DegradeError(fact, mend=mend)


def _auto(choice: str, bundle: Bundle) -> tuple[Precision, str]:
    """The precision that "auto" is for a backend ("auto": whichever works) and a bundle, and why."""
    if not bundle.spec.model_kind.has_steps:
        return "fp32", f"a model of the kind {bundle.spec.kind} has no network that runs in every step"
    among = backends.running() if choice == "auto" else [backends.named(choice)]
    precision, why = backends.quickest(among)
    if precision == "bf16" and any("fp16" not in part.files for part in bundle.spec.parts.values()):
        return "fp32", f"{why}, but the bundle has no FP16 files, by which bf16 is judged"
    return precision, why


def _choose(choice: str, precision: Precision, target: str | None) -> tuple[Backend, Accepted]:
    """The backend that is built for, and what it will do."""
    runner = backends.best(precision) if choice == "auto" else backends.named(choice)
    if precision not in runner.precisions:
        able = " or ".join(backends.with_precision(precision))
        fact = f"The backend {runner.name} does not compute in {precision}"
        raise DegradeError(fact, wanted=f"--backend {able}, or another precision")
    accepted = runner.accept(precision, target)
    if choice == "auto" and not runner.gpu and (gpus := machine.nvidia().devices):
        note = f"{gpus[0].name} is not used: no backend of a GPU runs here, and `degrade-engine doctor` says why."
        accepted = replace(accepted, notes=(*accepted.notes, note))
    return runner, accepted


def _key(
    bundle: Bundle, runner: Backend, accepted: Accepted, asked: Precision, lr_size: int, batch: int, candidates: int
) -> EngineKey:
    here: dict[str, Any] = runner.here(accepted.target, accepted.computed)
    sources = {name: source_of(accepted.source, part) for name, part in bundle.spec.parts.items()}
    for part, source in sources.items():
        bundle.file(part, source)  # refuses one that lacks
    return EngineKey(
        backend=runner.name,
        target=accepted.target,
        bundle_sha256=bundle.sha256,
        files={part: bundle.spec.parts[part].files[source].sha256 for part, source in sources.items()},
        precision_asked=asked,
        precision_computed=accepted.computed,
        lr_size=lr_size,
        batch=batch,
        candidates=candidates,
        **here,
    )


def _existing(out: Path) -> EngineSpec | None:
    """The engine that is there, if it is in order; a broken or failing one is simply built again."""
    try:
        spec = read_engine_spec(out)
    except DegradeError:
        return None
    return None if spec.parity.state == "failed" else spec


def _write_parts(
    bundle: Bundle, folder: Path, key: EngineKey, accepted: Accepted, say: Callable[[str], None]
) -> EngineSpec:
    """Makes every part's file and returns the engine's page, as yet without a parity report."""
    parts, plans, maker = {}, {}, backends.named(key.backend)
    for name, part in bundle.spec.parts.items():
        say(f"making {name}")
        source = bundle.file(name, source_of(accepted.source, part))
        feeds = partial(recorded.feeds, bundle, name, key.lr_size)
        made = maker.make(Order(name, part, source, folder, rows_of(part, key), key.lr_size, accepted, feeds))
        if sha256_file(source) != key.files[name]:
            raise DegradeError(f"{source} changed while it was read", mend="build again")
        parts[name] = replace(part, files={"engine": file_ref(folder, made.file)})
        if made.proof is not None:
            plans[name] = made.proof
    spec = bundle.spec
    return EngineSpec(
        kind=spec.kind,
        schedule=spec.schedule,
        preprocessing=spec.preprocessing,
        starts=spec.starts,
        filter=spec.filter,
        licence=spec.licence,
        commercial=spec.commercial,
        parts=parts,
        key=key,
        key_sha256=seal(key, parts),
        parity=Parity("not run", "it is being built"),
        tools=tool_versions(),
        plans=plans,
    )
