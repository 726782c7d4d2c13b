"""Planted faults are found: overflow, a sum that overflows, a layer that FP16 is too coarse for."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from degrade_engine.calib import figure  # noqa: E402
from degrade_engine.calib.precision import HALF_MAX, Precision, trajectories  # noqa: E402
from degrade_engine.cli import main  # noqa: E402
from degrade_engine.engine.artefact import sha256_file, write_json_atomic  # noqa: E402
from degrade_engine.engine.bundle import open_bundle  # noqa: E402
from degrade_engine.engine.calibration_spec import PrecisionCalibration, read_precision  # noqa: E402
from degrade_engine.engine.errors import DegradeError  # noqa: E402
from degrade_engine.engine.kinds import KINDS  # noqa: E402
from degrade_engine.export import bundle as exporting  # noqa: E402
from degrade_engine.originals.checkpoint import save  # noqa: E402

Micro, Ask = Callable[[str], Any], Callable[..., Precision]
LOUD, COARSE = "unet.middle.0.conv1", "unet.up.3.0.conv1"
RECOMMENDED = KINDS["realdgen"].recipes["recommended"]
PAPER = KINDS["realdgen"].recipes["paper"]
LOUD_BLOCK = ("degradation.blocks.0.conv1", "degradation.blocks.0.conv2")
FLOAT, HALF = 1, 10  # onnx.TensorProto


def loud(model: Any) -> Any:
    """One layer far above 65504. GroupNorm follows, so the FP32 pixels stay as they were."""
    with torch.no_grad():
        model.get_submodule(LOUD).weight.mul_(1e6)
    return model


def loud_block(model: Any) -> Any:
    """The same in E_deg, whose graph is soon exported: one layer shouts, the next hears it and hushes."""
    with torch.no_grad():
        for name, factor in zip(LOUD_BLOCK, (1e6, 1e-6), strict=True):
            model.get_submodule(name).weight.mul_(factor)
    return model


def coarse(model: Any) -> Any:
    """One layer that speaks around 3000, where FP16's numbers are 2 apart, and means the tenths; GroupNorm again."""
    with torch.no_grad():
        model.get_submodule(COARSE).bias.add_(3000)
    return model


def holds(asked: Precision, found: PrecisionCalibration) -> None:
    """The bound, and that each island is needed, measured anew."""
    bound, islands = asked.options.bound_grey, {island.layer for island in found.islands}
    assert asked.mean_grey(islands) < bound
    for island in found.islands:
        without = asked.mean_grey(islands - {island.layer})
        assert island.reason == "overflow" or not without < bound
        assert island.without_grey == (without if math.isfinite(without) else None)


@pytest.mark.parametrize("preset", ["tiny", "paper"])
def test_a_sound_model_needs_no_island(preset: str, micro: Micro, precision: Ask) -> None:
    asked = precision(micro(preset))
    found = asked.calibrate("0")
    assert found.islands == () and found.timesteps == (50, 200) and found.runs == 1
    assert 0 < found.errors.chosen[0].mean < 0.5 and found.errors.chosen == found.errors.policy
    names = [layer.name for layer in found.layers]
    assert len(set(names)) == len(names) and not any("decoder" in name for name in names)
    assert all(0 < layer.output_rms <= layer.output_max < HALF_MAX for layer in found.layers)
    assert all(layer.fp16_error is not None and 1e-5 < layer.fp16_error < 1e-2 for layer in found.layers)
    assert {layer.largest_at_t for layer in found.layers if layer.name.startswith("unet.middle")} <= {50, 200}
    assert any(name.endswith(".qkv") for name in names) == (preset == "paper")


@pytest.mark.parametrize("preset", ["tiny", "paper"])
def test_a_layer_that_overflows_becomes_an_island(preset: str, micro: Micro, precision: Ask) -> None:
    asked = precision(loud(micro(preset)))
    found = asked.calibrate("0")
    assert [(island.layer, island.reason) for island in found.islands] == [(LOUD, "overflow")]
    layer = next(layer for layer in found.layers if layer.name == LOUD)
    assert layer.output_max > HALF_MAX and layer.fp16_error is None
    assert found.errors.policy[0].not_finite > 0 and found.errors.everything_half[0].not_finite > 0
    holds(asked, found)


def test_a_sum_that_overflows_is_traced_to_the_layer_before_it(micro: Micro, precision: Ask) -> None:
    model = micro("tiny")
    block = model.unet.down[2][0]
    with torch.no_grad():
        block.shortcut.bias.fill_(40_000)
        block.conv2.bias.fill_(40_000)
    asked = precision(model)
    found = asked.calibrate("0")
    reasons = {island.layer: island.reason for island in found.islands}
    assert reasons["unet.down.2.0.conv2"] == "not finite" and "unet.down.2.0.shortcut" not in reasons
    assert {"unet.up.0.0.shortcut"} <= {name for name, reason in reasons.items() if reason == "overflow"}
    holds(asked, found)


def test_a_layer_with_a_large_error_is_chosen_before_others(micro: Micro, precision: Ask) -> None:
    model = coarse(micro("tiny"))
    plain = precision(model).mean_grey(())
    asked = precision(model, plain / 3)
    found = asked.calibrate("0")
    assert found.islands[0].layer == COARSE and found.islands[0].reason == "error"
    own = {layer.name: layer.own_grey for layer in found.layers if layer.own_grey is not None}
    assert max(own, key=own.__getitem__) == COARSE
    holds(asked, found)


def test_a_tight_bound_takes_several_and_each_is_needed(micro: Micro, precision: Ask) -> None:
    model = micro("paper")
    asked = precision(model, precision(model).mean_grey(()) / 2)
    found = asked.calibrate("0")
    assert len(found.islands) > 1
    holds(asked, found)


def test_with_every_layer_an_island_nothing_is_off(micro: Micro, precision: Ask) -> None:
    asked = precision(micro("paper"))
    assert asked.mean_grey(asked.free) == 0


def test_the_trajectories_reach_from_1_to_T() -> None:
    ways = trajectories(500)
    assert {way.tau for way in ways} == {PAPER.tau[1], RECOMMENDED.tau[1], 500} and ways[0].steps is None
    assert max(way.tau for way in trajectories(20)) == 20


# ----------------------------------------------------------------------------- checkpoint to JSON to bundle


@pytest.fixture(scope="module")
def calibrated(micro: Micro, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(a checkpoint with layers that overflow, its calibration.json), made on the command line."""
    folder = tmp_path_factory.mktemp("calibrated")
    checkpoint, out = folder / "micro.safetensors", folder / "calibration.json"
    model = loud_block(micro("paper"))
    save(model.state_dict(), model.config, checkpoint, [], {})
    call = ["calibrate", "precision", checkpoint, "--hr", samples / "hr", "--reference", samples / "reference",
            "-o", out, "--pairs", 1, "--lr-size", 16]  # fmt: skip
    assert main([str(word) for word in call]) == 0
    return checkpoint, out


def test_the_json_is_strict_and_says_what_made_it(calibrated: tuple[Path, Path], tmp_path: Path) -> None:
    checkpoint, out = calibrated
    sha256 = sha256_file(checkpoint)
    found, digest = read_precision(out, sha256)
    assert found.parent == {"checkpoint_sha256": sha256} and digest == sha256_file(out)
    assert found.options.bound_grey == 0.5 and found.timesteps[0] == 1 and found.timesteps[-1] == 500
    assert found.tools["torch"] and found.inputs[0].hr.endswith(".png")
    page = json.loads(out.read_text())
    for change, said in (({"extra": 1}, "'extra' is unknown"), ({"format": "x/1"}, "format")):
        (tmp_path / "off.json").write_text(json.dumps(page | change))
        with pytest.raises(DegradeError, match=said):
            read_precision(tmp_path / "off.json", sha256)
    del page["layers"][0]["fp16_error"]
    (tmp_path / "off.json").write_text(json.dumps(page))
    with pytest.raises(DegradeError, match=r"layers\[0\].*'fp16_error' is missing"):
        read_precision(tmp_path / "off.json", sha256)


def test_the_picture_marks_islands_and_loads_nothing(calibrated: tuple[Path, Path]) -> None:
    checkpoint, out = calibrated
    picture = out.with_suffix(".svg").read_text()
    found, _ = read_precision(out, sha256_file(checkpoint))
    assert picture == figure.draw(found)
    assert all(f"{name}  (overflow)" in picture for name in LOUD_BLOCK)
    assert picture.count('class="island-row"') == 2 and ">65504<" in picture
    assert all(f"{layer.name}: largest" in picture for layer in found.layers)
    assert picture.count("http") == 1 and "href" not in picture and "nan" not in picture  # the one is SVG's namespace


def test_export_honours_the_islands(
    calibrated: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layer's types, parity, what bundle.json says. Only E_deg's FP16 file is really written: the others take
    the exporter many seconds."""
    onnx = pytest.importorskip("onnx")
    write, check = exporting.write_onnx, exporting.check_parity

    def write_one(part: Any, lr_multiple: int, path: Path, half: bool) -> None:
        if path.name == "degradation.fp16.onnx":
            write(part, lr_multiple, path, half)
        else:
            path.write_bytes(b"left out")

    def check_one(
        name: str, part: Any, inputs: Any, files: dict[Any, Path], islands: tuple[str, ...]
    ) -> dict[str, dict[str, float]]:
        return check(name, part, inputs, {"fp16": files["fp16"]}, islands) if name == "degradation" else {}

    monkeypatch.setattr(exporting, "write_onnx", write_one)
    monkeypatch.setattr(exporting, "check_parity", check_one)
    checkpoint, out = calibrated
    bundle = open_bundle(exporting.export_checkpoint(checkpoint, tmp_path / "bundle", calibration=out))
    assert bundle.spec.islands == LOUD_BLOCK
    assert bundle.spec.parent == {"checkpoint_sha256": sha256_file(checkpoint), "calibration_sha256": sha256_file(out)}
    report = bundle.spec.card["parity"]["degradation"]["fp16"]
    assert 0 < report["error"] <= report["bound"] < 1
    graph = onnx.load(bundle.file("degradation", "fp16")).graph
    kinds = {i.name: i.data_type for i in graph.initializer}
    for block, wanted in (("blocks.0", FLOAT), ("blocks.1", HALF)):
        found = [kind for name, kind in kinds.items() if f"degradation.{block}.conv" in name]
        assert len(found) == 4 and set(found) == {wanted}, block  # weight and bias of both


def test_another_checkpoint_s_calibration_is_refused(
    calibrated: tuple[Path, Path], micro: Micro, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = micro("tiny")
    other = tmp_path / "other.safetensors"
    save(model.state_dict(), model.config, other, [], {})
    assert main(["export", str(other), "-o", str(tmp_path / "bundle"), "--calibration", str(calibrated[1])]) == 2
    said = capsys.readouterr().err
    assert "is of another checkpoint" in said and sha256_file(other) in said and "Traceback" not in said
    assert not (tmp_path / "bundle").exists()


def test_an_island_that_is_no_layer_is_refused(calibrated: tuple[Path, Path], tmp_path: Path) -> None:
    checkpoint, out = calibrated
    found, _ = read_precision(out, sha256_file(checkpoint))
    island = dataclasses.replace(found.islands[0], layer="unet.nowhere")
    write_json_atomic(tmp_path / "off.json", dataclasses.replace(found, islands=(island,)))
    with pytest.raises(DegradeError, match="no layer 'unet.nowhere'"):
        exporting.export_checkpoint(checkpoint, tmp_path / "bundle", calibration=tmp_path / "off.json")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--lr-size", "15"], "The LR size is 15. Expected: a multiple of 2"),
        (["--bound", "0"], "The bound is 0 grey levels"),
        (["--lr-size", "1024"], "no photograph that can be used"),
        (["-o", "out.svg"], "the name of the picture"),
        (["-o", "nowhere/calibration.json"], "nowhere does not exist"),
    ],
)
def test_a_mistake_is_one_sentence(
    options: list[str], said: str, calibrated: tuple[Path, Path], samples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["calibrate", "precision", str(calibrated[0]), "--hr", str(samples / "hr"), "--reference",
            str(samples / "reference"), *options]  # fmt: skip
    assert main(call) == 2
    assert said in capsys.readouterr().err
