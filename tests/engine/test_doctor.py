"""The doctor: what it finds on machines that it is told of, and on this one."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from degrade_engine.engine import build, doctor
from degrade_engine.engine.errors import DegradeError
from degrade_engine.kernels.loader import Status

GPU = doctor.Gpus((doctor.Gpu("NVIDIA L4", "8.9", 24 << 30),), "580.1", "13.0")
ALL = (
    "onnxruntime", "openvino", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx", "polygraphy", "pycuda", "cuda-bindings",
)  # fmt: skip
BARE = doctor.Machine(
    python="3.12.1",
    cpu="2 cores",
    gpus=doctor.Gpus(reason="no NVIDIA driver is installed"),
    kernels=Status(Path("host.so"), "compiled, host.so"),
    fatbin=Status(None, "no fatbin: none was built"),
    required={"": ("numpy",), "cpu": ("onnxruntime",), "train": ("torch",)},
    installed={"numpy": "2.0"},
    failures={"onnxruntime": "No module named 'onnxruntime'"},
    providers=None,
)
CPU = replace(
    BARE,
    installed={"numpy": "2.0", "onnxruntime": "1.31"},
    failures={},
    providers=("CPUExecutionProvider",),
)
FULL = replace(
    CPU,
    gpus=GPU,
    installed={name: "1.0" for name in ALL} | {"numpy": "2.0"},
    fatbin=Status(Path("a.fatbin"), "for SM 8.9"),
    providers=("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
)


def line(machine: doctor.Machine, section: str, name: str) -> doctor.Line:
    return next(one for one in doctor.diagnose(machine) if (one.section, one.name) == (section, name))


def test_without_onnxruntime_nothing_works_and_the_extra_is_named() -> None:
    assert not doctor.works(doctor.diagnose(BARE))
    found = line(BARE, "backend", "onnxruntime")
    assert found.state == "missing" and "degrade-engine[cpu]" in found.text
    assert line(BARE, "package", "torch [train]").text == "not installed: pip install 'degrade-engine[train]'"


def test_a_cpu_with_onnxruntime_works() -> None:
    lines = doctor.diagnose(CPU)
    assert doctor.works(lines)
    working = [one.name for one in lines if one.section == "backend" and one.state == "ok"]
    assert working == ["onnxruntime"]
    found = line(CPU, "backend", "tensorrt")
    assert "no NVIDIA GPU" in found.text and "degrade-engine[gpu]" in found.text


def test_onnxruntime_without_its_provider_does_not_work() -> None:
    found = line(replace(CPU, providers=("OtherProvider",)), "backend", "onnxruntime")
    assert found.state == "missing" and "has no CPUExecutionProvider" in found.text


def test_on_a_full_machine_every_backend_runs() -> None:
    for backend in doctor.BACKENDS:
        wanted = "runs on NVIDIA L4" if backend.gpu else "runs on the CPU"
        assert line(FULL, "backend", backend.name).text == wanted


def test_a_gpu_without_kernels_or_with_a_broken_pycuda_runs_the_cpu_alone() -> None:
    broken = replace(FULL, failures={"pycuda": "libcuda.so.1: cannot open"})
    without = replace(FULL, fatbin=BARE.fatbin)
    for machine, said in ((without, "no fatbin: none"), (broken, "pycuda does not load: libcuda")):
        lines = [one for one in doctor.diagnose(machine) if one.section == "backend"]
        assert [one.name for one in lines if one.state == "ok"] == ["onnxruntime", "openvino"]
        assert all(said in one.text for one in lines if one.state != "ok")


def test_gpu_and_driver_lines() -> None:
    assert line(FULL, "machine", "GPU").text == "NVIDIA L4, 24 GiB, SM 8.9"
    assert line(FULL, "machine", "driver").text == "580.1, CUDA up to 13.0"
    assert line(BARE, "machine", "GPU").state == "missing"


def test_a_package_that_does_not_load_is_broken() -> None:
    found = line(replace(CPU, failures={"numpy": "libfoo.so is gone"}), "package", "numpy")
    assert (found.state, found.text) == ("broken", "2.0 does not load: libfoo.so is gone")


def test_twins_are_a_finding() -> None:
    found = line(replace(CPU, kernels=Status(None, "numpy twins: none")), "kernels", "host")
    assert (found.state, found.text) == ("missing", "numpy twins: none")


def test_the_fatbin_is_a_finding() -> None:
    assert line(BARE, "kernels", "CUDA").state == "missing"
    found = line(replace(CPU, fatbin=Status(Path("a.fatbin"), "for SM 9.0")), "kernels", "CUDA")
    assert (found.state, found.text) == ("ok", "for SM 9.0")


def test_the_backends_are_those_that_build_knows_and_refuses_with_the_same_reason(tmp_path: Path) -> None:
    assert {backend.name for backend in doctor.BACKENDS} == set(build.BACKENDS) - {"auto"}
    lines = {one.name: one for one in doctor.diagnose(doctor.look()) if one.section == "backend"}
    for backend in doctor.BACKENDS:
        with pytest.raises(DegradeError) as refused:
            build.build(tmp_path / "bundle", tmp_path / "engine", lr_size=32, backend=backend.name)  # type: ignore[arg-type]
        refusal = str(refused.value)
        if lines[backend.name].state == "ok":
            assert "holds no bundle.json" in refusal
        elif "GPU" in lines[backend.name].text:
            assert "GPU" in refusal or "not installed" in refusal


def test_tensorrt_rtx_without_a_gpu_builds_and_does_not_run() -> None:
    machine = replace(CPU, installed={name: "1.0" for name in ALL})
    found = line(machine, "backend", "tensorrt-rtx")
    assert found.state == "missing" and found.text.startswith("builds ahead of time") and "no NVIDIA GPU" in found.text
    broken = replace(machine, failures={"tensorrt-rtx": "libtensorrt_rtx.so: cannot open"})
    assert "ahead of time" not in line(broken, "backend", "tensorrt-rtx").text
    assert "ahead of time" not in line(CPU, "backend", "tensorrt-rtx").text
    builder = replace(CPU, installed={"tensorrt-rtx": "1.0", "polygraphy": "1.0"})  # the extra rtx alone
    found = line(builder, "backend", "tensorrt-rtx")
    assert found.text.startswith("builds ahead") and "pycuda, cuda-bindings missing: pip install" in found.text
    assert "degrade-engine[rtx,cuda]" in found.text


def test_requirement_lines_are_sorted_by_extra() -> None:
    lines = [
        "click>=8.1",
        "pyvips[binary]>=3.0",
        "torch>=2.6; extra == 'train'",
        'ruff>=0.9 ; extra == "test"',
    ]
    assert doctor.packages_by_extra(lines) == {
        "": ("click", "pyvips"),
        "train": ("torch",),
        "test": ("ruff",),
    }


def test_this_machine() -> None:
    machine = doctor.look()
    assert "numpy" in machine.required[""] and "onnxruntime" in machine.required["cpu"]
    assert machine.installed["numpy"] and not set(machine.failures) & set(machine.required[""])
    assert "cores" in machine.cpu


class FakeNvml:
    """Answers like libnvidia-ml with one GPU; `broken` names a call that is refused."""

    def __init__(self, broken: str = "") -> None:
        self.broken = broken

    def __getattr__(self, function: str) -> Any:
        def answer(*arguments: Any) -> int:
            if function == self.broken:
                return 9
            out = [argument._obj for argument in arguments if hasattr(argument, "_obj")]
            if function == "nvmlSystemGetDriverVersion":
                arguments[0].value = b"580.65"
            elif function == "nvmlDeviceGetName":
                arguments[1].value = b"NVIDIA H100"
            elif function == "nvmlSystemGetCudaDriverVersion":
                out[0].value = 12080
            elif function == "nvmlDeviceGetCount_v2":
                out[0].value = 1
            elif function == "nvmlDeviceGetCudaComputeCapability":
                out[0].value, out[1].value = 9, 0
            elif function == "nvmlDeviceGetMemoryInfo":
                out[0].total = 80 << 30
            return 0

        return answer


def test_nvml_is_read() -> None:
    assert doctor.read_nvml(FakeNvml()) == doctor.Gpus((doctor.Gpu("NVIDIA H100", "9.0", 80 << 30),), "580.65", "12.8")


def test_a_driver_that_does_not_answer_is_a_finding() -> None:
    gpus = doctor.read_nvml(FakeNvml("nvmlInit_v2"))
    assert gpus.devices == () and gpus.reason == "the NVIDIA driver does not answer (nvmlInit_v2 answered 9)"


def test_a_library_without_the_functions_is_a_finding() -> None:
    assert "does not answer" in doctor.read_nvml(ctypes.CDLL(None)).reason
