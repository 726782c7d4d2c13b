"""Does a set of pairs keep the output contract? Every image is read back, decoded once and held against its partner.

A pair is looked at by itself (`look`, in several threads), then against the rest: manifest, meta files, duplicates.
Memory holds a few pairs' pixels, and some hundred bytes a pair for names, sizes and hashes.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ..artefact import parse_json, read_bytes
from ..cores import cores
from ..errors import DegradeError
from ..images import Format, Pixels
from . import Kind, alignment, pairs
from .pairs import Problem, Sample, Say, Size

SHIFT = 0.5  # LR pixels that an LR may lie beside its HR
_HEADS = {"png": ("PNG", 0, b"\x89PNG\r\n\x1a\n"), "webp": ("lossless WebP", 8, b"WEBPVP8L")}  # name, place, bytes
FLAT = 0.5  # grey levels of standard deviation, below which an image is one colour


@dataclass(frozen=True)
class Looked:
    """What one pair is by itself. gt_size: None where the GT is no image; hashes: of the stored bytes."""

    stem: str
    problems: tuple[Problem, ...]
    gt_size: Size | None
    lq_size: Size | None
    gt: bytes
    lq: bytes
    row: bytes | None


@dataclass(frozen=True)
class Report:
    """What came of a check. shared_gt: pairs whose GT is an earlier one's because the plan drew the same crop."""

    kind: Kind
    pairs: int
    shared_gt: int
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        """The page of --json."""
        return {
            "format": "degrade-engine/check/1",
            "sink": self.kind,
            "pairs": self.pairs,
            "shared_gt": self.shared_gt,
            "ok": not self.problems,
            "by_check": dict(sorted(Counter(one.check for one in self.problems).items())),
            "problems": [asdict(one) for one in self.problems],
        }


def check(folder: Path, *, threads: int | None = None, say: Say = lambda problem: None) -> Report:
    """Read all pairs of `folder` back. threads: that decode (default: one a physical core); say: is called with each
    problem as it is found. Raises DegradeError where there are no pairs to check.
    """
    kind = pairs.kind_of(folder)
    problems: list[Problem] = []

    def found(problem: Problem) -> None:
        problems.append(problem)
        say(problem)

    whole = Whole(folder, kind, found)
    with ThreadPoolExecutor(threads or cores(), thread_name_prefix="check") as pool:
        each = partial(look, scale=whole.scale, file_format=pairs.format_of(folder))
        for looked in _in_order(pool, pairs.stream(folder, kind, found), each, 4 * (threads or cores())):
            whole.add(looked)
    whole.close()
    return Report(kind, whole.count, whole.shared_gt, tuple(problems))


def look(sample: Sample, scale: int | None, file_format: Format = "png") -> Looked:
    """One pair by itself. scale: that the plan asks for, None where it is not known; file_format: of both images. Never
    raises for bad images.
    """
    problems: list[Problem] = []

    def say(what: str, wanted: str, came: str) -> None:
        problems.append(Problem(sample.stem, what, wanted, came))

    gt, lq = (_decode(data, role, file_format, say) for role, data in (("GT", sample.gt), ("LQ", sample.lq)))
    for role, image in (("GT", gt), ("LQ", lq)):
        if image is not None:
            _flat(image, role, say)
    if gt is not None and lq is not None:
        ratio = gt.shape[0] // lq.shape[0] if scale is None else scale
        if ratio < 1 or gt.shape[:2] != (lq.shape[0] * ratio, lq.shape[1] * ratio):
            whole = "the same whole number of times" if scale is None else f"{scale} times"
            say("size", f"a GT {whole} as large as the LQ", f"{_size(gt)} and {_size(lq)}")
        elif not problems:  # an image of one colour has no place
            _aligned(gt, lq, say)
    return Looked(
        sample.stem, tuple(problems), _shape(gt), _shape(lq), _hash(sample.gt), _hash(sample.lq),
        None if sample.row is None else _hash(sample.row),
    )  # fmt: skip


class Whole:
    """What only the set shows: names, counts, sizes on record, and what comes twice."""

    def __init__(self, folder: Path, kind: Kind, say: Say) -> None:
        self._say, self.count, self.shared_gt = say, 0, 0
        self.scale, self._made = _planned(folder, say)
        self._metas = pairs.metas(folder, kind, say)
        self._manifest: dict[str, tuple[bytes, bytes]] = {}  # stem -> hash of its line, hash of its HR crop
        for row, line in pairs.rows(folder, say):
            if row["name"] in self._manifest:
                say(Problem(row["name"], "manifest", "one row", "two"))
            self._manifest[row["name"]] = _hash(line), _hash(str(row.get("hr", row["name"])).encode())
        self._has_manifest = (folder / "manifest.jsonl").is_file()
        self._seen: set[str] = set()
        self._first: dict[tuple[str, bytes], str] = {}

    def add(self, looked: Looked) -> None:
        """The next pair."""
        stem = looked.stem
        self.count += 1
        for problem in looked.problems:
            self._say(problem)
        if stem in self._seen:
            self._say(Problem(stem, "pair", "each pair once", "twice"))
        self._seen.add(stem)
        for meta in self._metas:
            size, recorded = (looked.gt_size if meta.role == "gt" else looked.lq_size), meta.sizes.get(stem)
            if size and recorded and size != recorded:
                self._say(Problem(stem, "meta", f"{recorded} as {meta.name} says", f"{size}"))
        if looked.row and self._has_manifest and looked.row != self._manifest.get(stem, (looked.row,))[0]:
            self._say(Problem(stem, "manifest", "the manifest's row beside the images", "another"))
        before = self._first.setdefault(("lq", looked.lq), stem)
        if before != stem:
            self._say(Problem(stem, "duplicate", "an LQ of its own", f"the bytes of {before}"))
        before = self._first.setdefault(("gt", looked.gt), stem)
        if before != stem and self._same_crop(stem, before):
            self.shared_gt += 1
        elif before != stem:
            self._say(Problem(stem, "duplicate", "a GT of its own", f"the bytes of {before}"))

    def close(self) -> None:
        """No more pairs: what is on record and is not there, and the reverse."""
        lists = [(meta.name, set(meta.sizes)) for meta in self._metas]
        if self._has_manifest:
            lists.append(("manifest.jsonl", set(self._manifest)))
        for name, listed in lists:
            for stem in sorted(listed - self._seen):
                self._say(Problem(stem, "count", f"a whole pair, since {name} names it", "none"))
            for stem in sorted(self._seen - listed):
                self._say(Problem(stem, "count", f"a line in {name}", "none"))
        if self._made is not None and self._made != self.count:
            self._say(Problem("run.json", "count", f"{self._made} pairs", f"{self.count}"))
        if not self.count:
            self._say(Problem("set", "count", "pairs", "not one"))

    def _same_crop(self, stem: str, before: str) -> bool:
        rows = (self._manifest.get(stem), self._manifest.get(before))
        return rows[0] is not None and rows[1] is not None and rows[0][1] == rows[1][1]


def _in_order(
    pool: ThreadPoolExecutor, samples: Iterable[Sample], each: Callable[[Sample], Looked], ahead: int
) -> Iterator[Looked]:
    waiting: deque[Future[Looked]] = deque()
    for sample in samples:
        waiting.append(pool.submit(each, sample))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _planned(folder: Path, say: Say) -> tuple[int | None, int | None]:
    """The scale of plan.json and the number of pairs of run.json; None where they are not said."""
    found: list[int | None] = []
    for name, key in (("plan.json", "scale"), ("run.json", "pairs")):
        value: Any = None
        if (folder / name).is_file():
            try:
                page = parse_json(read_bytes(folder / name), name)
                value = page.get(key) if isinstance(page, dict) else None
            except DegradeError as error:
                say(Problem(name, "run", "the page of a finished run", error.fact))
        else:
            say(Problem(name, "run", "the page of a finished run", "none"))
        found.append(value if isinstance(value, int) else None)
    return found[0], found[1]


def _decode(data: bytes, role: str, file_format: Format, say: Any) -> Pixels | None:
    """uint8 [H, W, 3], or None for what is no whole 8-bit RGB PNG or lossless WebP."""
    kind, at, head = _HEADS[file_format]
    wanted = f"{role} as a whole 8-bit RGB {kind}"
    if data[at : at + len(head)] != head:
        say("mode", wanted, f"no {kind}" if data else "no bytes")
        return None
    try:
        with Image.open(io.BytesIO(data), formats=(file_format.upper(),)) as image:
            image.load()
            mode, extras = image.mode, {"icc_profile", "exif", "transparency"} & image.info.keys()
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        say("mode", wanted, f"one that cannot be decoded ({error})")
        return None
    bits = data[24] if file_format == "png" else 8
    if mode != "RGB" or bits != 8:
        say("mode", wanted, f"{bits} bits, {mode}")
        return None
    if extras:
        say("mode", f"{role} without profile, EXIF or transparency", ", ".join(sorted(extras)))
    return pixels


def _flat(image: Pixels, role: str, say: Any) -> None:
    mean, deviation = (values.ravel() for values in cv2.meanStdDev(image))
    if deviation.max() < FLAT:
        came = "black" if mean.max() < 1 else f"one colour ({', '.join(f'{value:.0f}' for value in mean)})"
        say("constant", f"a {role} with a picture", came)


def _aligned(gt: Pixels, lq: Pixels, say: Any) -> None:
    sharp = alignment.bring_down(gt, lq)
    difference, allowed = alignment.colour_shift(sharp, lq)
    if np.abs(difference).max() > allowed:
        moved = ", ".join(f"{value:+.0f}" for value in difference)
        say("colour", f"mean R, G, B of the LQ within {allowed:.0f} levels of the GT's", moved)
    down, right = alignment.shift(sharp, lq)
    if np.hypot(down, right) > SHIFT:
        say("shift", f"an LQ within {SHIFT} pixels of the GT", f"{down:+.1f} down, {right:+.1f} right")


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _shape(image: Pixels | None) -> Size | None:
    return None if image is None else (image.shape[0], image.shape[1])


def _size(image: Pixels) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
