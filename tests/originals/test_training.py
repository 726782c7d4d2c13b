"""Training end to end in small: batches are functions of (seed, step), a killed run resumes exactly, losses fall."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from degrade_engine.engine import machine  # noqa: E402
from degrade_engine.engine.errors import DegradeError  # noqa: E402
from degrade_engine.engine.images import read_rgb  # noqa: E402
from degrade_engine.originals import noise  # noqa: E402
from degrade_engine.originals.checkpoint import load, read_sidecar  # noqa: E402
from degrade_engine.originals.noise import difference  # noqa: E402
from degrade_engine.originals.photographs import Photographs, StepDataset  # noqa: E402
from degrade_engine.originals.realdgen import data  # noqa: E402
from degrade_engine.originals.realdgen.config import TINY  # noqa: E402
from degrade_engine.originals.realdgen.model import RealDGen  # noqa: E402
from degrade_engine.originals.realdgen.stages import STAGES, TINY_STAGES  # noqa: E402
from degrade_engine.originals.realdgen.train import train_stage  # noqa: E402
from degrade_engine.originals.runs import Machine, Setup, Source  # noqa: E402
from degrade_engine.originals.trainer import TrainOptions, bf16_helps  # noqa: E402

SMALL = dataclasses.replace(
    TINY,
    content=dataclasses.replace(TINY.content, width=8, blocks=1, channels=12, codes=16, groups=2),
    degradation=dataclasses.replace(TINY.degradation, widths=(8,), blocks=(16,), vector=8, mapping=8),
    modulation=dataclasses.replace(TINY.modulation, width=8, channels=4),
    unet=dataclasses.replace(TINY.unet, width=8, multipliers=(1, 2)),
)


@pytest.fixture(scope="module")
def photographs(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Photographs:
    table = tmp_path_factory.mktemp("pairs") / "pairs.csv"
    some = sorted((samples / "hr").iterdir())[:2]
    table.write_text("hr,lr,group\n" + "".join(f"{p},{p},one\n" for p in some))
    return Photographs.read([samples / "hr"], [samples / "reference"], [table], 64, 256, [])


def options(**changes: object) -> data.DataOptions:
    return dataclasses.replace(data.DataOptions(crop=32, reference_crop=32), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [data.HRBatches, data.ContentBatches, data.TripletBatches, data.DiffusionBatches])
def test_a_batch_depends_on_seed_step_and_rank_alone(kind: type[StepDataset], photographs: Photographs) -> None:
    make = lambda seed, rank: kind(photographs, options(), 3, seed, rank)  # noqa: E731
    first, again = make(1, 0)[5], make(1, 0)[5]
    assert all(torch.allclose(first[k], again[k], rtol=0, atol=0, equal_nan=True) for k in first)
    for other in (make(1, 0)[6], make(2, 0)[5], make(1, 1)[5]):
        assert any(not torch.equal(first[k], other[k]) for k in first)


def test_batches_are_in_range_and_shape(photographs: Photographs) -> None:
    batch = data.TripletBatches(photographs, options(), 2, 0, 0)[0]
    assert batch["anchor"].shape == (2, 3, 32, 32) and batch["positive"].shape == (6, 3, 32, 32)
    assert batch["pair_target"].shape == (2, 3, 32, 32)
    assert batch["spectrum"].shape == (2, 3 * data.BANDS)
    assert batch["noise_range"].shape == (2, 2) and torch.isfinite(batch["noise_range"]).all()
    assert batch["pair_noise_range"].tolist() == [[0, math.inf]] * 2, "these pairs do not say what of them is noise"
    assert batch["real"].shape == (2, 3, 32, 32) and not batch["real_noise_range"][:, 0].any()
    assert batch["anchor"].min() >= -1 and batch["anchor"].max() <= 1


def test_spectral_targets_see_blur_and_noise() -> None:
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    import cv2

    blurred = cv2.GaussianBlur(clean, (0, 0), 1.5)
    noisy = np.clip(clean.astype(np.float32) / 4 + rng.normal(0, 60, clean.shape), 0, 255).astype(np.uint8)
    same = data.spectral_targets(clean, clean, None)
    assert np.allclose(same[: data.BANDS], 0)
    assert np.isnan(same[2 * data.BANDS :]).all() and np.isfinite(same[: 2 * data.BANDS]).all()
    assert data.spectral_targets(clean, blurred, None)[data.BANDS - 1] < -2
    quarter = (clean / 4).astype(np.uint8)
    assert data.spectral_targets(quarter, noisy, None)[data.BANDS - 1] > 0.5
    loud, soft = (data.spectral_targets(quarter, noisy, k * difference(noisy, quarter)) for k in (1.0, 0.5))
    np.testing.assert_allclose(loud[2 * data.BANDS :], loud[data.BANDS : 2 * data.BANDS], rtol=1e-3)
    np.testing.assert_allclose((loud - soft)[2 * data.BANDS :], 0.25 * np.log(4), rtol=1e-2)


def test_the_noise_of_a_synthetic_row_is_what_its_quiet_twin_lacks(photographs: Photographs) -> None:
    """Same theta, same realisation, no noise: the difference is as strong as theta says, and 0 without noise."""
    from degrade_engine.engine.classical.realesrgan import Noise, SecondOrder

    dataset = data.DiffusionBatches(photographs, data.DataOptions(crop=32, reference_crop=32), 2, 0, 0)
    rng = np.random.default_rng(0)
    hr = np.full((32, 32, 3), 128, np.uint8)
    nothing = [None] * 6
    theta = SecondOrder(*nothing, Noise("gaussian", 12.0, gray=False), None, "area", None, jpeg_last=True)
    clean, degraded, found = dataset.degrade_twice(rng, hr, theta, 1)
    assert found.std() * 127.5 == pytest.approx(12, rel=0.05)
    np.testing.assert_allclose(degraded, clean + 127.5 * found, atol=0.51)
    quiet = dataset.degrade_twice(rng, hr, None, 1)[2]
    assert not quiet.any()


def test_held_out_photographs_are_known_by_their_bytes(samples: Path, tmp_path: Path) -> None:
    copy = tmp_path / "another name.jpg"
    copy.write_bytes((samples / "reference" / "sanyo-sr6.jpg").read_bytes())
    every = Photographs.read([samples / "hr"], [samples / "reference"], [], 64, 256, [])
    fewer = Photographs.read([samples / "hr"], [samples / "reference"], [], 64, 256, [tmp_path])
    assert len(fewer.lr) == len(every.lr) - 1 == len(fewer.lr_noise)
    assert fewer.left_out == ["sanyo-sr6.jpg: held out"]


@pytest.mark.parametrize("sigma", [0, 3, 10, 25])
def test_the_quietest_windows_bound_the_noise_of_a_textured_photograph(samples: Path, sigma: float) -> None:
    """A sharp photograph with sand and foam, noise laid over it: the bound is above the noise, and far below what
    varies in the photograph."""
    rng = np.random.default_rng(0)
    clean = read_rgb(samples / "hr" / "waves.png")
    noisy = np.clip(clean + rng.normal(0, sigma, clean.shape), 0, 255).round().astype(np.uint8)
    least, most = (127.5 * bound for bound in noise.at_most(noisy))
    assert least == 0 and 0.8 * sigma < most < math.hypot(1.1 * sigma, 6)


def test_a_photograph_without_unclipped_windows_bounds_nothing() -> None:
    assert noise.at_most(np.full((256, 256, 3), 255, np.uint8)) == noise.UNKNOWN


def test_textured_crops_are_rougher(samples: Path) -> None:
    photographs = Photographs.read([samples / "hr"], [], [], 64, 256, [])
    rough = []
    for share in (0.0, 1.0):
        dataset = data.HRBatches(photographs, options(textured=share), 3, 0, 0)
        rng = np.random.default_rng(0)
        rough.append(np.mean([noise.roughness(dataset.sharp(rng, 64, 1)) for _ in range(60)]))
    assert rough[1] > 1.4 * rough[0]


@pytest.mark.parametrize("name", ["vqvae", "content", "degradation", "ddpm"])
def test_each_stage_trains_only_what_it_says(name: str, photographs: Photographs) -> None:
    torch.manual_seed(0)
    stage = STAGES[name](RealDGen(SMALL), dataclasses.replace(TINY_STAGES, lr_degradation=0.0))
    groups = stage.groups()
    before = {k: v.clone() for k, v in stage.named_parameters()}
    optimiser = torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.0)
    batch = stage.batches(photographs, options(), 4, 0, 0)[0]
    for _ in range(2):
        losses = stage(batch, torch.Generator().manual_seed(0))
        optimiser.zero_grad()
        losses["loss"].backward()
        optimiser.step()
    moved = {k.removeprefix("model.") for k, v in stage.named_parameters() if not torch.equal(before[k], v)}
    heads = {"vqvae": {"vqvae"}, "content": {"vqvae"},
             "degradation": {"degradation", "modulation", "spectral", "noise"},
             "ddpm": {"unet", "modulation", "vqvae", "degradation", "noise"}}[name]  # fmt: skip
    assert {k.split(".")[0] for k in moved} == heads
    if name == "content":
        assert all(k.startswith("vqvae.encoder.") for k in moved), "Rec_hr is frozen (A.1.1)"
    if name == "ddpm":  # A.5
        assert {k for k in moved if k.startswith("vqvae")} == {
            "vqvae.encoder.down.0.weight",
            "vqvae.encoder.down.0.bias",
        }
        assert {k for k in moved if k.startswith("degradation")} == {
            "degradation.mapping.3.weight",
            "degradation.mapping.3.bias",
        }
        tiny = STAGES[name](RealDGen(SMALL), TINY_STAGES)  # departs: the whole of E_deg learns on
        tiny.groups()
        assert all(p.requires_grad for p in tiny.model.degradation.parameters())


def run_stage(samples: Path, out: Path, stage: str, steps: int, lr: Path | None = None, **data: object) -> Path:
    settings = TrainOptions(steps=steps, seed=3, log_every=2, save_every_s=0.0, bf16=False)
    source = Source((samples / "hr",), lr=(lr or samples / "reference",))
    setup = Setup(source, settings, out, Machine(0, 1))
    return train_stage(stage, SMALL, dataclasses.replace(TINY_STAGES, batch=2), options(**data), setup)  # type: ignore[arg-type]


def test_a_killed_run_resumes_exactly(samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = run_stage(samples, tmp_path / "a", "vqvae", 6)
    make = data.HRBatches.make
    count = 0

    def dies(self: data.HRBatches, rng: np.random.Generator) -> dict:
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        return make(self, rng)

    monkeypatch.setattr(data.HRBatches, "make", dies)
    with pytest.raises(KeyboardInterrupt):
        run_stage(samples, tmp_path / "b", "vqvae", 6)
    monkeypatch.setattr(data.HRBatches, "make", make)
    resumed = run_stage(samples, tmp_path / "b", "vqvae", 6)
    assert count == 4, "the second call must go on, not begin again"
    assert straight.read_bytes() == resumed.read_bytes()


def test_photographs_smaller_than_the_reference_crop_are_left_out(samples: Path, tmp_path: Path) -> None:
    import shutil

    import cv2

    small = tmp_path / "small"
    small.mkdir()
    shutil.copy(next((samples / "reference").iterdir()), small)
    cv2.imwrite(str(small / "tiny.png"), np.zeros((36, 36, 3), np.uint8))  # between the crop's size and the reference's
    for stage in ("vqvae", "content", "degradation"):
        run_stage(samples, tmp_path / "run", stage, 2)
    assert run_stage(samples, tmp_path / "run", "ddpm", 12, small, reference_crop=40, mix=(0.0, 1.0, 0.0)).is_file()


def test_resuming_with_other_options_is_refused(samples: Path, tmp_path: Path) -> None:
    run_stage(samples, tmp_path, "vqvae", 2)
    with pytest.raises(DegradeError, match="steps"):
        run_stage(samples, tmp_path, "vqvae", 4)


def test_stages_follow_one_another_and_leave_a_strict_checkpoint(samples: Path, tmp_path: Path) -> None:
    with pytest.raises(DegradeError, match="vqvae"):
        run_stage(samples, tmp_path, "content", 2)
    for stage in ("vqvae", "content", "degradation", "ddpm"):
        path = run_stage(samples, tmp_path, stage, 2)
    model, record = load(path, RealDGen)
    assert model.config == SMALL
    assert [e["stage"] for e in record.training] == ["vqvae", "content", "degradation", "ddpm"]
    sidecar = path.with_suffix(".json")
    spoiled = json.loads(sidecar.read_text()) | {"extra": 1}
    sidecar.write_text(json.dumps(spoiled))
    with pytest.raises(DegradeError, match="extra"):
        read_sidecar(path)


def test_foreign_weights_are_refused(samples: Path, tmp_path: Path) -> None:
    path = run_stage(samples, tmp_path, "vqvae", 2)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DegradeError, match="SHA-256"):
        load(path, RealDGen)


@pytest.mark.parametrize(
    ("features", "helps"),
    [(("AVX-512 BF16", "AVX-512"), True), (("AMX",), True), (("AVX-512", "AVX2"), False), ((), False)],
)
def test_bf16_is_taken_where_the_processor_multiplies_in_it(
    features: tuple[str, ...], helps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With AVX-512 alone it is emulated, and slower than FP32."""
    monkeypatch.setattr(machine, "cpu_features", lambda: features)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert bf16_helps() is helps
