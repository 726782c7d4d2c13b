"""Engine against oracle: the scheduler, kernels, ONNX and filter against Algorithm 2 as printed, with the same noise.

The bar (design, section 7): within one grey level on at least 99.9 % of values, FP32.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from degrade_engine.engine.api import Engine  # noqa: E402
from degrade_engine.engine.build import build  # noqa: E402
from degrade_engine.engine.images import read_rgb, resize_bicubic  # noqa: E402
from degrade_engine.engine.sampling.batch import Batch, BatchResult  # noqa: E402
from degrade_engine.engine.schedule import table  # noqa: E402
from degrade_engine.export import export_checkpoint  # noqa: E402
from degrade_engine.kernels import philox, pixels  # noqa: E402
from degrade_engine.originals.checkpoint import load, save  # noqa: E402
from degrade_engine.originals.realdgen.config import PAPER  # noqa: E402
from degrade_engine.originals.realdgen.model import RealDGen  # noqa: E402
from degrade_engine.originals.realdgen.oracle import Generated, generate  # noqa: E402
from degrade_engine.originals.syndiff import config as syndiff_config  # noqa: E402
from degrade_engine.originals.syndiff import model as syndiff  # noqa: E402
from degrade_engine.originals.uddm import config as uddm_config  # noqa: E402
from degrade_engine.originals.uddm import model as uddm  # noqa: E402

SEED = 11


def images(samples: Path, size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(HR at LR size, reference crops), uint8 [count, size, size, 3], real photographs."""
    sharp = [read_rgb(p) for p in sorted((samples / "hr").iterdir())]
    camera = [read_rgb(p) for p in sorted((samples / "reference").iterdir())]
    content = [resize_bicubic(sharp[i % len(sharp)][: 4 * size, : 4 * size], (size, size)) for i in range(count)]
    reference = [camera[i % len(camera)][:size, :size] for i in range(count)]
    return np.stack(content), np.stack(reference)


def by_engine(engine: Engine, content: np.ndarray, reference: np.ndarray, taus: list[int], start: bool,
              first: int = 0) -> BatchResult:  # fmt: skip
    """The pairs first, first + 1, … of the run, one batch."""
    tables = [table(engine.spec.schedule, "ddpm", tau, None, 0.0) for tau in taus]
    pairs = np.arange(first, first + len(taus), dtype=np.uint32)
    return engine.run(Batch(content, reference, pairs, tables, start=content if start else None, seed=SEED))


def by_oracle(
    model: RealDGen, content: np.ndarray, reference: np.ndarray, pair: int, tau: int, k: int, start: bool
) -> Generated:
    size = content.shape[1]

    def noise(candidate: int, step: int) -> np.ndarray:
        out = np.empty((1, 3, size, size), np.float32)
        counters = (np.array([n], np.uint32) for n in (pair, candidate, step))
        philox.normals(out, seed=SEED, **dict(zip(("pairs", "candidates", "steps"), counters, strict=True)))
        return out[0]

    x_hr, x_lr = (torch.from_numpy(pixels.to_planar(u8[pair : pair + 1])[0]) for u8 in (content, reference))
    return generate(model, x_hr, x_lr, x_hr if start else None, tau, noise, candidates=k)


def compare(result: BatchResult, model: RealDGen, content: np.ndarray, reference: np.ndarray, pairs: list[int],
            taus: list[int], start: bool) -> None:  # fmt: skip
    for pair in pairs:
        k = result.candidates.shape[0]
        agree(result, pair, by_oracle(model, content, reference, pair, taus[pair], k, start), taus[pair])


def agree(result: BatchResult, row: int, oracle: Generated, tau: int) -> None:
    """Row `row` of the engine's batch against the oracle's pair: pixels, errors, choice."""
    expected = pixels.to_bytes(oracle.candidates.numpy())
    off = np.abs(result.candidates[:, row].astype(int) - expected.astype(int))
    share = float((off > 1).mean())
    assert share <= 1e-3, f"tau {tau}: {100 * share:.3f} % of values are off by more than one grey level"
    np.testing.assert_allclose(result.degradation_error[:, row], oracle.degradation_error.numpy(), rtol=0.02, atol=1e-6)
    np.testing.assert_allclose(result.content_error[:, row], oracle.content_error.numpy(), rtol=0.02, atol=1e-6)
    score = oracle.degradation_error + oracle.content_error
    if len(score) > 1 and float(score.sort().values.diff()[0]) > 1e-3 * float(score.min()):  # not a tie by rounding
        assert result.kept[row] == oracle.kept


@pytest.mark.parametrize("batch", [1, 8])
def test_tiny(batch: int, realdgen_bundle: Path, checkpoint: Path, samples: Path, tmp_path: Path) -> None:
    """From Rec_lr, and from the HR at LR size."""
    model = load(checkpoint, RealDGen)[0]
    folder = build(
        realdgen_bundle, tmp_path / "engine", backend="onnxruntime", lr_size=64, batch=batch, candidates=3
    ).folder
    content, reference = images(samples, 64, batch)
    with Engine.open(folder, threads=2) as engine:
        for start in (False, True):
            # in a batch of 8, rows join late
            for taus in [[0], [1], [7], [30]] if batch == 1 else [[0, 1, 7, 30, 30, 7, 1, 0]]:
                result = by_engine(engine, content, reference, taus, start)
                pairs = [0] if batch == 1 else [0, 1, 2, 3, 5]
                compare(result, model, content, reference, pairs, taus, start)


def test_syndiff(samples: Path, tmp_path: Path) -> None:
    """Random weights, the tiny preset, tau up to a quarter of the schedule; late joiners."""
    torch.manual_seed(0)
    config = syndiff_config.TINY
    model = syndiff.SynDiff(config).eval()
    torch.nn.init.normal_(model.unet.out.weight, std=0.05)
    save(model.state_dict(), config, tmp_path / "syndiff.safetensors", [], {})
    bundle = export_checkpoint(tmp_path / "syndiff.safetensors", tmp_path / "bundle", precisions=("fp32",))
    folder = build(bundle, tmp_path / "engine", backend="onnxruntime", lr_size=64, batch=4).folder
    content, _ = images(samples, 64, 4)
    taus = [0, 7, 30, config.strongest]
    with Engine.open(folder, threads=2) as engine:
        tables = [table(engine.spec.schedule, "ddpm", tau, None, 0.0) for tau in taus]
        batch = Batch(content, None, np.arange(4, dtype=np.uint32), tables, start=content, seed=SEED)
        result = engine.run(batch, filter=False)
    for pair, tau in enumerate(taus):

        def noise(step: int, pair: int = pair) -> np.ndarray:
            out = np.empty((1, 3, 64, 64), np.float32)
            one = {name: np.array([n], np.uint32) for name, n in (("pairs", pair), ("candidates", 0), ("steps", step))}
            philox.normals(out, seed=SEED, **one)
            return out[0]

        x = syndiff.generate(model, torch.from_numpy(pixels.to_planar(content[pair : pair + 1])[0]), tau, noise)
        off = np.abs(result.lr[pair].astype(int) - pixels.to_bytes(x[None].numpy())[0].astype(int))
        assert (off > 1).mean() <= 1e-3, (tau, off.max())


def test_uddm(samples: Path, tmp_path: Path) -> None:
    """Random weights, the tiny preset: every one of the 200 steps beside a late joiner, both branches, their sum."""
    torch.manual_seed(0)
    config = uddm_config.TINY
    model = uddm.UDDM(config).eval()
    for layer in (model.ddm.unet.out, model.pddm.parameters_of.maps, model.pddm.parameters_of.colour):
        torch.nn.init.normal_(layer.weight, std=0.05)
    save(model.state_dict(), config, tmp_path / "uddm.safetensors", [], {})
    bundle = export_checkpoint(tmp_path / "uddm.safetensors", tmp_path / "bundle", precisions=("fp32",))
    folder = build(bundle, tmp_path / "engine", backend="onnxruntime", lr_size=32, batch=2).folder
    hr = np.stack([read_rgb(p)[:128, :128] for p in sorted((samples / "hr").iterdir())[:2]])
    content = np.stack([resize_bicubic(image, (32, 32)) for image in hr])
    T = config.diffusion.T
    taus = [T, 7]
    with Engine.open(folder, threads=2) as engine:
        tables = [table(engine.spec.schedule, "ddpm", tau, None, 0.0) for tau in taus]
        batch = Batch(content, None, np.arange(2, dtype=np.uint32), tables, start=content, seed=SEED, hr=hr,
                      fusion_weight=0.3)  # fmt: skip
        made = engine.run(batch, filter=False).lr
    for pair, tau in enumerate(taus):

        def noise(step: int, pair: int = pair) -> np.ndarray:
            out = np.empty((1, 3, 32, 32), np.float32)
            one = {name: np.array([n], np.uint32) for name, n in (("pairs", pair), ("candidates", 0), ("steps", step))}
            philox.normals(out, seed=SEED, **one)
            return out[0]

        image, sharp = (torch.from_numpy(pixels.to_planar(u8[pair : pair + 1])[0]) for u8 in (content, hr))
        x = uddm.generate(model, image, sharp, torch.from_numpy(noise(T + 1)), tau, noise, 0.3)
        off = np.abs(made[pair].astype(int) - pixels.to_bytes(x[None].numpy())[0].astype(int))
        assert (off > 1).mean() <= 1e-3, (tau, off.max())


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> tuple[RealDGen, Path]:
    """The paper preset with random weights (zero-initialised layers too), and its bundle."""
    torch.manual_seed(0)
    model = RealDGen(PAPER).eval()
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim > 1 and not p.any():
                torch.nn.init.normal_(p, std=0.01)
    folder = tmp_path_factory.mktemp("paper")
    save(model.state_dict(), PAPER, folder / "paper.safetensors", [], {})
    return model, export_checkpoint(folder / "paper.safetensors", folder / "bundle", precisions=("fp32",))


@pytest.mark.parametrize(("longest", "size", "batch"), [(7, 32, 4), pytest.param(30, 64, 8, marks=pytest.mark.slow)])
def test_paper_preset(
    longest: int, size: int, batch: int, paper: tuple[RealDGen, Path], samples: Path, tmp_path: Path
) -> None:
    """73.5 M parameters: pairs of every tau in one batch with late joiners, and each alone in an engine of batch 1,
    against one oracle."""
    model, bundle = paper
    content, reference = images(samples, size, batch)
    taus = [0, 1, 7, longest, longest, 7, 1, 0][:batch]
    alone, together = (
        build(bundle, tmp_path / f"engine-{n}", backend="onnxruntime", lr_size=size, batch=n, candidates=1).folder
        for n in (1, batch)
    )
    with Engine.open(together, threads=2) as engine:
        result = by_engine(engine, content, reference, taus, True)
    with Engine.open(alone, threads=2) as engine:
        for pair, tau in enumerate(taus[:4]):
            oracle = by_oracle(model, content, reference, pair, tau, 1, True)
            agree(result, pair, oracle, tau)
            one = slice(pair, pair + 1)
            agree(by_engine(engine, content[one], reference[one], [tau], True, first=pair), 0, oracle, tau)
