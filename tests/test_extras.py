"""The extras of a GPU resolve as sets, and hold no two packages that cannot be together."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

GPU_EXTRAS = ("tensorrt", "onnxruntime-cuda", "gpu", "rtx", "cuda", "pycuda")
# pip has these compiled or fetched before it knows what they need; NVIDIA's own index is not everywhere.
ELSEWHERE = ("pypi.nvidia.com", "Could not fetch URL", "Temporary failure", "NewConnectionError", "No matching")


@pytest.fixture(scope="module")
def extras(root: Path) -> dict[str, list[Requirement]]:
    page = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return {extra: [Requirement(line) for line in lines] for extra, lines in page.items()}


@pytest.mark.parametrize("extra", GPU_EXTRAS)
def test_what_a_gpu_needs_has_an_upper_bound(extras: dict[str, list[Requirement]], extra: str) -> None:
    for one in extras[extra]:
        assert any(each.operator == "<" for each in one.specifier), f"{one} takes whatever comes next"


def test_no_extra_has_both_onnxruntimes_or_pycuda_beside_others(extras: dict[str, list[Requirement]]) -> None:
    for extra, lines in extras.items():
        names = {one.name for one in lines}
        assert not {"onnxruntime", "onnxruntime-gpu"} <= names, extra
        assert "pycuda" not in names or len(names) == 1, f"{extra}: a compiler that fails takes the rest along"


def test_onnx_runtimes_tensorrt_is_ten(extras: dict[str, list[Requirement]]) -> None:
    """Its provider is linked to libnvinfer.so.10. TensorRT alone may be newer."""
    bounds = {one.name: one.specifier for one in extras["gpu"]}
    assert "10.16" in bounds["tensorrt"] and "11.0" not in bounds["tensorrt"]
    assert "11.4" in {one.name: one.specifier for one in extras["tensorrt"]}["tensorrt"]


def test_bench_gpu_installs_what_the_extras_say(root: Path, extras: dict[str, list[Requirement]]) -> None:
    found = re.search(r"^GPU_PACKAGES := ((?:.*\\\n)*.*)", (root / "Makefile").read_text(), re.MULTILINE)
    assert found
    lines = [Requirement(line) for line in re.findall(r"'([^']+)'", found[1])]
    known = {str(one) for extra in ("gpu", "rtx", "pycuda") for one in extras[extra]}
    assert len(lines) == 6 and {str(one) for one in lines} == known


def resolved(*lines: str) -> dict[str, str]:
    """Name to version of what pip would install; skips where it cannot ask."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--dry-run", "--ignore-installed"]
    done = subprocess.run(
        [*command, "--quiet", "--retries", "1", "--report", "-", *lines], capture_output=True, text=True
    )
    if done.returncode and (found := next((word for word in ELSEWHERE if word in done.stderr + done.stdout), None)):
        pytest.skip(f"pip cannot ask for {' '.join(lines)} here: {found}")
    assert done.returncode == 0, done.stderr
    items = [one["metadata"] for one in json.loads(done.stdout)["install"]]
    return {canonicalize_name(one["name"]): one["version"] for one in items}


@pytest.mark.slow  # minutes: pip reads the head of each large wheel
@pytest.mark.parametrize("extra", ["tensorrt", "onnxruntime-cuda", "gpu", "rtx"])
def test_a_set_resolves(extras: dict[str, list[Requirement]], extra: str) -> None:
    found = resolved(*(str(one) for one in extras[extra]))
    assert {canonicalize_name(one.name) for one in extras[extra]} <= set(found)
    assert "onnxruntime" not in found
    cuda = found["cuda-bindings"].partition(".")[0]
    if "onnxruntime-gpu" in found:  # all that its CUDA provider is linked to, of one CUDA
        assert f"nvidia-cudnn-cu{cuda}" in found and {"nvidia-cublas", "nvidia-cufft"} <= set(found)
    if "tensorrt" in found:
        assert f"tensorrt-cu{cuda}" in found
    if "tensorrt-rtx" in found:
        assert f"tensorrt-rtx-cu{cuda}" in found
