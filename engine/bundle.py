"""What a bundle says about itself, `bundle.json`: the network parts of one model, as ONNX files with dynamic batch,
height and width (engine.json is in engine_spec.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from . import kinds
from .artefact import later, read_page, sha256_bytes
from .errors import DegradeError
from .kinds import ModelKind
from .schedule import Schedule
from .spec import QUANTISED, FilterWeights, PartSpec, Precision, Preprocessing, Start, check_file

BUNDLE_JSON = "bundle.json"


@dataclass(frozen=True)
class BundleSpec:
    """bundle.json.

    schedule: of the diffusion; not read where a kind has no steps. lr_multiple: LR height and width must be multiples
    of it. starts: the start images that make sense. licence: of the weights, an SPDX identifier or words; commercial:
    whether they may be used commercially, None where the checkpoint's card does not say. card: free form, the training
    card. parent: {"checkpoint_sha256": …}, and "calibration_sha256" where one was used. tools: the versions that made
    it. islands: layers that a calibration keeps in FP32 in the fp16 files, beyond those that always are.
    """

    kind: str
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
    format: Literal["degrade-engine/bundle/2"] = "degrade-engine/bundle/2"

    def __post_init__(self) -> None:
        self.model_kind.check(self.parts, BUNDLE_JSON)
        if self.lr_multiple < 1:
            raise DegradeError(f"{BUNDLE_JSON}: lr_multiple is {self.lr_multiple}", wanted="1 or more")

    @property
    def model_kind(self) -> ModelKind:
        """The page of its kind. DegradeError for one that does not exist."""
        return kinds.named(self.kind, BUNDLE_JSON)


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
            mend = f"`degrade-engine export --precision {precision}`" if precision in QUANTISED else ""
            fact = f"{self.folder} has no {precision} file of {part}"
            raise DegradeError(fact, wanted=f"one of {', '.join(files)}", mend=mend)
        return self.folder / files[precision].path


def open_bundle(folder: Path, *, verify: bool = True) -> Bundle:
    """Reads bundle.json and (verify) checks every file's size and hash. DegradeError for what is off."""
    path = Path(folder) / BUNDLE_JSON
    if not path.is_file():
        raise DegradeError(f"{folder} holds no {BUNDLE_JSON}", wanted="a bundle made by `degrade-engine export`")
    spec, data = read_page(BundleSpec, path, "export the checkpoint again: `degrade-engine export`")
    if verify:
        for part in spec.parts.values():
            for reference in part.files.values():
                check_file(path.parent, reference)
    return Bundle(path.parent, spec, sha256_bytes(data))
