"""OpenVINO on bound numpy buffers, and bf16 through the whole gate where the processor has it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from degrade_engine.engine import build
from degrade_engine.engine.api import Engine
from degrade_engine.engine.backends import openvino as backend_openvino
from degrade_engine.engine.bundle import open_bundle
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.executors import openvino as module
from degrade_engine.engine.executors.onnxruntime import OnnxRuntimeExecutor
from degrade_engine.engine.verify import verify

pytest.importorskip("openvino", reason="needs the extra openvino")
SMALL: dict[str, Any] = {"lr_size": 32, "batch": 3, "candidates": 2, "threads": 1}


def run(executor: Any, seed: int = 0) -> np.ndarray:
    """eps of the tiny denoiser on seeded inputs."""
    random = np.random.default_rng(seed)
    for name, shape in executor.shapes.items():
        if name != "eps":
            dtype = np.int32 if name == "t" else np.float32
            executor.bind(name, (random.standard_normal(shape) * 3 + 5).astype(dtype))
    executor.bind("eps", eps := np.full(executor.shapes["eps"], np.nan, np.float32))
    executor.enqueue()
    return eps


def denoiser(bundle: Path, **options: Any) -> Any:
    part = open_bundle(bundle, verify=False).spec.parts["denoiser"]
    sizes: dict[str, Any] = {"batch": 5, "height": 16, "width": 24, "threads": 2}
    return module.OpenVinoExecutor(bundle / "denoiser.onnx", part, **sizes | options)


def test_agrees_with_onnxruntime(tiny_bundle: Path) -> None:
    part = open_bundle(tiny_bundle, verify=False).spec.parts["denoiser"]
    other = OnnxRuntimeExecutor(tiny_bundle / "denoiser.onnx", part, batch=5, height=16, width=24, threads=1)
    np.testing.assert_allclose(run(denoiser(tiny_bundle)), run(other), rtol=1e-5, atol=1e-5)


def test_a_rows_bytes_depend_on_nothing_else(tiny_bundle: Path) -> None:
    whole = run(denoiser(tiny_bundle))
    np.testing.assert_array_equal(whole, run(denoiser(tiny_bundle, threads=1)))
    random, one = np.random.default_rng(0), denoiser(tiny_bundle, batch=1)
    inputs = {
        name: (random.standard_normal((5, *shape[1:])) * 3 + 5).astype(np.int32 if name == "t" else np.float32)
        for name, shape in one.shapes.items() if name != "eps"
    }  # fmt: skip
    eps = np.zeros(one.shapes["eps"], np.float32)
    one.bind("eps", eps)
    for row in range(5):
        for name, values in inputs.items():
            one.bind(name, values[row : row + 1].copy())
        one.enqueue()
        np.testing.assert_array_equal(eps[0], whole[row])


def test_mistakes_are_sentences(tiny_bundle: Path, tmp_path: Path) -> None:
    executor = denoiser(tiny_bundle)
    with pytest.raises(DegradeError, match=r"x_t was bound to float64.*float32 \(5, 3, 16, 24\)"):
        executor.bind("x_t", np.zeros((5, 3, 16, 24)))
    with pytest.raises(DegradeError, match="unbound"):
        executor.enqueue()
    (tmp_path / "denoiser.onnx").write_bytes(b"no network")
    part = open_bundle(tiny_bundle, verify=False).spec.parts["denoiser"]
    with pytest.raises(DegradeError, match="OpenVINO cannot load") as error:
        module.OpenVinoExecutor(tmp_path / "denoiser.onnx", part, batch=1, height=16, width=16)
    assert "\n" not in str(error.value)


def test_fp32_passes_the_gate_and_makes_onnxruntimes_pixels(tiny_bundle: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 128, 128, 3), np.uint8)
    made = []
    for backend in ("openvino", "onnxruntime"):
        built = build.build(tiny_bundle, tmp_path / backend, backend=backend, **SMALL)  # type: ignore[arg-type]
        assert built.spec.parity.passed and built.spec.key.backend == backend
        with Engine.open(built.folder, threads=1) as engine:
            made.append(engine.degrade(images, images[:, :32, :32], seed=1, candidates=2).lr.astype(int))
    off = np.abs(made[0] - made[1])
    assert off.max() <= 1 and (off > 0).mean() <= 1e-3


def test_a_processor_without_bf16_is_refused(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {"OPTIMIZATION_CAPABILITIES": ["FP32", "INT8"], "FULL_DEVICE_NAME": "Old Core"}
    monkeypatch.setattr(module, "runtime", lambda: (None, SimpleNamespace(get_property=lambda _, key: words[key])))
    with pytest.raises(DegradeError, match=r"bf16 needs a processor with AMX.*Old Core has neither.*--precision fp32"):
        build.build(tiny_bundle, tmp_path / "engine", precision="bf16", **SMALL)
    with pytest.raises(DegradeError, match="cannot run here: bf16 needs"):
        backend_openvino.OpenVino().open(None, tmp_path, None, 1, 32, 1, "bf16")  # type: ignore[arg-type]


def test_fp32_is_not_sold_as_bf16(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = module._settings
    monkeypatch.setattr(module, "_settings", lambda precision, *rest: real("fp32", *rest))
    with pytest.raises(DegradeError, match=r"with none of its \d+ convolutions in bf16"):
        denoiser(tiny_bundle, precision="bf16")


@pytest.mark.parametrize("backend", ["onnxruntime", "tensorrt-rtx"])
def test_other_backends_have_no_bf16(tiny_bundle: Path, tmp_path: Path, backend: Any) -> None:
    with pytest.raises(DegradeError, match="does not compute in bf16.*openvino"):
        build.build(tiny_bundle, tmp_path / "engine", backend=backend, precision="bf16", **SMALL)


needs_bf16 = pytest.mark.skipif(bool(module.lacks("bf16")), reason="needs a processor with AMX or AVX-512 BF16")


@needs_bf16
def test_bf16_of_the_trained_model_passes_the_gate(realdgen_bundle: Path, tmp_path: Path) -> None:
    sizes = SMALL | {"batch": 8}  # four photographs at four timesteps: at the first the denoiser adds nothing
    built = build.build(realdgen_bundle, tmp_path / "engine", precision="bf16", **sizes)
    key, measures = built.spec.key, built.spec.parity.measures
    assert (key.backend, key.precision_computed) == ("openvino", "bf16") and built.spec.parity.passed
    error = {(m.part, m.against): m.error for m in measures}
    assert 1e-6 < error["denoiser", "reference"].mean and error["end to end", "reference"].mean < 0.1
    assert error["content", "reference"].mean < 1e-6  # once a pair: FP32
    assert error["denoiser", "batch 1"].max == 0
    with pytest.raises(DegradeError, match="lacks the FP16 networks"):
        verify(built.folder)
    assert verify(built.folder, bundle_path=realdgen_bundle).parity.passed


@needs_bf16
def test_a_kind_without_steps_has_nothing_to_gain(tiny_bundle_module: Any, tmp_path: Path) -> None:
    bundle = tiny_bundle_module.make(tmp_path / "lway", kind="lway")
    with pytest.raises(DegradeError, match="of the kind lway has none"):
        build.build(bundle, tmp_path / "engine", precision="bf16", lr_size=32)
