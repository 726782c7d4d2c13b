"""Folders that no run made: pairs found by what the names say, and refused in a sentence where they say nothing."""

from __future__ import annotations

from pathlib import Path, PurePath

import cv2
import lmdb
import numpy as np
import pytest

from degrade_engine.cli import main
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.images import encode_png, resize_bicubic
from degrade_engine.engine.sinks import layouts
from degrade_engine.engine.sinks.check import check
from degrade_engine.engine.sinks.pairs import Problem
from degrade_engine.engine.sinks.roles import place_of, role_of

from ..pair_sets import generate, photograph, photographs

LAYOUTS = {  # names of GT and LQ of pair N, the name by which the pair goes
    "DIV2K": ("DIV2K_train_HR/{:04}.png", "DIV2K_train_LR_bicubic/X4/{:04}x4.png", "{:04}"),
    "DIV2K, unknown and mild": ("DIV2K_train_HR/{:04}.png", "DIV2K_train_LR_mild/{:04}x4m.png", "{:04}"),
    "DIV2K in short": ("HR/{:04}.png", "LR_bicubic/X4/{:04}x4.png", "{:04}"),
    "BasicSR, sub-images": ("DIV2K_train_HR_sub/{:04}_s001.png", "DIV2K_train_LR_bicubic/X4_sub/{:04}_s001.png",
                            "{:04}_s001"),
    "BasicSR, test sets": ("Set5/GTmod12/{:04}.png", "Set5/LRbicx4/{:04}.png", "{:04}"),
    "BasicSR, suffixes": ("gt/{:04}.png", "lq/{:04}x4.png", "{:04}"),
    "capitals": ("GT/{:04}.PNG", "LQ/{:04}.PNG", "{:04}"),
    "RealSR": ("Canon/Train/4/Canon_{:03}_HR.png", "Canon/Train/4/Canon_{:03}_LR4.png", "Canon_{:03}_HR"),
    "City100": ("HR/{:03}H.PNG", "LR/{:03}L.PNG", "{:03}H"),
    "folders in roles": ("data/hr/scene/{:03}.png", "data/lr/scene/{:03}.png", "{:03}"),
    "roles in folders": ("scene {}/target/a.png", "scene {}/input/a.png", "scene {}/input/a.png"),
}  # fmt: skip
COUNT = 5


def put(folder: Path, name: str, pixels: np.ndarray) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(np.ascontiguousarray(pixels)))


def write(folder: Path, gt: str, lq: str) -> list[np.ndarray]:
    """Five right pairs, LR size 40; returns their LR."""
    lows = []
    for n in range(COUNT):
        sharp = photograph(n, 160)[:, :160]
        lows.append(resize_bicubic(sharp, (40, 40)))
        put(folder, gt.format(n), sharp)
        put(folder, lq.format(n), lows[-1])
    return lows


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_checked_as_what_it_is(tmp_path, layout, capsys):
    gt, lq, name = LAYOUTS[layout]
    lows = write(tmp_path, gt, lq)
    (tmp_path / "readme.txt").write_text("a set")
    assert main(["check", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{COUNT} pairs (files): no problem\n"
    put(tmp_path, lq.format(3), lows[1])
    put(tmp_path, lq.format(2), lows[2][:, ::-1])
    put(tmp_path, lq.format(0), lows[0][:-2])
    assert main(["check", str(tmp_path)]) == 1
    said = {(one.name, one.check) for one in check(tmp_path).problems}
    wrong = [(name.format(0), "size"), (name.format(2), "turned"), (name.format(3), "picture")]
    assert said == {*wrong, (name.format(3), "duplicate")}
    owner = next(one for one in check(tmp_path).problems if one.check == "picture")
    assert owner.came == f"the picture of {name.format(1)}"


def test_several_lr_of_one_hr(tmp_path):
    for scale in (2, 4):
        for n in range(3):
            sharp = photograph(n, 160)[:, :160]
            put(tmp_path, f"HR/{n}.png", sharp)
            put(tmp_path, f"LR_bicubic/X{scale}/{n}x{scale}.png", resize_bicubic(sharp, (160 // scale,) * 2))
    report = check(tmp_path)
    assert (report.pairs, report.shared_gt, report.problems) == (6, 3, ())
    (tmp_path / "LR_bicubic/X2/1x2.png").write_bytes((tmp_path / "LR_bicubic/X2/0x2.png").read_bytes())
    assert {one.name for one in check(tmp_path).problems} == {"LR_bicubic/X2/1x2.png"}


def test_train_and_test_with_the_same_names(tmp_path):
    for n, part in enumerate(("train", "test")):
        sharp = photograph(n, 160)[:, :160]
        put(tmp_path, f"{part}_HR/1.png", sharp)
        put(tmp_path, f"{part}_LR/1.png", resize_bicubic(sharp, (40, 40)))
    assert (check(tmp_path).pairs, check(tmp_path).problems) == (2, ())


def test_images_without_a_partner_are_named(tmp_path):
    write(tmp_path, "HR/{}.png", "LR/{}.png")
    put(tmp_path, "HR/alone.png", photograph(9, 160))
    put(tmp_path, "LR/lonely.png", photograph(9, 40))
    for n in range(3):
        put(tmp_path, f"valid_HR/v{n}.png", photograph(9, 160))
    assert sorted(map(str, check(tmp_path).problems)) == [
        "HR/alone.png: pair: wanted LQ of the same name, came none",
        "LR/lonely.png: pair: wanted GT of the same name, came none",
        "valid_HR: pair: wanted LQ of the same names, came none for any of its 3 images",
    ]


def test_other_kinds_of_files_are_read_and_damaged_ones_named(tmp_path):
    lows = write(tmp_path, "HR/{}.png", "LR/{}.png")
    (tmp_path / "LR/0.png").unlink()
    quality = [cv2.IMWRITE_JPEG_QUALITY, 90]
    (tmp_path / "LR/0.jpg").write_bytes(cv2.imencode(".jpg", lows[0][..., ::-1], quality)[1].tobytes())
    (tmp_path / "LR/1.bmp").write_bytes(cv2.imencode(".bmp", lows[1][..., ::-1])[1].tobytes())
    (tmp_path / "LR/1.png").unlink()
    assert check(tmp_path).problems == ()
    whole = (tmp_path / "LR/2.png").read_bytes()
    (tmp_path / "LR/2.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "LR/3.png").write_bytes(b"")
    assert [(one.name, one.check) for one in check(tmp_path).problems] == [("2", "mode"), ("3", "mode")]


def test_databases_under_basicsr_s_names(tmp_path):
    for name, side in (("DIV2K_train_HR_sub", 160), ("DIV2K_train_LR_bicubic_X4_sub", 40)):
        lines = []
        with lmdb.open(str(tmp_path / f"{name}.lmdb"), map_size=2**26) as database, database.begin(write=True) as all_:
            for n in range(COUNT):
                pixels = resize_bicubic(photograph(n, 160)[:, :160], (side, side))
                all_.put(f"{n:04}_s001".encode(), encode_png(pixels))
                lines.append(f"{n:04}_s001.png ({side},{side},3) 1\n")
        (tmp_path / f"{name}.lmdb" / "meta_info.txt").write_text("".join(lines))
    report = check(tmp_path)
    assert (report.kind, report.pairs, report.problems) == ("lmdb", COUNT, ())


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "holds no pairs: 0 GT and 0 LQ images by their names, and 0 that name no role"),
        (["a/1.png", "b/1.png"], "holds no pairs: 0 GT and 0 LQ images by their names, and 2 that name no role"),
        (["HR/1.png", "HR/2.png"], "holds no pairs: 2 GT and 0 LQ images"),
        (["HR/1.png", "LR/2.png"], "holds 1 GT and 1 LQ images, of which no two share a name"),
    ],
)
def test_what_is_no_set_is_refused_in_a_sentence(tmp_path, names, said, capsys):
    for name in names:
        put(tmp_path, name, photograph(0, 32))
    assert main(["check", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert said in error and "image folders whose names say HR or GT and LR or LQ" in error
    assert "Traceback" not in error


def test_a_folder_of_runs_is_refused_by_their_names(tmp_path, capsys):
    assert generate("folder", photographs(tmp_path / "photos", 160), tmp_path / "runs" / "one") == 0
    assert main(["check", str(tmp_path / "runs")]) == 2
    assert "holds runs in folders of their own, such as one" in capsys.readouterr().err


def test_linked_folders_are_gone_into_once(tmp_path):
    write(tmp_path / "elsewhere", "a/{}.png", "b/{}.png")
    there = tmp_path / "set"
    there.mkdir()
    (there / "HR").symlink_to(tmp_path / "elsewhere" / "a")
    (there / "LR").symlink_to(tmp_path / "elsewhere" / "b")
    (there / "again").symlink_to(there)
    assert (check(there).pairs, check(there).problems) == (COUNT, ())


def test_roles_are_whole_words():
    said = {"HR": "gt", "lr4": "lq", "LRbicx4": "lq", "train_HR": "gt", "chrome": None, "Targets": "gt", "HR_LR": None}
    said |= {"lrs": None, "input": "lq", "ValidationGT": "gt", "highlights": None, "": None}
    assert {name: role_of(name) for name in said} == said
    assert place_of(PurePath("max4.png")) is None
    assert place_of(PurePath("HR/max4.png")).key == ("max4",)
    assert place_of(PurePath("LR/0801x4w2.png")).key == ("0801",)


def test_the_names_of_pairs_are_told_apart(tmp_path):
    write(tmp_path, "a/HR/{}.png", "a/LR/{}.png")
    write(tmp_path, "b/HR/{}.png", "b/LR/{}.png")
    problems: list[Problem] = []
    names = [one.name for one in layouts.find(tmp_path, problems.append)]
    assert names == [f"{folder}/LR/{n}.png" for folder in "ab" for n in range(COUNT)] and problems == []
    with pytest.raises(DegradeError, match="share a name"):
        for path in (tmp_path / "a" / "LR").iterdir():
            path.rename(path.with_name("other" + path.name))
        layouts.find(tmp_path / "a", problems.append)
