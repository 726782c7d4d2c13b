"""What every row needs to be evidence: where and when it was made, and of which code."""

from __future__ import annotations

import platform
import subprocess
import time
from typing import Any

import cv2
import numpy as np
import PIL


def stamp() -> dict[str, Any]:
    """Commit, machine and date."""
    git = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    machine = f"{platform.machine()} {platform.system()}"
    return {"commit": git.stdout.strip(), "machine": machine, "date": time.strftime("%Y-%m-%d")}


def machine(threads: int) -> dict[str, Any]:
    """The stamp of a bench without networks, with its threads and libraries."""
    versions = {"numpy": np.__version__, "opencv": cv2.__version__, "pillow": PIL.__version__}
    return {"threads": threads, "versions": versions} | stamp()
