"""ONNX Runtime on bound numpy buffers: in place, fixed shapes, plain errors."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from degrade_engine.engine.bundle import open_bundle
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.executors import onnxruntime as executor_module
from degrade_engine.engine.executors.onnxruntime import OnnxRuntimeExecutor, rows_a_call


def open_part(bundle: Path, name: str, batch: int = 2, height: int = 8, width: int = 12, **options: object):  # type: ignore[no-untyped-def]
    part = open_bundle(bundle, verify=False).spec.parts[name]
    return OnnxRuntimeExecutor(
        bundle / f"{name}.onnx", part, batch=batch, height=height, width=width, **{"threads": 1, **options}
    )


def test_reads_and_writes_the_bound_buffers(tiny_bundle: Path) -> None:
    executor = open_part(tiny_bundle, "content")
    assert executor.shapes == {"image": (2, 3, 8, 12), "f_cont": (2, 6, 4, 6)}
    image = np.random.default_rng(0).standard_normal((2, 3, 8, 12)).astype(np.float32)
    out = np.full((6, 6, 4, 6), 7, np.float32)
    executor.bind("image", image)
    executor.bind("f_cont", out[2:4])  # a slice: no copy on either side
    executor.enqueue()
    first = out.copy()
    assert (first[:2] == 7).all() and (first[4:] == 7).all() and (first[2:4] != 7).all()
    image *= 2  # seen without binding again
    executor.enqueue()
    assert np.abs(out[2:4] - first[2:4]).max() > 0.01
    executor.bind("f_cont", out[4:6])
    executor.enqueue()
    np.testing.assert_array_equal(out[4:6], out[2:4])


def test_optimised_agrees_with_plain(tiny_bundle: Path) -> None:
    found = []
    for optimise in (True, False):
        executor = open_part(tiny_bundle, "denoiser", optimise=optimise)
        random = np.random.default_rng(1)
        for name, shape in executor.shapes.items():
            dtype = np.int32 if name == "t" else np.float32
            executor.bind(name, (random.standard_normal(shape) * 10).astype(dtype))
        eps = np.zeros(executor.shapes["eps"], np.float32)
        executor.bind("eps", eps)
        executor.enqueue()
        found.append(eps)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-4)


def test_rows_a_call() -> None:
    assert [rows_a_call(b, 128, 128) for b in (1, 3, 48)] == [1, 1, 1]
    assert [rows_a_call(b, 64, 64) for b in (1, 3, 6, 7, 48)] == [1, 3, 3, 1, 4]
    assert rows_a_call(5, 1000, 1000) == 1


def test_several_calls_fill_the_batch(tiny_bundle: Path) -> None:
    """96 x 96 pixels: 6 rows in 6 calls; each row gets its own result, and the same as by itself."""
    random = np.random.default_rng(2)
    x = random.standard_normal((6, 3, 96, 96)).astype(np.float32)
    condition, t = random.standard_normal((6, 6, 96, 96)).astype(np.float32), np.arange(1, 7, dtype=np.int32)
    whole, single = (open_part(tiny_bundle, "denoiser", rows, 96, 96) for rows in (6, 1))
    eps, one = np.zeros_like(x), np.zeros_like(x[:1])
    for executor, rows, out in ((whole, slice(None), eps), *((single, slice(i, i + 1), one) for i in range(6))):
        for name, buffer in (("x_t", x[rows]), ("t", t[rows]), ("condition", condition[rows]), ("eps", out)):
            executor.bind(name, buffer)
        executor.enqueue()
        if executor is single:
            np.testing.assert_array_equal(eps[rows], one)


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 8])
def test_bytes_do_not_depend_on_threads(tiny_bundle: Path, threads: int) -> None:
    """7 rows in 7 calls: all in turn, some side by side and the rest on all threads, or all on all threads."""
    random = np.random.default_rng(3)
    inputs = {"x_t": random.standard_normal((7, 3, 128, 128)), "condition": random.standard_normal((7, 6, 128, 128))}
    found = []
    for count in (1, threads):
        executor = open_part(tiny_bundle, "denoiser", 7, 128, 128, threads=count)
        for name, values in inputs.items():
            executor.bind(name, values.astype(np.float32))
        executor.bind("t", np.arange(1, 8, dtype=np.int32))
        eps = np.full((7, 3, 128, 128), np.nan, np.float32)
        executor.bind("eps", eps)
        executor.enqueue()
        found.append(eps)
    assert np.isfinite(found[1]).all(), "a call was left out"
    np.testing.assert_array_equal(found[0], found[1])


def test_a_call_that_fails_beside_others_is_said(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = open_part(tiny_bundle, "content", 4, 128, 128, threads=2)
    for name, shape in executor.shapes.items():
        executor.bind(name, np.zeros(shape, np.float32))

    def fail(call: object) -> None:
        raise RuntimeError("no memory\nand more")

    monkeypatch.setattr(executor_module, "_run", fail)
    with pytest.raises(DegradeError, match="failed in content.onnx: no memory") as error:
        executor.enqueue()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "buffer",
    [
        np.zeros((1, 3, 8, 12), np.float32),
        np.zeros((2, 3, 8, 12), np.float64),
        np.zeros((2, 3, 12, 8), np.float32).transpose(0, 1, 3, 2),
    ],
)
def test_a_buffer_that_does_not_fit(tiny_bundle: Path, buffer: np.ndarray) -> None:
    with pytest.raises(DegradeError, match="image was bound"):
        open_part(tiny_bundle, "content").bind("image", buffer)


def test_unknown_and_unbound_tensors(tiny_bundle: Path) -> None:
    executor = open_part(tiny_bundle, "content")
    with pytest.raises(DegradeError, match="no tensor 'x'"):
        executor.bind("x", np.zeros(1, np.float32))
    with pytest.raises(DegradeError, match="unbound"):
        executor.enqueue()


def test_size_that_does_not_divide(tiny_bundle: Path) -> None:
    with pytest.raises(DegradeError, match="multiple of 2"):
        open_part(tiny_bundle, "content", height=7)


def test_spec_and_file_disagree(tiny_bundle: Path) -> None:
    part = open_bundle(tiny_bundle, verify=False).spec.parts["content"]
    for shape in (("batch", 3, "height", 16), ("batch", 4, "height", "width"), ("batch", 3, "height")):
        wrong = replace(part, inputs=(replace(part.inputs[0], shape=shape),))
        if shape[-1] == 16:  # a fixed number where the file is free is fine
            OnnxRuntimeExecutor(tiny_bundle / "content.onnx", wrong, batch=1, height=16, width=16)
            continue
        with pytest.raises(DegradeError, match="image is tensor"):
            OnnxRuntimeExecutor(tiny_bundle / "content.onnx", wrong, batch=1, height=16, width=16)
    renamed = replace(part, inputs=(replace(part.inputs[0], name="picture"),))
    with pytest.raises(DegradeError, match="has the inputs"):
        OnnxRuntimeExecutor(tiny_bundle / "content.onnx", renamed, batch=1, height=16, width=16)


def test_a_damaged_file_is_one_sentence(tiny_bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "content.onnx"
    file.write_bytes((tiny_bundle / "content.onnx").read_bytes()[:100])
    part = open_bundle(tiny_bundle, verify=False).spec.parts["content"]
    with pytest.raises(DegradeError, match="cannot load") as error:
        OnnxRuntimeExecutor(file, part, batch=1, height=16, width=16)
    assert "\n" not in str(error.value)


def test_missing_onnxruntime_names_the_extra(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DegradeError, match=r"degrade-engine\[cpu\]"):
        open_part(tiny_bundle, "content")
