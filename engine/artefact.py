"""Strict JSON for frozen dataclasses, hashes, and writing that either happens whole or not at all.

Every artefact has a JSON sidecar. `from_json` accepts exactly the fields of the dataclass: a missing key,
an unknown key, a key given twice, NaN or a value of the wrong type is an error that names the place, such
as "engine.json: parts.denoiser.inputs[0].dtype".
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import time
import types
import typing
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import field, fields, is_dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin

import platformdirs

from . import limits
from .errors import DegradeError

if TYPE_CHECKING:
    from .objects import Out

T = TypeVar("T")
CACHE = "DEGRADE_ENGINE_CACHE"  # the environment variable that moves the cache
TOOLS = (
    "degrade-engine",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "onnx",
    "torch",
    "tensorrt",
    "tensorrt-rtx",
)


# ---------------------------------------------------------------------------------------------- hashes


def sha256_bytes(data: bytes) -> str:
    """Hex SHA-256 of the bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """Hex SHA-256 of the canonical JSON (sorted keys, no spaces) of a dataclass or plain value."""
    text = json.dumps(to_json(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256_bytes(text.encode())


def tool_versions() -> dict[str, str]:
    """Versions of Python and of those of our tools that are installed here; nothing is imported for it."""
    versions = {"python": platform.python_version()}
    for name in TOOLS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # not installed is a fact about this machine, not a fault
    return versions


# ------------------------------------------------------------------------------------------ strict JSON


def to_json(value: Any) -> Any:
    """A frozen dataclass, and what it holds, as plain JSON values; key order is field order."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def from_json(cls: type[T], data: Any, where: str) -> T:
    """The dataclass `cls` out of parsed JSON, every key required. `where` names the file in the errors."""
    return typing.cast(T, _read(cls, data, where + ":"))


def read_json(cls: type[T], path: Path) -> T:
    """The dataclass `cls` out of a JSON file. DegradeError if it is missing, broken or does not fit."""
    return from_json(cls, parse_json(read_bytes(path), path.name), path.name)


def read_page(cls: type[T], path: Path, mend: str) -> tuple[T, bytes]:
    """The dataclass `cls`, whose field `format` names it, out of a JSON file; and the file's bytes. DegradeError as of
    `read_json`, and for another format, with `mend`."""
    data = read_bytes(path)
    page, (wanted,) = parse_json(data, path.name), get_args(typing.get_type_hints(cls)["format"])
    if isinstance(page, dict) and page.get("format") != wanted:
        raise DegradeError(f"{path} has the format {repr(page.get('format'))[:80]}", wanted=repr(wanted), mend=mend)
    return from_json(cls, page, path.name), data


def read_bytes(path: Out) -> bytes:
    """A file's or an object's bytes, or a DegradeError that says why not."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DegradeError(f"{path} cannot be read ({error.strerror or error})") from error


def parse_json(data: bytes, where: str) -> Any:
    """Parsed JSON; a key that comes twice, NaN, Infinity and what `limits` refuses are errors as well."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            raise DegradeError(f"{where}: the key {next(k for k in keys if keys.count(k) > 1)!r} comes twice")
        return found

    def refuse(constant: str) -> Any:
        raise DegradeError(f"{where}: the value {constant} is no JSON number")

    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DegradeError(f"{where} is not valid JSON ({error})", mend="make the artefact again") from error
    except RecursionError:
        raise limits.too_deep(where) from None
    except ValueError:  # Python's own limit, of 4300 digits
        raise limits.too_long(where) from None
    limits.within(data, found, where)
    return found


def _read(kind: Any, data: Any, where: str) -> Any:
    if kind is Any:
        return data
    origin, args = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _read_dataclass(typing.cast(type, kind), data, where)
    if origin is Literal:
        if data not in args or isinstance(data, bool) != isinstance(args[0], bool):
            raise _misfit(where, data, " or ".join(repr(a) for a in args))
        return data
    if origin in (Union, types.UnionType):
        for choice in args:
            try:
                return _read(choice, data, where)
            except DegradeError:
                continue  # the next member of the union may fit
        raise _misfit(where, data, " or ".join(getattr(a, "__name__", str(a)) for a in args))
    if origin in (list, tuple):
        if not isinstance(data, list):
            raise _misfit(where, data, "a list")
        if origin is list and args[0] in (int, str) and all(type(item) is args[0] for item in data):
            return data  # most of a shard's record
        kinds = [args[0]] * len(data) if origin is list or args[-1] is Ellipsis else list(args)
        if len(kinds) != len(data):
            raise _misfit(where, data, f"a list of {len(kinds)}")
        return origin(_read(k, item, f"{where}[{i}]") for i, (k, item) in enumerate(zip(kinds, data, strict=True)))
    if origin is dict or kind is dict:
        if not isinstance(data, dict):
            raise _misfit(where, data, "an object")
        return {key: _read(args[1], item, _under(where, key)) for key, item in data.items()} if args else data
    return _read_plain(kind, data, where)


def _read_plain(kind: Any, data: Any, where: str) -> Any:
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    wanted = type(None) if kind is None else kind
    if type(data) is not wanted:  # not isinstance: True is an int to Python and not to us
        raise _misfit(where, data, getattr(wanted, "__name__", str(wanted)))
    return data


def later(default: Any) -> Any:
    """A field of an artefact's page that pages written before it do not have; there it is `default`."""
    return field(default=default, metadata={"later": True})


def _read_dataclass(cls: type, data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise _misfit(where, data, "an object")
    names = [field.name for field in fields(cls)]
    unknown = [key for key in data if key not in names]
    missing = [one.name for one in fields(cls) if one.name not in data and "later" not in one.metadata]
    if unknown:
        raise DegradeError(
            f"{where} the key {unknown[0]!r} is unknown", wanted=f"only {', '.join(names)}", mend="make it again"
        )
    if missing:
        raise DegradeError(f"{where} the key {missing[0]!r} is missing", mend="make the artefact again")
    kinds = typing.get_type_hints(cls)
    return cls(**{name: _read(kinds[name], data[name], _under(where, name)) for name in names if name in data})


def _under(where: str, key: str) -> str:
    return f"{where} {key}" if where.endswith(":") else f"{where}.{key}"


def _misfit(where: str, data: Any, wanted: str) -> DegradeError:
    shown = json.dumps(data, default=str)
    return DegradeError(f"{where} is {shown if len(shown) < 80 else shown[:77] + '...'}", wanted=wanted)


# --------------------------------------------------------------------------------------- atomic writing


def process_name() -> str:
    """HOST-PID-MACHINE-RANDOM: names this process among all that share a disk, and its unfinished files. Process
    numbers alone would not: in containers most are 1.
    """
    return _process_name(os.getpid())


@cache
def _process_name(pid: int) -> str:  # asked for anew after a fork
    host = re.sub(r"[^A-Za-z0-9]", "_", platform.node())[:40] or "host"
    return f"{host}-{pid}-{this_machine()}-{secrets.token_hex(4)}"


@cache
def this_machine() -> str:
    """Eight hex digits for the kernel that runs here, since its start: containers on it share them."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:  # not Linux
        name = f"{platform.node()} {uuid.getnode()}"
    return sha256_bytes(name.encode())[:8]


def make_folder(folder: Path, under: Path | None = None) -> None:
    """Makes a folder and those above it, while other processes may remove the empty ones. under: one that has to be
    there already. Raises OSError.
    """
    for again in reversed(range(1000)):
        if under is not None and not under.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(under))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return
        except (FileNotFoundError, FileExistsError):
            if not again:
                raise
            time.sleep(0.001)


def write_bytes_atomic(path: Out, data: bytes) -> None:
    """Writes to a temporary name beside `path`, flushes it to the disk, renames. Readers see old or new,
    never half. The temporary name says whose it is, for whoever finds it after a kill. An object is put as a whole.
    """
    write_lines_atomic(path, [data])


def write_lines_atomic(path: Out, lines: Iterable[bytes]) -> None:
    """`write_bytes_atomic` of what is made while it is written. Each line brings its own end. DegradeError where a
    device or a pipe has the name: a rename would take its place."""
    if not isinstance(path, Path):
        path.put(b"".join(lines))
        return
    _check_replaceable_file(path)
    temporary = path.with_name(f".{path.name}.{process_name()}.tmp")
    try:
        with open(temporary, "xb") as file:  # never through a link that lies there
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _check_replaceable_file(path: Path) -> None:
    folder = os.path.realpath(path.parent)
    if folder == "/dev" or folder.startswith("/proc/") or (path.exists() and not path.is_file()):
        raise DegradeError(
            f"{path} exists and is not a regular file", wanted="a new name, or a file that may be replaced"
        )


def write_json_atomic(path: Out, value: Any) -> None:
    """A dataclass or plain value as indented UTF-8 JSON, atomically. NaN is refused."""
    try:
        text = json.dumps(to_json(value), indent=1, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DegradeError(f"{path.name} cannot be written as JSON ({error})") from error
    write_bytes_atomic(path, (text + "\n").encode())


@contextmanager
def new_folder(out: Path, sidecar: str) -> Iterator[Path]:
    """A temporary folder beside `out` that becomes `out` when the block ends well, and else vanishes.

    An existing `out` is replaced only if it is one of ours (it holds `sidecar`) or empty; else DegradeError.
    """
    check_replaceable(out, sidecar)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(8)}.tmp")  # a name that nobody can have laid there
    temporary.mkdir()
    try:
        yield temporary
        move_folder(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(out: Path, sidecar: str) -> None:
    """DegradeError if `out` exists and is neither empty nor an artefact of ours."""
    if out.is_dir() and not (out / sidecar).is_file() and any(out.iterdir()):
        raise DegradeError(
            f"{out} exists and holds no {sidecar}", mend="choose another output folder, or empty this one"
        )
    if out.exists() and not out.is_dir():
        raise DegradeError(f"{out} exists and is a file", mend="choose another output folder")


def move_folder(folder: Path, out: Path) -> None:
    """Renames `folder` to `out`; an `out` that is there is moved aside first and removed last."""
    old = out.with_name(f".{out.name}.{secrets.token_hex(8)}.old")
    if out.exists():
        os.replace(out, old)
    os.replace(folder, out)
    shutil.rmtree(old, ignore_errors=True)


def sweep(out: Path) -> None:
    """Removes what killed processes left of `new_folder(out)`. Only for whoever holds the lock of `out` (lock.py)."""
    ours = re.compile(rf"\.{re.escape(out.name)}\.[0-9a-f]{{16}}\.(tmp|old)")
    for left in [one for one in out.parent.iterdir() if ours.fullmatch(one.name)]:
        shutil.rmtree(left, ignore_errors=True)


def cache_path(folder: str | Path | None = None) -> Path:
    """Where the cache is: engines and bundles of models, timings of a GPU, all of which can be made again.

    folder: None: the environment variable DEGRADE_ENGINE_CACHE, else the user's own.
    """
    found = folder or os.environ.get(CACHE) or platformdirs.user_cache_path("degrade-engine", appauthor=False)
    return Path(found).expanduser().absolute()


def cache_folder(folder: str | Path | None = None) -> Path:
    """`cache_path`, made if it is not there. DegradeError where that cannot be."""
    path = cache_path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fact = f"the cache folder {path} cannot be made ({error.strerror or error})"
        raise DegradeError(fact, mend=f"--cache FOLDER, or set {CACHE}") from error
    return path
