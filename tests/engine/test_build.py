"""An engine is whole, says what it is, and is refused when anything about it or this machine differs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from degrade_engine.engine import artefact, build, engine_spec, parity
from degrade_engine.engine.api import Engine
from degrade_engine.engine.errors import DegradeError

SMALL = {"lr_size": 16, "batch": 2, "candidates": 2, "threads": 1}


@pytest.fixture()
def engine(tiny_engine: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(tiny_engine, tmp_path / "engine"))


def edit(folder: Path, change, seal: bool = False) -> None:  # type: ignore[no-untyped-def]
    path = folder / engine_spec.ENGINE_JSON
    page = json.loads(path.read_text())
    change(page)
    if seal:
        files = {name: part["files"]["engine"]["sha256"] for name, part in page["parts"].items()}
        page["key_sha256"] = artefact.sha256_json({"key": page["key"], "files": files})
    path.write_text(json.dumps(page))


def left(folder: Path) -> list[str]:
    """What lies in the folder, but for the lock's own empty file (engine/lock.py)."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".engine.lock")


def test_the_page_of_an_engine(tiny_bundle: Path, tiny_engine: Path) -> None:
    page = engine_spec.open_engine_spec(tiny_engine)
    assert (page.lr_size, page.batch, page.candidates) == (16, 4, 2)
    assert page.key.bundle_sha256 == artefact.sha256_file(tiny_bundle / "bundle.json")
    assert page.key.files["content"] == artefact.sha256_file(tiny_bundle / "content.onnx")
    assert page.key.precision_asked == page.key.precision_computed == "fp32"
    assert (page.key.backend, page.key.target, page.key.gpu) == ("onnxruntime", None, None) and not page.plans
    assert page.key.runtime in page.tools and page.key.version == page.tools[page.key.runtime]
    assert page.parity.passed and page.parity.tau == 30 and page.parity.steps == 3
    compared = {(m.part, m.against) for m in page.parity.measures}
    for part in (*page.parts, "end to end"):
        assert (part, "reference") in compared and (part, "duplicate rows") in compared
        assert part == "end to end" or (part, "batch 1") in compared
    assert all(m.passed and m.not_finite == 0 for m in page.parity.measures)
    assert page.parity.probe[0] == "hr-0.png" and "onnxruntime" in page.tools
    assert sorted(p.name for p in tiny_engine.iterdir()) == sorted(["engine.json", *(f"{n}.onnx" for n in page.parts)])


def test_built_twice_is_kept_and_changed_is_replaced(tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "engine"
    first = build.build(tiny_bundle, out, **SMALL)
    stamp = (out / "engine.json").stat().st_mtime_ns
    again = build.build(tiny_bundle, out, **SMALL)
    assert again.reused and not first.reused and again.spec == first.spec
    assert (out / "engine.json").stat().st_mtime_ns == stamp
    forced = build.build(tiny_bundle, out, rebuild=True, **SMALL)
    assert not forced.reused and "built again" in forced.notes[0] and forced.spec.key_sha256 == first.spec.key_sha256
    other = build.build(tiny_bundle, out, **{**SMALL, "batch": 1})
    assert not other.reused and "changed in batch" in other.notes[0]
    (out / "content.onnx").write_bytes(b"")
    assert not build.build(tiny_bundle, out, **{**SMALL, "batch": 1}).reused  # damaged: built again
    assert left(tmp_path) == ["engine"]


def test_fp16_on_a_cpu_says_that_it_is_fp32(tiny_bundle: Path, tmp_path: Path) -> None:
    built = build.build(tiny_bundle, tmp_path / "engine", precision="fp16", **SMALL)
    assert "computes in FP32" in built.notes[0]
    assert (built.spec.key.precision_asked, built.spec.key.precision_computed) == ("fp16", "fp32")


@pytest.mark.parametrize("backend", ["onnxruntime-cuda", "onnxruntime-tensorrt", "magic"])
def test_backends_that_are_not_here(tiny_bundle: Path, tmp_path: Path, backend: str) -> None:
    with pytest.raises(DegradeError, match=backend):
        build.build(tiny_bundle, tmp_path / "engine", backend=backend, **SMALL)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [({"lr_size": 17}, "multiple of 2"), ({"batch": 0}, "at least 1"), ({"candidates": 0}, "at least 1")],
)
def test_sizes_that_cannot_be(tiny_bundle: Path, tmp_path: Path, options: dict, said: str) -> None:
    with pytest.raises(DegradeError, match=said):
        build.build(tiny_bundle, tmp_path / "engine", **{**SMALL, **options})


def test_a_strangers_folder_is_left_alone(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("x")
    with pytest.raises(DegradeError, match="holds no engine.json"):
        build.build(tiny_bundle, tmp_path, **SMALL)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", "1.0.0"),
        ("runtime", "onnxruntime-gpu"),
        ("os", "Plan9"),
        ("machine", "pdp11"),
        ("settings", {"graph_optimization": "none"}),
        (
            "files",
            {n: "0" * 64 for n in ("degradation", "content", "modulation", "reconstruction", "denoiser")},
        ),
    ],
)
def test_a_key_that_does_not_fit_is_named_with_both_values(engine: Path, field: str, value: object) -> None:
    edit(engine, lambda page: page["key"].update({field: value}), seal=True)
    with pytest.raises(DegradeError) as error:
        Engine.open(engine)
    said = str(error.value)
    assert field in said and "when the engine was built" in said and "here" in said
    assert "build BUNDLE -o ENGINE --rebuild" in said
    if field == "version":
        assert "'1.0.0'" in said and repr(artefact.tool_versions()["onnxruntime"]) in said


def test_a_key_edited_without_its_seal(engine: Path) -> None:
    edit(engine, lambda page: page["key"].update(batch=8))
    with pytest.raises(DegradeError, match="key was changed"):
        Engine.open(engine)


def test_unknown_and_missing_keys(engine: Path) -> None:
    edit(engine, lambda page: page["key"].update(colour="red"))
    with pytest.raises(DegradeError, match="'colour' is unknown"):
        Engine.open(engine)
    edit(engine, lambda page: (page["key"].pop("colour"), page.pop("parity")))
    with pytest.raises(DegradeError, match="'parity' is missing"):
        Engine.open(engine)


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "page cut", "no page", "page of another release"])
def test_damage(engine: Path, damage: str) -> None:
    file, page = engine / "denoiser.onnx", engine / "engine.json"
    data = file.read_bytes()
    if damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "page of another release":
        page.write_text(page.read_text().replace("engine/2", "engine/1"))
    elif damage == "gone":
        file.unlink()
    elif damage == "page cut":
        page.write_bytes(page.read_bytes()[:-40])
    else:
        page.unlink()
    with pytest.raises(DegradeError, match="engine.json" if "page" in damage else "denoiser.onnx"):
        Engine.open(engine)


class Wrong:
    """An executor whose denoiser is off in one way."""

    def __init__(self, inner, fault: str) -> None:  # type: ignore[no-untyped-def]
        self.inner, self.fault, self.shapes, self.buffers = inner, fault, inner.shapes, {}  # type: ignore[var-annotated]

    def bind(self, name: str, buffer) -> None:  # type: ignore[no-untyped-def]
        self.buffers[name] = buffer
        self.inner.bind(name, buffer)

    def enqueue(self, stream: object = None) -> None:
        self.inner.enqueue()
        eps = self.buffers["eps"]
        if self.fault == "scaled":
            eps *= 1.01
        elif self.fault == "nan":
            eps[0, 0, 0, 0] = float("nan")
        elif self.fault == "one row":
            eps[-1] += 0.1
        elif self.fault == "batch" and len(eps) > 1:
            eps += 0.1


@pytest.mark.parametrize("fault", ["scaled", "nan", "one row", "batch"])
def test_a_wrong_engine_is_quarantined(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    honest = build.open_engine_part

    def open_part(folder, spec, name, device, **options):  # type: ignore[no-untyped-def]
        executor = honest(folder, spec, name, device, **options)
        return Wrong(executor, fault) if name == "denoiser" else executor

    monkeypatch.setattr(build, "open_engine_part", open_part)
    out = tmp_path / "engine"
    with pytest.raises(DegradeError) as error:
        build.build(tiny_bundle, out, **SMALL)
    said = str(error.value)
    assert "engine.quarantine" in said and "denoiser against" in said and "would pass" in said
    assert ("not finite" in said) == (fault == "nan")
    if fault == "one row":
        assert "denoiser against duplicate rows" in said
    if fault == "batch":
        assert "denoiser against batch 1" in said
    assert left(tmp_path) == ["engine.quarantine"]
    monkeypatch.undo()
    (tmp_path / "engine.quarantine").rename(out)
    with pytest.raises(DegradeError, match="differs too much from its reference"):
        Engine.open(out)


def test_probe_pairs_fit_any_size() -> None:
    for size in (8, 64, 200):
        names, content, reference = parity.probe_pairs(size, 3)
        assert content.shape == reference.shape == (3, size, size, 3)
        assert (content[0] != content[1]).any() and content.std() > 10 and reference.std() > 5
    assert len(names) == 4
