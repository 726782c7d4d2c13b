"""The exported bundle: dynamic, typed, in parity, strict; an export that is off leaves nothing behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
onnx = pytest.importorskip("onnx", reason="needs the extra train")

from degrade_engine.engine.bundle import open_bundle  # noqa: E402
from degrade_engine.engine.errors import DegradeError  # noqa: E402
from degrade_engine.export import bundle as exporting  # noqa: E402
from degrade_engine.export import parity  # noqa: E402
from degrade_engine.export.half import half_layers, half_typed  # noqa: E402
from degrade_engine.export.kinds import realdgen  # noqa: E402  # noqa: E402
from degrade_engine.export.spelled import SpelledGroupNorm, SpelledUpsample  # noqa: E402
from degrade_engine.originals.checkpoint import load  # noqa: E402
from degrade_engine.originals.realdgen.model import RealDGen  # noqa: E402
from degrade_engine.originals.realdgen.unet import GroupNorm, Upsample  # noqa: E402

FLOAT, HALF = 1, 10  # onnx.TensorProto


def test_the_bundle_says_what_it_holds(exported: Path) -> None:
    bundle = open_bundle(exported)
    assert list(bundle.spec.parts) == ["degradation", "content", "modulation", "reconstruction", "denoiser"]
    assert [p.runs for p in bundle.spec.parts.values()] == ["reference", "pair", "pair", "pair", "step"]
    assert bundle.spec.schedule.T == 500
    assert bundle.spec.licence and bundle.spec.card["training"] and bundle.spec.commercial is False


def test_batch_height_and_width_are_dynamic_under_our_names(exported: Path) -> None:
    for name, part in open_bundle(exported).spec.parts.items():
        graph = onnx.load(exported / part.files["fp16"].path).graph
        for value, spec in zip([*graph.input, *graph.output], [*part.inputs, *part.outputs], strict=True):
            shape = tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim)
            assert (value.name, shape) == (spec.name, spec.shape), name


def test_fp16_files_are_typed_with_fp32_islands(exported: Path) -> None:
    """Half convolutions are counted in the file itself: a graph that is FP16 in name alone has none."""
    for name, part in open_bundle(exported).spec.parts.items():
        graph = onnx.load(exported / part.files["fp16"].path).graph
        kinds = {i.name: i.data_type for i in graph.initializer}
        weights = [kinds[n.input[1]] for n in graph.node if n.op_type == "Conv" and n.input[1] in kinds]
        assert weights.count(HALF) >= 4, f"{name} has {weights.count(HALF)} Half convolutions of {len(weights)}"
        assert weights.count(FLOAT) >= 1, f"{name} lost its FP32 islands"
        assert all(v.type.tensor_type.elem_type != HALF for v in [*graph.input, *graph.output])
        assert part.files["fp16"].bytes < 0.8 * part.files["fp32"].bytes
        # Half scales mean norms on Half tensors, whose statistics are FP32 all the same. Behind a Concat they stay.
        norms = [node for node in graph.node if node.op_type == "GroupNormalization"]
        assert all(a.i == FLOAT for node in norms for a in node.attribute if a.name == "stash_type")
        if name == "denoiser":
            found = [kinds[node.input[1]] for node in norms]
            assert found.count(HALF) == 17 and found.count(FLOAT) == 6


def test_nothing_of_the_machine_is_in_the_files(exported: Path, root: Path) -> None:
    for path in exported.iterdir():
        assert str(root).encode() not in path.read_bytes(), path.name


def test_islands_are_left_alone(checkpoint: Path) -> None:
    model = load(checkpoint, RealDGen)[0]
    typed = half_typed(model, realdgen.HALF)
    halves, layers = half_layers(typed)
    assert 0.6 * layers < halves < layers
    for name in ("unet.embed.0", "degradation.mapping.0"):
        assert typed.get_submodule(name).weight.dtype == torch.float32
    for name in ("unet.from_x.layer", "unet.out.layer", "degradation.features.layer", "vqvae.encoder.out.layer"):
        assert typed.get_submodule(name).weight.dtype == torch.float32, name
    assert typed.get_submodule("unet.middle.0.conv1.layer").weight.dtype == torch.float16
    assert model.unet.middle[0].conv1.weight.dtype == torch.float32, "the original must not change"


def test_an_export_that_is_off_is_refused_and_leaves_nothing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = parity.run_onnx

    def off(path: Path, *rest: object) -> np.ndarray:
        return honest(path, *rest) * 1.001  # type: ignore[arg-type]

    monkeypatch.setattr(parity, "run_onnx", off)
    with pytest.raises(DegradeError, match="a tolerance of .* would pass"):
        exporting.export_checkpoint(checkpoint, tmp_path / "bundle", precisions=("fp32",))
    assert not list(tmp_path.iterdir())


def test_a_damaged_bundle_is_refused(exported: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(exported, copy)
    path = copy / open_bundle(exported).spec.parts["content"].files["fp32"].path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DegradeError, match="SHA-256"):
        open_bundle(copy)


def test_parts_share_the_oracle_s_arithmetic(checkpoint: Path) -> None:
    """The cut into parts changes nothing: the parts in order are the model."""
    model = load(checkpoint, RealDGen)[0]
    parts = realdgen.parts(model)
    x, reference = torch.rand(1, 3, 16, 16) * 2 - 1, torch.rand(1, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        f_deg, f_cont = parts["degradation"].module(reference), parts["content"].module(x)
        condition = parts["modulation"].module(f_cont, f_deg)
        t = torch.tensor([7], dtype=torch.int32)
        eps = parts["denoiser"].module(x, t, condition)
        expected, mu = model.condition(model.e_deg(reference), model.e_cont(x))
        assert torch.equal(condition, expected)
        assert torch.equal(parts["reconstruction"].module(f_cont, f_deg), mu)
        assert torch.equal(eps, model.unet(x, t, expected))


def test_group_norms_are_spelled_out_for_the_cpu_alone(exported: Path) -> None:
    """ONNX Runtime has no CPU kernel for the operator, TensorRT has one."""
    files = open_bundle(exported).spec.parts["denoiser"].files
    fp32, fp16 = (onnx.load(exported / files[p].path).graph.node for p in ("fp32", "fp16"))
    count = [sum(n.op_type == "GroupNormalization" for n in nodes) for nodes in (fp32, fp16)]
    assert count[0] == 0 and count[1] > 0


def test_a_spelled_group_norm_is_one() -> None:
    """Also where the mean is a hundred times the spread, which a mean of squares would cancel."""
    layer = GroupNorm(3, 12)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 12, 6, 10) + 100
    exact = torch.nn.functional.group_norm(x.double(), 3, layer.weight.double(), layer.bias.double(), layer.eps)
    with torch.no_grad():
        error = (SpelledGroupNorm(layer)(x) - exact).abs().max()
    # x itself is rounded to 2^-18 at 100; mean and differences add as much again
    assert error < 8 * 2.0**-18 * float(layer.weight.abs().max()), f"{float(error):.1e} would pass"


def test_a_spelled_upsample_is_one() -> None:
    layer = Upsample(5).double()
    x = torch.randn(2, 5, 4, 7, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(SpelledUpsample(layer)(x), layer(x), rtol=1e-12, atol=1e-12)
