"""A set as the Hugging Face library `datasets` loads it from its folder: paired columns, and nothing of extra/."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from degrade_engine.cli import main
from degrade_engine.engine import sinks
from degrade_engine.engine.images import read_rgb
from degrade_engine.engine.sinks import card, parquet
from degrade_engine.engine.sinks.contract import stem_of

from ..pair_sets import PAIRS, generate, photographs

pytest.importorskip("datasets", reason="needs the package datasets")

LOAD = """
import hashlib, json, sys
import datasets

def rows(folder, columns, streaming):
    for row in datasets.load_dataset(folder, split="train", streaming=streaming):
        found = {key: value for key, value in row.items() if key not in columns}
        hashes = {key: hashlib.sha256(row[key].tobytes()).hexdigest() for key in columns}
        yield found | {key: [list(row[key].size), one] for key, one in hashes.items()}

whole = []
for folder, columns in json.loads(sys.argv[1]):
    whole.append(list(rows(folder, columns, False)))
    assert whole[-1] == list(rows(folder, columns, True)), folder
print(json.dumps(whole))
"""
CASES = {
    "folder": ("folder", ["gt", "lq"], ()), "webdataset": ("webdataset", ["gt.png", "lq.png"], ()),
    "parquet": ("parquet", ["gt", "lq"], ()), "folder, webp": ("folder", ["gt", "lq"], ("--format", "webp")),
    "webdataset, webp": ("webdataset", ["gt.webp", "lq.webp"], ("--format", "webp")),
    "lq alone": ("folder", ["lq"], ("--gt", "none")),
}  # fmt: skip


def load(sets: list[tuple[Path, list[str]]], cache: Path) -> list[list[dict[str, Any]]]:
    """In a process of its own, which reaches no network: the rows of each folder with these columns of images, images
    as their size and the hash of their RGB. Streamed they are the same."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(cache), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    asked = json.dumps([[str(folder), columns] for folder, columns in sets])
    line = [sys.executable, "-c", LOAD, asked]
    done = subprocess.run(line, capture_output=True, text=True, env=os.environ | offline, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos") / "hr", 72)


def hashed(path: Path) -> list[Any]:
    pixels = read_rgb(path)
    return [[pixels.shape[1], pixels.shape[0]], hashlib.sha256(pixels.tobytes()).hexdigest()]


@pytest.fixture(scope="module")
def loaded(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[dict[str, Any]]]]:
    """A folder with a set of each case and with one in plain files, `plain`, and what `datasets` made of each."""
    made = tmp_path_factory.mktemp("sets")
    assert generate("folder", photos, made / "plain", degrader="bsrgan") == 0
    for name, (kind, _, more) in CASES.items():
        assert generate(kind, photos, made / name, *more, degrader="bsrgan") == 0
        shutil.copytree(made / "plain" / "gt", made / name / "extra" / "candidate0")  # what a run with candidates has
    rows = load([(made / name, columns) for name, (_, columns, _) in CASES.items()], made / "cache")
    return made, dict(zip(CASES, rows, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_datasets_loads_the_folder_as_pairs(loaded, name):
    """bsrgan, whose records have other fields from pair to pair, which `datasets` cannot put into one column."""
    (made, found), (kind, columns, _) = loaded, CASES[name]
    out, plain = made / name, made / "plain"
    rows = {row.get("name") or row["__key__"]: row for row in found[name]}
    assert list(sorted(rows)) == [stem_of(n) for n in range(PAIRS)]
    manifest = [json.loads(line) for line in open(out / "manifest.jsonl")]
    for row in manifest:
        found = rows[row["name"]]
        for column in columns:
            assert found[column] == hashed(plain / column.partition(".")[0] / f"{row['name']}.png")
        if kind != "webdataset":
            assert (found["hr_path"], found["hr_crop"]) == (row["hr"]["path"], row["hr"]["crop"])
            assert found["pair"] == row["pair"] and found["reference_path"] is None
        if kind == "parquet":
            assert json.loads(found["manifest"]) == row and found["scale"] == 4


def test_datasets_does_not_take_an_lmdb_for_something_else(photos, tmp_path):
    out = tmp_path / "out"
    assert generate("lmdb", photos, out) == 0
    (out / "extra" / "start").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(out / "extra" / "start" / "0000000.png")
    with pytest.raises(AssertionError, match="gt.lmdb"):
        load([(out, [])], tmp_path / "cache")


def test_a_card_that_somebody_has_edited_stays(photos, tmp_path):
    out = tmp_path / "out"
    assert generate("folder", photos, out) == 0
    written = (out / "README.md").read_text()
    assert written.startswith("---\nlicense: unknown\n") and f"{PAIRS} pairs: HR of 64 x 64 pixels" in written
    (out / "README.md").write_text(written.replace("unknown", "cc-by-4.0", 1))
    assert generate("folder", photos, out) == 0 and (out / "README.md").read_text() == written
    mine = written.replace(card.OURS, "").replace("unknown", "cc-by-4.0", 1)
    (out / "README.md").write_text(mine)
    assert generate("folder", photos, out) == 0 and (out / "README.md").read_text() == mine


def test_row_groups_of_bounded_size(tmp_path, monkeypatch):
    """A shard of many or large pairs has several row groups. Who looks for a pair reads its group alone."""
    import pyarrow.parquet as pq

    monkeypatch.setattr(parquet, "ROW_GROUP", 45_000)
    dice, sink = np.random.default_rng(0), sinks.open_sink("parquet", tmp_path)
    gts = dice.integers(0, 256, (8, 64, 64, 3), np.uint8)  # noise: 12 kB each
    for n, gt in enumerate(gts):
        sink.write(stem_of(n), gt, gt[::4, ::4])
    rows = [{"name": stem_of(n)} for n in range(8)]
    sink.commit(0, rows)
    sink.finish(rows, [])
    path = tmp_path / "parquet" / "pairs-00000.parquet"
    sizes = [pq.ParquetFile(path).metadata.row_group(n).num_rows for n in range(pq.ParquetFile(path).num_row_groups)]
    assert sizes == [3, 3, 2]
    found = [row["name"] for row in parquet.read(path, ["name"], {stem_of(4)})]
    assert found == [stem_of(n) for n in (3, 4, 5)]
    rows = list(parquet.read(path, ["name", "gt", "lq"]))
    for row, gt in zip(rows, gts, strict=True):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(row["gt"]["bytes"]))), gt)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(row["lq"]["bytes"]))), gt[::4, ::4])


def test_a_parquet_file_that_is_cut_or_strange_is_said(photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert generate("parquet", photos, out) == 0
    path = out / "parquet" / "pairs-00000.parquet"
    whole = path.read_bytes()
    (out / "parquet" / "Thumbs.db").touch()
    for data in (b"", whole[: len(whole) // 2], whole[:-8] + b"\0" * 8, b"<html>" * 50):
        path.write_bytes(data)
        capsys.readouterr()
        assert main(["check", str(out)]) == 1
        said = capsys.readouterr().out
        assert "pairs-00000.parquet: file: wanted a whole Parquet file" in said and "Thumbs.db" in said
    (out / "parquet" / "Thumbs.db").unlink()
    assert generate("parquet", photos, out) == 0 and path.read_bytes() == whole
