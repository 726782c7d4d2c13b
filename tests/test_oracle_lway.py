"""LWay's engine against PyTorch: R(I_HR, E(reference)), the same pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from degrade_engine.engine.api import Engine  # noqa: E402
from degrade_engine.engine.build import build  # noqa: E402
from degrade_engine.engine.bundle import open_bundle  # noqa: E402
from degrade_engine.engine.errors import DegradeError  # noqa: E402
from degrade_engine.engine.images import read_rgb, resize_bicubic  # noqa: E402
from degrade_engine.export import export_checkpoint  # noqa: E402
from degrade_engine.originals.checkpoint import load, save  # noqa: E402
from degrade_engine.originals.lway.config import TINY  # noqa: E402
from degrade_engine.originals.lway.model import LWay  # noqa: E402
from degrade_engine.originals.photographs import tensor  # noqa: E402
from degrade_engine.originals.srresnet import SRResNet, SRResNetConfig  # noqa: E402

SIZE, SCALE = 32, 2


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LWay tiny with random weights that let every layer speak."""
    torch.manual_seed(0)
    model, path = LWay(TINY), tmp_path_factory.mktemp("lway") / "lway.safetensors"
    for p in model.parameters():
        if p.dim() > 1 and not p.detach().any():
            torch.nn.init.normal_(p, std=0.05)
    for block in model.reconstructor.blocks:
        block.unit.weight.data *= 30  # type: ignore[union-attr, operator]
    save(model.state_dict(), TINY, path, [], {})
    return path


@pytest.fixture(scope="module")
def bundle(checkpoint: Path) -> Path:
    return export_checkpoint(checkpoint, checkpoint.parent / "bundle")


def test_the_engine_agrees_with_pytorch(checkpoint: Path, bundle: Path, samples: Path, tmp_path: Path) -> None:
    """Within one grey level on 99.9 % of the values; the last batch is not full."""
    hr, camera = (
        [read_rgb(p) for p in sorted((samples / folder).iterdir()) if p.suffix in (".png", ".jpg")][:3]
        for folder in ("hr", "reference")
    )
    hr = [image[: SCALE * SIZE, : SCALE * SIZE] for image in hr]
    camera = [image[100 : 100 + SIZE, 100 : 100 + SIZE] for image in camera]
    engine = build(bundle, tmp_path / "engine", backend="onnxruntime", lr_size=SIZE, batch=2, threads=1).folder
    with Engine.open(engine, threads=1) as opened:
        made = opened.degrade(hr, camera, scale=SCALE, noise=0)
    model, small = load(checkpoint, LWay)[0], [resize_bicubic(image, (SIZE, SIZE)) for image in hr]
    with torch.no_grad():
        wanted = model.r(tensor(small), model.e(tensor(camera)), (SIZE, SIZE)).clamp(-1, 1)
        swapped = model.r(tensor(small), model.e(tensor(camera[::-1])), (SIZE, SIZE)).clamp(-1, 1)
    pixels, other = (((x + 1) * 127.5).round().permute(0, 2, 3, 1).numpy() for x in (wanted, swapped))
    assert (np.abs(made.lr - pixels) <= 1).mean() >= 0.999
    assert np.abs(pixels - np.stack(small)).mean() > 1, "R does something"
    assert np.abs(pixels[0] - other[0]).mean() > 2, "and follows its reference"


def test_the_bundle_holds_two_parts_in_both_precisions(bundle: Path) -> None:
    spec = open_bundle(bundle).spec
    runs = [(name, part.runs) for name, part in spec.parts.items()]
    assert runs == [("degradation", "reference"), ("reconstruction", "pair")]
    assert spec.parts["degradation"].outputs[0].shape == ("batch", 512) and spec.lr_multiple == 4
    assert all(part.files["fp16"].bytes < 0.85 * part.files["fp32"].bytes for part in spec.parts.values())


def test_an_sr_model_is_not_exported(tmp_path: Path) -> None:
    config = SRResNetConfig("test", 8, 1)
    save(SRResNet(config).state_dict(), config, tmp_path / "sr.safetensors", [], {})
    with pytest.raises(DegradeError, match="A checkpoint of srresnet cannot be exported"):
        export_checkpoint(tmp_path / "sr.safetensors", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
