"""LPIPS, DISTS, FID and CLIP score with random weights of the right shape: what must hold whatever the weights."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from degrade_engine.bench.papers import perceptual  # noqa: E402
from degrade_engine.engine.errors import DegradeError  # noqa: E402

rng = np.random.default_rng(0)
REAL = [cv2.GaussianBlur(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), (0, 0), 2) for _ in range(3)]
NOISY, NOISIER = ([np.clip(i + rng.normal(0, s, i.shape), 0, 255).astype(np.uint8) for i in REAL] for s in (5, 40))


def random_lpips(folder: Path) -> None:
    from degrade_engine.originals.lway.perceptual import CONVOLUTIONS, PLACES

    backbone = {}
    for place, (i, o, k, _, _) in zip(PLACES, CONVOLUTIONS, strict=True):
        backbone[f"features.{place}.weight"] = torch.randn(o, i, k, k) * 0.05
        backbone[f"features.{place}.bias"] = torch.zeros(o)
    torch.save(backbone, folder / "alexnet-owt-7be5be79.pth")
    linear = {f"lin{i}.model.1.weight": torch.rand(1, o, 1, 1) for i, (_, o, *_) in enumerate(CONVOLUTIONS)}
    torch.save(linear, folder / "lpips-alex.pth")


def random_dists(folder: Path) -> None:
    torch.save(pytest.importorskip("torchvision").models.vgg16().state_dict(), folder / "vgg16-397923af.pth")


def random_fid(folder: Path) -> None:
    inception = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    with pytest.MonkeyPatch.context() as patch:  # its weights before any are loaded
        patch.setattr(inception, "load_state_dict_from_url", lambda *args, **options: {})
        patch.setattr(inception.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        network = inception.FeatureExtractorInceptionV3("inception", ["2048"])
    state = {k: v * 1.7 if v.ndim == 4 else v for k, v in network.state_dict().items()}  # else features fade to 0
    torch.save(state, folder / next(iter(perceptual.NEEDS["fid"].files)))


def random_clip(folder: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8,
        projection_dim=16,
    )  # fmt: skip
    transformers.CLIPVisionModelWithProjection(config).save_pretrained(folder / "clip")


@pytest.mark.parametrize(
    ("name", "weights", "packages"),
    [("lpips", random_lpips, ()), ("dists", random_dists, ("torchmetrics",)), ("clip_score", random_clip, ())],
)
def test_a_distance_is_none_for_equal_images_and_grows_with_noise(
    name: str, weights: Callable[[Path], None], packages: tuple[str, ...], tmp_path: Path
) -> None:
    for package in packages:
        pytest.importorskip(package, reason="needs the extra perceptual")
    torch.manual_seed(0)
    weights(tmp_path)
    measure = perceptual.measures(tmp_path, 3)[0][name]
    none, some, more = (measure(made, REAL)[name] for made in (REAL, NOISY, NOISIER))
    best = 1 if name == "clip_score" else 0
    assert none == pytest.approx(best, abs=1e-4)
    assert abs(none - best) < abs(some - best) < abs(more - best)
    low, high = measure(NOISY, REAL)[f"{name}_interval"]
    assert low <= some <= high


def test_fid_of_equal_sets_is_none(tmp_path: Path) -> None:
    torch.manual_seed(0)
    random_fid(tmp_path)
    assert "fid" not in perceptual.measures(tmp_path, 2048)[0]
    measure = perceptual.measures(tmp_path, 2049)[0]["fid"]
    assert measure(REAL, REAL)["fid"] == pytest.approx(0, abs=1e-3) and measure(NOISIER, REAL)["fid"] > 0


def test_what_is_missing_is_a_sentence_each(tmp_path: Path) -> None:
    can, sentences = perceptual.measures(tmp_path, 20)
    assert not can and len(sentences) == 4
    assert "alexnet-owt-7be5be79.pth is not there; it comes from https://download.pytorch.org" in sentences[0]


def test_fid_of_a_few_images_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / next(iter(perceptual.NEEDS["fid"].files))).write_bytes(b"")
    monkeypatch.setattr(perceptual.importlib.util, "find_spec", lambda name: sys)
    assert "20 images came, and below 2,049" in perceptual.missing("fid", tmp_path, 20)


def test_a_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vgg16-397923af.pth").write_bytes(b"")
    monkeypatch.setattr(perceptual.importlib.util, "find_spec", lambda name: None)
    said = perceptual.missing("dists", tmp_path, 20)
    assert "needs the package torchmetrics" in said and "degrade-engine[perceptual]" in said


def test_weights_of_another_network_are_a_sentence(tmp_path: Path) -> None:
    random_lpips(tmp_path)
    torch.save({"another": torch.zeros(1)}, tmp_path / "lpips-alex.pth")
    with pytest.raises(DegradeError, match="are not LPIPS's weights"):
        perceptual.measures(tmp_path, 3)


def test_a_package_that_does_not_import_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folder: Path) -> None:
        raise RuntimeError("operator torchvision::nms does not exist\nmore")

    random_lpips(tmp_path)
    monkeypatch.setitem(perceptual.OPEN, "lpips", broken)
    can, said = perceptual.measures(tmp_path, 3)
    assert not can and "cannot be opened (RuntimeError: operator torchvision::nms does not exist)" in said[0]


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    random_lpips(tmp_path)
    torch.save({"features.0.weight": Path("anything")}, tmp_path / "alexnet-owt-7be5be79.pth")
    with pytest.raises(DegradeError, match="cannot be read as weights"):
        perceptual.measures(tmp_path, 3)
