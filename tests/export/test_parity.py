"""The bound of an export: it lets every sound checkpoint through, however it is rounded, and no wrong file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
onnx = pytest.importorskip("onnx", reason="needs the extra train")

from onnx import numpy_helper  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from degrade_engine.engine.artefact import sha256_file  # noqa: E402
from degrade_engine.engine.bundle import open_bundle  # noqa: E402
from degrade_engine.engine.errors import DegradeError  # noqa: E402
from degrade_engine.engine.spec import TensorSpec  # noqa: E402
from degrade_engine.export.kinds.realdgen import parts as realdgen_parts  # noqa: E402
from degrade_engine.export.parity import FLOOR, check_parity, nudged  # noqa: E402
from degrade_engine.export.parts import IMAGE, Part  # noqa: E402
from degrade_engine.export.spelled import spelled_out  # noqa: E402
from degrade_engine.export.trials import trials  # noqa: E402
from degrade_engine.originals.checkpoint import load  # noqa: E402
from degrade_engine.originals.realdgen.model import RealDGen  # noqa: E402

VARIANTS = ["bf16", "fp16", *(f"moved {seed}" for seed in range(1, 7))]


def changed(weights: dict[str, torch.Tensor], variant: str) -> dict[str, torch.Tensor]:
    """Rounded to bf16 or FP16, or each moved by 1 % of itself."""
    if variant in ("bf16", "fp16"):
        return {k: v.to({"bf16": torch.bfloat16, "fp16": torch.float16}[variant]).float() for k, v in weights.items()}
    generator = torch.Generator().manual_seed(int(variant.split()[1]))
    return {k: v * (1 + 0.01 * torch.randn(v.shape, generator=generator)) for k, v in weights.items()}


class Exported:
    """E_deg of the trained tiny RealDGen, and its ONNX file, which may be changed. It is the part whose rounding errors
    are the largest and jump the most."""

    def __init__(self, checkpoint: Path, bundle: Path, folder: Path) -> None:
        self.model, self.folder = load(checkpoint, RealDGen)[0], folder
        self.onnx = onnx.load(bundle / open_bundle(bundle).spec.parts["degradation"].files["fp32"].path)
        self.weights = {i.name: i for i in self.onnx.graph.initializer}

    def put(self, name: str, values: np.ndarray) -> None:
        self.weights[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), name))

    def check(self) -> dict[str, float]:
        parts = {"degradation": realdgen_parts(self.model)["degradation"]}
        onnx.save(self.onnx, str(self.folder / "e_deg.onnx"))
        files = {"fp32": self.folder / "e_deg.onnx"}
        inputs = trials(parts, self.model.config.lr_multiple)["degradation"]
        return check_parity("degradation", parts["degradation"], inputs, files)["fp32"]  # type: ignore[arg-type]

    def kernels(self) -> list[str]:
        return [name for name, i in self.weights.items() if len(i.dims) == 4 and np.prod(i.dims) > 500]


@pytest.fixture
def exported(checkpoint: Path, realdgen_bundle: Path, tmp_path: Path) -> Exported:
    return Exported(checkpoint, realdgen_bundle, tmp_path)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_sound_checkpoint_passes_however_it_is_rounded(variant: str, exported: Exported) -> None:
    """Its own weights put into the file, as the exporter would: that takes many seconds, and other tests do it."""
    exported.model.load_state_dict(changed(exported.model.state_dict(), variant))
    for name, value in realdgen_parts(spelled_out(exported.model))["degradation"].module.state_dict().items():
        if name in exported.weights:
            exported.put(name, value.numpy())
    found = exported.check()
    assert found["error"] < 0.7 * found["bound"], "far from the bound, which another machine may meet otherwise"


@pytest.mark.parametrize("seed", range(4))
def test_two_weights_that_are_swapped_are_found(seed: int, exported: Exported) -> None:
    rng = np.random.default_rng(seed)
    name = str(rng.choice(exported.kernels()))
    values = numpy_helper.to_array(exported.weights[name]).copy()
    a, b = rng.choice(values.size, 2, replace=False)
    values.flat[[a, b]] = values.flat[[b, a]]
    exported.put(name, values)
    with pytest.raises(DegradeError, match="degradation as fp32 ONNX is .* a tolerance of .* would pass"):
        exported.check()


def test_the_bound_is_where_it_says(exported: Exported) -> None:
    """A kernel scaled by as much as makes an error below it passes, above it does not."""
    name = exported.kernels()[0]
    values = numpy_helper.to_array(exported.weights[name]).astype(np.float64)
    bound = exported.check()["bound"]
    exported.put(name, (values * (1 + 3e-5)).astype(np.float32))
    rate = exported.check()["error"] / 3e-5
    assert FLOOR < bound < 2e-4, "nearer to FP32's errors than to those of wrong weights"
    exported.put(name, (values * (1 + 0.5 * bound / rate)).astype(np.float32))
    assert exported.check()["error"] == pytest.approx(0.5 * bound, rel=0.3)
    exported.put(name, (values * (1 + 1.5 * bound / rate)).astype(np.float32))
    with pytest.raises(DegradeError, match="would pass"):
        exported.check()


def test_what_is_tried_reaches_all_timesteps_and_both_kinds_of_image(checkpoint: Path) -> None:
    model = load(checkpoint, RealDGen)[0]
    inputs = trials(realdgen_parts(model), model.config.lr_multiple)
    x_t, t, condition = inputs["denoiser"][2]
    assert t.tolist() == [1, 250, 500] and x_t.shape[2:] == condition.shape[2:]
    shapes = {one[0].shape[2:] for one in inputs["degradation"]}
    assert len(shapes) == 4, "height and width are dynamic"
    image, flat = (inputs["degradation"][i][0] for i in (2, 3))
    assert image.abs().max() <= 1 and (image.abs() == 1).any(), "some of it is clipped"
    assert flat[..., : flat.shape[3] // 2].std() == 0 < flat[..., flat.shape[3] // 2 :].std()
    with torch.no_grad():
        f_deg = realdgen_parts(model)["degradation"].module(image)
    assert torch.equal(inputs["modulation"][2][1], f_deg), "a part is tried on what the parts before it make"


def part_of(module: torch.nn.Module) -> Part:
    return Part(module, "pair", (IMAGE,), (TensorSpec("f", "float32", IMAGE.shape),))


def test_every_number_is_moved_by_one(checkpoint: Path) -> None:
    layer = torch.nn.Conv2d(3, 8, 3)
    torch.nn.init.zeros_(layer.bias)
    other, (x, t) = nudged(layer, (torch.ones(2, 3), torch.tensor([4], dtype=torch.int32)), 0)
    assert t.tolist() == [4] and set(x.flatten().tolist()) == {1 - 2.0**-24, 1 + 2.0**-23}
    moved = (other.weight - layer.weight).abs() / layer.weight.abs()  # type: ignore[union-attr,operator]
    assert ((moved > 2.0**-25) & (moved < 2.0**-22)).all() and (other.bias != 0).all()


def test_numbers_that_are_none_are_not_called_a_tolerance(tmp_path: Path) -> None:
    layer = torch.nn.Conv2d(3, 3, 1)
    inputs = [(torch.rand(1, 3, 4, 4) + 1,)]
    with torch.no_grad():
        layer.weight.fill_(1e6)
        with pytest.raises(DegradeError, match="overflows in FP16"):
            check_parity("f", part_of(layer), inputs, {"fp16": tmp_path / "none.onnx"})
        layer.weight.fill_(3e38)
        with pytest.raises(DegradeError, match="NaN or infinity, in PyTorch already"):
            check_parity("f", part_of(layer), inputs, {"fp32": tmp_path / "none.onnx"})


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("name", ["realdgen-tiny", "syndiff-tiny", "syndiff-canon", "uddm-tiny", "lway-tiny"])
def test_bundled_checkpoints_export_on_any_number_of_threads(
    name: str, threads: str, checkpoint: Path, tmp_path: Path
) -> None:
    export(checkpoint.with_name(f"{name}.safetensors"), tmp_path, threads)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_rounded_and_moved_checkpoints_export(variant: str, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save_file({k: v.contiguous() for k, v in changed(load_file(checkpoint), variant).items()}, path)
    page = json.loads(checkpoint.with_suffix(".json").read_text()) | {"weights_sha256": sha256_file(path)}
    path.with_suffix(".json").write_text(json.dumps(page))
    export(path, tmp_path, "1")


def export(path: Path, folder: Path, threads: str) -> None:
    command = [sys.executable, "-m", "degrade_engine", "export", str(path), "-o", str(folder / "bundle")]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": threads}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
