"""Every GPU backend from `build` to pixels, on a machine that stands in for one (gpu_machine.py): the same pairs as the
CPU's engine makes, through the gate, on one device that is given back.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from degrade_engine.cli import main
from degrade_engine.engine import artefact, backends, parity, spec
from degrade_engine.engine import machine as machines
from degrade_engine.engine.api import Engine
from degrade_engine.engine.build import build
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.verify import verify

from ..gpu_machine import Machine

SIZE: dict[str, Any] = {"lr_size": 16, "batch": 4, "candidates": 2, "threads": 1}
GPU_BACKENDS = tuple(one.name for one in backends.BACKENDS.values() if one.gpu)
PLANS = ("tensorrt", "tensorrt-rtx")


@pytest.fixture()
def machine(monkeypatch: pytest.MonkeyPatch, grids_library: Any, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, grids_library, tmp_path / "cache")


def degrade(folder: Path) -> tuple[Any, tuple[str, ...]]:
    random = np.random.default_rng(0)
    hr = random.integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    reference = random.integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    with Engine.open(folder, threads=1) as engine:
        made = engine.degrade(hr, reference, tau=[3, 30, 9, 0, 7], steps=3, seed=11, candidates=engine.spec.candidates)
        return made, engine.notes


@pytest.mark.parametrize("backend", GPU_BACKENDS)
def test_build_gate_and_pixels(
    tiny_bundle: Path, tiny_engine: Path, tmp_path: Path, machine: Machine, backend: str
) -> None:
    built = build(tiny_bundle, tmp_path / "engine", backend=backend, **SIZE)  # type: ignore[arg-type]
    key, report = built.spec.key, built.spec.parity
    assert (key.backend, key.target, key.gpu, key.driver) == (backend, "sm_89", "NVIDIA L4", "580.1")
    assert report.passed and (report.gpu, report.driver) == ("NVIDIA L4", "580.1")
    against = {(m.part, m.against) for m in report.measures}
    row_alone = "other neighbours" if backend in PLANS else "batch 1"
    for part in built.spec.parts:
        assert {(part, "reference"), (part, "duplicate rows"), (part, row_alone)} <= against
    assert (("end to end", "other neighbours") in against) == (backend in PLANS)
    found, notes = degrade(tmp_path / "engine")
    wanted, _ = degrade(tiny_engine)
    for name in ("lr", "start", "candidates"):
        off = np.abs(getattr(found, name).astype(int) - getattr(wanted, name))
        assert off.max() <= 1 and (off > 0).mean() <= 1e-3
    np.testing.assert_array_equal(found.kept, wanted.kept)
    assert notes == () and machine.gpu.log.count("cuGraphInstantiate") == 1
    for gpu in machine.gpus:
        assert (gpu.memory, gpu.graphs, gpu.depth) == ({}, set(), 0), "not given back"


@pytest.mark.parametrize("backend", ["onnxruntime-cuda", "tensorrt"])
def test_a_runtime_that_cannot_be_captured_is_launched(
    tiny_bundle: Path, tiny_engine: Path, tmp_path: Path, machine: Machine, backend: str
) -> None:
    build(tiny_bundle, tmp_path / "engine", backend=backend, **SIZE)  # type: ignore[arg-type]
    machine.refuses = "capture"
    found, notes = degrade(tmp_path / "engine")
    np.testing.assert_array_equal(found.kept, degrade(tiny_engine)[0].kept)
    assert len(notes) == 1 and "one by one" in notes[0]


def test_what_the_cuda_provider_is_told(tiny_bundle: Path, tmp_path: Path, machine: Machine) -> None:
    build(tiny_bundle, tmp_path / "engine", backend="onnxruntime-cuda", **SIZE)
    (name, options), *rest = next(one for one in machine.sessions if not isinstance(one[0], str))
    assert (name, rest) == ("CUDAExecutionProvider", ["CPUExecutionProvider"])
    assert options == {
        "device_id": "0", "user_compute_stream": str(machine.gpu.stream), "use_tf32": "0",
        "cudnn_conv_algo_search": "HEURISTIC",
    }  # fmt: skip


def test_what_the_tensorrt_provider_compiles_is_kept_by_content(
    tiny_bundle: Path, tiny_bundle_module: Any, tmp_path: Path, machine: Machine
) -> None:
    """Two bundles of one architecture must not share a compiled network."""
    other = tiny_bundle_module.make(tmp_path / "other", seed=1)
    for bundle, name in ((tiny_bundle, "one"), (other, "two")):
        build(bundle, tmp_path / name, backend="onnxruntime-tensorrt", **SIZE)
    asked = [one[0][1] for one in machine.sessions if not isinstance(one[0], str)]
    folders = {options["trt_engine_cache_path"] for options in asked}
    assert len(folders) == 10 and all(str(tmp_path / "cache") in folder for folder in folders)
    assert all(one[1][0] == "CUDAExecutionProvider" for one in machine.sessions if not isinstance(one[0], str))


def test_a_provider_that_does_not_load_is_an_error_and_not_the_cpu(
    tiny_bundle: Path, tmp_path: Path, machine: Machine
) -> None:
    machine.refuses = "provider"
    with pytest.raises(DegradeError, match="cannot use its CUDAExecutionProvider and took CPUExecutionProvider"):
        build(tiny_bundle, tmp_path / "engine", backend="onnxruntime-cuda", **SIZE)
    assert not (tmp_path / "engine").exists() and not machine.gpu.memory


@pytest.mark.parametrize("name", ["unbound", "stream", "tensor", "shape"])
def test_misuse_of_the_cuda_executor(tiny_engine: Path, machine: Machine, name: str) -> None:
    from degrade_engine.engine.engine_spec import read_engine_spec

    backend = backends.named("onnxruntime-cuda")
    device, part = backend.device(None), read_engine_spec(tiny_engine).parts["content"]
    executor = backend.open(device, tiny_engine / "content.onnx", part, 4, 16, None)
    image, f_cont = (device.allocate(executor.shapes[tensor], np.float32) for tensor in ("image", "f_cont"))
    with pytest.raises(DegradeError) as error:
        executor.bind("image", image[:2] if name == "shape" else image)
        if name != "unbound":
            executor.bind("x" if name == "tensor" else "f_cont", f_cont)
        executor.enqueue(device.stream + (name == "stream"))
    said = {"unbound": "'f_cont' unbound", "stream": "Expected: its own", "tensor": "no tensor 'x'", "shape": "(4, 3,"}
    assert said[name] in str(error.value)


def test_auto_takes_the_gpu_that_can_run_and_else_the_cpu(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    for missing, wanted in (
        ((), "tensorrt"),
        (("tensorrt",), "tensorrt-rtx"),
        (("tensorrt", "tensorrt-rtx"), "onnxruntime-cuda"),
        (("cuda-bindings",), "onnxruntime"),
    ):
        known = machines.version_of
        with monkeypatch.context() as patch:
            patch.setattr(machines, "version_of", lambda name, a=missing, b=known: None if name in a else b(name))
            assert backends.best("fp32").name == wanted


def test_auto_does_not_take_what_it_cannot_start(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path, tmp_path: Path
) -> None:
    """ONNX Runtime lists the provider, and a session of one node ends up on the CPU."""
    installed = machines.version_of
    monkeypatch.setattr(machines, "version_of", lambda n: None if n.startswith("tensorrt") else installed(n))
    monkeypatch.setattr(machines, "trial", lambda code: "it does not get it to run" if "probe" in code else "")
    assert backends.best("fp32").name == "onnxruntime"
    with pytest.raises(DegradeError, match="onnxruntime-cuda builds on the GPU.*cannot do so here: it does not get it"):
        build(tiny_bundle, tmp_path / "engine", backend="onnxruntime-cuda", **SIZE)
    monkeypatch.setattr(machines, "two_onnxruntimes", lambda: "both are installed.")
    notes = build(tiny_bundle, tmp_path / "auto", **SIZE).notes
    assert notes[0].startswith("NVIDIA L4 is not used: no backend of a GPU runs here")
    assert notes[1] == "both are installed."


# ------------------------------------------------------------------------ the gate on plans of one batch


def a_plan(tiny_bundle: Path, tmp_path: Path) -> Path:
    return build(tiny_bundle, tmp_path / "engine", backend="tensorrt", **SIZE).folder


@pytest.mark.parametrize("fault", ["leak", "row"])
def test_a_plan_whose_rows_touch_is_put_aside(
    tiny_bundle: Path, tmp_path: Path, machine: Machine, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    """A row that reads its neighbour by a hair, within every other tolerance; and one that differs from its twin."""
    folder = a_plan(tiny_bundle, tmp_path)

    def spoil(part: str, tensors: dict[str, np.ndarray]) -> None:
        if part == "denoiser" and fault == "leak":
            tensors["eps"][0] += np.float32(1e-6) * tensors["x_t"][1]
        if part == "denoiser" and fault == "row":
            tensors["eps"][5] += np.float32(0.05)

    machine.spoil = spoil
    assert main(["verify", str(folder), "--bundle", str(tiny_bundle)]) == 2
    err = capsys.readouterr().err
    wanted = {"leak": "denoiser against other neighbours", "row": "denoiser against duplicate rows"}
    assert "engine.quarantine" in err and wanted[fault] in err and "Traceback" not in err
    if fault == "leak":  # nothing else of the gate sees it
        assert all("other neighbours" in line for line in err.splitlines() if "would pass" in line)


def test_a_sound_plan_is_verified_again(tiny_bundle: Path, tmp_path: Path, machine: Machine) -> None:
    folder = a_plan(tiny_bundle, tmp_path)
    assert verify(folder, tiny_bundle).parity.passed
    with pytest.raises(DegradeError, match="holds compiled plans and no reference"):
        verify(folder)


# ------------------------------------------------------------------------------------------------ FP16


@pytest.fixture()
def half_bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """The tiny bundle with a second set of files, whose weights are rounded to FP16."""
    out = Path(shutil.copytree(tiny_bundle, tmp_path / "half"))
    page = json.loads((out / "bundle.json").read_text())
    for name, part in page["parts"].items():
        model = onnx.load(str(out / f"{name}.onnx"))
        for weight in model.graph.initializer:
            values = numpy_helper.to_array(weight)
            if values.dtype == np.float32:
                weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16).astype(np.float32), weight.name))
        onnx.save(model, str(out / f"{name}.fp16.onnx"))
        part["files"]["fp16"] = artefact.to_json(spec.file_ref(out, f"{name}.fp16.onnx"))
    (out / "bundle.json").write_text(json.dumps(page))
    return out


def test_fp16_is_held_to_the_typed_graphs_own_error(
    half_bundle: Path, tmp_path: Path, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    built = build(half_bundle, tmp_path / "engine", backend="onnxruntime-cuda", precision="fp16", **SIZE)
    assert built.spec.key.precision_computed == "fp16" and built.spec.parity.passed
    for m in built.spec.parity.measures:
        fp32 = parity.GREY_FP32 if m.unit == "grey levels" else parity.RELATIVE_FP32
        if m.against == "reference":  # this engine is the yardstick itself: a tenth of what is allowed on top
            assert m.tolerance.mean == pytest.approx(fp32.mean + parity.TYPED * m.error.mean, rel=0.2)
        else:
            assert m.tolerance == fp32
    assert any(m.error.mean > parity.RELATIVE_FP32.mean for m in built.spec.parity.measures if m.part == "denoiser")
    with pytest.raises(DegradeError, match="holds FP16 networks and no reference"):
        verify(tmp_path / "engine")

    def spoil(part: str, tensors: dict[str, np.ndarray]) -> None:
        if part == "denoiser":
            tensors["eps"] *= np.float32(1.02)

    machine.spoil = spoil
    with pytest.raises(DegradeError, match="denoiser against reference"):
        verify(tmp_path / "engine", half_bundle)
