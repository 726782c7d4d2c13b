"""The words of bundle.json and engine.json for a network part, its tensors and its files, as frozen dataclasses.

For each part they say how often it runs, and that word lets one runtime drive every kind of model (kinds/):

    reference   once a reference image
    pair        once a pair
    candidate   once a candidate           (none so far; a filter runs its extractors again by itself)
    step        once a denoising step

Parts are listed in the order in which they run. Their outer tensors are float32 (t int32) whatever the
precision within.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from .artefact import sha256_file
from .errors import DegradeError

Precision = Literal["fp32", "fp16", "bf16", "int8", "fp8"]
QUANTISED: tuple[Precision, ...] = ("int8", "fp8")
PrecisionChoice = Literal["auto", Precision]
"""What may be asked for; see `backends.quickest`."""
Start = Literal["reconstruction", "bicubic", "realesrgan"]
Runs = Literal["reference", "pair", "candidate", "step"]
IMAGE_SHAPE = ("batch", 3, "height", "width")
OUTER = ("image", "content", "hr", "x_t", "t")  # tensors that no part makes and every sampler has


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
        fact = f"Tensor {name!r} has a dimension {text!r}"
        raise DegradeError(fact, wanted='"batch", "height", "width", or such as "height/4" or "4*height"')
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


def quantised(precision: Precision, part: PartSpec) -> bool:
    """Whether an engine has the part in INT8 or FP8: what runs each step, which is nearly all of the time."""
    return precision in QUANTISED and part.runs == "step"


def source_of(source: Precision, part: PartSpec) -> Precision:
    """The precision of the bundle's file that a part is made of, where an engine is made of `source`: FP16 beside what
    is quantised."""
    return "fp16" if source in QUANTISED and not quantised(source, part) else source


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
            f"{path} has {size} bytes", wanted=f"{reference.bytes} bytes", mend="copy the artefact again, whole"
        )
    digest = sha256_file(path)
    if digest != reference.sha256:
        raise DegradeError(
            f"{path} has SHA-256 {digest}", wanted=reference.sha256, mend="it was changed or damaged: make it again"
        )


def not_commercial(licence: str, commercial: bool | None) -> str:
    """The sentence to show once for weights that may not be used commercially; "" for others."""
    return f"These weights may not be used commercially. Their licence: {licence}" if commercial is False else ""


def hr_scale(parts: dict[str, PartSpec]) -> int | None:
    """HR over LR of a kind that reads the HR itself; None for one that sees it at LR size alone, at any scale."""
    for part in parts.values():
        for tensor in part.inputs:
            if tensor.name == "hr" and (found := read_dimension(str(tensor.shape[-1]))):
                return found[1]
    return None


def makes_image(part: PartSpec) -> bool:
    """Whether a part makes an LR image that needs no step: a start image, or the result."""
    return any(tensor.name == "image" for tensor in part.outputs)
