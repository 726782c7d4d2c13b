"""What a bundle says about itself: `bundle.json` as frozen dataclasses (engine.json is in engine_spec.py).

A bundle holds the network parts of one model as ONNX files with dynamic batch, height and width. For each
part it says how often it runs, and that word lets one runtime drive every kind of model:

    reference   once a reference image      degradation:    image -> f_deg
    pair        once a pair                 content:        image -> f_cont
                                            modulation:     f_cont, f_deg -> condition
                                            reconstruction: f_cont, f_deg -> image
    candidate   once a candidate            (none in RealDGen; the filter runs the extractors again by itself)
    step        once a denoising step       denoiser:       x_t, t, condition -> eps

These are RealDGen's. SynDiff has a denoiser alone, x_t, t -> eps: it reads no reference, and there is nothing to filter
by. LWay has no steps: two calls make a pair,

    reference   degradation: image -> f_deg       pair    reconstruction: content, f_deg -> image

where content is what RealDGen's E_cont sees, the HR brought to LR size.
UDDM has two branches, whose weighted sum is the LR:

    pair        condition: image -> condition    pddm: hr, z -> lr_pddm    (the HR at its own size, and noise)
    step        denoiser:  x_t, t, condition -> eps

Parts are listed in the order in which they run. Their outer tensors are float32 (t int32) whatever the
precision within.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from .artefact import from_json, later, parse_json, read_bytes, sha256_bytes, sha256_file
from .errors import DegradeError
from .schedule import Schedule

BUNDLE_JSON = "bundle.json"
Format = Literal["degrade-engine/bundle/2"]
Precision = Literal["fp32", "fp16", "bf16"]
Start = Literal["reconstruction", "bicubic", "realesrgan"]
Runs = Literal["reference", "pair", "candidate", "step"]
Kind = Literal["realdgen", "syndiff", "lway", "uddm"]
PARTS: dict[Kind, tuple[str, ...]] = {
    "realdgen": ("degradation", "content", "modulation", "reconstruction", "denoiser"),
    "syndiff": ("denoiser",),
    "lway": ("degradation", "reconstruction"),
    "uddm": ("condition", "pddm", "denoiser"),
}
IMAGES = ("image", "lr_pddm")  # outputs of a part that are LR images
OUTER = ("image", "content", "hr", "z", "x_t", "t")  # tensors that no part makes
EXTRACTORS = ("degradation", "content")  # what the filter runs again on every candidate


@dataclass(frozen=True)
class TensorSpec:
    """One input or output. shape: whole numbers, "batch", "height", "width", a part of one, "height/4", or a multiple,
    "4*height"."""

    name: str
    dtype: Literal["float32", "int32", "uint8"]
    shape: tuple[int | str, ...]

    def resolve(self, batch: int, height: int, width: int) -> tuple[int, ...]:
        """The shape in numbers. DegradeError for an unknown word or a size that does not divide."""
        known = {"batch": batch, "height": height, "width": width}
        return tuple(d if isinstance(d, int) else _dimension(d, known, self.name) for d in self.shape)


def read_dimension(text: str) -> tuple[str, int, int] | None:
    """A dimension's word, what it is multiplied by and what it is divided by; None for what is no dimension."""
    found = re.fullmatch(r"(?:([1-9]\d*)\*)?(batch|height|width)(?:/([1-9]\d*))?", text)
    return found and (found[2], int(found[1] or 1), int(found[3] or 1))


def _dimension(text: str, known: dict[str, int], name: str) -> int:
    dimension = read_dimension(text)
    if dimension is None:
        raise DegradeError(
            f"Tensor {name!r} has a dimension {text!r}",
            wanted='"batch", "height", "width", or such as "height/4" or "4*height"',
        )
    word, times, by = dimension
    if known[word] % by:
        raise DegradeError(f"Tensor {name!r} needs {text}, and {word} is {known[word]}", wanted=f"a multiple of {by}")
    return times * known[word] // by


@dataclass(frozen=True)
class FileRef:
    """A file of the artefact: path within its folder with forward slashes, hex SHA-256, size in bytes."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class PartSpec:
    """One network: how often it runs, its tensors, and its files.

    A bundle has an ONNX file in each precision, "fp32" always; an engine has one, "engine".
    """

    runs: Runs
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    files: dict[str, FileRef]


@dataclass(frozen=True)
class Preprocessing:
    """What the networks expect: 8-bit sRGB as x = u8/127.5 - 1, NCHW.

    E_cont sees the HR resampled to LR size with an antialiased bicubic; E_deg sees a crop of the reference,
    never resampled, since that would change its degradation.
    """

    colour: Literal["srgb"] = "srgb"
    layout: Literal["nchw"] = "nchw"
    low: float = -1.0
    high: float = 1.0
    content: Literal["bicubic-antialiased"] = "bicubic-antialiased"
    reference: Literal["crop"] = "crop"


@dataclass(frozen=True)
class FilterWeights:
    """Weights of the filter's two normalised squared distances (RealDGen A.6; the paper gives none)."""

    degradation: float = 1.0
    content: float = 1.0


@dataclass(frozen=True)
class BundleSpec:
    """bundle.json.

    schedule: of the diffusion; not read where a kind has no steps. lr_multiple: LR height and width must be multiples
    of it. starts: the start images that make sense. licence: of the weights, an SPDX identifier or words; commercial:
    whether they may be used commercially, None where the checkpoint's card does not say. card: free form, the training
    card. parent: {"checkpoint_sha256": …}, and "calibration_sha256" where one was used. tools: the versions that made
    it. islands: layers that a calibration keeps in FP32 in the fp16 files, beyond those that always are.
    """

    kind: Kind
    schedule: Schedule
    lr_multiple: int
    starts: tuple[Start, ...]
    parts: dict[str, PartSpec]
    licence: str
    card: dict[str, Any]
    parent: dict[str, str]
    tools: dict[str, str]
    filter: FilterWeights = field(default_factory=FilterWeights)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    islands: tuple[str, ...] = ()
    commercial: bool | None = later(None)
    format: Format = "degrade-engine/bundle/2"

    def __post_init__(self) -> None:
        check_parts(self.kind, self.parts, BUNDLE_JSON)
        if self.lr_multiple < 1:
            raise DegradeError(f"{BUNDLE_JSON}: lr_multiple is {self.lr_multiple}", wanted="1 or more")


@dataclass(frozen=True)
class Bundle:
    """An opened bundle. sha256 is that of bundle.json, which holds the hash of every other file."""

    folder: Path
    spec: BundleSpec
    sha256: str

    def file(self, part: str, precision: Precision = "fp32") -> Path:
        """The ONNX file of a part. DegradeError if the bundle has none in that precision."""
        files = self.spec.parts[part].files
        if precision not in files:
            raise DegradeError(f"{self.folder} has no {precision} file of {part}", wanted=f"one of {', '.join(files)}")
        return self.folder / files[precision].path


def open_bundle(folder: Path, *, verify: bool = True) -> Bundle:
    """Reads bundle.json and (verify) checks every file's size and hash. DegradeError for what is off."""
    path = Path(folder) / BUNDLE_JSON
    if not path.is_file():
        raise DegradeError(f"{folder} holds no {BUNDLE_JSON}", wanted="a bundle made by `degrade-engine export`")
    data = read_bytes(path)
    page = parse_json(data, BUNDLE_JSON)
    wanted = get_args(Format)[0]
    if isinstance(page, dict) and page.get("format") != wanted:
        mend = "export the checkpoint again: `degrade-engine export`"
        raise DegradeError(f"{path} has the format {page.get('format')!r}", wanted=repr(wanted), mend=mend)
    spec = from_json(BundleSpec, page, BUNDLE_JSON)
    if verify:
        for part in spec.parts.values():
            for reference in part.files.values():
                check_file(path.parent, reference)
    return Bundle(path.parent, spec, sha256_bytes(data))


def file_ref(folder: Path, path: str) -> FileRef:
    """The FileRef of a file that is already there."""
    return FileRef(path, sha256_file(folder / path), (folder / path).stat().st_size)


def check_file(folder: Path, reference: FileRef) -> None:
    """DegradeError if the file is missing, of another size or content, or outside the folder."""
    pure = PurePosixPath(reference.path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in reference.path or not pure.parts:
        raise DegradeError(f"{folder.name} names the file {reference.path!r}", wanted="a path within its own folder")
    path = folder / reference.path
    if not path.is_file():
        raise DegradeError(f"{path} is missing", mend="make the artefact again, or copy it whole")
    size = path.stat().st_size
    if size != reference.bytes:
        raise DegradeError(
            f"{path} has {size} bytes",
            wanted=f"{reference.bytes} bytes",
            mend="copy the artefact again, whole",
        )
    digest = sha256_file(path)
    if digest != reference.sha256:
        raise DegradeError(
            f"{path} has SHA-256 {digest}",
            wanted=reference.sha256,
            mend="it was changed or damaged: make it again",
        )


def not_commercial(licence: str, commercial: bool | None) -> str:
    """The sentence to show once for weights that may not be used commercially; "" for others."""
    return f"These weights may not be used commercially. Their licence: {licence}" if commercial is False else ""


def reads_reference(parts: dict[str, PartSpec]) -> bool:
    """Whether a pair needs a real LR photograph."""
    return any(part.runs == "reference" for part in parts.values())


def can_filter(parts: dict[str, PartSpec]) -> bool:
    """Whether candidates can be told apart: both extractors are there."""
    return all(name in parts for name in EXTRACTORS)


def has_steps(parts: dict[str, PartSpec]) -> bool:
    """Whether a start image is noised and denoised; without, tau is 0 and the model's LR is the result."""
    return any(part.runs == "step" for part in parts.values())


def fuses(parts: dict[str, PartSpec]) -> bool:
    """Whether the LR is the weighted sum of two branches (UDDM, eq. 1)."""
    return "pddm" in parts


def hr_scale(parts: dict[str, PartSpec]) -> int | None:
    """HR over LR of a kind that reads the HR itself; None for one that sees it at LR size alone, at any scale."""
    for part in parts.values():
        for tensor in part.inputs:
            if tensor.name == "hr" and (found := read_dimension(str(tensor.shape[-1]))):
                return found[1]
    return None


def check_parts(kind: Kind, parts: dict[str, PartSpec], where: str) -> None:
    """DegradeError unless the parts are the kind's, with files, in an order in which they can run."""
    wanted = PARTS[kind]
    for name in wanted:
        if name not in parts:
            raise DegradeError(f"{where}: the part {name!r} is missing", wanted=", ".join(wanted))
    for name, part in parts.items():
        if name not in wanted:
            raise DegradeError(f"{where}: the part {name!r} is unknown", wanted=", ".join(wanted))
        if "fp32" not in part.files and "engine" not in part.files:
            raise DegradeError(f"{where}: the part {name!r} has no file", wanted="an fp32 file, or an engine's")
    made = set(OUTER)
    for name, part in parts.items():
        lacking = [tensor.name for tensor in part.inputs if tensor.name not in made]
        if lacking:
            raise DegradeError(
                f"{where}: {name} reads {lacking[0]!r}, which no part before it makes",
                wanted="parts in the order in which they run",
            )
        made |= {tensor.name for tensor in part.outputs}
