"""White noise on the finished LR, on every device that samplers run on (rigs.py), and as an option of `generate`."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from degrade_engine.cli import main
from degrade_engine.engine import images, sampling
from degrade_engine.engine.api import Engine
from degrade_engine.engine.build import build
from degrade_engine.engine.bundle import open_bundle
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.executors.onnxruntime import OnnxRuntimeExecutor
from degrade_engine.engine.sampling.batch import Batch, BatchResult
from degrade_engine.engine.sampling.noise import STEP, WhiteNoise
from degrade_engine.engine.schedule import table
from degrade_engine.kernels import philox, pixels

from ..rigs import Host

KINDS = ("lway", "realdgen")  # without steps, and with steps, candidates and a filter
LR, SEED, SIGMA = 16, 7, 6.0
PAIRS = np.array([4, 9, 2], np.uint32)


@pytest.fixture(scope="module")
def bundles(tiny_bundle_module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("noise")
    return {kind: tiny_bundle_module.make(folder / kind, kind=kind) for kind in KINDS}


@pytest.fixture(scope="module")
def engines(bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Path]:
    """Of each kind, batches of 1 and 4."""
    folder = tmp_path_factory.mktemp("engines")
    return {
        (kind, batch): build(bundles[kind], folder / f"{kind}-{batch}", lr_size=LR, batch=batch, threads=1).folder
        for kind in KINDS for batch in (1, 4)
    }  # fmt: skip


def normals(pairs: np.ndarray, side: int = LR) -> np.ndarray:
    """What the noise has to be: float32 [n, 3, side, side]."""
    z, n = np.empty((len(pairs), 3, side, side), np.float32), len(pairs)
    philox.normals(z, seed=SEED, pairs=pairs, candidates=np.zeros(n, np.uint32), steps=np.full(n, STEP, np.uint32))
    return z


def photographs(count: int, side: int, seed: int) -> np.ndarray:
    """uint8 [count, side, side, 3] far from black and white, so that noise is not clipped."""
    return np.random.default_rng(seed).integers(100, 156, (count, side, side, 3), dtype=np.uint8)


# -------------------------------------------------------------------------------------------------- on a device


def test_it_is_a_sum_and_nothing_at_sigma_0(rig: Host) -> None:
    def buffer(values: np.ndarray) -> object:
        made = rig.device.allocate(values.shape, values.dtype)
        rig.device.upload(made, values)
        return made

    values = np.random.default_rng(0).uniform(-1, 1, (3, 3, LR, LR)).astype(np.float32)
    noise, wanted = WhiteNoise(rig.device, 3), values + np.float32(SIGMA / 127.5) * normals(PAIRS)
    for sigma, expected in ((SIGMA, wanted), (0.0, values)):
        x, scratch = buffer(values), buffer(np.full_like(values, np.nan))
        noise.upload(sigma)
        noise.add(x, buffer(values[::-1].copy()), scratch, SEED, buffer(PAIRS))
        assert np.array_equal(rig.read(x), expected)


def made(kind: str, bundle: Path, rig: Host, noise: float, shown: bool = True) -> BatchResult:
    """Three pairs of an engine for four."""
    about, candidates = open_bundle(bundle).spec, 2 if kind == "realdgen" else 1
    executors = {}
    for name, part in about.parts.items():
        rows = candidates * 4 if part.runs == "step" else 4
        network = OnnxRuntimeExecutor(bundle / f"{name}.onnx", part, batch=rows, height=LR, width=LR, threads=1)
        executors[name] = rig.executor(network)
    sampler = sampling.open(rig.device, executors, about, candidates=candidates)
    tau = 0 if kind == "lway" else 3
    batch = Batch(photographs(3, LR, 0), photographs(3, LR, 1), PAIRS, [table(about.schedule, "ddpm", tau)] * 3,
                  seed=SEED, noise=noise)  # fmt: skip
    sampler.run(Batch(**{**vars(batch), "noise": 3.0}), filter=candidates > 1)  # leaves nothing behind
    result: BatchResult = sampler.run(batch, filter=candidates > 1, inspect=shown)
    return result


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_gets_the_same_bytes_on_every_device(kind: str, bundles: dict[str, Path], rig: Host) -> None:
    plain, noisy = (made(kind, bundles[kind], rig, sigma) for sigma in (0.0, SIGMA))
    assert np.array_equal(noisy.lr, made(kind, bundles[kind], Host(), SIGMA).lr)
    assert np.array_equal(noisy.lr, made(kind, bundles[kind], rig, SIGMA, shown=False).lr)
    for name in ("start", "candidates", "kept", "score", "finite"):  # all of them are of before the noise
        assert np.array_equal(getattr(noisy, name), getattr(plain, name), equal_nan=name == "score")
    bytes_of = pixels.to_bytes(pixels.to_planar(plain.lr) + np.float32(SIGMA / 127.5) * normals(PAIRS))
    off = np.abs(noisy.lr.astype(int) - bytes_of.astype(int))
    assert off.max() <= 1, "plain.lr was rounded before, the engine's x was not"
    assert np.abs(noisy.lr.astype(int) - plain.lr).mean() > 2


@pytest.mark.parametrize("sigma", [-1.0, np.nan, np.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_standard_deviation_is_refused(kind: str, sigma: float, bundles: dict[str, Path]) -> None:
    with pytest.raises(DegradeError, match="The noise is"):
        made(kind, bundles[kind], Host(), sigma)


# -------------------------------------------------------------------------------------------------- as an option


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_has_its_own_noise_whatever_the_batch(kind: str, engines: dict[tuple[str, int], Path]) -> None:
    hr, reference = (np.repeat(photographs(1, side, 2), 3, axis=0) for side in (4 * LR, LR))
    settings = {"tau": 0, "start": "reconstruction", "seed": SEED}
    found = []
    for batch in (1, 4):
        with Engine.open(engines[kind, batch], threads=1) as engine:
            plain = engine.degrade(hr, reference, noise=0, **settings).lr  # type: ignore[arg-type]
            found.append(engine.degrade(hr, reference, noise=SIGMA, **settings).lr)  # type: ignore[arg-type]
        difference = found[-1].astype(float) - plain
        rounded = (SIGMA * normals(np.arange(3, dtype=np.uint32))).transpose(0, 2, 3, 1)
        assert np.abs(difference - rounded).max() <= 1.01  # two roundings to a byte, of half a level
        assert difference.std() == pytest.approx(SIGMA, rel=0.1)
    assert np.abs(found[0].astype(int) - found[1]).max() <= 1  # as without noise: batches differ in the last bits


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name, side in (("hr", 70), ("reference", 20)):
        (folder / name).mkdir()
        for i, image in enumerate(photographs(3, side, side)):
            (folder / name / f"{i}.png").write_bytes(images.encode_png(image))
    return folder


def generate(engine: Path, photos: Path, out: Path, *options: object) -> int:
    words = ["generate", "--engine", engine, "--hr", photos / "hr", "--reference", photos / "reference", "--out", out,
             "--threads", 1, "--shard-pairs", 4, *options]  # fmt: skip
    return main([str(word) for word in words])


def lq(out: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((out / "lq").iterdir())]


@pytest.mark.parametrize("kind", KINDS)
def test_the_noise_is_part_of_the_plan_and_of_the_manifest(
    kind: str, engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(engines[kind, 4], photos, tmp_path, "--pairs", 6, "--noise", 1.5) == 0
    assert "noise 1.5" in capsys.readouterr().err
    rows = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text().splitlines()]
    assert {row["noise"] for row in rows} == {1.5} and json.loads((tmp_path / "plan.json").read_text())["noise"] == 1.5
    assert generate(engines[kind, 4], photos, tmp_path, "--pairs", 6, "--noise", 2.5) == 2
    assert "noise was 1.5 and is now 2.5" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_without_noise_plan_and_manifest_do_not_name_it(
    kind: str, engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path
) -> None:
    assert generate(engines[kind, 4], photos, tmp_path, "--pairs", 2, "--noise", 0) == 0
    assert "noise" not in json.loads((tmp_path / "plan.json").read_text())
    assert "noise" not in json.loads((tmp_path / "manifest.jsonl").read_text().splitlines()[0])


def test_more_pairs_and_a_larger_seed_draw_as_before_and_anew(
    engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path
) -> None:
    for name, pairs, seed in (("few", 4, 3), ("more", 8, 3), ("other", 4, 4)):
        assert generate(engines["lway", 4], photos, tmp_path / name, "--pairs", pairs, "--seed", seed) == 0
    few, more, other = (lq(tmp_path / name) for name in ("few", "more", "other"))
    assert few == more[:4] and not set(few) & set(other)


@pytest.mark.parametrize("sigma", ["-1", "nan", "inf"])
def test_an_option_that_is_no_standard_deviation_is_refused_before_the_run(
    sigma: str, engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path
) -> None:
    assert generate(engines["lway", 4], photos, tmp_path / "pairs", "--pairs", 2, "--noise", sigma) == 2
    assert not (tmp_path / "pairs" / "plan.json").exists()


def test_a_degrader_has_no_use_for_it(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", "--degrader", "bicubic", "--lr-size", 16, "--hr", photos / "hr", "--out", tmp_path,
             "--pairs", 2, "--noise", 1]  # fmt: skip
    assert main([str(word) for word in words]) == 2
    assert "--noise was given with the degrader bicubic" in capsys.readouterr().err
