"""What nvcc makes of the grids: no warning, the arithmetic as written, wide accesses, no spill."""

from __future__ import annotations

import re

import pytest

from degrade_engine.bench.gpu import kernels as report
from degrade_engine.bench.rows import RESULTS, rows_of
from degrade_engine.kernels.grids import KERNELS

needs_nvcc = pytest.mark.skipif(report.find_nvcc() is None, reason="needs nvcc, which is not on PATH or in CUDA_HOME")


@pytest.fixture(scope="module")
def ptx(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Kernel to its PTX, compiled with warnings as errors."""
    out = tmp_path_factory.mktemp("ptx") / "cuda.ptx"
    report.compile_cuda(report.find_nvcc() or "", out, "-ptx", "-arch=compute_80")
    return dict(re.findall(r"\.entry (\w+)\(\n(.*?)\n}\n", out.read_text(), re.S))


@needs_nvcc
def test_every_kernel_is_compiled_and_in_the_table(ptx: dict[str, str]) -> None:
    assert set(ptx) == set(KERNELS)


def test_one_unit_includes_every_source() -> None:
    sources = {path.name: path.read_text() for path in report.sources()}
    included = set(re.findall(r'#include "(\w+\.cu)"', sources["cuda.cu"]))
    assert included == {name for name in sources if name.endswith(".cu")} - {"cuda.cu"}


@needs_nvcc
def test_no_product_and_sum_are_contracted(ptx: dict[str, str]) -> None:
    """ptxas may fuse `mul.f32` and `add.f32`, it must not fuse `mul.rn.f32` and `add.rn.f32` (PTX ISA)."""
    for name, code in ptx.items():
        found = set(re.findall(r"\b(?:mul|add|sub|div|sqrt|fma|mad|rcp|rsqrt)[a-z.0-9]*\.f32\b", code))
        assert found <= {f"{operation}.rn.f32" for operation in ("mul", "add", "sub", "div", "sqrt")}, name


@needs_nvcc
@pytest.mark.parametrize(
    ("name", "loads", "stores"),
    [
        ("degrade_to_planar", {"v4.u8"}, {"v4.f32"}),
        ("degrade_to_bytes", {"v4.f32"}, {"v4.u8"}),
        ("degrade_start", {"v4.f32"}, {"v4.f32"}),
        ("degrade_update", {"v4.f32"}, {"v4.f32"}),
        ("degrade_finite", {"v4.f32"}, set()),
        ("degrade_gather", {"v4.u32"}, {"v4.u32"}),
        ("degrade_tile", {"v4.u32"}, {"v4.u32"}),
    ],
)
def test_aligned_rows_move_in_wide_accesses(ptx: dict[str, str], name: str, loads: set[str], stores: set[str]) -> None:
    for access, wanted in (("ld", loads), ("st", stores)):
        assert set(re.findall(rf"\b{access}\.global\.(?:nc\.|wb\.)?(v4\.\w+)", ptx[name])) == wanted


@needs_nvcc
def test_no_kernel_spills_as_compiled_now() -> None:
    rows = report.resources(report.find_nvcc() or "", [90])
    assert {row["kernel"] for row in rows} == set(KERNELS)
    assert not [row for row in rows if row["spill_store_bytes"] or row["spill_load_bytes"] or row["stack_bytes"]]


def test_no_kernel_spills_in_the_committed_rows() -> None:
    rows = rows_of(RESULTS, "kernels")
    assert {(row["kernel"], row["sm"]) for row in rows} == {
        (name, sm / 10) for name in KERNELS for sm in report.CAPABILITIES
    }
    assert not [row for row in rows if row["spill_store_bytes"] or row["spill_load_bytes"] or row["stack_bytes"]]
    stale = "run `degrade-engine bench kernels -o bench/results/kernels.jsonl`"
    assert {row["sources_sha256"] for row in rows} == {report.sources_sha256()}, stale


def test_a_spill_is_read() -> None:
    printed = """ptxas info    : Compiling entry function 'degrade_load' for 'sm_90'
ptxas info    : Function properties for degrade_load
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 130 registers, used 1 barriers, 16 bytes stack, 2048 bytes smem
"""
    (row,) = report.read_ptxas(printed, 90)
    assert (row["stack_bytes"], row["spill_store_bytes"], row["spill_load_bytes"]) == (16, 8, 12)
    assert (row["registers"], row["shared_bytes"], row["threads_by_registers"]) == (130, 2048, 256)
