"""The messages of `generate`: for people, for machines, and fewer or more of them."""

from __future__ import annotations

import json
import os
import platform
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from degrade_engine.cli import main
from degrade_engine.commands import generate
from degrade_engine.engine import images, room


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for n in range(3):
        (folder / f"{n}.png").write_bytes(images.encode_png(rng.integers(0, 256, (80, 80, 3), np.uint8)))
    (folder / "torn.png").write_bytes(b"no image")
    return folder


def words(photos: Path, out: Path, *more: object) -> list[str]:
    some = ["generate", "--degrader", "bicubic", "--lr-size", 16, "--hr", photos, "--out", out, "--pairs", 40,
            "--threads", 1, *more]  # fmt: skip
    return [str(one) for one in some]


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(one) for one in text.splitlines()]


def test_json_lines_have_time_host_pid_and_event(photos: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(words(photos, tmp_path / "a", "--pairs", 400, "--log-format", "json", "--log-every", 0.001, "-v")) == 0
    told = capsys.readouterr()
    said = events(told.err)
    assert told.out == ""
    for one in said:
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["time"])
        assert (one["host"], one["pid"]) == (platform.node(), os.getpid()) and one["text"]
    named = {one["event"]: one for one in said}
    assert {"plan", "left-out", "progress", "forecast", "finished"} <= set(named)
    assert named["left-out"]["reason"] == "not_an_image" and "torn.png" in named["left-out"]["text"]
    assert named["finished"] | {"pairs": 400, "asked": 400, "exit_code": 0} == named["finished"]
    assert named["forecast"]["needed"] > 0 and named["forecast"]["files"]["gt"] == 400


def test_a_mistake_is_an_event_and_an_exit_code(photos: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(words(photos / "none", tmp_path / "a", "--log-format", "json")) == 2
    last = events(capsys.readouterr().err)[-1]
    assert last["event"] == "error" and last["exit_code"] == 2 and "none" in last["text"]


def test_quiet_says_nothing_of_a_run_that_goes_well(photos: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(words(photos, tmp_path / "a", "--quiet", "--log-every", 0.001)) == 0
    assert capsys.readouterr() == ("", "")
    assert main(words(photos / "none", tmp_path / "b", "-q")) == 2
    assert capsys.readouterr().err.startswith("Error: ")


def test_after_two_batches_hours_disk_and_files_are_said(photos: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(words(photos, tmp_path / "a", "--pairs", 400)) == 0
    said = capsys.readouterr().err
    found = re.search(
        r"Time: less than a minute for (\d+) more pairs at .* pairs/s\. Disk: about (.*) (kB|MB) needed, .* free\. "
        r"Files: 400 in each of gt/, lq/\.",
        said,
    )
    assert found, said
    size = sum(path.stat().st_size for role in ("gt", "lq") for path in (tmp_path / "a" / role).iterdir())
    assert 0.9 < float(found[2]) * {"kB": 1e3, "MB": 1e6}[found[3]] / (size * int(found[1]) / 400) < 1.1


def test_a_dry_run_says_what_is_known(photos: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(words(photos, tmp_path / "a", "--dry-run", "--sink", "webdataset", "--pairs", 4000)) == 0
    said = capsys.readouterr().out
    raw = 4000 * 17 * 3 * 16 * 16
    assert f"Disk: about {0.55 * raw / 1e6:.0f} MB needed (reckoned with 0.55 bytes per raw byte)" in said
    assert "Files: 32 in webdataset/." in said and "Time: known after the first two batches." in said


def test_a_disk_that_is_too_small_is_warned_of(
    photos: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = os.statvfs_result((4096, 4096, 10, 9, 1, 100, 50, 50, 0, 255))
    monkeypatch.setattr(room.os, "statvfs", lambda _: full)
    assert main(words(photos, tmp_path / "a", "--quiet")) == 0
    assert re.match(r"Warning: the disk is too small: about .* kB needed, 4\.1 kB free\.", capsys.readouterr().err)
    many = os.statvfs_result((4096, 4096, 10, 9, 10**9, 100, 50, 50, 0, 255))
    monkeypatch.setattr(room.os, "statvfs", lambda _: many)
    assert main(words(photos, tmp_path / "b", "--dry-run")) == 0
    assert "room for 50 more files, and the run makes 8" in capsys.readouterr().err


def test_the_ratio_is_the_measured_one(root: Path) -> None:
    rows = [json.loads(line) for line in (root / "bench/results/formats.jsonl").read_text().splitlines()]
    share = {row["way"]: row["share"] for row in rows if row["what"] == "HR 512"}
    for way in ("PNG fast", "PNG level 2"):
        assert share[way] <= room.SHARES["png"] < share[way] + 0.02
    assert share["WebP"] <= room.SHARES["webp"] < share["WebP"] + 0.02
    assert abs(room.PNG_SHARES[1] - share["PNG level 1"]) < 0.01


def test_an_option_may_come_from_the_environment(
    photos: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEGRADE_ENGINE_GENERATE_OUT", str(tmp_path / "there"))
    monkeypatch.setenv("DEGRADE_ENGINE_GENERATE_LOG_FORMAT", "json")
    some = words(photos, tmp_path)
    at = some.index("--out")
    assert main(some[:at] + some[at + 2 :]) == 0
    assert (tmp_path / "there" / "run.json").is_file() and events(capsys.readouterr().err)[-1]["event"] == "finished"


def test_stopping_is_one_write() -> None:
    from rich.console import Console

    from degrade_engine.generation.logs import Log

    page = json.loads(Log(Console(), "json").line("stopping", generate.STOPPING, signal=15))
    assert page["event"] == "stopping" and page["signal"] == 15
    assert Log(Console()).line("stopping", generate.STOPPING) == f"\n{generate.STOPPING}\n".encode()
