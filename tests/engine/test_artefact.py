"""Strict JSON refuses what does not fit and names the place; writing leaves whole files only."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from degrade_engine.engine import artefact
from degrade_engine.engine.errors import DegradeError


@dataclass(frozen=True)
class Inner:
    x: float
    y: int | None


@dataclass(frozen=True)
class Outer:
    name: str
    kind: Literal["a", "b"]
    inner: tuple[Inner, ...]
    sizes: dict[str, int]
    pair: tuple[int, str]
    on: bool = True


VALUE = Outer("n", "a", (Inner(1.5, None), Inner(2.0, 3)), {"h": 4}, (1, "z"))


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "outer.json"
    artefact.write_json_atomic(path, VALUE)
    assert artefact.read_json(Outer, path) == VALUE
    assert [p.name for p in tmp_path.iterdir()] == ["outer.json"]
    assert artefact.sha256_file(path) == artefact.sha256_bytes(path.read_bytes())


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda d: d.update(extra=1), "'extra' is unknown"),
        (lambda d: d.pop("on"), "'on' is missing"),
        (lambda d: d.update(kind="c"), "o.json: kind is"),
        (lambda d: d.update(on=1), "o.json: on is 1"),
        (lambda d: d["inner"][1].update(x="2"), "o.json: inner[1].x is"),
        (lambda d: d["inner"][1].update(z=0), "o.json: inner[1] the key 'z' is unknown"),
        (lambda d: d["inner"][0].update(y=1.5), "o.json: inner[0].y is 1.5"),
        (lambda d: d["sizes"].update(h=True), "o.json: sizes.h is true"),
        (lambda d: d.update(pair=[1]), "o.json: pair is [1]"),
        (lambda d: d.update(name=None), "o.json: name is null"),
    ],
)
def test_misfits_name_the_place(change, place: str) -> None:  # type: ignore[no-untyped-def]
    data = json.loads(json.dumps(artefact.to_json(VALUE)))
    change(data)
    with pytest.raises(DegradeError) as error:
        artefact.from_json(Outer, data, "o.json")
    assert place in str(error.value)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": NaN}', '{"a": 1', '{"a": 1}}', "\xff"])
def test_broken_json(text: str) -> None:
    with pytest.raises(DegradeError):
        artefact.parse_json(text.encode("latin-1"), "x.json")


def test_nan_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DegradeError):
        artefact.write_json_atomic(tmp_path / "a.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_new_folder_is_whole_or_absent(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "thing"
    with pytest.raises(KeyError), artefact.new_folder(out, "it.json") as folder:
        (folder / "it.json").write_text("{}")
        raise KeyError
    assert list(out.parent.iterdir()) == []
    for text in ("1", "2"):
        with artefact.new_folder(out, "it.json") as folder:
            (folder / "it.json").write_text(text)
    assert (out / "it.json").read_text() == "2"
    assert [p.name for p in out.parent.iterdir()] == ["thing"]


def test_a_strangers_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("x")
    with (
        pytest.raises(DegradeError, match="holds no it.json"),
        artefact.new_folder(tmp_path / "photos", "it.json"),
    ):
        raise AssertionError("unreachable")
    assert (tmp_path / "photos" / "a.jpg").exists()


def test_tool_versions() -> None:
    versions = artefact.tool_versions()
    assert {"python", "numpy", "degrade-engine"} <= set(versions)


def test_a_device_or_a_pipe_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    devices = (Path("/dev/null"), Path("/dev/stdout"), Path("/proc/self/fd/1"))
    for path in (tmp_path / "pipe", tmp_path / "folder", *devices):
        with pytest.raises(DegradeError, match="not a regular file"):
            artefact.write_bytes_atomic(path, b"x")
    assert (tmp_path / "pipe").is_fifo() and Path("/dev/null").is_char_device()


def test_temporary_names_cannot_be_foretold(tmp_path: Path) -> None:
    """What lies beside an artefact under the names of earlier versions is neither followed nor removed."""
    seen = set()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    (tmp_path / f".out.{os.getpid()}.tmp").symlink_to(tmp_path / "precious")
    (tmp_path / f".out.{os.getpid()}.old").symlink_to(tmp_path / "precious")
    for _ in range(3):
        with artefact.new_folder(tmp_path / "out", "page.json") as folder:
            seen.add(folder.name)
            (folder / "page.json").write_text("{}")
    assert len(seen) == 3 and all(len(name.split(".")[2]) == 16 for name in seen)
    assert (tmp_path / "precious" / "file").read_text() == "mine"
    assert sorted(one.name for one in tmp_path.iterdir() if not one.is_symlink()) == ["out", "precious"]


def test_a_link_under_the_temporary_name_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / f".a.json.{artefact.process_name()}.tmp").symlink_to(tmp_path / "precious")
    with pytest.raises(FileExistsError):
        artefact.write_bytes_atomic(tmp_path / "a.json", b"{}")
    assert (tmp_path / "precious").read_text() == "mine"
