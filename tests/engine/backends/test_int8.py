"""INT8 on the CPU: a real quantisation through the whole gate, and what `--precision auto` takes where."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from degrade_engine.engine import backends, build, machine, parity, recorded
from degrade_engine.engine.api import Engine
from degrade_engine.engine.artefact import sha256_file
from degrade_engine.engine.backends import BACKENDS, int8
from degrade_engine.engine.bundle import open_bundle
from degrade_engine.engine.engine_spec import EngineSpec
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.recipe import Recipe
from degrade_engine.engine.verify import verify

pytest.importorskip("onnx", reason="needs the extra train")
SMALL: dict[str, Any] = {"lr_size": 32, "batch": 8, "threads": 1}
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 128, 128, 3), np.uint8)


@pytest.fixture(scope="module", params=["realdgen", "onecall"])
def bundle(request: pytest.FixtureRequest, tiny_bundle_module: ModuleType, tmp_path_factory: Any) -> Path:
    """A bundle whose denoiser has two convolutions between its first and its last."""
    folder: Path = tiny_bundle_module.make(tmp_path_factory.mktemp("int8") / "bundle", kind=request.param, middle=2)
    return folder


@pytest.fixture(scope="module")
def engine(bundle: Path) -> Path:
    """To be read only."""
    return build.build(bundle, bundle.with_name("engine"), precision="int8", **SMALL).folder


def made(engine: Path, first: int = 0, count: int = len(PIXELS), threads: int = 1, **changes: Any) -> np.ndarray:
    """The LR of these pairs."""
    which = slice(first, first + count)
    with Engine.open(engine, threads=threads) as opened:
        return opened.degrade(PIXELS[which], PIXELS[which, :32, :32], seed=1, first=first, **changes).lr


def test_the_denoiser_alone_is_in_int8_and_the_key_says_so(bundle: Path, engine: Path) -> None:
    with Engine.open(engine, threads=1) as opened:
        spec: EngineSpec = opened.spec
    key, parts = spec.key, open_bundle(bundle).spec.parts
    assert (key.backend, key.precision_asked, key.precision_computed) == ("onnxruntime", "int8", "int8")
    assert key.settings.items() > int8.SETTINGS.items()
    for name, part in spec.parts.items():
        path = engine / part.files["engine"].path
        assert int8.in_int8(path) == (2 if name == "denoiser" else 0)
        assert (sha256_file(path) == parts[name].files["fp32"].sha256) == (name != "denoiser")


def test_the_gate_compares_pixels_by_the_recommended_recipe(bundle: Path, engine: Path) -> None:
    spec = open_bundle(bundle).spec
    with Engine.open(engine, threads=1) as opened:
        report = opened.spec.parity
    recipe = Recipe.named(spec.kind, "recommended")
    assert report.passed and (report.tau, report.steps) == (recipe.tau[0], recipe.steps)
    by_name = {(m.part, m.against): m for m in report.measures}
    for part in ("denoiser", "end to end"):
        found = by_name[part, "reference"]
        assert found.unit == "grey levels" and found.tolerance == parity.GREY_INT8 and found.tolerance.mean <= 0.5
        assert 1e-4 < found.error.mean < 0.5  # in FP32 it would be far less
        assert by_name[part, "duplicate rows"].error.max == 0
    assert by_name["denoiser", "batch 1"].error.max == 0
    assert by_name["content", "reference"].tolerance == parity.RELATIVE_FP32


def test_the_same_engine_gives_the_same_bytes(bundle: Path, engine: Path, tmp_path: Path) -> None:
    again = build.build(bundle, tmp_path / "again", precision="int8", **SMALL | {"threads": 2})
    with Engine.open(engine) as opened:
        assert again.spec.key_sha256 == opened.spec.key_sha256
    whole = made(engine)
    np.testing.assert_array_equal(made(again.folder, threads=2), whole)
    for i in (0, 5):
        np.testing.assert_array_equal(made(engine, i, 1, threads=2)[0], whole[i])


def test_its_pixels_are_near_those_of_fp32(bundle: Path, engine: Path, tmp_path: Path) -> None:
    one: dict[str, Any] = {"candidates": 1, "filter": False}  # the choice among several may fall on another
    exact = made(build.build(bundle, tmp_path / "fp32", **SMALL).folder, **one).astype(int)
    off = np.abs(made(engine, **one) - exact)
    assert (off > 0).any() and off.mean() < 0.5


def test_verify_needs_the_bundle(bundle: Path, engine: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(engine, tmp_path / "engine"))
    with pytest.raises(DegradeError, match="holds an INT8 network and no reference.*--bundle BUNDLE"):
        verify(copy)
    assert verify(copy, bundle_path=bundle).parity.passed
    with open(copy / "denoiser.int8.onnx", "ab") as file:
        file.write(b"x")
    with pytest.raises(DegradeError, match="denoiser.int8.onnx has"):
        Engine.open(copy)


def test_scales_that_do_not_fit_are_found(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibrated on nearly nothing, the network cuts off all that it reads."""
    real = recorded.feeds

    def faint(*which: Any) -> list[int8.Feed]:
        return [{k: v if k == "t" else v * np.float32(0.05) for k, v in feed.items()} for feed in real(*which)]

    monkeypatch.setattr(recorded, "feeds", faint)
    with pytest.raises(DegradeError, match=r"(?s)engine.quarantine.*against reference.*grey levels would pass"):
        build.build(bundle, tmp_path / "engine", precision="int8", **SMALL)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["engine.quarantine"]


def test_it_is_calibrated_where_the_recipe_calls(bundle: Path) -> None:
    opened = open_bundle(bundle)
    feeds = recorded.feeds(opened, "denoiser", 32)
    recipe = Recipe.named(opened.spec.kind, "recommended").but(steps=5)
    timesteps = recipe.table(opened.spec.schedule, recipe.tau[1]).timesteps.tolist()
    assert [int(feed["t"][0]) for feed in feeds] == [t for t in timesteps for _ in range(parity.DISTINCT)]
    assert all(feed["x_t"].shape == (1, 3, 32, 32) for feed in feeds)
    assert len({feed["condition"].tobytes() for feed in feeds}) == parity.DISTINCT
    assert len({feed["x_t"].tobytes() for feed in feeds}) == len(feeds)
    large = recorded.feeds(opened, "denoiser", 256)
    assert large[0]["x_t"].shape[-1] == recorded.LARGEST


def test_a_tau_beyond_its_scales_is_refused(engine: Path) -> None:
    with Engine.open(engine, threads=1) as opened:
        most = opened.spec.parity.tau
    assert made(engine, count=1, tau=most, steps=2, candidates=1, filter=False).any()
    for tau in (most + 1, [most, most + 1]):
        with pytest.raises(DegradeError, match=f"INT8 scales are for tau up to {most}"):
            made(engine, count=2, tau=tau)


def test_what_cannot_be_is_a_sentence(
    tiny_bundle: Path, tiny_bundle_module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(bundle: Path, **options: Any) -> str:
        with pytest.raises(DegradeError) as error:
            build.build(bundle, tmp_path / "engine", precision="int8", **{"lr_size": 32, "batch": 2} | options)
        return str(error.value)

    assert "2 convolutions, and INT8 leaves the first and the last in FP32" in refused(tiny_bundle)
    lway = tiny_bundle_module.make(tmp_path / "lway", kind="lway")
    assert "--precision is int8, which is for networks that run in every step" in refused(lway)
    said = refused(tiny_bundle, backend="openvino")
    assert "does not compute in int8" in said and "--backend onnxruntime" in said
    deep = tiny_bundle_module.make(tmp_path / "deep", middle=1)
    monkeypatch.setattr(int8, "in_int8", lambda path: 0)
    assert "none of its 3 convolutions in INT8" in refused(deep)
    monkeypatch.setattr(machine, "load_error", lambda module: "No module" if module == "onnx" else "")
    assert "made with the package onnx, which is not here (pip install 'onnx>=1.17')" in refused(deep)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["deep", "lway"]


ORT, OPENVINO, GPU = BACKENDS["onnxruntime"], BACKENDS["openvino"], BACKENDS["onnxruntime-cuda"]


@pytest.mark.parametrize(
    ("features", "among", "wanted", "said"),
    [
        (("AMX", "AVX-512 BF16", "AVX-512 VNNI"), (ORT, OPENVINO), "bf16", "has AMX, and OpenVINO is here"),
        (("AVX-512 BF16", "AVX-512 VNNI"), (ORT, OPENVINO), "bf16", "has AVX-512 BF16"),
        (("AMX", "AVX-512 VNNI"), (ORT,), "fp32", "bf16 needs the backend openvino (pip install"),
        (("AVX-512 BF16", "AVX-512 VNNI"), (ORT,), "int8", "has AVX-512 VNNI and no AMX"),
        (("AVX-512 VNNI", "AVX-512", "AVX2"), (ORT, OPENVINO), "int8", "has AVX-512 VNNI and no AMX"),
        (("AVX VNNI", "AVX2"), (ORT,), "int8", "has AVX VNNI and no AMX"),
        (("AVX VNNI", "AVX2"), (OPENVINO,), "fp32", "neither"),
        (("AVX-512", "AVX2"), (ORT, OPENVINO), "fp32", "neither"),
        ((), (ORT,), "fp32", "neither"),
        (("AVX-512 VNNI",), (ORT, GPU), "fp32", "on the GPU"),
    ],
)
def test_auto(features: tuple[str, ...], among: Any, wanted: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_features", lambda: features)
    precision, why = backends.quickest(among)
    assert precision == wanted and said in why


def test_auto_without_onnx_is_fp32_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_features", lambda: ("AVX-512 VNNI",))
    monkeypatch.setattr(machine, "load_error", lambda module: "No module" if module == "onnx" else "")
    precision, why = backends.quickest([ORT])
    assert precision == "fp32" and why == (
        "this processor has AVX-512 VNNI, but INT8 is made with the package onnx, which is not here "
        "(pip install 'onnx>=1.17')"
    )


def test_an_engine_of_auto_is_that_of_its_precision(
    tiny_bundle_module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, sizes = tiny_bundle_module.make(tmp_path / "bundle", middle=1), SMALL | {"batch": 2}
    monkeypatch.setattr(machine, "cpu_features", lambda: ("AVX-512 VNNI",))
    built = build.build(bundle, tmp_path / "engine", precision="auto", **sizes)
    assert built.spec.key.precision_asked == built.spec.key.precision_computed == "int8"
    assert built.notes[0] == "--precision auto is int8: this processor has AVX-512 VNNI and no AMX."
    assert build.build(bundle, tmp_path / "engine", precision="int8", **sizes).reused
    monkeypatch.setattr(machine, "cpu_features", lambda: ("AMX",))
    asked = build.ask(bundle, precision="auto", lr_size=32)
    assert asked.key.precision_computed == "fp32"  # with OpenVINO too: the tiny bundle has no FP16 files
    lway = tiny_bundle_module.make(tmp_path / "lway", kind="lway")
    asked = build.ask(lway, precision="auto", lr_size=32)
    assert asked.key.precision_computed == "fp32" and "of the kind lway has no network" in asked.accepted.notes[0]
