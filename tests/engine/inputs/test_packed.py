"""Images in tars, zips, LMDBs and Parquet files: the same as in a folder, and what is wrong is said."""

from __future__ import annotations

import json
import pickle
import shutil
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import lmdb
import numpy as np
import pytest

from degrade_engine.engine import images
from degrade_engine.engine.errors import BadImage, DegradeError, MachineFault
from degrade_engine.engine.faults import Patience
from degrade_engine.engine.inputs import inventory, places, sources
from degrade_engine.engine.inputs.globs import braces
from degrade_engine.engine.inputs.packed import Packed

from ..pair_sets import KINDS, generate, photograph, tree

NAMES = ["a.png", "b/c.png", "b/d.jpg", "é.png"]
ARROW = pytest.mark.skipif(find_spec("pyarrow") is None, reason="needs pyarrow")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images, and what is passed over."""
    root = tmp_path_factory.mktemp("photos") / "hr"
    for n, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(images.encode_png(photograph(n, 80 + n)))
    (root / "b" / "notes.txt").write_text("no image")
    (root / ".hidden.png").write_bytes(b"no image")
    return root


def tar(path: Path, photos: Path, names: list[str]) -> Path:
    with tarfile.open(path, "w") as file:
        for name in names:
            file.add(photos / name, f"./{name}" if name == "a.png" else name)
    return path


def all_names(photos: Path) -> list[str]:
    return [path.relative_to(photos).as_posix() for path in sorted(photos.rglob("*")) if path.is_file()]


def archives(photos: Path, folder: Path) -> dict[str, Path]:
    """The same images in a tar and a zip."""
    tar(folder / "all.tar", photos, all_names(photos))
    with zipfile.ZipFile(folder / "ALL.ZIP", "w", zipfile.ZIP_DEFLATED) as file:
        for name in all_names(photos):
            file.write(photos / name, name)
    return {"tar": folder / "all.tar", "zip": folder / "ALL.ZIP"}


def database(path: Path, photos: Path) -> Path:
    """As BasicSR writes one: a key is a name without its ending."""
    with lmdb.open(str(path), map_size=2**26) as opened, opened.begin(write=True) as writing:
        for n, name in enumerate(NAMES):
            writing.put(f"{n:04d}_s001".encode(), (photos / name).read_bytes())
    return path


def table(path: Path, photos: Path, names: list[str], column: str = "image", plain: bool = False, **more) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = [(photos / name).read_bytes() for name in names]
    images_ = pa.array(data) if plain else pa.array([{"bytes": one, "path": None} for one in data])
    pq.write_table(pa.table({column: images_, "label": list(range(len(data))), **more}), path, row_group_size=2)
    return path


def saved(folder: Path, photos: Path, shards: int = 1, **columns: str) -> Path:
    """By datasets itself. columns: what each holds, as the name of a photograph's."""
    datasets = pytest.importorskip("datasets", reason="needs the extra test")
    data = {
        "label": list(range(4)),
        **{key: [str(photos / name) for name in NAMES[:4]] for key in columns or ["image"]},
    }
    made = datasets.Dataset.from_dict(data)
    for key in columns or ["image"]:
        made = made.cast_column(key, datasets.Image())
    made.save_to_disk(str(folder), num_shards=shards)
    return folder


@pytest.mark.parametrize("shards", [1, 2])
def test_what_datasets_saved_to_a_disk_is_read(photos, tmp_path, shards):
    where = saved(tmp_path / "set", photos, shards)
    found = inventory.scan(str(where), duplicates="keep")
    assert len(found.entries) == 4 and not found.rejects
    for one, name in zip(found.entries, NAMES, strict=False):
        assert np.array_equal(pixels(found.place, one.path), images.read_rgb(photos / name))
    assert pickle.loads(pickle.dumps(found.place)).read(found.entries[2].path) == found.place.read(
        found.entries[2].path
    )
    assert generate("folder", where, tmp_path / "out", degrader="camera") == 0
    single = inventory.scan(str(next(where.glob("*.arrow"))), duplicates="keep")
    assert len(single.entries) == 4 // shards


def test_of_several_columns_and_splits_one_is_asked_for(photos, tmp_path):
    where = saved(tmp_path / "set", photos, low="", deep="")
    with pytest.raises(DegradeError, match="image columns"):
        inventory.scan(str(where))
    assert len(inventory.scan(f"{where}#deep", duplicates="keep").entries) == 4
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "dataset_dict.json").write_text('{"splits": ["train"]}')
    where.rename(tmp_path / "all" / "train")
    with pytest.raises(DegradeError, match="holds the splits train"):
        inventory.scan(str(tmp_path / "all"))
    next((tmp_path / "all" / "train").glob("*.arrow")).write_bytes(b"torn")
    with pytest.raises(DegradeError, match="not a whole Arrow file"):
        inventory.scan(f"{tmp_path}/all/train#deep")


def pixels(place, path: str) -> np.ndarray:
    return images.read_rgb(images.Encoded(path, place.read(path)))


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_one_archive_makes_the_pairs_of_the_folder(photos, tmp_path, kind):
    where = archives(photos, tmp_path)[kind]
    wanted, found = inventory.scan(photos), inventory.scan(str(where))
    assert (found.entries, found.rejects) == (wanted.entries, wanted.rejects) and len(wanted.entries) == 4
    for one in wanted.entries:
        assert np.array_equal(pixels(found.place, one.path), images.read_rgb(photos / one.path))
    again = pickle.loads(pickle.dumps(found.place))  # in a worker
    assert again.read("b/c.png") == (photos / "b/c.png").read_bytes()
    assert inventory.scan(where).entries == wanted.entries  # a Path, too
    for name, source in (("folder", photos), ("packed", where)):
        assert generate("folder", source, tmp_path / name, degrader="camera") == 0
    assert tree(tmp_path / "folder") == tree(tmp_path / "packed")
    assert generate("folder", where, tmp_path / "two", "--processes", 2, degrader="camera") == 0
    assert tree(tmp_path / "two") == tree(tmp_path / "folder")


@pytest.mark.parametrize(
    "where", ["shard-{000..002}.tar", "shard-*.tar", "shard-00[0-2].tar", "shard-{000,001,002}.tar"]
)
def test_several_tars_are_one_place(photos, tmp_path, where):
    for n in range(3):
        tar(tmp_path / f"shard-{n:03d}.tar", photos, NAMES[n : n + 2])
    found = inventory.scan(f"{tmp_path}/{where}", duplicates="keep")
    wanted = [f"shard-{n:03d}/{name}" for n in range(3) for name in sorted(NAMES[n : n + 2], key=str.encode)]
    assert [one.path for one in found.entries] == wanted and not found.rejects
    for path in wanted:
        assert np.array_equal(pixels(found.place, path), images.read_rgb(photos / path.partition("/")[2]))


def test_webdataset_tars_of_our_own_are_read_by_role(photos, tmp_path, capsys):
    """All of their images would be HR and LR mixed, which is refused; behind # stands which are meant."""
    assert generate("webdataset", photos, tmp_path / "set", "--lr-size", 20) == 0
    where = f"{tmp_path}/set/webdataset/pairs-{{00000..00001}}.tar"
    found = inventory.scan(f"{where}#gt.png")
    assert len(found.entries) + sum(one.reason == "duplicate" for one in found.rejects) == 20
    assert all(one.path.endswith(".gt.png") and one.height == 80 for one in found.entries)
    assert {one.height for one in inventory.scan(f"{where}#lq.png").entries} == {20}
    capsys.readouterr()
    assert generate("folder", where, tmp_path / "out", "--lr-size", 8, "--scale", 2) == 2
    assert "HR and LR of one another, such as pairs-00000/" in capsys.readouterr().err
    assert generate("folder", f"{where}#gt.png", tmp_path / "out") == 0


def test_an_lmdb_is_read_by_its_keys(photos, tmp_path):
    where = database(tmp_path / "hr.lmdb", photos)
    found, twice = inventory.scan(str(where)), inventory.scan(where)  # at once, as HR and as references
    assert [one.path for one in found.entries] == [f"{n:04d}_s001" for n in range(4)] == [e.path for e in twice.entries]
    for n, name in enumerate(NAMES):
        assert np.array_equal(pixels(found.place, f"{n:04d}_s001"), images.read_rgb(photos / name))
    assert generate("folder", where, tmp_path / "out", "--processes", 2, degrader="camera") == 0
    assert json.loads((tmp_path / "out" / "run.json").read_text())["pairs"] == 20
    assert generate("lmdb", photos, tmp_path / "set") == 0  # and our own
    assert len(inventory.scan(str(tmp_path / "set" / "gt.lmdb"), duplicates="keep").entries) == 20


@ARROW
@pytest.mark.parametrize("plain", [False, True])
def test_parquet_files_are_read_by_their_image_column(photos, tmp_path, plain):
    for n in range(2):
        table(tmp_path / f"train-{n}.parquet", photos, [*NAMES, NAMES[n]], plain=plain)
    found = inventory.scan(f"{tmp_path}/*.parquet", duplicates="keep")
    assert [one.path for one in found.entries] == [f"train-{n}/{row:07d}" for n in range(2) for row in range(5)]
    for row, name in enumerate([*NAMES, NAMES[1]]):
        assert np.array_equal(pixels(found.place, f"train-1/{row:07d}"), images.read_rgb(photos / name))
    again = pickle.loads(pickle.dumps(found.place))
    assert again.read("train-0/0000002") == (photos / NAMES[2]).read_bytes()
    one = inventory.scan(str(tmp_path / "train-0.parquet"), duplicates="keep")
    assert [entry.path for entry in one.entries] == [f"{row:07d}" for row in range(5)]
    assert generate("folder", tmp_path / "train-0.parquet", tmp_path / "out", degrader="camera") == 0


@ARROW
def test_a_column_among_several_is_named_behind_a_sign(photos, tmp_path):
    import pyarrow as pa

    other = pa.array([(photos / NAMES[0]).read_bytes(), None])
    where = table(tmp_path / "a.parquet", photos, NAMES[1:3], "low", True, deep=other)
    with pytest.raises(DegradeError, match="image columns low, deep. Expected: one of them, as a.parquet#COLUMN"):
        inventory.scan(str(where))
    assert [one.height for one in inventory.scan(f"{where}#low").entries] == [81, 82]
    found = inventory.scan(f"{where}#deep")
    assert [one.height for one in found.entries] == [80] and [one.reason for one in found.rejects] == ["empty"]
    with pytest.raises(DegradeError, match="image columns low, deep"):
        inventory.scan(f"{where}#label")


def test_what_is_wrong_with_an_archive_is_said(photos, tmp_path, capsys):
    whole = archives(photos, tmp_path)
    damaged = bytearray(whole["zip"].read_bytes())
    with zipfile.ZipFile(whole["zip"]) as file:
        at = file.getinfo("b/c.png").header_offset + 200
    damaged[at : at + 40] = bytes(40)
    (tmp_path / "damaged.zip").write_bytes(damaged)
    found = inventory.scan(str(tmp_path / "damaged.zip"), identity="sha256")
    assert [(one.path, one.reason) for one in found.rejects] == [("b/c.png", "corrupt")] and len(found.entries) == 3
    data = whole["tar"].read_bytes()
    (tmp_path / "cut.tar").write_bytes(data[: len(data) // 2 + 100])
    (tmp_path / "no.tar").write_bytes(b"<html>" * 1000)
    (tmp_path / "no.zip").write_bytes(b"<html>" * 1000)
    with tarfile.open(tmp_path / "packed.tar", "w:gz") as file:
        file.add(photos / "a.png", "a.png")
    (tmp_path / "empty.lmdb").mkdir()
    (tmp_path / "bad.lmdb").mkdir()
    (tmp_path / "bad.lmdb" / "data.mdb").write_bytes(b"<html>" * 1000)
    for where, said in {
        "no.tar": "not a whole tar", "packed.tar": "a tar without compression", "no.zip": "not a whole zip",
        "gone.tar": "gone.tar is not there", "gone-{0..2}.tar": "gone-0.tar is not there", "gone-*.zip": "no file fits",
        "bad.lmdb": "cannot be read as an LMDB", "empty.lmdb": "there is no hr image in",
        "{all.tar,ALL.ZIP}": "several kinds",
    }.items():  # fmt: skip
        capsys.readouterr()
        assert generate("folder", tmp_path / where, tmp_path / "out", "--patience", 0.1) == 2, where
        err = capsys.readouterr().err
        assert said in err and "Traceback" not in err, (where, err)
    assert not (tmp_path / "out").exists()


def test_a_tar_that_shrinks_after_the_scan_is_a_fault_and_not_a_bad_image(photos, tmp_path):
    where = archives(photos, tmp_path)["tar"]
    place = places.at(str(where), Patience(0.1))
    assert isinstance(place, Packed) and len(list(place.files(lambda *_: None))) == 4
    with open(where, "r+b") as file:
        file.truncate(2000)
    with pytest.raises(MachineFault, match="its end came after"):
        place.read("é.png")
    with pytest.raises(BadImage):
        place.read("gone.png")


def test_a_folder_may_have_any_name(photos, tmp_path):
    for name in ("x.tar", "y.zip", "z.lmdb", "{1..3}", "a#b.tar"):
        shutil.copytree(photos, tmp_path / name)
        assert inventory.scan(str(tmp_path / name)).entries == inventory.scan(photos).entries, name


def test_a_folder_of_archives_says_how_to_read_them(photos, tmp_path, capsys):
    tar(tmp_path / "shard-0.tar", photos, NAMES)
    assert generate("folder", tmp_path, tmp_path / "out") == 2
    assert f"read its archives as '{tmp_path}/*.tar'" in capsys.readouterr().err


def test_braces() -> None:
    assert braces("a-{08..10}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar"]
    assert braces("{a,b}/{0..1}") == ["a/0", "a/1", "b/0", "b/1"]
    for text in ("a", "{}", "{a}", "{3..1}", "{0..99999999999}", "{a..c}", "{,}"):
        assert braces(text) == [text]


def div2k(root: Path) -> Path:
    for n in range(3):
        for folder, side, name in (
            ("DIV2K_train_HR", 160, f"{n:04d}.png"), ("DIV2K_train_LR_bicubic/X2", 80, f"{n:04d}x2.png"),
            ("DIV2K_train_LR_bicubic/X4", 40, f"{n:04d}x4.png"),
        ):  # fmt: skip
            (root / folder).mkdir(parents=True, exist_ok=True)
            (root / folder / name).write_bytes(images.encode_png(photograph(n + side, side)))
    return root


def test_the_root_of_div2k_is_not_all_hr(tmp_path, capsys):
    """Its LR were taken for HR without a word."""
    root = div2k(tmp_path / "DIV2K")
    for role in ("hr", "reference"):
        with pytest.raises(DegradeError, match="HR and LR of one another"):
            sources._scan(places.at(root), role, 16, sources.How())
    assert generate("folder", root, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "such as DIV2K_train_HR/0000.png and DIV2K_train_LR_bicubic/X" in said and not (tmp_path / "out").exists()
    for where in (root / "DIV2K_train_HR", f"{root}/*_HR/*.png", root / "DIV2K_train_LR_bicubic" / "X2"):
        assert generate("folder", where, tmp_path / Path(where).name.replace("*", "_")) == 0


def test_names_that_only_sound_like_roles_are_no_partners(photos, tmp_path):
    for name in ("GT 86.png", "LR-defender.png", "input/1.png", "target/2.png", "lr/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(images.encode_png(photograph(len(name), 90)))
    entries, _ = sources._scan(places.at(tmp_path), "hr", 16, sources.How())
    assert len(entries) == 5


def test_kinds_of_sinks_are_read_back_as_hr(photos, tmp_path):
    """What one run wrote, another reads."""
    for kind, where in (("folder", "gt"), ("lmdb", "gt.lmdb"), ("webdataset", "webdataset/*.tar#gt.png"),
                        ("parquet", "parquet/*.parquet#gt")):  # fmt: skip
        if kind in KINDS:
            assert generate(kind, photos, tmp_path / kind) == 0
            found = inventory.scan(f"{tmp_path}/{kind}/{where}")
            assert found.entries and {one.height for one in found.entries} == {64}
