"""The wheel: one name in site-packages, the compiled kernels and the files that are not Python inside."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from degrade_engine.bench.gpu.kernels import find_nvcc


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that is built from the tree as it is."""
    return build(root, tmp_path_factory.mktemp("wheel"), dict(os.environ))


@pytest.fixture(scope="module")
def wheel(built: Path) -> list[str]:
    """Names of the files in it."""
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


def build(root: Path, out: Path, environment: dict[str, str]) -> Path:
    """A wheel; one architecture stands for all in the fatbin, for the test's time."""
    command = [
        sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "-q", "-w", str(out),
        "--config-settings=cmake.define.DEGRADE_CUDA_ARCHITECTURES=80", str(root),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return next(out.glob("*.whl"))


def test_the_wheel_asks_for_a_platform_and_no_python_abi(built: Path) -> None:
    _, tag = built.stem.split("-py3-none-")
    assert tag != "any"


def test_only_one_name_reaches_site_packages(wheel: list[str]) -> None:
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {"degrade_engine"}
    top = {name.split("/")[1] for name in wheel if name.startswith("degrade_engine/")}
    assert {"engine", "kernels", "calib", "export", "originals", "bench", "commands", "cli.py"} <= top
    assert not top & {"tests", "samples", "docs"}


def test_the_wheel_carries_what_is_not_python(wheel: list[str]) -> None:
    kernels = [name for name in wheel if name.startswith("degrade_engine/kernels/")]
    assert any("degrade_host" in name and not name.endswith((".cpp", ".h")) for name in kernels), kernels
    for name in ("hr-0", "hr-1", "reference-0", "reference-1"):
        assert f"degrade_engine/engine/probe/{name}.png" in wheel
    assert "degrade_engine/py.typed" in wheel
    assert "degrade_engine/originals/checkpoints/realdgen-tiny.safetensors" in wheel
    assert not [name for name in wheel if "stopped" in name]


@pytest.fixture(scope="module")
def fresh(built: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install 'degrade-engine[cpu]'` makes, as a folder: the wheel, and of the packages that lie here those
    that the extra asks for."""
    site = tmp_path_factory.mktemp("fresh")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(site)
    found = importlib.util.spec_from_file_location("closure", root / ".ci" / "closure.py")
    assert found and found.loader
    closure = importlib.util.module_from_spec(found)
    found.loader.exec_module(closure)
    for name in closure.closure("degrade-engine[cpu]"):
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            there = Path(str(distribution.locate_file(top)))
            if there.is_dir():
                shutil.copytree(there, site / top, copy_function=link, dirs_exist_ok=True)
            else:
                link(there, site / top)
    return site


def link(source: str | Path, target: str | Path) -> None:
    """A hard link, or a copy where the disk is another; OpenCV does not load through a symbolic one."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def test_a_fresh_installation_without_torch_makes_pairs_by_name(fresh: Path, samples: Path, tmp_path: Path) -> None:
    """And starts the second time without building."""
    environment = {"PYTHONPATH": str(fresh), "DEGRADE_ENGINE_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)}

    def call(*words: object) -> subprocess.CompletedProcess[str]:
        # -S: without the site-packages of this Python; -P: nor the folder it is run in
        command = [sys.executable, "-S", "-P", "-m", "degrade_engine", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    def generate(out: str) -> str:
        places = ("--hr", samples / "hr", "--reference", samples / "reference", "--out", tmp_path / out)
        sizes = ("--pairs", 2, "--lr-size", 32, "--batch", 2, "--threads", 1)
        done = call("generate", "--model", "realdgen-small", *places, *sizes)
        assert done.returncode == 0, done.stderr
        assert len(list((tmp_path / out / "lq").iterdir())) == 2
        return done.stderr

    assert not (fresh / "torch").exists() and not (fresh / "onnx").exists()
    said = generate("first")
    assert "building it once" in said and "through its parity gate" in said
    assert said.count("may not be used commercially") == 1
    (engine,) = (tmp_path / "cache" / "engines").glob("realdgen-small-*")
    stamp = (engine / "engine.json").stat().st_mtime_ns
    again = generate("second")
    assert "building" not in again and "commercially" not in again
    assert (engine / "engine.json").stat().st_mtime_ns == stamp
    for path in (tmp_path / "first" / "lq").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / "lq" / path.name).read_bytes()
    models = json.loads(call("models", "--json").stdout)
    assert [one["name"] for one in models["models"] if one["bundle"]] == ["realdgen-small", "realdgen-tiny"]
    assert models["cache"]["entries"][0]["about"].startswith("engine: onecall, onnxruntime")
    refused = call(
        "generate", "--model", "lway-tiny", "--hr", samples, "--reference", samples, "--out", "o", "--pairs", 1
    )
    assert refused.returncode == 2 and "degrade-engine[train,cpu]" in refused.stderr


@pytest.mark.skipif(find_nvcc() is None, reason="needs nvcc, which is not on PATH or in CUDA_HOME")
def test_the_wheel_carries_the_fatbin_and_its_sidecar(wheel: list[str]) -> None:
    assert {"degrade_engine/kernels/degrade_cuda.fatbin", "degrade_engine/kernels/degrade_cuda.json"} <= set(wheel)


def test_without_compilers_the_package_installs_and_runs_on_its_twins(root: Path, tmp_path: Path) -> None:
    nothing = str(tmp_path / "nothing")
    hidden = os.environ | {"PATH": nothing, "CC": nothing, "CXX": nothing, "CUDA_HOME": nothing, "CUDA_PATH": nothing}
    made = build(root, tmp_path, hidden)
    assert made.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(made) as archive:
        archive.extractall(tmp_path / "site")
    assert not list((tmp_path / "site").rglob("*degrade_host*")) + list((tmp_path / "site").rglob("*degrade_cuda*"))
    code = (
        "import json; import numpy as np; from degrade_engine.kernels import loader, select\n"
        "best = select.choose(np.array([[2.0], [1.0]], np.float32)).tolist()\n"
        "print(json.dumps([loader.__file__, loader.status().reason, loader.cuda_status().reason, best]))"
    )
    # -S: without the .pth files that would put the editable installation first; -P: nor the folder it is run in.
    paths = [str(tmp_path / "site"), *(path for path in sys.path if path.endswith("site-packages"))]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-S", "-P", "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    file, host, cuda, best = json.loads(done.stdout)
    assert Path(file).is_relative_to(tmp_path / "site")
    assert host.startswith("numpy twins: no compiled library") and cuda.startswith("no fatbin") and best == [1]
