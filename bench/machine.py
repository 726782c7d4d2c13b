"""What every row needs to be evidence: where and when it was made, and of which code."""

from __future__ import annotations

import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL

from degrade_engine.engine.api import Engine


def stamp() -> dict[str, Any]:
    """Commit, machine and date."""
    git = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    machine = f"{platform.machine()} {platform.system()}"
    return {"commit": git.stdout.strip(), "machine": machine, "date": time.strftime("%Y-%m-%d")}


def machine(threads: int) -> dict[str, Any]:
    """The stamp of a bench without networks, with its threads and libraries."""
    versions = {"numpy": np.__version__, "opencv": cv2.__version__, "pillow": PIL.__version__}
    return {"threads": threads, "versions": versions} | stamp()


def context(engine: Engine) -> dict[str, Any]:
    """What a row needs to be evidence: engine, machine, versions, commit."""
    key = engine.spec.key
    where = "onnxruntime cpu" if key.backend == "onnxruntime" else key.backend
    return {
        "engine": engine.sha256[:16],
        "candidates": key.candidates,
        "lr_size": key.lr_size,
        "batch": key.batch,
        "precision": key.precision_computed,
        "backend": where,
        "runtime": f"{key.runtime} {key.version}",
    } | stamp()


def processor() -> str:
    """The CPU's name as Linux has it, or what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
