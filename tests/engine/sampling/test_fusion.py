"""The fusion of two branches, on every device that the sampler runs on (rigs.py)."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from degrade_engine.engine import sampling
from degrade_engine.engine.bundle import open_bundle
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.executors.onnxruntime import OnnxRuntimeExecutor
from degrade_engine.engine.sampling.batch import Batch, Runner
from degrade_engine.engine.sampling.fusion import Fusion
from degrade_engine.engine.schedule import Schedule, table
from degrade_engine.kernels import philox

from ..rigs import Host

ROWS, PLANES, T, SEED = 3, (3, 4, 6), 200, 7
H, W = 8, 12
PAIRS = np.array([4, 9, 2], np.uint32)


@pytest.fixture(scope="module")
def uddm_bundle(tiny_bundle_module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tiny_bundle_module.make(tmp_path_factory.mktemp("uddm") / "bundle", kind="uddm")
    return folder


class Board:
    """A Fusion with buffers of random values around it."""

    def __init__(self, rig: Host) -> None:
        random, self.rig = np.random.default_rng(0), rig
        self.x, self.other, self.finite = (random.uniform(-1, 1, (ROWS, *PLANES)).astype(np.float32) for _ in range(3))
        self.fusion = Fusion(rig.device, (ROWS, *PLANES), T)
        self.noise = (SEED, self.buffer(PAIRS), self.buffer(np.zeros(ROWS, np.uint32)))

    def buffer(self, values: np.ndarray) -> object:
        buffer = self.rig.device.allocate(values.shape, values.dtype)
        self.rig.device.upload(buffer, values)
        return buffer

    def fused(self, w: float) -> np.ndarray:
        self.fusion.upload(w)
        x = self.buffer(self.x)
        self.fusion.run(x, self.buffer(self.other), self.buffer(self.finite), *self.noise)
        return self.rig.read(x)


def test_eq_1_and_its_ends(rig: Host) -> None:
    board = Board(rig)
    assert np.array_equal(board.fused(0.0), board.x) and np.array_equal(board.fused(1.0), board.other)
    np.testing.assert_allclose(board.fused(0.3), 0.7 * board.x + 0.3 * board.other, atol=2e-7)


def test_a_broken_row_stays_broken_and_alone(rig: Host) -> None:
    board = Board(rig)
    board.x[1, 0, 0, 0] = np.nan
    made = board.fused(0.5)
    assert np.isnan(made[1, 0, 0, 0]) and np.isfinite(np.delete(made.reshape(ROWS, -1), 1, axis=0)).all()


def test_its_noise_is_that_of_a_step_that_no_diffusion_has(rig: Host) -> None:
    board = Board(rig)
    board.fusion.upload(0.5)
    for _ in range(2):  # the second batch draws over the first
        board.fusion.draw(board.buffer(board.finite), *board.noise)
    expected = np.empty((ROWS, *PLANES), np.float32)
    zeros, steps = np.zeros(ROWS, np.uint32), np.full(ROWS, T + 1, np.uint32)
    philox.normals(expected, seed=SEED, pairs=PAIRS, candidates=zeros, steps=steps)
    assert np.array_equal(board.rig.read(board.fusion.z), expected)


def sampler(bundle: Path, rig: Host) -> Runner:
    about = open_bundle(bundle).spec
    executors = {
        name: rig.executor(OnnxRuntimeExecutor(bundle / f"{name}.onnx", part, batch=4, height=H, width=W, threads=1))
        for name, part in about.parts.items()
    }
    return sampling.open(rig.device, executors, about, candidates=1)


def batch(seed: int = 0, **changes: object) -> Batch:
    """Three pairs, the second a late joiner."""
    random, schedule = np.random.default_rng(seed), Schedule(T=200, beta_1=5e-4, beta_T=0.1)
    content, hr = (random.integers(0, 256, (3, k * H, k * W, 3), dtype=np.uint8) for k in (1, 4))
    tables = [table(schedule, "ddpm", tau) for tau in (5, 2, 5)]
    whole = {"content": content, "reference": None, "pairs": PAIRS, "tables": tables, "start": content, "seed": SEED,
             "hr": hr, "fusion_weight": 0.5}  # fmt: skip
    return Batch(**{**whole, **changes})  # type: ignore[arg-type]


def test_a_batch_is_the_hosts_on_every_device(uddm_bundle: Path, rig: Host) -> None:
    made = sampler(uddm_bundle, rig)
    made.run(batch(seed=1), filter=False)  # another batch before it leaves nothing behind
    again = made.run(batch(), filter=False)
    assert np.array_equal(again.lr, sampler(uddm_bundle, Host()).run(batch(), filter=False).lr)
    assert again.calls == {"condition": 1, "pddm": 1, "denoiser": 5} and again.finite.all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hr": None}, "A batch came without HR images"),
        ({"hr": np.zeros((3, 2 * H, 2 * W, 3), np.uint8)}, "hr is uint8"),
        ({"fusion_weight": None}, "The fusion weight is None"),
        ({"fusion_weight": 1.5}, "The fusion weight is 1.5"),
        ({"start": None}, "A batch came without start images"),
    ],
)
def test_what_does_not_fit_is_refused(uddm_bundle: Path, changes: dict, said: str) -> None:
    with pytest.raises(DegradeError, match=said):
        sampler(uddm_bundle, Host()).run(batch(**changes), filter=False)


def test_a_kind_without_branches_takes_neither_hr_nor_weight(tiny_bundle_module: ModuleType, tmp_path: Path) -> None:
    bundle = tiny_bundle_module.make(tmp_path, kind="syndiff")
    with pytest.raises(DegradeError, match="reads no HR"):
        sampler(bundle, Host()).run(batch(fusion_weight=None), filter=False)
    with pytest.raises(DegradeError, match="this kind of engine fuses nothing"):
        sampler(bundle, Host()).run(batch(hr=None), filter=False)
