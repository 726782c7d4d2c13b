"""Whatever a JSON or TOML file holds, a reader says one sentence or takes the file for torn: bombs of nesting and of
digits, numbers that no float and no 64 bits hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from degrade_engine.bench.papers.settings import parse_settings
from degrade_engine.bench.rows import read_rows
from degrade_engine.engine import artefact, limits
from degrade_engine.engine.bundle import open_bundle
from degrade_engine.engine.calibration_spec import read_precision
from degrade_engine.engine.classical import degraders
from degrade_engine.engine.classical.binned import read_weights
from degrade_engine.engine.classical.camera_degrader import read_cameras
from degrade_engine.engine.engine_spec import sealed_engine_spec
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.inputs import inventory_page
from degrade_engine.engine.inputs.inventory_page import INVENTORY, Asked
from degrade_engine.engine.pipeline import records
from degrade_engine.engine.report.finished import open_run
from degrade_engine.engine.runners.status import status
from degrade_engine.engine.sinks import check

BOMBS = {
    "lists": "[" * 100_000,
    "objects": '{"a":' * 100_000,
    "closed lists": "[" * 500 + "]" * 500,
    "digits": '{"format": ' + "9" * 5000 + "}",
    "long whole": '{"format": [1, 18446744073709551616]}',
    "long negative": '{"format": -9223372036854775809000}',
    "infinite": '{"format": 1e999}',
    "not a number": '{"format": NaN}',
}
READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "anything": ("any.json", lambda file: artefact.parse_json(file.read_bytes(), file.name)),
    "bundle.json": ("bundle.json", lambda file: open_bundle(file.parent)),
    "engine.json": ("engine.json", lambda file: sealed_engine_spec(file.parent)),
    "plan.json": ("plan.json", lambda file: status(file.parent)),
    "run.json": ("run.json", lambda file: _beside(file, "plan.json") or open_run(file.parent)),
    "weights.json": ("weights.json", read_weights),
    "cameras.json": ("cameras.json", read_cameras),
    "calibration.json": ("calibration.json", lambda file: read_precision(file, "0" * 64)),
    "rows": ("rows.jsonl", read_rows),
    "settings": ("settings", lambda file: parse_settings(file.read_text())),
}


def _beside(file: Path, name: str) -> None:
    (file.parent / name).write_text("{}")
    (file.parent / "manifest.jsonl").write_text("")


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("reader", READERS)
def test_a_bomb_is_one_sentence(tmp_path: Path, reader: str, bomb: str) -> None:
    name, read = READERS[reader]
    (tmp_path / name).write_text(bomb)
    with pytest.raises(DegradeError) as caught:
        read(tmp_path / name)
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_torn_page_of_ours_is_as_good_as_none(tmp_path: Path, bomb: str) -> None:
    (tmp_path / INVENTORY).write_text(bomb)
    asked = Asked(64, None, "size", 10**8)
    assert inventory_page.read(tmp_path, asked) is None
    first = json.dumps(asked.to_json())
    (tmp_path / INVENTORY).write_text(f"{first}\n{bomb}\n")
    assert inventory_page.read(tmp_path, asked) is None
    huge = {"path": "a.png", "bytes": 10**30, "height": 8, "width": 8}
    (tmp_path / INVENTORY).write_text(f"{first}\n{json.dumps(huge)}\n")
    assert inventory_page.read(tmp_path, asked) is None
    (tmp_path / "shards").mkdir()
    body = bomb.encode() + b"\n"
    seal = b'"sha256": "' + artefact.sha256_bytes(body).encode() + b'"}\n'
    records.shard_path(tmp_path, 0).write_bytes(body + seal)
    assert records.read(tmp_path, "0" * 64, 0) is None


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_check_names_a_manifest_that_cannot_be_read(tmp_path: Path, bomb: str) -> None:
    (tmp_path / "plan.json").write_text("{}")
    (tmp_path / "manifest.jsonl").write_text(bomb + "\n")
    (tmp_path / "gt").mkdir(), (tmp_path / "lq").mkdir()
    found = check.check(tmp_path)
    assert found.problems and all("\n" not in str(one) for one in found.problems)


TOML = {
    "lists": "noise = " + "[" * 100_000,
    "tables": "a = " + "{a = " * 100_000,
    "dots": ".".join("a" * 5000) + " = 1",
    "digits": "subsample_size = " + "9" * 5000,
    "infinite": "half_prob = inf",
    "not a number": "half_prob = nan",
    "no UTF-8": b"half_prob = \xff",
    "a kernel": "subsample_size = 9999999999",
    "kernels": "blur.sizes = [99999]",
    "a sigma": "blur.iso_sigma = [1e300, 1e300]",
    "a factor": "resize_most = 1e18",
    "noise": "noise.level_range = [0, 9223372036854775807]",
}


@pytest.mark.parametrize("text", TOML.values(), ids=TOML)
def test_settings_that_nothing_can_be_drawn_from_are_one_sentence(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DegradeError) as caught:
        degraders.open_degrader("bsrgan", path)
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


def test_ordinary_numbers_pass() -> None:
    row = {"seed": 2**64 - 1, "least": -(2**63), "small": 1e-300, "large": 1.5e300, "name": "1" * 40, "none": None}
    assert artefact.parse_json(json.dumps(row).encode(), "row") == row
    deep = json.loads("[" * limits.DEEPEST + "]" * limits.DEEPEST)
    assert artefact.parse_json(json.dumps(deep).encode(), "row") == deep
    with pytest.raises(DegradeError, match="nested too deeply. Expected: 64 levels"):
        artefact.parse_json(json.dumps([deep]).encode(), "row")
