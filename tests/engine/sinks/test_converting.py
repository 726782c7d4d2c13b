"""A set in SeeSR's layout: three folders of the same names."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from degrade_engine.cli import main
from degrade_engine.engine.images import read_rgb

from ..pair_sets import KINDS, PAIRS, generate, photographs, put


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos") / "hr", 72)


@pytest.mark.parametrize(("kind", "more"), [*((kind, ()) for kind in KINDS), ("folder", ("--format", "webp"))])
def test_seesr_gets_its_three_folders(photos, tmp_path, kind, more):
    out, plain, seesr = tmp_path / "out", tmp_path / "plain", tmp_path / "seesr"
    assert generate(kind, photos, out, *more) == generate("folder", photos, plain) == 0
    assert main(["convert", str(out), "--to", "seesr", "-o", str(seesr)]) == 0
    names = [f"{n:07d}.png" for n in range(PAIRS)]
    assert sorted(os.listdir(seesr)) == ["convert.json", "gt", "sr_bicubic", "tag"]
    assert sorted(os.listdir(seesr / "gt")) == sorted(os.listdir(seesr / "sr_bicubic")) == names
    assert sorted(os.listdir(seesr / "tag")) == [name.replace(".png", ".txt") for name in names]
    for name in names:
        gt, low = (read_rgb(plain / role / name) for role in ("gt", "lq"))
        assert np.array_equal(read_rgb(seesr / "gt" / name), gt)
        large = read_rgb(seesr / "sr_bicubic" / name)
        assert large.shape == gt.shape
        assert np.array_equal(large, cv2.resize(low, (64, 64), interpolation=cv2.INTER_CUBIC))
    if kind == "folder" and not more:
        assert os.path.samefile(seesr / "gt" / names[0], out / "gt" / names[0])


def test_what_cannot_be_converted_is_said_and_nothing_is_left(photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert generate("folder", photos, out) == 0
    put(out, "folder", "0000003", "lq", None)
    words = ["convert", str(out), "--to", "seesr", "-o", str(tmp_path / "seesr")]
    assert main(words) == 2
    assert "0000003" in capsys.readouterr().err and not (tmp_path / "seesr").exists()
    (tmp_path / "seesr").mkdir()
    (tmp_path / "seesr" / "mine.txt").touch()
    assert main(words) == 2 and "holds something" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "hr"), "--to", "seesr", "-o", str(tmp_path / "no")]) == 2
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
