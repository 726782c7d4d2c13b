"""A corpus of odd and broken images, the same bytes every time, each with what has to come of it.

`make` writes it. An accepted image is either known by construction (it was stored without loss) or decoded by Pillow
and its ImageCms, independently of libvips. What only damages pixels, without a checksum over them, may go either way.
"""

from __future__ import annotations

from pathlib import Path

from . import odd_colours as colours
from . import odd_files as files
from . import odd_kinds as kinds
from .odd_parts import Case


def make(root: Path) -> list[Case]:
    """Write the corpus under `root`, which is made."""
    cases = []
    groups = (colours.orientations, colours.profiles, colours.depths, kinds.tiffs, kinds.jpegs, kinds.others,
              files.cut, files.flipped, files.foreign, files.bombs, files.sizes)  # fmt: skip
    for group in groups:
        for case, data in group():
            path = root / case.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            cases.append(case)
    return cases + files.names(root) + files.no_files(root)
