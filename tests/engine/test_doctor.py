"""The doctor: what it finds on machines that it is told of, and on this one."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from degrade_engine.engine import build, doctor, machine
from degrade_engine.engine.backends import BACKENDS
from degrade_engine.engine.backends.onnxruntime import PROBE
from degrade_engine.engine.errors import DegradeError
from degrade_engine.kernels import loader
from degrade_engine.kernels.loader import Status

NONE = machine.Gpus(reason="no NVIDIA driver is installed")
GPU = machine.Gpus((machine.Gpu("NVIDIA L4", "8.9", 24 << 30),), "580.1", "13.0")
NO_FATBIN = Status(None, "no fatbin: none was built")
BASE = {"numpy", "onnxruntime"}
ALL = {"numpy"}.union(*(one.needs for one in BACKENDS.values())) - {"onnxruntime"}
PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
FULL: dict[str, Any] = {
    "installed": ALL, "gpus": GPU, "fatbin": Status(Path("a.fatbin"), "for SM 8.9"), "providers": PROVIDERS
}  # fmt: skip
Have = Callable[..., None]


@pytest.fixture()
def have(monkeypatch: pytest.MonkeyPatch) -> Have:
    """Makes this machine one with these packages, modules that do not load, GPUs, kernels and providers."""

    def make(
        installed: set[str] = BASE, broken: dict[str, str] | None = None, gpus: machine.Gpus = NONE,
        fatbin: Status = NO_FATBIN, host: Status | None = None, providers: tuple[str, ...] = PROVIDERS[2:],
        trials: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        """trials: what a trial says, by a word of its code."""
        said = trials or {}
        monkeypatch.setattr(machine, "trial", lambda code: next((said[word] for word in said if word in code), ""))
        errors = {} if broken is None else broken
        monkeypatch.setattr(machine, "version_of", lambda name: "1.0" if name in installed else None)
        monkeypatch.setattr(machine, "load_error", lambda module: errors.get(module, ""))
        monkeypatch.setattr(machine, "nvidia", lambda: gpus)
        monkeypatch.setattr(loader, "status", lambda: host or Status(Path("host.so"), "compiled, host.so"))
        monkeypatch.setattr(loader, "cuda_status", lambda: fatbin)
        module = SimpleNamespace(get_available_providers=lambda: providers)
        monkeypatch.setitem(sys.modules, "onnxruntime", module)

    return make


def line(section: str, name: str) -> doctor.Line:
    return next(one for one in doctor.diagnose() if (one.section, one.name) == (section, name))


def test_without_onnxruntime_nothing_works_and_the_extra_is_named(have: Have) -> None:
    have({"numpy"}, broken={"onnxruntime": "No module named 'onnxruntime'"})
    assert not doctor.works(doctor.diagnose())
    found = line("backend", "onnxruntime")
    assert found.state == "missing" and "degrade-engine[cpu]" in found.text
    assert line("package", "torch [train]").text == "not installed: pip install 'degrade-engine[train]'"


def test_a_cpu_with_onnxruntime_works(have: Have) -> None:
    have()
    lines = doctor.diagnose()
    assert doctor.works(lines)
    working = [one.name for one in lines if one.section == "backend" and one.state == "ok"]
    assert working == ["onnxruntime"]
    found = line("backend", "tensorrt")
    assert "no NVIDIA GPU" in found.text and "degrade-engine[tensorrt]" in found.text


def test_onnxruntime_without_its_provider_does_not_work(have: Have) -> None:
    have(providers=("OtherProvider",))
    found = line("backend", "onnxruntime")
    assert found.state == "missing" and "has no CPUExecutionProvider" in found.text
    have(**FULL | {"providers": PROVIDERS[2:]})
    found = line("backend", "onnxruntime-cuda")
    assert found.state == "missing" and "has no CUDAExecutionProvider" in found.text


def test_on_a_full_machine_every_backend_runs(have: Have) -> None:
    have(**FULL)
    for backend in BACKENDS.values():
        assert line("backend", backend.name).text == ("runs on NVIDIA L4" if backend.gpu else "runs on the CPU")


def test_a_gpu_without_kernels_or_with_a_broken_driver_runs_the_cpu_alone(have: Have) -> None:
    bindings = {"cuda.bindings.driver": "libcuda.so.1: cannot open"}
    for wrong, said in (
        ({"fatbin": NO_FATBIN}, "no fatbin: none"), ({"broken": bindings}, "cuda-bindings does not load: libc"),
        ({"trials": {"CudaDevice": "CUDA failed when it was started"}}, "CUDA failed when it was started"),
    ):  # fmt: skip
        have(**FULL | wrong)
        lines = [one for one in doctor.diagnose() if one.section == "backend"]
        assert [one.name for one in lines if one.state == "ok"] == ["onnxruntime", "openvino"]
        assert all(said in one.text for one in lines if one.state != "ok")


def test_a_provider_that_is_listed_and_does_not_run(have: Have) -> None:
    have(**FULL | {"trials": {"'CUDAExecutionProvider'": "it lists it (libcublasLt.so.13: cannot open)"}})
    assert line("backend", "onnxruntime-cuda").text == "it lists it (libcublasLt.so.13: cannot open)"
    assert line("backend", "onnxruntime-tensorrt").state == "ok"


def test_a_trial_is_a_process_of_its_own() -> None:
    assert machine.trial("pass") == ""
    assert machine.trial("import os; os.abort()") == "it ended with -6"
    assert machine.trial("raise ValueError('no\\nfive')") == "five"
    broken = (
        "import sys; print('[E] libcudnn.so.9: cannot open shared object file: no', file=sys.stderr); sys.exit('off')"
    )
    assert machine.trial(broken) == "off (libcudnn.so.9: cannot open shared object file)"


def test_a_session_of_one_node_tells_which_provider_runs() -> None:
    assert machine.trial(PROBE.format("CPUExecutionProvider")) == ""
    said = machine.trial(PROBE.format("CUDAExecutionProvider"))
    assert said == "ONNX Runtime lists its CUDAExecutionProvider and does not get it to run"


def test_two_onnxruntimes_are_named(have: Have) -> None:
    have(**FULL)
    assert not [one for one in doctor.diagnose() if one.state == "broken"]
    have(**FULL | {"installed": ALL | {"onnxruntime"}})
    (found,) = [one for one in doctor.diagnose() if one.state == "broken"]
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in found.text
    have(**FULL | {"installed": ALL | {"onnxruntime"}, "providers": PROVIDERS[2:]})
    assert line("backend", "onnxruntime-cuda").text == found.text


def test_a_gpu_without_memory_of_its_own(have: Have) -> None:
    have(**FULL | {"gpus": machine.Gpus((machine.Gpu("NVIDIA GB10", "12.1", None),), "580.1", "13.0")})
    assert line("machine", "GPU").text == "NVIDIA GB10, memory shared with the CPU, SM 12.1"


def test_gpu_and_driver_lines(have: Have) -> None:
    have(**FULL)
    assert line("machine", "GPU").text == "NVIDIA L4, 24 GiB, SM 8.9"
    assert line("machine", "driver").text == "580.1, CUDA up to 13.0"
    have()
    assert line("machine", "GPU").state == "missing"


def test_a_package_that_does_not_load_is_broken(have: Have) -> None:
    have({*BASE, "pyvips"}, broken={"pyvips": "libfoo.so is gone"})
    found = line("package", "pyvips")
    assert (found.state, found.text) == ("broken", "1.0 does not load: libfoo.so is gone")


def test_twins_and_the_fatbin_are_findings(have: Have) -> None:
    have(host=Status(None, "numpy twins: none"))
    found = line("kernels", "host")
    assert (found.state, found.text) == ("missing", "numpy twins: none")
    assert line("kernels", "CUDA").state == "missing"
    have(fatbin=Status(Path("a.fatbin"), "for SM 9.0"))
    found = line("kernels", "CUDA")
    assert (found.state, found.text) == ("ok", "for SM 9.0")


def test_every_reason_is_said_and_the_first_is_the_refusal(have: Have) -> None:
    have()
    for backend in BACKENDS.values():
        reasons = list(backend.missing())
        assert backend.cannot_run(None) == (reasons[0] if reasons else "")
        assert all(reason in line("backend", backend.name).text for reason in reasons)
    assert len(list(BACKENDS["tensorrt"].missing())) == 3  # GPU, packages, fatbin


def test_build_refuses_with_the_same_reason(tmp_path: Path) -> None:
    for backend in BACKENDS.values():
        with pytest.raises(DegradeError) as refused:
            build.build(tmp_path / "bundle", tmp_path / "engine", lr_size=32, backend=backend.name)
        refusal = str(refused.value)
        if line("backend", backend.name).state == "ok":
            assert "holds no bundle.json" in refusal
        else:
            assert "GPU" in refusal or "not installed" in refusal


def test_an_extra_brings_all_that_its_backend_needs() -> None:
    extras = doctor.packages_by_extra(metadata.requires("degrade-engine") or [])
    for backend in BACKENDS.values():
        brought = {name for extra in backend.extra.split(",") for name in extras[extra]}
        assert set(backend.needs) <= brought, backend.name
    assert "onnxruntime" in extras["cpu"]


def test_tensorrt_rtx_without_a_gpu_builds_and_does_not_run(have: Have) -> None:
    have(ALL)
    found = line("backend", "tensorrt-rtx")
    assert found.state == "missing" and found.text.startswith("builds ahead of time") and "no NVIDIA GPU" in found.text
    have(ALL, broken={"tensorrt_rtx": "libtensorrt_rtx.so: cannot open"})
    assert "ahead of time" not in line("backend", "tensorrt-rtx").text
    have()
    assert "ahead of time" not in line("backend", "tensorrt-rtx").text
    have({*BASE, "tensorrt-rtx", "polygraphy"})  # the extra rtx alone
    found = line("backend", "tensorrt-rtx")
    assert found.text.startswith("builds ahead") and "cuda-bindings not installed: pip install" in found.text
    assert "degrade-engine[rtx]" in found.text


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
    assert line("package", "numpy").state == "ok" and "cores" in line("machine", "CPU").text


def test_a_broken_numpy_is_a_finding_and_no_crash() -> None:
    code = "import sys; sys.modules['numpy'] = None\nfrom degrade_engine.cli import main; sys.exit(main(['doctor']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    numpy = next(one for one in done.stdout.splitlines() if " numpy " in one)
    assert "does not load" in numpy and "\nNo backend works here" in done.stdout


class FakeNvml:
    """Answers like libnvidia-ml with one GPU; `broken` names a call that is refused."""

    def __init__(self, broken: str = "", code: int = pynvml.NVML_ERROR_DRIVER_NOT_LOADED) -> None:
        self.broken, self.code = broken, int(code)

    def __getattr__(self, function: str) -> Any:
        def answer(*arguments: Any) -> int:
            if function == self.broken:
                return self.code
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


def gpus_by(library: Any, monkeypatch: pytest.MonkeyPatch) -> machine.Gpus:
    """What nvidia-ml-py makes of this libnvidia-ml."""
    monkeypatch.setattr(pynvml, "nvmlLib", library)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    return machine.nvidia()


def test_nvml_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    found = gpus_by(FakeNvml(), monkeypatch)
    assert found == machine.Gpus((machine.Gpu("NVIDIA H100", "9.0", 80 << 30),), "580.65", "12.8")


def test_a_gpu_with_unified_memory_has_none_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    found = gpus_by(FakeNvml("nvmlDeviceGetMemoryInfo", pynvml.NVML_ERROR_NOT_SUPPORTED), monkeypatch)
    assert found.devices == (machine.Gpu("NVIDIA H100", "9.0", None),) and found.reason == ""


def test_a_driver_that_does_not_answer_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = gpus_by(FakeNvml("nvmlInitWithFlags"), monkeypatch)
    assert gpus.devices == () and gpus.reason == "the NVIDIA driver does not answer (Driver Not Loaded)"
    gpus = gpus_by(FakeNvml("nvmlDeviceGetMemoryInfo"), monkeypatch)
    assert gpus.devices == () and "does not answer" in gpus.reason


def test_a_library_without_the_functions_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "does not answer" in gpus_by(ctypes.CDLL(None), monkeypatch).reason


def test_without_nvml_or_its_package_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "CDLL", lambda name: ctypes.CDLL("libnothing.so"))
    assert gpus_by(None, monkeypatch).reason == "no NVIDIA driver is installed"
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert machine.nvidia().reason == "the package nvidia-ml-py is not installed"


def test_the_verdict_names_the_best_and_what_would_be_faster(have: Have, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_count", lambda: 2)
    monkeypatch.setattr(machine, "cpu_features", lambda: ("AVX2",))
    have()
    assert doctor.verdict(doctor.diagnose()) == doctor.Verdict("2 cores with AVX2, no GPU", "onnxruntime", "fp32", ())
    monkeypatch.setattr(machine, "cpu_features", lambda: ("AMX", "AVX-512"))
    have(host=Status(None, "no compiler"))
    found = doctor.verdict(doctor.diagnose())
    assert (found.machine, found.backend) == ("2 cores with AMX, no GPU", "onnxruntime")
    assert "degrade-engine[openvino]" in found.faster[0] and "no compiler" in found.faster[1]
    have(installed={"numpy", "onnxruntime", "openvino"})
    found = doctor.verdict(doctor.diagnose())
    assert (found.backend, found.precision, found.faster) == ("openvino", "bf16", ())
    monkeypatch.setattr(machine, "cpu_features", lambda: ("AVX-512 VNNI", "AVX-512"))
    have()
    found = doctor.verdict(doctor.diagnose())
    assert (found.backend, found.precision, found.faster) == ("onnxruntime", "int8", ())
    have(broken={"onnx": "No module named 'onnx'"})
    found = doctor.verdict(doctor.diagnose())
    assert (found.backend, found.precision) == ("onnxruntime", "fp32")
    assert "multiplies bytes (VNNI)" in found.faster[0] and "pip install 'onnx>=1.17'" in found.faster[0]
    have(**FULL)
    assert doctor.verdict(doctor.diagnose()).precision == "fp32"
    have(gpus=GPU)
    found = doctor.verdict(doctor.diagnose())
    assert (
        found.machine.endswith("NVIDIA L4") and found.backend == "onnxruntime" and "GPU is not used" in found.faster[0]
    )
    have(**FULL)
    assert doctor.verdict(doctor.diagnose()).backend == "tensorrt"
    have(set(), broken={"numpy": "x", "onnxruntime": "x"})
    assert doctor.verdict(doctor.diagnose()).backend is None
