"""Images in files of many: tars, zips, LMDBs (BasicSR's), Parquet and Arrow files with image bytes (Hugging Face's).

Nothing is unpacked: a scan finds where each image lies, a decode reads that one. Of a single tar or zip an image's name
is its path inside, so the same images make the same pairs as in a folder; of several, the archive's name comes before.
"""

from __future__ import annotations

import errno
import os
import tarfile
import threading
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from ..artefact import parse_json, read_bytes
from ..errors import BadImage, DegradeError
from ..faults import Patience
from ..images import ENDINGS
from .folders import Probe, base
from .walk import Complain

COLUMNS = ("image", "gt", "hr", "img")  # of a Parquet file with several, the first of these is meant
ROW_GROUPS = 2**29  # bytes of row groups that are kept
PICK = "#"  # behind it stands which members, or which column


@dataclass(frozen=True)
class Packed:
    """Some archives of one kind. pick: of tars, zips and LMDBs the end of the names that are meant ("gt.png"), of
    Parquet files the column."""

    name: str
    paths: tuple[Path, ...]
    pick: str = ""
    patience: Patience = Patience()
    workers: int = 4
    remote: bool = False
    _opened: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _lock: Any = field(default_factory=threading.Lock, repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return Packed, (self.name, self.paths, self.pick, self.patience)  # another process opens them for itself

    def files(self, complain: Complain) -> Iterator[str]:
        found = self._reader().members
        yield from sorted(found, key=lambda one: one.encode("utf-8", "surrogateescape"))

    def probe(self, path: str, count: int) -> Probe:
        reader = self._reader()
        size, mtime_ns = reader.facts(self._member(path))
        head = self._ask(path, lambda member: reader.bytes(member, count)) if count else b""
        return Probe(head, size, mtime_ns, None)

    def read(self, path: str) -> bytes:
        return self._ask(path, lambda member: self._reader().bytes(member, None))

    def local(self, path: str) -> None:
        return None

    def _reader(self) -> Reader:
        with self._lock:
            if "reader" not in self._opened:
                self._opened["reader"] = self.patience.ask(self.name, self._open)
            reader: Reader = self._opened["reader"]
            return reader

    def _open(self) -> Reader:
        several = len(self.paths) > 1
        archives = [(path, f"{path.stem}/" if several else "") for path in self.paths]
        return _KINDS[kind_of(self.paths[0])](archives, self.pick)

    def _member(self, path: str) -> Any:
        found = self._reader().members.get(path)
        if found is None:
            raise BadImage("missing", f"{base(path)} is not in {self.name} any more")
        return found

    def _ask(self, path: str, question: Callable[[Any], bytes]) -> bytes:
        return self.patience.ask(f"{self.name}: {path}", lambda: question(self._member(path)), None, base(path))


def kind_of(path: str | Path) -> str:
    """The ending by which a file, or an LMDB's folder, is known for one of these; "" where it is none."""
    ending = os.path.splitext(path)[1].lower()
    return ending if ending in _KINDS else ""


class Reader(ABC):
    """Archives of a kind, open. members: the images by name, with where each one lies."""

    members: dict[str, Any]

    @abstractmethod
    def __init__(self, archives: Sequence[tuple[Path, str]], pick: str) -> None:
        """archives: each with what comes before its images' names; pick: see `Packed`. Raises DegradeError, OSError."""

    @abstractmethod
    def facts(self, member: Any) -> tuple[int, int | None]:
        """Its bytes, and mtime_ns where it is known."""

    @abstractmethod
    def bytes(self, member: Any, count: int | None) -> bytes:
        """All of it, or the first `count` bytes. Raises BadImage, OSError."""


def _wanted(name: str, pick: str) -> bool:
    hidden = any(part.startswith(".") for part in name.split("/"))
    return not hidden and name.lower().endswith(ENDINGS) and name.endswith(pick)


def _inner(name: str) -> str:
    return name.removeprefix("./").lstrip("/")


class Tars(Reader):
    """By the places of their members, found from head to head."""

    def __init__(self, archives: Sequence[tuple[Path, str]], pick: str) -> None:
        self.members = {}
        self._files = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path, _ in archives]
        for number, (path, before) in enumerate(archives):
            try:
                with tarfile.open(path, "r:") as tar:
                    for head in tar:
                        name = _inner(head.name)
                        if head.isreg() and not head.issparse() and _wanted(name, pick):
                            at = number, head.offset_data, head.size, int(head.mtime * 1e9)
                            self.members[before + name] = at
            except tarfile.TarError as error:
                raise DegradeError(f"{path} is not a whole tar ({error})", wanted="a tar without compression") from None

    def facts(self, member: Any) -> tuple[int, int | None]:
        return member[2], member[3]

    def bytes(self, member: Any, count: int | None) -> bytes:
        number, offset, size, _ = member
        wanted = size if count is None else min(count, size)
        data = os.pread(self._files[number], wanted, offset)
        while len(data) < wanted and (more := os.pread(self._files[number], wanted - len(data), offset + len(data))):
            data += more
        if len(data) < wanted:
            raise OSError(errno.EIO, f"its end came after {len(data)} of {size} bytes")
        return data

    def __del__(self) -> None:
        for file in getattr(self, "_files", ()):
            os.close(file)


class Zips(Reader):
    """By their lists of contents. One member is read at a time: a zip has one reading head."""

    def __init__(self, archives: Sequence[tuple[Path, str]], pick: str) -> None:
        self.members, self._lock = {}, threading.Lock()
        for path, before in archives:
            try:
                opened = zipfile.ZipFile(path)
            except zipfile.BadZipFile as error:
                raise DegradeError(f"{path} is not a whole zip ({error})") from None
            for info in opened.infolist():
                if not info.is_dir() and _wanted(name := _inner(info.filename), pick):
                    self.members[before + name] = opened, info

    def facts(self, member: Any) -> tuple[int, int | None]:
        return member[1].file_size, None  # its times have no zone

    def bytes(self, member: Any, count: int | None) -> bytes:
        opened, info = member
        try:
            with self._lock, opened.open(info) as file:
                data: bytes = file.read(-1 if count is None else count)
                return data
        except EOFError:
            raise OSError(errno.EIO, f"its end came before that of {base(info.filename)}") from None
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
            if "Error -4" in str(error):  # zlib's word for no memory
                raise MemoryError from error
            raise BadImage("corrupt", f"{base(info.filename)} cannot be read from its zip ({error})") from error


class Lmdbs(Reader):
    """Values by their keys, as BasicSR has them: an image each."""

    def __init__(self, archives: Sequence[tuple[Path, str]], pick: str) -> None:
        _need("lmdb", "sinks", "an LMDB")
        import lmdb

        self.members = {}
        for path, before in archives:
            try:
                opened = _database(str(path.resolve()))
                with opened.begin(buffers=True) as reading:
                    for key, value in reading.cursor():
                        name = bytes(key).decode("utf-8", "surrogateescape")
                        if name.endswith(pick):
                            self.members[before + name] = opened, bytes(key), len(value)
            except lmdb.Error as error:
                raise DegradeError(f"{path} cannot be read as an LMDB ({error})") from None

    def facts(self, member: Any) -> tuple[int, int | None]:
        return member[2], None

    def bytes(self, member: Any, count: int | None) -> bytes:
        opened, key, _ = member
        with opened.begin(buffers=True) as reading:
            return bytes(reading.get(key)[:count])


_databases: WeakValueDictionary[str, Any] = WeakValueDictionary()  # LMDB lets a process open one only once


def _database(path: str) -> Any:
    import lmdb

    opened = _databases.get(path)
    if opened is None:
        opened = _databases[path] = lmdb.open(path, readonly=True, lock=False, readahead=False, create=False)
    return opened


class Tables(Reader):
    """A column of images: bytes, or a struct of bytes and path. An image is read with its row group; those that were
    read lately are kept."""

    def __init__(self, archives: Sequence[tuple[Path, str]], pick: str) -> None:
        _need("pyarrow", "parquet", "a Parquet file")
        import pyarrow as pa

        self.members, self._lock = {}, threading.Lock()
        self._kept: OrderedDict[tuple[Path, int], Any] = OrderedDict()
        self._column = ""
        for path, before in archives:
            try:
                for name, at in self._rows(path, pick):
                    self.members[before + name] = at
            except pa.ArrowException as error:
                said = " ".join(str(error).split()).rstrip(".")
                kind = "Arrow" if isinstance(self, Arrows) else "Parquet"
                raise DegradeError(f"{path} is not a whole {kind} file ({said})") from None

    def _rows(self, path: Path, pick: str) -> Iterator[tuple[str, Any]]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            self._column = self._column or _image_column(path, file.schema_arrow, pick)
            groups, row = file.num_row_groups, 0
        for group in range(groups):
            for at, value in enumerate(self._group(path, group)):
                size = len(value.as_buffer()) if value.is_valid else 0
                yield f"{row:07d}", (path, group, at, size)
                row += 1

    def _group(self, path: Path, group: int) -> Any:
        """The bytes of a row group's images, as Arrow has them."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with self._lock:
            if (path, group) not in self._kept:
                with pq.ParquetFile(path) as file:
                    table = file.read_row_group(group, columns=[self._column], use_threads=False)
                column = table[self._column].combine_chunks()
                self._kept[path, group] = column.field("bytes") if pa.types.is_struct(column.type) else column
                while len(self._kept) > 1 and sum(one.nbytes for one in self._kept.values()) > ROW_GROUPS:
                    self._kept.popitem(last=False)
            self._kept.move_to_end((path, group))
            return self._kept[path, group]

    def facts(self, member: Any) -> tuple[int, int | None]:
        return member[3], None

    def bytes(self, member: Any, count: int | None) -> bytes:
        path, group, at, _ = member
        value = self._group(path, group)[at]
        return bytes(memoryview(value.as_buffer())[:count]) if value.is_valid else b""


class Arrows(Tables):
    """The same of Arrow files, which are mapped into memory: `save_to_disk` of datasets writes them as streams."""

    def __init__(self, archives: Sequence[tuple[Path, str]], pick: str) -> None:
        self._mapped: dict[Path, Any] = {}
        super().__init__(archives, pick)

    def _rows(self, path: Path, pick: str) -> Iterator[tuple[str, Any]]:
        import pyarrow as pa

        source = pa.memory_map(str(path))
        whole = source.read_buffer(6).to_pybytes() == b"ARROW1"
        source.seek(0)
        table = (pa.ipc.open_file if whole else pa.ipc.open_stream)(source).read_all()
        self._column = self._column or _image_column(path, table.schema, pick)
        self._mapped[path] = table[self._column].chunks
        row = 0
        for chunk in range(len(self._mapped[path])):
            for at, value in enumerate(self._group(path, chunk)):
                yield f"{row:07d}", (path, chunk, at, len(value.as_buffer()) if value.is_valid else 0)
                row += 1

    def _group(self, path: Path, group: int) -> Any:
        import pyarrow as pa

        chunk = self._mapped[path][group]
        return chunk.field("bytes") if pa.types.is_struct(chunk.type) else chunk


def files_of_dataset(folder: Path) -> list[str] | None:
    """The Arrow files of a folder that `save_to_disk` of datasets wrote; None of another folder. Raises DegradeError
    for a folder of several splits, or whose state.json is none."""
    if (folder / "dataset_dict.json").is_file():
        splits = sorted(one.parent.name for one in folder.glob("*/state.json"))
        fact = f"{folder} holds the splits {', '.join(splits)}"
        raise DegradeError(fact, wanted=f"one of them, such as {folder / splits[0]}" if splits else "a data set")
    if not (folder / "state.json").is_file():
        return None
    state = parse_json(read_bytes(folder / "state.json"), "state.json")
    files = state.get("_data_files") if isinstance(state, dict) else None
    if not isinstance(files, list):
        return None
    names = [one.get("filename") if isinstance(one, dict) else None for one in files]
    if not names or not all(isinstance(name, str) and name.endswith(".arrow") and "/" not in name for name in names):
        raise DegradeError(f"{folder / 'state.json'} names no Arrow files", wanted="what `save_to_disk` wrote")
    return [str(folder / str(name)) for name in names]


def _image_column(path: Path, schema: Any, pick: str) -> str:
    import pyarrow as pa

    def is_image(kind: Any) -> bool:
        if pa.types.is_struct(kind):
            names = [kind.field(n).name for n in range(kind.num_fields)]
            return "bytes" in names and is_image(kind.field("bytes").type)
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    found = [one.name for one in schema if is_image(one.type)]
    named = [pick] if pick else [name for name in COLUMNS if name in found][:1] or found
    if len(named) == 1 and named[0] in found:
        return str(named[0])
    came = ", ".join(found) or "none"
    raise DegradeError(f"{path} has the image columns {came}", wanted=f"one of them, as {path.name}{PICK}COLUMN")


def _need(package: str, extra: str, what: str) -> None:
    if find_spec(package) is None:
        fact = f"{what} is read by the package {package}, which is not installed"
        raise DegradeError(fact, mend=f"pip install 'degrade-engine[{extra}]'")


_KINDS: dict[str, type[Reader]] = {".tar": Tars, ".zip": Zips, ".lmdb": Lmdbs, ".parquet": Tables,
                                ".arrow": Arrows}  # fmt: skip
