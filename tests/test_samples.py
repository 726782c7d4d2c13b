"""The bundled photographs: licensed, of a usable size, small in all; and the probe that is packaged."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def photographs(samples: Path) -> list[Path]:
    return sorted(path for folder in ("hr", "reference") for path in (samples / folder).iterdir())


def test_every_photograph_has_a_licence_row(samples: Path) -> None:
    rows = [line for line in (samples / "LICENSES.md").read_text().splitlines() if line.startswith("| `")]
    listed = [row.split("`")[1] for row in rows]
    assert sorted(listed) == sorted(path.relative_to(samples).as_posix() for path in photographs(samples))
    assert all("CC0" in row or "free use" in row for row in rows)


def test_sizes_suit_the_demo(samples: Path) -> None:
    for path in photographs(samples):
        with Image.open(path) as image:
            assert min(image.size) >= (512 if path.parent.name == "hr" else 128), path.name
    assert sum(path.stat().st_size for path in photographs(samples)) < 6_000_000


@pytest.mark.parametrize(("name", "side"), [("hr-0", 512), ("hr-1", 512), ("reference-0", 128), ("reference-1", 128)])
def test_the_probe_lies_in_the_package(name: str, side: int, samples: Path) -> None:
    probe = files("degrade_engine.engine") / "probe" / f"{name}.png"
    with probe.open("rb") as file, Image.open(file) as image:
        assert image.size == (side, side) and image.mode == "RGB" and not image.info.get("icc_profile")
        pixels = np.asarray(image)
    source = {"hr-0": "hr/guitar.png", "reference-1": "reference/trust-powercam-710.jpg"}.get(name)
    if source is not None:
        with Image.open(samples / source) as whole:
            everything = np.asarray(whole.convert("RGB"))
        top, left = (everything.shape[0] - side) // 2, (everything.shape[1] - side) // 2
        # A JPEG decoder may differ by a little from the one that made the crop.
        difference = np.abs(everything[top : top + side, left : left + side].astype(int) - pixels)
        assert difference.max() <= (0 if source.endswith("png") else 8)
