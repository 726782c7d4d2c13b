"""FP16 as tensor cores compute it: what TensorCore promises, and how it lies beside PyTorch's own half precision."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from degrade_engine.engine.errors import DegradeError  # noqa: E402
from degrade_engine.export.half import (  # noqa: E402
    Exit,
    Inside,
    TensorCore,
    half_typed,
    layer_names,
    on_tensor_cores,
)
from degrade_engine.export.kinds.realdgen import HALF  # noqa: E402
from degrade_engine.export.kinds.realdgen import parts as realdgen_parts  # noqa: E402
from degrade_engine.originals.checkpoint import load  # noqa: E402
from degrade_engine.originals.realdgen.model import RealDGen  # noqa: E402


def test_factors_are_rounded_sums_are_not_and_the_result_is_rounded_once() -> None:
    """Against float64 sums of the rounded factors: equal but where FP32's sum falls on the other side of a border."""
    torch.manual_seed(0)
    layer, x = torch.nn.Conv2d(64, 32, 3, padding=1), torch.randn(2, 64, 16, 16)
    weight, bias = layer.weight.detach().half().double(), layer.bias.detach().half().double()
    wanted = torch.nn.functional.conv2d(x.half().double(), weight, bias, padding=1).half()
    with torch.no_grad():
        got = TensorCore(layer)(x)
    assert got.dtype == torch.float16 and layer.weight.dtype == torch.float32
    assert (got != wanted).float().mean() < 5e-3
    assert (got.float() - wanted.float()).abs().max() <= 2**-10 * wanted.float().abs().max()


def test_what_fp16_cannot_hold_overflows() -> None:
    layer = torch.nn.Conv2d(1, 1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(2.0)
        assert TensorCore(layer)(torch.full((1, 1, 1, 1), 40_000.0)).isinf().all()
        assert TensorCore(layer)(torch.full((1, 1, 1, 1), 30_000.0)).item() == 60_000


def test_a_whole_network_is_as_far_from_fp32_as_with_pytorch_s_half_precision(checkpoint: Path) -> None:
    """An implementation of its own, with other orders and roundings of sums: the errors differ, their size does not."""
    model = load(checkpoint, RealDGen)[0]
    typed = half_typed(model, HALF)
    inputs = realdgen_parts(model)["degradation"].example(1, 16, 16)
    with torch.no_grad():
        exact, plain = (realdgen_parts(m)["degradation"].module(*inputs) for m in (model, typed))
        cores = realdgen_parts(on_tensor_cores(typed))["degradation"].module(*inputs)
    mine, theirs = (float((found - exact).square().mean().sqrt()) for found in (cores, plain))
    assert 0.4 < mine / theirs < 2.5, (mine, theirs)


def test_islands_of_a_calibration_are_fp32_and_the_rest_is_as_before(checkpoint: Path) -> None:
    model = load(checkpoint, RealDGen)[0]
    islands = ("unet.middle.0.conv1", "unet.from_x")  # one that would be FP16, one whose output would be
    plain, typed = half_typed(model, HALF), half_typed(model, HALF, islands)
    for name in layer_names(model):
        before, after = plain.get_submodule(name), typed.get_submodule(name)
        assert type(after) is (Exit if name in islands else type(before)), name
    on_tensor_cores(typed)
    kinds = [type(typed.get_submodule(name)) for name in layer_names(model)]
    assert Inside not in kinds and TensorCore in kinds
    with pytest.raises(DegradeError, match="no layer 'unet.nothing'"):
        half_typed(model, HALF, ("unet.nothing",))


def test_policy_is_told_by_name() -> None:
    names = ("unet.from_x", "unet.embed.0", "unet.up.0.0.embed", "unet.out", "unet.up.2")
    assert [HALF.policy(name) for name in names] == ["enter", "island", "enter", "exit", "half"]
