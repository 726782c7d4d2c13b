"""Pair i of `Engine.degrade` is pair i of `generate`, to the byte: for every kind, every preset, every start image; and
the README's example is such a call."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from degrade_engine.cli import main
from degrade_engine.engine import images
from degrade_engine.engine.api import Engine
from degrade_engine.engine.build import build
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.kinds import KINDS
from degrade_engine.engine.recipe import CLASSICAL

STARTS = {
    "realdgen": ("reconstruction", "bicubic", "realesrgan", *CLASSICAL),
    "syndiff": ("bicubic", "realesrgan", *CLASSICAL),
    "uddm": ("bicubic",),
    "lway": ("reconstruction",),
    "onecall": ("reconstruction",),
}
PAIRS, SEED, LR = 7, 11, 16


@pytest.fixture(scope="session")
def engines(tiny_bundle_module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("api-engines")
    bundles = {kind: tiny_bundle_module.make(folder / f"{kind}-bundle", kind=kind) for kind in KINDS}
    return {kind: build(bundles[kind], folder / kind, lr_size=LR, batch=4, threads=1).folder for kind in KINDS}


@pytest.fixture(scope="session")
def photos(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops that leave the plan something to draw."""
    folder = tmp_path_factory.mktemp("api-photos")
    for role, side in (("hr", 90), ("reference", 40)):
        (folder / role).mkdir()
        paths = [path for path in sorted((samples / role).iterdir()) if path.suffix in (".png", ".jpg")]
        for path in paths[:3]:
            crop = np.ascontiguousarray(images.read_rgb(path)[60 : 60 + side, 60 : 60 + side])
            (folder / role / f"{path.stem}.png").write_bytes(images.encode_png(crop))
    return folder


def made_by_generate(
    engine: Path, kind: str, photos: Path, out: Path, *options: object
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """HR, reference and LR of each pair, in their order, out of a whole run."""
    reads = "degradation" in KINDS[kind].parts
    reference = ["--reference", photos / "reference"] if reads else []
    words = ["generate", "--engine", engine, "--hr", photos / "hr", *reference, "--out", out, "--pairs", PAIRS,
             "--seed", SEED, "--threads", 1, *options]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]

    def crop(row: dict[str, Any]) -> np.ndarray:
        found = []
        for one in (row["reference"], *row.get("other_references", ())):
            y, x, h, w = one["crop"]
            found.append(images.read_rgb(photos / "reference" / one["path"])[y : y + h, x : x + w])
        return np.stack(found) if len(found) > 1 else found[0]

    hr, lr = (np.stack([images.read_rgb(out / role / f"{row['name']}.png") for row in rows]) for role in ("gt", "lq"))
    return hr, np.stack([crop(row) for row in rows]) if reads else None, lr


def same_in_parts(folder: Path, made: tuple[np.ndarray, np.ndarray | None, np.ndarray], **how: Any) -> None:
    """All pairs in one call; and the last ones alone, by their numbers."""
    hr, camera, lr = made
    with Engine.open(folder, threads=1) as engine:
        for first in (0, 3):
            reference = None if camera is None else camera[first:]
            found = engine.degrade(hr[first:], reference, seed=SEED, first=first, **how)
            np.testing.assert_array_equal(found.lr, lr[first:])
        order = list(range(len(hr)))[::-1]  # and in any order
        found = engine.degrade(hr[order], None if camera is None else camera[order], seed=SEED, first=order, **how)
        np.testing.assert_array_equal(found.lr, lr[order])


@pytest.mark.parametrize(("kind", "preset"), [(kind, preset) for kind in KINDS for preset in KINDS[kind].recipes])
def test_a_preset_is_the_same_in_both(
    kind: str, preset: str, engines: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    made = made_by_generate(engines[kind], kind, photos, tmp_path / "pairs", "--preset", preset)
    same_in_parts(engines[kind], made, recipe=preset)


@pytest.mark.parametrize(("kind", "start"), [(kind, start) for kind in KINDS for start in STARTS[kind]])
def test_a_start_image_is_the_same_in_both(
    kind: str, start: str, engines: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    """With a range of tau, so that the drawn ones matter; without steps it is 0."""
    tau = (2, 9) if "denoiser" in KINDS[kind].parts else (0, 0)
    options = ("--start", start, "--tau", f"{tau[0]}:{tau[1]}", "--steps", 2)
    made = made_by_generate(engines[kind], kind, photos, tmp_path / "pairs", *options)
    same_in_parts(engines[kind], made, start=start, tau=tau, steps=2)


def test_a_start_with_settings_of_its_own_is_the_same_in_both(
    engines: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.toml"
    own.write_text("noise_level = [50]\n")
    options = ("--start", "binned", "--degrader-options", own, "--tau", 3, "--noise", 2, "--no-filter")
    made = made_by_generate(engines["realdgen"], "realdgen", photos, tmp_path / "pairs", *options)
    how: dict[str, Any] = {"start": "binned", "tau": 3, "noise": 2, "filter": False}
    same_in_parts(engines["realdgen"], made, degrader_options=own, **how)
    with pytest.raises(AssertionError):
        same_in_parts(engines["realdgen"], made, **how)


def test_the_pages_example_makes_the_first_pairs_of_the_command_line(
    root: Path, engines: dict[str, Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (root / "docs/python.md").read_text()
    example = next(code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "Engine.open" in code)
    example = example.replace("seed=7", f"seed={SEED}")
    hr, camera, lr = made_by_generate(engines["realdgen"], "realdgen", photos, tmp_path / "pairs")
    (tmp_path / "engine").symlink_to(engines["realdgen"])
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"hr": hr, "reference": camera}
    exec(example, names)
    np.testing.assert_array_equal(names["result"].lr, lr)


def test_what_no_recipe_has_is_named(engines: dict[str, Path]) -> None:
    hr, camera = np.zeros((1, 4 * LR, 4 * LR, 3), np.uint8), np.zeros((1, LR, LR, 3), np.uint8)
    with Engine.open(engines["realdgen"], threads=1) as engine:
        for change, said in (
            ({"taus": 3}, "A recipe has no taus. Expected: tau, steps"),
            ({"tau": (9, 3)}, "tau is 9 to 3"),
            ({"tau": (1, 2, 3)}, "Expected: one number, or the least and the largest"),
            ({"tau": 30.9}, "tau is 30.9"),
            ({"tau": float("nan")}, "tau is nan"),
            ({"recipe": "best"}, "has no preset best. Expected: recommended or paper"),
            ({"first": -1}, "first is -1"),
            ({"first": [-1]}, r"first\[0\] is -1"),
            ({"first": [1, 2, 3]}, "3 numbers in first came"),
            ({"filter": "no"}, "filter is 'no'"),
        ):
            with pytest.raises(DegradeError, match=said):
                engine.degrade(hr, camera, **change)  # type: ignore[arg-type]
