"""Pairs as Parquet files, as the Hugging Face Hub shows them and `datasets` loads them.

    OUT/parquet/pairs-00000.parquet    a shard, in row groups of ROW_GROUP bytes of images at most

Columns: gt and lq (each a struct of the image's bytes and its name), what a pair is made of (`metadata.FLAT`), scale,
and manifest: the pair's whole row as JSON. The file says in its schema that gt and lq are images, as `datasets` does in
the files that it writes. Images are not compressed again. One release of pyarrow makes the same bytes of the same
pairs; another one may not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ..errors import DegradeError
from .contract import HEAD, Row, check_stem, json_line, scale_of, size_of
from .metadata import FLAT, flat
from .roles import ROLES
from .shards import ShardSink

ROW_GROUP = 2**26  # bytes of images; a reader holds one row group
MAGIC = b"PAR1"  # both ends of a file


class ParquetSink(ShardSink):
    """parquet/: see the module's docstring. Memory holds one row group."""

    folders, ending = ("parquet",), "parquet"

    def _write_shard(self, file: IO[bytes], by_stem: Mapping[str, Row]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema, about = _schema(), ["name", "pair", "scale"]
        with pq.ParquetWriter(
            file, schema, use_dictionary=False, write_statistics=about, compression={"manifest": "zstd"}
        ) as writer:
            for rows in self._groups(by_stem):
                writer.write_table(pa.Table.from_pylist(rows, schema), row_group_size=len(rows))

    def _groups(self, by_stem: Mapping[str, Row]) -> Iterator[list[dict[str, Any]]]:
        """The rows of each row group."""
        rows: list[dict[str, Any]] = []
        size = 0
        for stem, row in by_stem.items():
            names = {role: f"{stem}.{role}.{self._format}" for role in ROLES}
            images = {role: self._spooled(stem, role).read_bytes() for role in ROLES}
            gt, lq = (size_of(images[role][:HEAD], names[role], self._format) for role in ROLES)
            more = sum(map(len, images.values()))
            if rows and size + more > ROW_GROUP:
                yield rows
                rows, size = [], 0
            parts = {role: {"bytes": images[role], "path": names[role]} for role in ROLES}
            facts = flat(row) | {"scale": scale_of(stem, gt, lq), "manifest": json_line(row).rstrip()}
            rows.append(parts | facts)
            size += more
        if rows:
            yield rows

    def _shard_is_whole(self, path: Path, size: int | None, empty: bool) -> bool:
        try:
            with open(path, "rb", buffering=0) as file:
                length = os.fstat(file.fileno()).st_size
                head, end = os.pread(file.fileno(), 4, 0), os.pread(file.fileno(), 8, max(0, length - 8))
        except OSError:
            return False
        footer = int.from_bytes(end[:4], "little")
        return size in (None, length) and head == end[4:] == MAGIC and footer + 12 <= length

    def _looked_at(self, path: Path, scales: set[int]) -> Iterator[str]:
        for row in read(path, ("name", "scale")):
            scales.add(row["scale"])
            yield check_stem(row["name"])


def read(path: Path, columns: Sequence[str], names: set[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a file, one row group after another; names: of row groups with one of these alone. Raises
    DegradeError for what is no such file."""
    import pyarrow.parquet as pq

    with _errors_of_arrow(path), pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            if names is not None:
                there = file.read_row_group(group, columns=["name"], use_threads=False)["name"].to_pylist()
                if names.isdisjoint(there):
                    continue
            table = file.read_row_group(group, columns=list(columns), use_threads=False)
            for batch in table.to_batches(max_chunksize=16):
                yield from batch.to_pylist()


def _schema() -> Any:
    """As `datasets` writes it: with its own word for what each column is."""
    import pyarrow as pa

    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    kinds = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "int64s": pa.list_(pa.int64())}
    fields: dict[str, Any] = {role: image for role in ROLES}
    fields |= {name: kinds[kind] for name, kind in FLAT.items()} | {"scale": pa.int64(), "manifest": pa.string()}
    page = {"info": {"features": {name: _feature(FLAT.get(name), kind) for name, kind in fields.items()}}}
    return pa.schema(fields, metadata={"huggingface": json.dumps(page)})


def _feature(flat_kind: str | None, kind: Any) -> Any:
    if flat_kind == "int64s":
        return {"feature": {"dtype": "int64", "_type": "Value"}, "_type": "List"}
    if str(kind).startswith("struct"):
        return {"_type": "Image"}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


@contextmanager
def _errors_of_arrow(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, KeyError) as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise DegradeError(f"{path} is not a whole Parquet file of pairs ({said})",
                           mend="delete it and run again") from error  # fmt: skip
