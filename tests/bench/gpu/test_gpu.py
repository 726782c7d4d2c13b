"""`make bench-gpu`: without a GPU one sentence, with one a row for everything, also for what fails. The measuring code
runs over the stand-in of tests/engine; what it measures there means nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto

from degrade_engine.bench.gpu import gpu
from degrade_engine.bench.gpu import parts as gpu_parts
from degrade_engine.bench.onnx_work import count_model
from degrade_engine.engine import backends
from degrade_engine.engine import machine as machines
from degrade_engine.engine.kinds import KINDS
from degrade_engine.engine.recipe import Recipe
from degrade_engine.engine.schedule import Schedule
from degrade_engine.kernels.grids import KERNELS

from ...engine.gpu_machine import ADA, Machine


@pytest.fixture()
def machine(monkeypatch: pytest.MonkeyPatch, grids_library: Any, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, grids_library, tmp_path / "cache")


def test_without_a_gpu_it_says_so_and_fails(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "nvidia", lambda: machines.Gpus(reason="no NVIDIA driver is installed"))
    done = CliRunner().invoke(gpu.main, [str(checkpoint), "-o", str(tmp_path / "gpu.jsonl")])
    assert done.exit_code == 1 and not list(tmp_path.iterdir())
    assert done.output == "Error: there is no NVIDIA GPU here (no NVIDIA driver is installed), so nothing was run\n"


def child(code: str) -> tuple[str, ...]:
    """A part that writes a row and then runs the code."""
    write = "import sys; open(sys.argv[-1], 'a').write('{\"measured\": 1}\\n'); "
    return (sys.executable, "-c", write + code)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit('CUDA failed when x was launched')", "CUDA failed when x was launched"),
        ("import os; os.abort()", "it said nothing"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_part_that_fails_is_a_row_and_keeps_what_it_measured(tmp_path: Path, code: str, said: str) -> None:
    measured, failed = gpu.run_part("kernels", ["kernels"], tmp_path / "rows", command=child(code))
    assert measured["part"] == failed["part"] == "kernels" and measured["measured"] == 1
    assert failed["failed"] == said and failed["exit_status"] and "failed" not in measured
    assert gpu.run_part("kernels", ["kernels"], tmp_path / "rows", command=child(""))[0]["measured"] == 1


def test_a_backend_that_cannot_run_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machines, "nvidia", lambda: ADA)
    monkeypatch.setattr(machines, "version_of", lambda name: None)
    (row,) = gpu.run_part("tiny tensorrt fp16", ["engine", "bundle", "tensorrt", "fp16"], tmp_path / "rows")
    assert "tensorrt" in row["left_out"] and "degrade-engine[tensorrt]" in row["left_out"]


def test_each_tensorrt_has_a_part_in_eight_bits(tmp_path: Path) -> None:
    names = [name for name, _ in gpu.parts(tmp_path / "x.safetensors", tmp_path, tmp_path)]
    eight = [name.split()[1:] for name in names if name.endswith(("int8", "fp8"))]
    assert eight == [[backend, one] for backend in ("tensorrt", "tensorrt-rtx") for one in ("int8", "fp8")]
    assert names.index("tiny tensorrt fp16") < names.index("tiny tensorrt int8")


def test_every_row_is_written_and_a_failure_is_the_exit_status(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "nvidia", lambda: ADA)
    honest = gpu.run_part

    def one(name: str, arguments: list[str], rows: Path) -> list[dict[str, Any]]:
        return honest(name, arguments, rows, child("raise SystemExit(name)" if name == "kernels" else ""))

    monkeypatch.setattr(gpu, "run_part", one)
    out = tmp_path / "results" / "gpu.jsonl"
    only = ["--only", "kernels", "--only", "sanitizer"]
    done = CliRunner().invoke(gpu.main, [str(checkpoint), *only, "-o", str(out)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert done.exit_code == 1 and [row["part"] for row in rows] == ["sanitizer", "kernels", "kernels"]
    assert all(row["device"] == "NVIDIA L4" and row["driver"] == "580.1" and "commit" in row for row in rows)


def test_bandwidths_name_kernels_that_there_are(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_parts, "WARM", 0)
    monkeypatch.setattr(gpu_parts, "REPEATS", 2)
    monkeypatch.setattr(gpu_parts, "LAUNCHES", 3)
    with closing(backends.named("tensorrt").device(None)) as device:
        copied, *rows = list(gpu_parts.bandwidths(device, 2, 2, 8))  # type: ignore[arg-type]
    assert machine.gpu.log.count("cuGraphLaunch") and not machine.gpu.graphs
    assert copied["kernel"] == "device copy" and copied["gb_s"] == pytest.approx(3 * copied["bytes"] / 1e6, abs=0.01)
    small = {"degrade_load", "degrade_advance", "degrade_choose"}
    assert {row["kernel"] for row in rows} == set(KERNELS) - small  # those are a launch's time and no more
    assert all("failed" not in row for row in rows)


def test_an_engine_is_measured(
    machine: Machine, tiny_bundle_: Path, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.setattr(gpu_parts, "RUN_BATCHES", 3)
    rows = list(gpu_parts.measure_engine(
        tiny_bundle_, "tensorrt", "fp32", tmp_path / "work", lr_size=16, batch=2, candidates=2, samples=samples,
        repeats=2, side=16,
    ))  # fmt: skip
    assert [row.get("setting") for row in rows] == [None, "recommended", "paper", None]
    steps = [KINDS["realdgen"].recipes["recommended"].steps, (6 + 18 + 30) / 3]  # tau 1, 6, 12, …
    assert [row["steps"] for row in rows[1:3]] == steps and rows[1]["notes"] == ()
    assert all(row["pairs_a_second"] > 0 and row["outside_denoiser"] < 1 for row in rows[1:3])
    assert rows[3]["denoiser_tflop_s"] > 0 and rows[3]["matmul_tflop_s"] > 0


@pytest.fixture()
def tiny_bundle_(root: Path, tmp_path: Path) -> Iterator[Path]:
    """tests/engine's tiny bundle."""
    from ...engine import tiny_bundle

    yield tiny_bundle.make(tmp_path / "bundle")


def test_a_run_is_cut_as_a_run_is(samples: Path) -> None:
    """tau 1 to 30, sorted: else each batch takes as long as the longest pair of all."""
    content = np.zeros((4, 16, 16, 3), np.uint8)
    batches = gpu_parts.a_run(Recipe.named("realdgen", "paper"), Schedule(), content, content)
    longest = [max(map(len, one.tables)) for one in batches]
    assert longest == sorted(longest) and longest[-1] == 30 and min(map(len, batches[0].tables)) == 1
    assert np.mean(longest) < 18, "half of the range, and not its end"


def test_no_weight_of_the_random_model_stays_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra train")
    from safetensors.torch import load_file

    from degrade_engine.originals.realdgen import config

    monkeypatch.setattr(config, "PAPER", config.TINY)
    state = load_file(gpu_parts.random_paper(tmp_path / "paper.safetensors"))
    assert all(weight.any() for weight in state.values() if weight.dtype == torch.float32)


def test_the_matmul_is_fp16_from_end_to_end(tmp_path: Path) -> None:
    model = onnx.load(str(gpu_parts.write_matmul(tmp_path / "m.onnx", 16)))
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Cast", *["MatMul"] * gpu_parts.LAYERS, "Cast"]
    assert model.graph.initializer[0].data_type == TensorProto.FLOAT16
    work = count_model(model, {"x": (16, 16)})
    assert work.product_flops == 2 * gpu_parts.LAYERS * 16**3 and work.other_flops == 0


def test_what_pytest_said() -> None:
    said = "SKIPPED [17] tests/engine/rigs.py:88: The GPU needs pycuda\n12 passed, 17 skipped, 3 deselected in 4.1s"
    assert gpu_parts.counts(said) == {"passed": 12, "skipped": 17}
    assert gpu_parts.reason(said).endswith("The GPU needs pycuda") and gpu_parts.reason("") == "pytest ran no test"
