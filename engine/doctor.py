"""What this machine can run, and why not the rest: `machine.py` and the pages of `backends/`, asked one after another.

Nothing here may fail because something is missing: missing is the finding.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Literal

from ..kernels import loader
from . import machine

if TYPE_CHECKING:
    from .backends.backend import Backend

State = Literal["ok", "missing", "broken"]
DISTRIBUTION = "degrade-engine"
LOADS = {"numpy": "numpy", "opencv-python-headless": "cv2", "pyvips": "pyvips", "pillow": "PIL.Image"}
"""The base packages that come with a library of their own: installed is not enough, they must load."""


@dataclass(frozen=True)
class Line:
    """One finding. section: machine, package, kernels or backend; text: one clause, no full stop."""

    section: str
    name: str
    state: State
    text: str


def diagnose() -> list[Line]:
    """All findings, in the order in which they are printed."""
    backends = known_backends()
    return [*machine_lines(), *package_lines(backends), *kernel_lines(), *map(backend_line, backends)]


@dataclass(frozen=True)
class Verdict:
    """machine: one clause. backend, precision: what is best here, None where nothing works. faster: what would make it
    faster, sentences."""

    machine: str
    backend: str | None
    precision: str | None
    faster: tuple[str, ...]


def verdict(lines: list[Line]) -> Verdict:
    """What the findings come to."""
    state = {(line.section, line.name): line for line in lines}
    backends = {one.name: one for one in known_backends()}
    running = [one for name, one in backends.items() if state["backend", name].state == "ok"]
    features, gpus = machine.cpu_features(), machine.nvidia().devices
    fast = any(name in features for name in machine.BF16)
    precision, best = None, None
    if running:
        from .backends import quickest

        precision, _ = quickest(running)
        on_gpu = [one for one in running if one.gpu]
        best = next(one for one in (*on_gpu, *running) if precision in one.precisions)
    count = machine.cpu_count()
    named = ", ".join(gpu.name for gpu in gpus) or "no GPU"
    instructions = f" with {features[0]}" if features else ""
    said = f"{count} core{'s' if count > 1 else ''}{instructions}, {named}"
    return Verdict(
        said, best.name if best else None, precision, tuple(_faster(state, running, list(backends.values()), fast))
    )


def _faster(
    state: dict[tuple[str, str], Line], running: list[Backend], backends: list[Backend], fast: bool
) -> Iterator[str]:
    """What would make it faster here."""
    gpus = machine.nvidia().devices
    if gpus and not any(one.gpu for one in running):
        first = next((one for one in backends if one.gpu), None)
        if first is not None:
            yield f"The GPU is not used. {first.title}: {state['backend', first.name].text}."
    slow = not any("bf16" in one.precisions and not one.gpu for one in running)
    if fast and slow and (able := [one for one in backends if "bf16" in one.precisions and not one.gpu]):
        yield (
            f"This processor computes in bf16, about three times as fast: {able[0].install}, and then "
            "`generate --precision bf16`."
        )
    vnni = any(name in machine.cpu_features() for name in machine.VNNI)
    on_gpu = any(one.gpu for one in running)
    if vnni and not fast and not on_gpu and any("int8" in one.precisions for one in running):
        from .backends import int8

        if reason := int8.lacks():
            yield f"This processor multiplies bytes (VNNI): `generate --precision int8` would be faster, but {reason}."
    for name in ("host", "CUDA") if gpus else ("host",):
        if state["kernels", name].state != "ok":
            yield f"The compiled kernels ({name}) are missing: {state['kernels', name].text}."


def works(lines: list[Line]) -> bool:
    """Whether at least one backend runs here."""
    return any(line.section == "backend" and line.state == "ok" for line in lines)


def known_backends() -> tuple[Backend, ...]:
    """All of `backends/`; none where numpy does not load, without which there is no backend."""
    if machine.load_error("numpy"):
        return ()
    from .backends import BACKENDS

    return tuple(BACKENDS.values())


def machine_lines() -> Iterator[Line]:
    """Python, the processor, each GPU and the driver."""
    gpus = machine.nvidia()
    yield Line("machine", "Python", "ok", platform.python_version())
    yield Line("machine", "CPU", "ok", machine.cpu_text())
    for gpu in gpus.devices:
        memory = "memory shared with the CPU" if gpu.memory_bytes is None else f"{gpu.memory_bytes / 2**30:.0f} GiB"
        yield Line("machine", "GPU", "ok", f"{gpu.name}, {memory}, SM {gpu.compute}")
    if gpus.devices:
        yield Line("machine", "driver", "ok", f"{gpus.driver}, CUDA up to {gpus.cuda}")
    else:
        yield Line("machine", "GPU", "missing", f"none that can be used: {gpus.reason}")


def package_lines(backends: tuple[Backend, ...]) -> Iterator[Line]:
    """Each package that this distribution names, by extra; those with a library of their own are loaded."""
    loads = LOADS | {name: module for backend in backends for name, module in backend.needs.items()}
    for extra, names in packages_by_extra(metadata.requires(DISTRIBUTION) or []).items():
        for name in names:
            label, found = f"{name} [{extra}]" if extra else name, machine.version_of(name)
            if found is None:
                wanted = f"{DISTRIBUTION}[{extra}]" if extra else DISTRIBUTION
                yield Line("package", label, "missing", f"not installed: pip install '{wanted}'")
            elif loads.get(name) and (error := machine.load_error(loads[name])):
                yield Line("package", label, "broken", f"{found} does not load: {error}")
            else:
                yield Line("package", label, "ok", found)
    if two := machine.two_onnxruntimes():
        yield Line("package", "onnxruntime", "broken", two.removesuffix("."))


def kernel_lines() -> Iterator[Line]:
    """The compiled kernels of host and GPU."""
    for name, found in (("host", loader.status()), ("CUDA", loader.cuda_status())):
        yield Line("kernels", name, "ok" if found.path else "missing", found.reason)


def backend_line(backend: Backend) -> Line:
    """Runs here, or every reason why not."""
    if not (reasons := "; ".join(backend.missing())):
        on = machine.nvidia().devices[0].name if backend.gpu else "the CPU"
        return Line("backend", backend.name, "ok", f"runs on {on}")
    ahead = "builds ahead of time (build --target); does not run here: " if backend.builds_ahead() else ""
    return Line("backend", backend.name, "missing", ahead + reasons)


def packages_by_extra(requirements: list[str]) -> dict[str, tuple[str, ...]]:
    """Requirement lines of the package's metadata, as extra ("" is the base) to package names, in their
    order.
    """
    found: dict[str, list[str]] = {}
    for line in requirements:
        name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line)
        extra = re.search(r"""extra\s*==\s*['"]([^'"]+)['"]""", line)
        if name:
            found.setdefault(extra.group(1) if extra else "", []).append(name.group(0).lower())
    return {extra: tuple(names) for extra, names in found.items()}
