"""Sets of pairs for the tests of sinks, check and status: made by `generate` without networks, and changed by hand."""

from __future__ import annotations

import io
import tarfile
from importlib.util import find_spec
from pathlib import Path

import cv2
import lmdb
import numpy as np

from degrade_engine.cli import main
from degrade_engine.engine import images

PARQUET = find_spec("pyarrow") is not None
KINDS = ("folder", "lmdb", "webdataset", *(["parquet"] if PARQUET else []))
FOREVER = ("shards", "run.json")  # hold seconds, which differ from run to run
PAIRS = 20


def photograph(seed: int, side: int) -> np.ndarray:
    """uint8 [side, side + 6, 3]: structure at every scale, so that a shift and a tint can be seen."""
    dice = np.random.default_rng(seed)
    total = np.full((side, side + 6, 3), 110.0)
    for cells, strength in ((4, 25), (12, 25), (40, 20)):
        grid = dice.uniform(-1, 1, (cells, cells, 3))
        total += strength * cv2.resize(grid, (side + 6, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(total, 0, 255).astype(np.uint8)


def photographs(folder: Path, side: int) -> Path:
    """A folder of four of them."""
    folder.mkdir(parents=True)
    for n in range(4):
        (folder / f"{n}.png").write_bytes(images.encode_png(photograph(n, side)))
    return folder


def words(kind: str, photos: Path, out: Path, *more: object, degrader: str = "bicubic") -> list[str]:
    """The command line of a run of 20 pairs in two shards, one thread."""
    usual = ["--pairs", PAIRS, "--shard-pairs", 16, "--threads", 1, "--lr-size", 16]
    said = ["generate", "--degrader", degrader, "--sink", kind, "--hr", photos, "--out", out, *usual, *more]
    return [str(word) for word in said]


def generate(kind: str, photos: Path, out: Path, *more: object, degrader: str = "bicubic") -> int:
    return main(words(kind, photos, out, *more, degrader=degrader))


def tree(folder: Path) -> dict[str, bytes]:
    """Relative path -> bytes of every file that a repeated run has to give again."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return {name: data for name, data in found.items() if name.split("/")[0] not in FOREVER}


def stored(out: Path, kind: str, stem: str, role: str, ending: str = "png") -> bytes:
    """The bytes of an image. role: gt or lq."""
    if kind == "folder":
        return (out / role / f"{stem}.{ending}").read_bytes()
    if kind == "lmdb":
        with lmdb.open(str(out / f"{role}.lmdb"), readonly=True, lock=False) as database, database.begin() as reading:
            return reading.get(stem.encode())
    if kind == "parquet":
        return next(row[role]["bytes"] for rows in _tables(out).values() for row in rows if row["name"] == stem)
    name = f"{stem}.{role}.{ending}"
    return next(members[name] for members in _tars(out).values() if name in members)


def put(out: Path, kind: str, stem: str, role: str, data: bytes | None, ending: str = "png") -> None:
    """Change an image, or take it out; one that is new goes to the end."""
    if kind == "folder":
        path = out / role / f"{stem}.{ending}"
        path.unlink() if data is None else path.write_bytes(data)
    elif kind == "lmdb":
        with lmdb.open(str(out / f"{role}.lmdb"), map_size=2**28, lock=False) as database:
            with database.begin(write=True) as writing:
                writing.delete(stem.encode()) if data is None else writing.put(stem.encode(), data)
    elif kind == "parquet":
        tables = _tables(out)
        path = next((path for path, rows in tables.items() if stem in [row["name"] for row in rows]), max(tables))
        rows = [row for row in tables[path] if row["name"] == stem] or [tables[path][-1] | {"name": stem}]
        image = None if data is None else {"bytes": data, "path": f"{stem}.{role}.{ending}"}
        others = [row for row in tables[path] if row["name"] != stem]
        write_table(path, sorted([*others, rows[0] | {role: image}], key=lambda row: row["name"]))
    else:
        tars = _tars(out)
        name = f"{stem}.{role}.{ending}"
        path = next((path for path, members in tars.items() if name in members), max(tars))
        if data is None:
            del tars[path][name]
        else:
            tars[path][name] = data
        write_tar(path, tars[path])


def _tars(out: Path) -> dict[Path, dict[str, bytes]]:
    found: dict[Path, dict[str, bytes]] = {}
    for path in sorted((out / "webdataset").glob("*.tar")):
        with tarfile.open(path) as tar:
            found[path] = {one.name: tar.extractfile(one).read() for one in tar}
    return found


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            head = tarfile.TarInfo(name)
            head.size = len(data)
            tar.addfile(head, io.BytesIO(data))


def _tables(out: Path) -> dict[Path, list[dict]]:
    import pyarrow.parquet as pq

    return {path: pq.ParquetFile(path).read().to_pylist() for path in sorted((out / "parquet").glob("*.parquet"))}


def write_table(path: Path, rows: list[dict]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(path)), path)
