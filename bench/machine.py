"""What a row of the CPU benches needs to be evidence: machine, versions, commit, date."""

from __future__ import annotations

import platform
import subprocess
import time
from typing import Any

import cv2
import numpy as np
import PIL


def machine(threads: int) -> dict[str, Any]:
    """Facts of this run."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "threads": threads,
        "machine": f"{platform.machine()} {platform.system()}",
        "versions": {"numpy": np.__version__, "opencv": cv2.__version__, "pillow": PIL.__version__},
        "commit": commit,
        "date": time.strftime("%Y-%m-%d"),
    }
