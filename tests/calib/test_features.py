"""The extractors: what they are given, and what is said where a file is missing or wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from degrade_engine.calib.features import open_features
from degrade_engine.engine.errors import DegradeError

torch = pytest.importorskip("torch", reason="needs the extra train")


def photographs(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 72, 72, 3), np.uint8)


def test_a_random_alexnet_is_its_seed_alone():
    images = photographs()
    first, again = (open_features("random-alexnet", seed=5, threads=1)(images) for _ in range(2))
    assert np.array_equal(first, again) and np.isfinite(first).all() and first.shape == (3, 2 * 2 * 64)
    other = open_features("random-alexnet", seed=6, threads=1)(images)
    assert other.shape == first.shape and np.abs(other - first).max() > 1e-3
    with pytest.raises(DegradeError, match="24 pixels or more"):
        open_features("random-alexnet", threads=1)(images[:, :23, :30])


def test_random_filters_hear_noise_in_the_fine_band_and_no_brightness():
    """A photograph, brighter, and with weak noise: in the finer band's mean log answers the noise is heard most."""
    rows = np.linspace(0, 3, 72)
    smooth = np.rint(128 + 60 * np.outer(np.sin(rows), np.cos(rows)))[..., None].repeat(3, axis=2)
    noise = np.random.default_rng(2).normal(0, 3, smooth.shape)
    photograph, brighter, noisy = (np.uint8(np.clip(x, 0, 255)) for x in (smooth, smooth + 40, smooth + noise))
    found = open_features("random-alexnet", threads=1)(np.stack([photograph, brighter, noisy]))
    same, heard = np.abs(found[1] - found[0]), found[2] - found[0]
    fine, coarse = heard[64:128].mean(), heard[192:].mean()
    assert fine > 2 * coarse > 0 and fine > 0.2 and same.max() < fine / 10, f"{fine}, {coarse}, {same.max()}"


def weights(path: Path, name: str) -> dict:
    from degrade_engine.calib import features

    network = features._alexnet() if name == "alexnet" else features._vgg19(5, 4)
    state = {f"features.{key}": torch.randn_like(value) * 0.05 for key, value in network.state_dict().items()}
    torch.save({**state, "classifier.1.weight": torch.zeros(2, 2)}, path)
    return state


def test_alexnet_from_a_file_is_that_network(tmp_path):
    """Against its own convolutions, written out with torch's functions."""
    from torch.nn import functional as F

    w = weights(tmp_path / "alexnet.pth", "alexnet")
    images = photographs(2)
    x = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    for at, stride, pad, pool in ((0, 4, 2, 1), (3, 1, 2, 1), (6, 1, 1, 0), (8, 1, 1, 0), (10, 1, 1, 1)):
        x = F.relu(F.conv2d(x, w[f"features.{at}.weight"], w[f"features.{at}.bias"], stride, pad))
        x = F.max_pool2d(x, 3, 2) if pool else x
    found = open_features("alexnet", tmp_path / "alexnet.pth", threads=1)(images)
    assert found.shape == (2, 256)
    np.testing.assert_allclose(found, x[:, :, 0, 0].numpy(), rtol=1e-4, atol=1e-5)


def test_vgg19_stops_after_the_named_convolution(tmp_path):
    weights(tmp_path / "vgg.pth", "vgg19")
    shallow, deep = (open_features(f"vgg19-{name}", tmp_path / "vgg.pth", threads=1) for name in ("2-2", "5-4"))
    assert shallow(photographs(1)).shape == (1, 128) and deep(photographs(1)).shape == (1, 512)


def test_what_is_said_of_files(tmp_path):
    with pytest.raises(DegradeError, match="download.pytorch.org/models/alexnet"):
        open_features("alexnet", tmp_path / "none.pth")
    with pytest.raises(DegradeError, match="--features-from"):
        open_features("vgg19-2-2")
    (tmp_path / "torn.pth").write_bytes(b"not a zip")
    with pytest.raises(DegradeError, match="cannot be read as weights"):
        open_features("alexnet", tmp_path / "torn.pth")
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(DegradeError, match="features.0.weight of shape"):
        open_features("alexnet", tmp_path / "other.pth")


def test_a_pickle_is_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path(tmp_path / "sprung").touch, ())

    torch.save({"features.0.weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(DegradeError):
        open_features("alexnet", tmp_path / "trap.pth")
    assert not (tmp_path / "sprung").exists()


def test_e_deg_of_an_engine_needs_no_torch_and_its_own_size(tiny_bundle, tmp_path):
    from degrade_engine.engine.build import build

    build(tiny_bundle, tmp_path / "engine", lr_size=16, batch=2, candidates=1, threads=1)
    features = open_features("e-deg", tmp_path / "engine", threads=1)
    images = photographs(3)[:, :16, :16]
    found = features(images)
    assert features.size == 16 and len(found) == 3
    one = features(images[2:])
    np.testing.assert_allclose(found[2:], one, rtol=1e-5, atol=1e-6)  # padding rows do not count
