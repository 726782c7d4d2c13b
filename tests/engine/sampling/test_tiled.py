"""Images larger than the engine, in tiles: equal to the whole where a network cannot see a tile's edge, without a
seam where it can, the same bytes whatever the batch, on every device that the sampler runs on (rigs.py)."""

from __future__ import annotations

import ctypes
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from degrade_engine.cli import main
from degrade_engine.engine import images, sampling
from degrade_engine.engine.api import Engine
from degrade_engine.engine.build import build
from degrade_engine.engine.bundle import open_bundle
from degrade_engine.engine.devices import HostDevice
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.executors.onnxruntime import OnnxRuntimeExecutor
from degrade_engine.engine.kinds import KINDS
from degrade_engine.engine.pipeline import records
from degrade_engine.engine.sampling import tiling
from degrade_engine.engine.sampling.batch import Batch, BatchResult
from degrade_engine.engine.sampling.tiled import TiledExecutor
from degrade_engine.engine.schedule import table

from ..rigs import Host, StandIn

TILE, HALF, SIZE = 16, 8, (28, 36)  # 2 x 3 tiles of 16 with a quarter of overlap


@pytest.fixture(scope="module")
def bundles(tiny_bundle_module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tiled")
    return {kind: tiny_bundle_module.make(folder / kind, kind=kind) for kind in KINDS}


def sampler(bundle: Path, rig: Host, size: tuple[int, int], grid: tiling.Grid | None, *, batch: int = 4) -> Any:
    """On tiles of that grid; or without, on the whole, but for the degradation of a reference, which is the mean over
    tiles that overlap by half: a whole has another."""
    about = open_bundle(bundle).spec
    candidates = 2 if about.model_kind.can_filter else 1
    executors = {}
    for name, part in about.parts.items():
        rows = batch * (candidates if part.runs == "step" else 1)
        seen = (TILE, TILE) if grid is not None or name == "degradation" else size
        network = OnnxRuntimeExecutor(
            bundle / f"{name}.onnx", part, batch=rows, height=seen[0], width=seen[1], threads=1
        )
        executors[name] = rig.executor(network)
    if grid is None and "degradation" in executors:
        part = about.parts["degradation"]
        executors["degradation"] = TiledExecutor(
            rig.device, executors["degradation"], part, tiling.grid(*size, TILE, HALF), batch
        )
    return sampling.open(rig.device, executors, about, candidates=candidates, grid=grid)


def make_batch(bundle: Path, n: int, size: tuple[int, int], *, tau: int = 5, flat: bool = False) -> Batch:
    """Smooth images, or one light grey; tau and 3 in turn, every step or five."""
    about, (height, width) = open_bundle(bundle).spec, size
    random = np.random.default_rng(0)

    def images(scale: int) -> np.ndarray:
        y, x = np.mgrid[: scale * height, : scale * width] / (scale * width)
        a, b, c = random.uniform(2, 9, (3, n, 1, 1, 3))
        waves = 127 + 90 * np.sin(a * x[..., None] + b * y[..., None] + c)
        return np.full(waves.shape, 200, np.uint8) if flat else waves.astype(np.uint8)

    fused, steps = about.model_kind.fuses, about.model_kind.has_steps
    content = images(1)
    return Batch(
        content=content,
        reference=images(1) if about.model_kind.reads_reference else None,
        pairs=np.arange(7, 7 + n, dtype=np.uint32),
        tables=[
            table(about.schedule, "ddim", (tau, 3)[i % 2] if steps else 0, 5, spacing="quadratic") for i in range(n)
        ],
        start=None if "reconstruction" in about.parts else content,
        seed=3,
        hr=images(4) if fused else None,
        fusion_weight=0.4 if fused else None,
    )


def run(sampler: Any, batch: Batch, kind: str) -> BatchResult:
    result: BatchResult = sampler.run(batch, filter=kind == "realdgen")
    return result


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_of_one_tile_has_the_bytes_of_the_plain_engine(kind: str, bundles: dict[str, Path]) -> None:
    size = (TILE, TILE)
    batch = make_batch(bundles[kind], 3, size)
    plain = run(sampler(bundles[kind], Host(), size, None), batch, kind)
    tiled = run(sampler(bundles[kind], Host(), size, tiling.grid(*size, TILE)), batch, kind)
    for name, value in vars(plain).items():
        np.testing.assert_array_equal(value, getattr(tiled, name), err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_give_the_whole(kind: str, bundles: dict[str, Path]) -> None:
    """These networks see up to four pixels around, and the four at a tile's edge count little in a sum: with half a
    tile of overlap, less than a thousandth."""
    batch = make_batch(bundles[kind], 1, SIZE)
    whole = run(sampler(bundles[kind], Host(), SIZE, None), batch, kind)
    tiled = run(sampler(bundles[kind], Host(), SIZE, tiling.grid(*SIZE, TILE, HALF)), batch, kind)
    assert np.abs(whole.candidates.astype(int) - tiled.candidates).max() <= 1
    assert np.abs(whole.start.astype(int) - tiled.start).max() <= 1
    np.testing.assert_allclose(tiled.score, whole.score, rtol=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pairs_bytes_depend_neither_on_the_batch_nor_on_the_device(
    kind: str, rig: Host, bundles: dict[str, Path]
) -> None:
    """On the host, one network row at a time, against four or three on every device, over several runs."""
    grid, batch = tiling.grid(*SIZE, TILE), make_batch(bundles[kind], 3, SIZE)
    one = sampler(bundles[kind], Host(), SIZE, grid, batch=1)
    singles = []
    for i in range(3):
        fields = {name: value[i : i + 1] for name, value in vars(batch).items() if isinstance(value, np.ndarray)}
        singles.append(run(one, replace(batch, tables=batch.tables[i : i + 1], **fields), kind))
    for size in (3, 4):
        several = sampler(bundles[kind], rig, SIZE, grid, batch=size)
        for first in range(0, 3, several.batch):
            rows = slice(first, first + several.batch)
            fields = {name: value[rows] for name, value in vars(batch).items() if isinstance(value, np.ndarray)}
            result = run(several, replace(batch, tables=batch.tables[rows], **fields), kind)
            for at, lr in enumerate(result.lr):
                np.testing.assert_array_equal(lr, singles[first + at].lr[0])
                np.testing.assert_array_equal(result.score[:, at], singles[first + at].score[:, 0])


def test_a_step_on_tiles_is_replayed(bundles: dict[str, Path], grids_library: ctypes.CDLL) -> None:
    rig = StandIn(grids_library)
    run(sampler(bundles["uddm"], rig, SIZE, tiling.grid(*SIZE, TILE)), make_batch(bundles["uddm"], 1, SIZE), "uddm")
    assert rig.gpu.log.count("cuGraphLaunch") == 4 and rig.device.notes == ()
    rig.close()


def test_counts_are_of_the_networks_own_rows(bundles: dict[str, Path]) -> None:
    made = sampler(bundles["syndiff"], Host(), SIZE, tiling.grid(*SIZE, TILE))
    assert made.batch == 2  # 12 tiles in 3 calls of 4
    result = run(made, make_batch(bundles["syndiff"], 2, SIZE), "syndiff")
    assert result.calls == {"denoiser": 3 * 5}
    assert (result.row_steps, result.executed_row_steps) == (6 * (5 + 3), 5 * 12)


# ---------------------------------------------------------------------------------------- engines and commands


@pytest.fixture(scope="module")
def engines(bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """LR 16, 4 pairs a batch."""
    folder = tmp_path_factory.mktemp("engines")
    return {kind: build(bundles[kind], folder / kind, lr_size=TILE, batch=4, threads=1).folder for kind in KINDS}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(2)
    for name, side in (("hr", 150), ("reference", 40)):
        (folder / name).mkdir()
        for i in range(3):
            pixels = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
            (folder / name / f"{i}.png").write_bytes(images.encode_png(pixels))
    return folder


def generate(kind: str, engine: Path, photos: Path, out: Path, *options: object) -> int:
    reference = [] if kind in ("syndiff", "uddm") else ["--reference", photos / "reference"]
    words = ["generate", "--engine", engine, "--hr", photos / "hr", *reference, "--out", out, "--pairs", 5,
             "--threads", 1, "--shard-pairs", 1, "--seed", 3, *options]  # fmt: skip
    return main([str(word) for word in words])


def pairs_of(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for role in ("gt", "lq") for p in (out / role).iterdir()}


@pytest.mark.parametrize("kind", KINDS)
def test_larger_pairs_by_the_command_stopped_and_gone_on_with(
    kind: str, engines: dict[str, Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert generate(kind, engines[kind], photos, tmp_path / "whole", "--lr-size", 36) == 0
    rows = [json.loads(line) for line in (tmp_path / "whole" / "manifest.jsonl").read_text().splitlines()]
    page = json.loads((tmp_path / "whole" / "plan.json").read_text())
    assert [row["hr"]["crop"][2:] for row in rows] == [[144, 144]] * 5 and rows[0]["tile_overlap"] == 4
    assert (page["lr_size"], page["tile_overlap"]) == (36, 4)
    lr = images.read_rgb(tmp_path / "whole" / "lq" / f"{rows[0]['name']}.png")
    assert lr.shape == (36, 36, 3)
    write = records.write

    def stops(out: Path, record: records.Record) -> None:
        write(out, record)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(records, "write", stops)
        assert generate(kind, engines[kind], photos, tmp_path / "parts", "--lr-size", 36) == 130
    assert main(["status", str(tmp_path / "parts")]) == 1
    assert generate(kind, engines[kind], photos, tmp_path / "parts", "--lr-size", 36) == 0
    assert pairs_of(tmp_path / "parts") == pairs_of(tmp_path / "whole")


def test_the_engines_own_size_makes_the_plan_and_the_pairs_of_before(
    engines: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    assert generate("uddm", engines["uddm"], photos, tmp_path / "plain") == 0
    assert generate("uddm", engines["uddm"], photos, tmp_path / "said", "--lr-size", TILE) == 0
    plans = [json.loads((tmp_path / name / "plan.json").read_text()) for name in ("plain", "said")]
    assert plans[0] == plans[1] and "tile_overlap" not in plans[0]
    assert pairs_of(tmp_path / "plain") == pairs_of(tmp_path / "said")


def test_the_overlap_is_part_of_the_plan(
    engines: dict[str, Path], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate("uddm", engines["uddm"], photos, tmp_path / "pairs", "--lr-size", 32) == 0
    assert "LR size 32 in tiles that share 4" in capsys.readouterr().err
    assert generate("uddm", engines["uddm"], photos, tmp_path / "pairs", "--lr-size", 32, "--tile-overlap", 8) == 2
    assert "tile_overlap was 4 and is now 8" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("uddm", ("--lr-size", 8), "The LR height is 8. Expected: 16 or more"),
        ("uddm", ("--tile-overlap", 4), "is a single tile"),
        ("uddm", ("--lr-size", 32, "--tile-overlap", 16), "Expected: 1 to 15 LR pixels"),
        ("syndiff", ("--lr-size", 400000), "Expected: a whole number from 0 to 16384"),
        ("realdgen", ("--lr-size", 33), "Expected: a multiple of 2"),
    ],
)
def test_what_does_not_fit_is_refused(
    kind: str, options: tuple, said: str, engines: dict[str, Path], photos: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert generate(kind, engines[kind], photos, tmp_path / "pairs", *options) == 2
    assert said in capsys.readouterr().err


def test_too_large_for_this_machine_is_said() -> None:
    with pytest.raises(DegradeError, match="There is no memory for a buffer"):
        HostDevice().allocate((2**55,), np.uint8)


def test_the_api_takes_images_that_are_not_square(engines: dict[str, Path]) -> None:
    hr = np.random.default_rng(0).integers(0, 256, (3, 4 * 20, 4 * 36, 3), dtype=np.uint8)
    with Engine.open(engines["uddm"], threads=1, lr_size=(20, 36), tile_overlap=6) as engine:
        assert (engine.lr_size, engine.tile_overlap) == ((20, 36), 6)
        result = engine.degrade(hr, tau=20, steps=2, seed=1)
        assert result.lr.shape == (3, 20, 36, 3) and result.finite.all()
        with pytest.raises(DegradeError, match=r"hr\[0\] is uint8"):
            engine.degrade(hr[:, :, :64])


# ------------------------------------------------------------------------------------------------------ seams


def seam(difference: np.ndarray, grid: tiling.Grid) -> float:
    """How much rougher a difference of images [..., h, w, 3] is across the tiles' edges than elsewhere: the mean
    absolute step from a tile's last pixel to the next, less the mean of all other steps. Grey levels, 0 = no edge."""
    across, elsewhere = [], []
    for axis, line in ((-3, grid.y), (-2, grid.x)):
        steps = np.abs(np.diff(difference.astype(float), axis=axis))
        edges = {at - 1 for start in line.starts for at in (start, start + line.tile)}
        for at in range(line.size - 1):
            (across if at in edges else elsewhere).append(steps.take(at, axis=axis).mean())
    return float(np.mean(across) - np.mean(elsewhere))


def boxes(height: int, width: int) -> tiling.Grid:
    """Tiles side by side."""
    y, x = (tiling.Line(size, TILE, tuple(range(0, size, TILE))) for size in (height, width))
    return tiling.Grid(y, x, 0)


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("kind", ["syndiff", "lway"])
def test_no_seam_shows_where_boxes_side_by_side_have_one(kind: str, flat: bool, bundles: dict[str, Path]) -> None:
    size = (32, 48)
    batch = make_batch(bundles[kind], 1, size, tau=200, flat=flat)
    whole = run(sampler(bundles[kind], Host(), size, None), batch, kind).lr.astype(int)
    found = []
    for grid in (tiling.grid(*size, TILE), boxes(*size)):
        tiled = run(sampler(bundles[kind], Host(), size, grid), batch, kind).lr
        found.append(seam(tiled - whole, grid))
    assert abs(found[0]) < 0.1 and found[1] > 1
