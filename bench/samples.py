"""Square crops of photographs, for what measures time and not content."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.images import Pixels, read_rgb, readable_endings


def squares(folder: Path, side: int) -> dict[str, Pixels]:
    """The top left uint8 [side, side, 3] of each photograph of a folder that has so many pixels, by its stem. Raises
    DegradeError where none has."""
    found = {}
    for path in sorted(one for one in folder.iterdir() if one.suffix.lower() in readable_endings()):
        image = read_rgb(path)
        if min(image.shape[:2]) >= side:
            found[path.stem] = np.ascontiguousarray(image[:side, :side])
    if not found:
        raise DegradeError(f"no photograph in {folder} has {side} x {side} pixels", wanted="larger ones")
    return found
