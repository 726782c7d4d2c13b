from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from degrade_engine.engine import artefact, spec
from degrade_engine.engine.bundle import BUNDLE_JSON, BundleSpec, open_bundle
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.schedule import Schedule


def image(name: str) -> spec.TensorSpec:
    return spec.TensorSpec(name, "float32", ("batch", 3, "height", "width"))


def a_bundle(folder: Path) -> BundleSpec:
    f_deg = spec.TensorSpec("f_deg", "float32", ("batch", 8))
    f_cont = spec.TensorSpec("f_cont", "float32", ("batch", 4, "height/2", "width/2"))
    condition = spec.TensorSpec("condition", "float32", ("batch", 6, "height", "width"))
    t = spec.TensorSpec("t", "int32", ("batch",))
    shapes: dict[str, tuple[spec.Runs, tuple[spec.TensorSpec, ...], tuple[spec.TensorSpec, ...]]] = {
        "degradation": ("reference", (image("image"),), (f_deg,)),
        "content": ("pair", (image("image"),), (f_cont,)),
        "modulation": ("pair", (f_cont, f_deg), (condition,)),
        "reconstruction": ("pair", (f_cont, f_deg), (image("image"),)),
        "denoiser": ("step", (image("x_t"), t, condition), (image("eps"),)),
    }
    parts = {}
    for name, (runs, inputs, outputs) in shapes.items():
        (folder / f"{name}.onnx").write_bytes(name.encode())
        files = {"fp32": spec.file_ref(folder, f"{name}.onnx")}
        parts[name] = spec.PartSpec(runs, inputs, outputs, files)
    return BundleSpec(
        kind="realdgen", schedule=Schedule(), lr_multiple=2, starts=("reconstruction", "bicubic"),
        parts=parts, licence="Apache-2.0", card={"steps": 1}, parent={"checkpoint_sha256": "0"}, tools={},
    )  # fmt: skip


def test_open_bundle_round_trip(tmp_path: Path) -> None:
    made = a_bundle(tmp_path)
    artefact.write_json_atomic(tmp_path / BUNDLE_JSON, made)
    opened = open_bundle(tmp_path)
    assert opened.spec == made
    assert opened.sha256 == artefact.sha256_file(tmp_path / BUNDLE_JSON)
    assert opened.file("content") == tmp_path / "content.onnx"
    with pytest.raises(DegradeError, match="no fp16 file"):
        opened.file("content", "fp16")


def test_a_bundle_of_an_older_format_is_refused(tmp_path: Path) -> None:
    page = artefact.to_json(a_bundle(tmp_path)) | {"format": "degrade-engine/bundle/1"}
    del page["islands"]
    artefact.write_json_atomic(tmp_path / BUNDLE_JSON, page)
    with pytest.raises(DegradeError, match="bundle/1.*degrade-engine export"):
        open_bundle(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "changed", "missing"])
def test_damaged_files_are_refused(tmp_path: Path, damage: str) -> None:
    artefact.write_json_atomic(tmp_path / BUNDLE_JSON, a_bundle(tmp_path))
    file = tmp_path / "denoiser.onnx"
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(b"denoise" if damage == "cut" else b"denoisez")
    with pytest.raises(DegradeError, match="denoiser.onnx"):
        open_bundle(tmp_path)


def test_paths_stay_within_the_folder(tmp_path: Path) -> None:
    for path in ("../x", "/etc/passwd", "a\\b", ""):
        with pytest.raises(DegradeError, match="within its own folder"):
            spec.check_file(tmp_path, spec.FileRef(path, "", 0))


def test_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(DegradeError, match="holds no bundle.json"):
        open_bundle(tmp_path)


def test_resolve() -> None:
    tensor = spec.TensorSpec("f", "float32", ("batch", 4, "height/4", "width"))
    assert tensor.resolve(2, 64, 48) == (2, 4, 16, 48)
    assert spec.TensorSpec("hr", "float32", ("batch", 3, "4*height", "4*width/2")).resolve(2, 64, 48) == (2, 3, 256, 96)
    with pytest.raises(DegradeError, match="multiple of 4"):
        tensor.resolve(2, 66, 48)
    for word in ("depth", "height/0", "height/x", "height/", "height//2", "0*height", "*height", "4*"):
        with pytest.raises(DegradeError, match="dimension"):
            spec.TensorSpec("f", "float32", (word,)).resolve(1, 4, 4)


def test_parts_must_be_complete_and_in_order(tmp_path: Path) -> None:
    made = a_bundle(tmp_path)
    names = list(made.parts)
    with pytest.raises(DegradeError, match="'denoiser' is missing"):
        replace(made, parts={n: made.parts[n] for n in names[:-1]})
    with pytest.raises(DegradeError, match="reads 'f_cont'"):
        replace(made, parts={n: made.parts[n] for n in [names[2], *names[:2], *names[3:]]})
    with pytest.raises(DegradeError, match="'extra' is unknown"):
        replace(made, parts={**made.parts, "extra": made.parts["content"]})
