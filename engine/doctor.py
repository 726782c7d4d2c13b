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
        yield Line("machine", "GPU", "ok", f"{gpu.name}, {gpu.memory_bytes / 2**30:.0f} GiB, SM {gpu.compute}")
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
